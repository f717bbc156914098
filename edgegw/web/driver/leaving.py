"""Export of a member's stored data, and the end of a membership in two steps.

Decides the steps; the representative decides what is stored and when a member may leave.
"""

import json
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.throttle import Throttle
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.driver.login import forget, is_password
from edgegw.web.formatting import member, visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, see_other
from edgegw.web.visitor_login import address_of, visitor_of

LEFT = "/left"


def routes(pages: Pages, throttle: Throttle) -> Sequence[BaseRoute]:
    """The export and the two steps of leaving."""
    leaving = _Leaving(pages, throttle)
    return [
        page("/export", for_members(pages, leaving.export)),
        page("/leave", for_members(pages, leaving.first)),
        page("/leave/now", for_members(pages, leaving.first)),
        page(LEFT, leaving.gone),
        action_for_members(pages, "/leave", leaving.second),
        action_for_members(pages, "/leave/now", leaving.last),
    ]


class _Leaving:
    """Handlers of the export and of the two steps."""

    def __init__(self, pages: Pages, throttle: Throttle) -> None:
        self._pages = pages
        self._throttle = throttle
        self._site = pages.site

    def _draw(
        self, request: Request, form: Form, *, step: int, problem: str = "", status: int = 200
    ) -> Response:
        return self._pages.draw(
            request, "driver/leave.html", status=status, form=form, step=step, problem=problem
        )

    async def export(self, request: Request) -> Response:
        kept = await self._site.representative.export(member(request).member_id)
        return Response(
            json.dumps(kept, ensure_ascii=False, indent=2, sort_keys=True, default=str),
            media_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="my-account.json"'},
        )

    async def first(self, request: Request) -> Response:
        return self._draw(request, Form(), step=1)

    async def second(self, request: Request, _form: Form) -> Response:
        return self._draw(request, Form(), step=2)

    async def last(self, request: Request, form: Form) -> Response:
        if not self._throttle.admits(address_of(request)):
            return self._pages.draw(request, "refused.html", status=429, code="EGW-3011")
        word = self._pages.word(visitor(request).language)
        if faults := await _doubts(self._pages, request, form):
            return self._draw(request, form.faulty(**faults), step=2, status=422)
        refusal = await self._site.representative.leave(member(request).member_id)
        if refusal is not None:
            return self._draw(request, Form(), step=1, problem=refusal_text(refusal, word), status=422)
        response = see_other(LEFT)
        forget(response, self._site)
        return response

    async def gone(self, request: Request) -> Response:
        """The last page of a member, who is a stranger now."""
        known = await visitor_of(request, self._site)
        return see_other("/profile") if known.profile else self._pages.draw(request, "driver/gone.html")


async def _doubts(pages: Pages, request: Request, form: Form) -> dict[str, str]:
    """Return error messages by field if the confirmation or the password is missing or wrong."""
    word = pages.word(visitor(request).language)
    found = {}
    if form.values.get("sure") != "1":
        found["sure"] = word("Tick the box to confirm that you leave.")
    if wrong := await is_password(request, pages.site, form.values.get("password", "")):
        found["password"] = refusal_text(wrong, word)
    return found
