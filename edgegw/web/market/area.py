"""All routes of the market's pages.

Login, profile, history and exchange are the pages of `web.driver`, drawn in the frame of this area (`INSTEAD`).
"""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from edgegw.web.application import Area
from edgegw.web.market import home, offers, trades
from edgegw.web.market.market_context import MarketContext
from edgegw.web.market.market_port import MarketPort
from edgegw.web.pages import Pages

INSTEAD = {"driver/frame.html": "market/frame.html"}
"""Template substitutions: shared pages use the frame of this area."""


def market_area(book: MarketPort) -> Area:
    """Return the area over one organisation's offers and trades."""

    def routes(pages: Pages) -> Sequence[BaseRoute]:
        context = MarketContext(pages=pages, book=book)
        return [*home.routes(context), *offers.routes(context), *trades.routes(context)]

    return routes
