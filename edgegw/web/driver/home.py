"""The station's first page: its EVSEs in words, and what the operator tells."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.web.application import page
from edgegw.web.pages import Pages


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The first page."""
    site = pages.site

    async def home(request: Request) -> Response:
        assert site.station is not None
        station = site.station()
        notices = await site.office.notices()
        return await pages.answer(
            request, "driver/home.html", evses=list(station.evses.values()), notices=notices
        )

    return [page("/", home)]
