"""The page of the operator's notices; the first page shows the same list (`templates/driver/notices.html`)."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.web.application import page
from edgegw.web.formatting import shown_to
from edgegw.web.pages import Pages
from edgegw.web.visitor_login import visitor_of


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The page of notices."""
    site = pages.site

    async def told(request: Request) -> Response:
        await visitor_of(request, site)
        notices = await site.representative.notices()
        return await pages.answer(request, "driver/told.html", notices=notices, show=shown_to(request, site))

    return [page("/notices", told)]
