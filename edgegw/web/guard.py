"""ASGI middleware around all pages: refuses bad requests, sets security headers, contains failures of pages.

Decides by Host, Origin, method, body size and number of headers, before a page sees the request; never by login
(`visitor_login`). Logs nothing of a request, only where a page failed.
Source: OWASP, Cross-Site Request Forgery Prevention; DNS rebinding (Host check); WHATWG Fetch (Origin).
"""

import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgegw.web.site import WebSettings

BODY_BYTES_MAX = 64 * 1024
HEADERS_MAX = 64
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer a browser sends "Origin: null", and the origin of a form could not be checked.
    "referrer-policy": "same-origin",
    "permissions-policy": "geolocation=(self), camera=(), microphone=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

Headers = Iterable[tuple[bytes, bytes]]

Refuse = Callable[[Scope, int, str], ASGIApp]
"""Returns the page of a refusal for a scope, HTTP status and error code."""


class Guard:
    """Wraps the application; `refuse` makes the page of a refusal, `failed` gets class and line of a page's exception."""

    def __init__(
        self, inner: ASGIApp, settings: WebSettings, *, refuse: Refuse, failed: Callable[[str], None]
    ) -> None:
        self._inner = inner
        self._names = frozenset(name.lower() for name in settings.names)
        self._scheme = "https" if settings.is_secure else "http"
        self._refuse = refuse
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request to the application, or answer with a refusal."""
        if scope["type"] != "http":
            return
        outgoing = _Outgoing(send, is_secure=self._scheme == "https")
        refusal = self._refusal(scope)
        if refusal is not None:
            await self._refuse(scope, *refusal)(scope, receive, outgoing.send)
            return
        bounded = _Bounded(receive)
        try:
            await self._inner(scope, bounded.receive, outgoing.send)
        except Exception:  # noqa: BLE001 - a page that fails must not end the daemon
            self._failed(_where())
            if not outgoing.has_begun:
                await self._refuse(scope, 500, "EGW-3009")(scope, receive, outgoing.send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = scope["headers"]
        if len(headers) > HEADERS_MAX:
            return 431, "EGW-3007"
        hosts = [value for name, value in headers if name == b"host"]
        host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        if without_port(host) not in self._names:
            return 421, "EGW-3001"
        if scope["method"] in {"GET", "HEAD"}:
            return None
        if scope["method"] != "POST":
            return 405, "EGW-3008"
        return self._form_refusal(headers, host)

    def _form_refusal(self, headers: Headers, host: str) -> tuple[int, str] | None:
        origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
        if origins != [f"{self._scheme}://{host}"]:
            return 403, "EGW-3002"
        lengths = [value for name, value in headers if name == b"content-length"]
        if lengths and lengths[0].isdigit() and int(lengths[0]) > BODY_BYTES_MAX:
            return 413, "EGW-3006"
        return None


class TooLargeError(Exception):
    """A request body is larger than BODY_BYTES_MAX."""


class _Bounded:
    """Receives a body; raises TooLargeError beyond BODY_BYTES_MAX."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > BODY_BYTES_MAX:
            raise TooLargeError
        return message


class _Outgoing:
    """Sends responses with the headers that every response has."""

    def __init__(self, send: Send, *, is_secure: bool) -> None:
        self._send = send
        self._is_secure = is_secure
        self.has_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            names = {name for name, _ in message["headers"]}
            added = dict(HEADERS)
            if self._is_secure:
                added["strict-transport-security"] = "max-age=31536000"
            if b"cache-control" not in names:
                added["cache-control"] = "no-store"
            message["headers"] = [
                *message["headers"],
                *((name.encode(), value.encode()) for name, value in added.items()),
            ]
        await self._send(message)


def without_port(host: str) -> str:
    """Return the host name of a Host header; an IPv6 address keeps its brackets."""
    if host.endswith("]"):
        return host
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdecimal() else host


def _where() -> str:
    """Return class, file and line of the current exception, without its message, which may quote the request."""
    fault = sys.exception()
    assert fault is not None
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} ({Path(last.filename).name}:{last.lineno})"
