"""All routes of the operator's pages, login and logout included.

Every page but the login requires a login; the login page shows nothing of the station.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.web.application import Area, action, page
from edgegw.web.forms import Form
from edgegw.web.operator import activity, charger_approval, chargers, notices, overview
from edgegw.web.operator.login import LOGIN_S, Entered, OperatorLogins
from edgegw.web.operator.operator_context import OperatorContext
from edgegw.web.operator.operator_port import OperatorPort
from edgegw.web.pages import Pages, local, see_other
from edgegw.web.visitor_login import set_cookie, visitor_of

COOKIE = "operator"


def operator_area(operator_port: OperatorPort, door: OperatorLogins) -> Area:
    """Return the area over a station's operator port; `door` checks passwords and logins."""

    def routes(pages: Pages) -> Sequence[BaseRoute]:
        context = OperatorContext(pages=pages, operator_port=operator_port, door=door)
        return [
            *_login(context),
            *overview.routes(context),
            *chargers.routes(context),
            *charger_approval.routes(context),
            *activity.routes(context),
            *notices.routes(context),
        ]

    return routes


def _login(context: OperatorContext) -> Sequence[BaseRoute]:
    login = _Login(context)
    return [
        page("/login", login.show),
        action(context.pages, "/login", login.enter),
        context.action("/logout", login.leave),
    ]


class _Login:
    """Handlers of login and logout."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        self._site = context.pages.site

    async def show(self, request: Request) -> Response:
        visitor = await visitor_of(request, self._site)
        led_to = local(request.query_params.get("next", "/"))
        if visitor.profile is not None:
            return see_other(led_to)
        return await self._context.pages.answer(request, "operator/login.html", form=Form(), led_to=led_to)

    async def enter(self, request: Request, form: Form) -> Response:
        source = request.client.host if request.client else ""
        led_to = local(form.text("next", 300))
        entered = await self._context.door.enter(form.values.get("password", ""), source=source)
        if entered.token:
            response = see_other(led_to)
            set_cookie(response, self._site, COOKIE, value=entered.token, seconds=LOGIN_S)
            self._site.log("operator.entered", {"address": source})
            return response
        if not entered.wait_s:
            self._site.log(
                "operator.refused",
                {"address": source, "reason": entered.fault or "password"},
                level="warning",
            )
        faulty = form.faulty(password=await self._why(request, entered))
        status = 429 if entered.wait_s else 503 if entered.fault else 403
        return await self._context.pages.answer(
            request, "operator/login.html", status=status, form=faulty, led_to=led_to
        )

    async def _why(self, request: Request, entered: Entered) -> str:
        word = (await self._context.locale(request)).word
        if entered.fault:
            return word("No password is set yet. Set it on this machine: sudo edgegw operator password")
        if entered.wait_s:
            return word("Too many attempts. Wait %(seconds)s seconds.") % {"seconds": entered.wait_s}
        return word("The password is wrong.")

    async def leave(self, request: Request, _form: Form) -> Response:
        visitor = await visitor_of(request, self._site)
        self._context.door.leave(visitor.login_token)
        response = see_other("/login")
        set_cookie(response, self._site, COOKIE, value="", seconds=0)
        return response
