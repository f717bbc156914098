"""All routes of the market's pages.

Decides which page stands where. Login, profile, history and exchange are the drivers' own, under this area's frame.
"""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from edgegw.web.application import Area
from edgegw.web.market import home, offers, trades
from edgegw.web.market.book import MarketBook
from edgegw.web.market.desk import Desk
from edgegw.web.pages import Pages

INSTEAD = {"driver/frame.html": "market/frame.html"}
"""Templates in whose place others are drawn: shared pages stand in this area's frame."""


def market_area(book: MarketBook) -> Area:
    """The area over one organisation's book."""

    def routes(pages: Pages) -> Sequence[BaseRoute]:
        desk = Desk(pages=pages, book=book)
        return [*home.routes(desk), *offers.routes(desk), *trades.routes(desk)]

    return routes
