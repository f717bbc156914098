"""Who is asking: the visitor's cookie, the login behind it, and the language.

Decides cookies and form tokens. Never sees a password. A form's token is an HMAC over the visitor's cookie, so that only a
page that this server gave to this visitor can be sent in.
"""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from edgegw.common.throttle import Throttle, Window, client_network
from edgegw.ports.representative import Language, Profile
from edgegw.web.catalogues import chosen
from edgegw.web.site import Site

YEAR_S = 31_536_000
LOGIN_S = 90 * 86_400
ATTEMPTS_MAX = 30  # a minute, of one address
_ADDRESSES_MAX = 4096
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """One request's visitor. `key` names the browser, `form_token` what its forms carry."""

    key: str
    is_new: bool
    language: Language
    login_token: str
    profile: Profile | None
    form_token: str


def cookie(name: str, *, is_secure: bool) -> str:
    """The cookie's full name: over TLS no other host or path can set it."""
    return f"__Host-edgegw_{name}" if is_secure else f"edgegw_{name}"


def form_throttle(now_s: Callable[[], float] = time.monotonic) -> Throttle:
    """Attempts by address: so many within a minute, then none until it is over. The representative's own pauses come after."""
    return Throttle(Window(most=ATTEMPTS_MAX, window_s=60.0, sliding=False), now_s, keys_max=_ADDRESSES_MAX)


def address_of(request: Request) -> str:
    """Where a request comes from, as attempts are counted."""
    return client_network(request.client.host if request.client is not None else "")


async def visitor_of(request: Request, site: Site) -> Visitor:
    """The visitor of a request; raises OfficeError where a login cannot be looked up. Kept with the request."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is None:
        known = await _look(request, site)
        request.state.visitor = known
    return known


def stranger_of(request: Request, site: Site) -> Visitor:
    """The visitor as far as that is known without asking the office."""
    is_secure = site.settings.is_secure
    key = request.cookies.get(cookie("visitor", is_secure=is_secure), "")
    is_new = not _is_key(key)
    if is_new:
        key = secrets.token_hex(_KEY_BYTES)
    wishes = (request.query_params.get("lang"), request.cookies.get(cookie("lang", is_secure=is_secure)))
    return Visitor(
        key=key,
        is_new=is_new,
        language=chosen(wishes, request.headers.get("accept-language", "")),
        login_token="",
        profile=None,
        form_token=form_token(site, key),
    )


async def _look(request: Request, site: Site) -> Visitor:
    visitor = stranger_of(request, site)
    token = request.cookies.get(cookie(site.login_cookie, is_secure=site.settings.is_secure), "")
    if not token or len(token) > 128:
        return visitor
    profile = await (site.who or site.representative.who)(token)
    return Visitor(
        key=visitor.key,
        is_new=visitor.is_new,
        language=visitor.language,
        login_token=token if profile else "",
        profile=profile,
        form_token=form_token(site, f"{visitor.key} {token}" if profile else visitor.key),
    )


def form_token(site: Site, bound_to: str) -> str:
    """What a form carries to show that it came from a page of ours for this visitor and login."""
    return hmac.digest(site.settings.secret, f"form {bound_to}".encode(), "sha256").hex()


def remember(response: Response, request: Request, site: Site) -> None:
    """Set the visitor's cookies on an answer, where they are new."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None:
        return
    if visitor.is_new:
        set_cookie(response, site, "visitor", value=visitor.key, seconds=YEAR_S)
    if request.query_params.get("lang") == visitor.language:
        set_cookie(response, site, "lang", value=visitor.language, seconds=YEAR_S)


def set_cookie(response: Response, site: Site, name: str, *, value: str, seconds: int) -> None:
    """A cookie that only this server's pages send back, and no script reads; 0 seconds forgets it."""
    is_secure = site.settings.is_secure
    response.set_cookie(
        cookie(name, is_secure=is_secure),
        value,
        max_age=seconds,
        path="/",
        secure=is_secure,
        httponly=True,
        # A driver comes from a code that was scanned, which is a navigation from elsewhere: Lax lets the login be sent then,
        # and nothing changes on a GET.
        samesite="lax",
    )


def _is_key(text: str) -> bool:
    return len(text) == 2 * _KEY_BYTES and all(letter in "0123456789abcdef" for letter in text)
