"""All routes of the market's pages.

Decides which page stands where. Login, profile, history and exchange are the drivers' own, under this area's frame.
"""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from edgegw.web.application import Area
from edgegw.web.market import home, offers, trades
from edgegw.web.market.market_context import MarketContext
from edgegw.web.market.market_port import MarketPort
from edgegw.web.pages import Pages

INSTEAD = {"driver/frame.html": "market/frame.html"}
"""Templates in whose place others are drawn: shared pages stand in this area's frame."""


def market_area(book: MarketPort) -> Area:
    """The area over one organisation's book."""

    def routes(pages: Pages) -> Sequence[BaseRoute]:
        context = MarketContext(pages=pages, book=book)
        return [*home.routes(context), *offers.routes(context), *trades.routes(context)]

    return routes
