"""The visitor of a request: browser cookie, login and language.

Decides cookies and form tokens. Never sees a password. A form token is an HMAC over the visitor's cookie and login, so that
only a form that this server gave to this visitor is accepted.
Source: OWASP, Cross-Site Request Forgery Prevention (signed double-submit cookie).
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
ATTEMPTS_MAX = 30  # per minute and client network
_ADDRESSES_MAX = 4096
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """The visitor of one request. `key` identifies the browser, `form_token` is the token of its forms."""

    key: str
    is_new: bool
    language: Language
    login_token: str
    profile: Profile | None
    form_token: str


def cookie(name: str, *, is_secure: bool) -> str:
    """Return the full name of a cookie: with the `__Host-` prefix over TLS, so that no other host or path sets it."""
    return f"__Host-edgegw_{name}" if is_secure else f"edgegw_{name}"


def form_throttle(now_s: Callable[[], float] = time.monotonic) -> Throttle:
    """Return a throttle of attempts per client network and minute; the representative throttles logins on top of it."""
    return Throttle(Window(most=ATTEMPTS_MAX, window_s=60.0, sliding=False), now_s, keys_max=_ADDRESSES_MAX)


def address_of(request: Request) -> str:
    """Return the client network of a request, by which attempts are counted."""
    return client_network(request.client.host if request.client is not None else "")


async def visitor_of(request: Request, site: Site) -> Visitor:
    """Return the visitor of a request, cached in it; raises RepresentativeError if the login cannot be looked up."""
    known: Visitor | None = getattr(request.state, "visitor", None)
    if known is None:
        known = await _look(request, site)
        request.state.visitor = known
    return known


def stranger_of(request: Request, site: Site) -> Visitor:
    """Return the visitor without looking up the login: `profile` is None."""
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
    """Return the token that proves that a form comes from a page of this server for `bound_to` (visitor and login)."""
    return hmac.digest(site.settings.secret, f"form {bound_to}".encode(), "sha256").hex()


def remember(response: Response, request: Request, site: Site) -> None:
    """Set the visitor's cookies on a response where they are new."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None:
        return
    if visitor.is_new:
        set_cookie(response, site, "visitor", value=visitor.key, seconds=YEAR_S)
    if request.query_params.get("lang") == visitor.language:
        set_cookie(response, site, "lang", value=visitor.language, seconds=YEAR_S)


def set_cookie(response: Response, site: Site, name: str, *, value: str, seconds: int) -> None:
    """Set an HttpOnly cookie for this server; 0 seconds deletes it."""
    is_secure = site.settings.is_secure
    response.set_cookie(
        cookie(name, is_secure=is_secure),
        value,
        max_age=seconds,
        path="/",
        secure=is_secure,
        httponly=True,
        # A driver arrives by a scanned code, which is a cross-site navigation: Lax sends the login then, and no GET
        # changes anything.
        samesite="lax",
    )


def _is_key(text: str) -> bool:
    return len(text) == 2 * _KEY_BYTES and all(letter in "0123456789abcdef" for letter in text)
