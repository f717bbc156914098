"""Login and logout.

Decides the cookies; the representative checks name and password. A login ends the one before it and changes the browser's
key; no response reveals whether a login name exists.
Source: OWASP, Session Management Cheat Sheet (session fixation); NIST SP 800-63B.
"""

import secrets
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.throttle import Throttle
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import Login, RefusalCode, RefusedRequest
from edgegw.web.application import action, page
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.formatting import visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, local, see_other
from edgegw.web.site import Site
from edgegw.web.visitor_login import LOGIN_S, YEAR_S, address_of, set_cookie, visitor_of

HOME = "/account"
LOGIN_LENGTH_MAX = 130
PASSWORD_LENGTH_MAX = 256
_KEY_BYTES = 16


def routes(pages: Pages, throttle: Throttle, *, home: str = HOME) -> Sequence[BaseRoute]:
    """Login, which leads to `home` if no other page was requested, and logout."""
    site = pages.site

    async def look(request: Request) -> Response:
        known = await visitor_of(request, site)
        to = local(request.query_params.get("next", ""), home)
        if known.profile is not None:
            return see_other(to)
        return await pages.answer(request, "driver/login.html", form=Form(), to=to, problem="")

    async def enter(request: Request, form: Form) -> Response:
        word = pages.word(visitor(request).language)
        to = local(form.text("next", 300), home)
        name, password = form.values.get("login", "").strip(), form.values.get("password", "")

        def again(status: int, problem: str) -> Response:
            return pages.draw(request, "driver/login.html", status=status, form=form, to=to, problem=problem)

        if not throttle.admits(address_of(request)):
            return pages.draw(request, "refused.html", status=429, code="EGW-3011")
        if not 0 < len(name) <= LOGIN_LENGTH_MAX or not 0 < len(password) <= PASSWORD_LENGTH_MAX:
            return again(422, refusal_text(RefusedRequest(code=RefusalCode.WRONG_LOGIN), word))
        opened = await site.representative.log_in(name, password, source=address_of(request))
        if isinstance(opened, RefusedRequest):
            status = 429 if opened.code == RefusalCode.TOO_MANY_TRIES else 422
            return again(status, refusal_text(opened, word))
        return await entered(request, site, opened, to=to)

    async def leave(request: Request, _form: Form) -> Response:
        if token := visitor(request).login_token:
            await site.representative.log_out(token)
        response = see_other("/")
        forget(response, site)
        return response

    return [page("/login", look), action(pages, "/login", enter), action(pages, "/logout", leave)]


async def entered(request: Request, site: Site, login: Login, *, to: str) -> Response:
    """Return a redirect to `to` that sets the login's cookie and a new browser key; ends the old login."""
    known = visitor(request)
    if known.login_token:
        await site.representative.log_out(known.login_token)
    response = see_other(to)
    left_s = max(1, min(LOGIN_S, (login.expires_ns - site.clock.now_ns()) // SECOND_NS))
    set_cookie(response, site, "login", value=login.token, seconds=left_s)
    set_cookie(response, site, "visitor", value=secrets.token_hex(_KEY_BYTES), seconds=YEAR_S)
    return response


def forget(response: Response, site: Site) -> None:
    """Delete the login's cookie and change the browser's key."""
    set_cookie(response, site, "login", value="", seconds=0)
    set_cookie(response, site, "visitor", value=secrets.token_hex(_KEY_BYTES), seconds=YEAR_S)


async def is_password(request: Request, site: Site, password: str) -> RefusedRequest | None:
    """Check the password of the logged-in member before an irreversible action; return the refusal or None."""
    profile = visitor(request).profile
    assert profile is not None
    if not 0 < len(password) <= PASSWORD_LENGTH_MAX:
        return RefusedRequest(code=RefusalCode.WRONG_LOGIN)
    opened = await site.representative.log_in(profile.login, password, source=address_of(request))
    if isinstance(opened, RefusedRequest):
        return opened
    await site.representative.log_out(opened.token)
    return None
