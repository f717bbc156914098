"""The page of the member's account: tokens, energy and links. Decides nothing; the balance is the representative's."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.web.application import for_members, page
from edgegw.web.formatting import member, shown_to
from edgegw.web.pages import Pages


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The account page."""
    site = pages.site

    async def account(request: Request) -> Response:
        balance = await site.representative.balance(member(request).member_id)
        return await pages.answer(
            request,
            "driver/account.html",
            balance=balance,
            show=shown_to(request, site),
            now_ns=site.clock.now_ns(),
        )

    return [page("/account", for_members(pages, account))]
