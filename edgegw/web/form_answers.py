"""POST, redirect, GET: the page that answers a form is kept for its visitor and shown under an address of its own.

Decides which answers are kept, how long, and who sees them: the browser and login that sent the form, for half an hour. Back
and reload then show a page again and send nothing. Answers stay in memory and their address holds a random key, never
what was typed. Source: RFC 9110 section 15.4.4 (303 See Other).
"""

import secrets
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgegw.ports.representative import RepresentativeError
from edgegw.web.pages import local
from edgegw.web.site import Site
from edgegw.web.visitor_login import Visitor, address_of, stranger_of, visitor_of

ANSWER = "answer"
AGE_S = 1_800.0
ANSWERS_MAX = 1_024
OF_ONE_NETWORK_MAX = 256  # a lot's guests may share one address behind their router
OF_ONE_VISITOR_MAX = 16
BYTES_MAX = 8 * 1024 * 1024  # compressed
_KEY_BYTES = 12
_HTML = b"text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A page that answered a form. `visitor`: the form token of the browser and login that sent the form."""

    visitor: str = field(repr=False)
    network: str
    status: int
    page: bytes = field(repr=False)  # compressed
    until_s: float


class FormAnswers:
    """The answers of one server, oldest first; the oldest of a visitor, a network or all give way to new ones."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._kept: OrderedDict[str, Answer] = OrderedDict()

    def keep(self, visitor: str, network: str, *, status: int, page: bytes) -> str:
        """Keep a page; the key under which this visitor finds it."""
        self._forget()
        key = secrets.token_urlsafe(_KEY_BYTES)
        self._kept[key] = Answer(
            visitor=visitor,
            network=network,
            status=status,
            page=zlib.compress(page, level=1),
            until_s=self._now_s() + AGE_S,
        )
        self._bound([one for one, kept in self._kept.items() if kept.visitor == visitor], OF_ONE_VISITOR_MAX)
        self._bound([one for one, kept in self._kept.items() if kept.network == network], OF_ONE_NETWORK_MAX)
        self._bound(list(self._kept), ANSWERS_MAX)
        size = sum(len(kept.page) for kept in self._kept.values())
        while size > BYTES_MAX:
            size -= len(self._kept.popitem(last=False)[1].page)
        return key

    def find(self, key: str, visitor: str) -> Answer | None:
        """The visitor's own answer; None where it is another's, too old or unknown."""
        self._forget()
        found = self._kept.get(key)
        return found if found is not None and secrets.compare_digest(found.visitor, visitor) else None

    def __len__(self) -> int:
        return len(self._kept)

    def _bound(self, keys: list[str], most: int) -> None:
        for key in keys[: max(0, len(keys) - most)]:
            del self._kept[key]

    def _forget(self) -> None:
        now_s = self._now_s()
        while self._kept and next(iter(self._kept.values())).until_s <= now_s:
            self._kept.popitem(last=False)


class PostRedirectGet:
    """Around the pages: a form's answer becomes a redirect to itself, and is shown there."""

    def __init__(self, inner: ASGIApp, site: Site, answers: FormAnswers | None = None) -> None:
        self.inner = inner
        self._site = site
        self._answers = FormAnswers() if answers is None else answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, but for the page that answers a form."""
        if scope["method"] == "POST":
            await self._post(scope, receive, send)
            return
        shown = await self._shown(Request(scope))
        await (self.inner if shown is None else shown)(scope, receive, send)

    async def _shown(self, request: Request) -> Response | None:
        """The answer that is asked for; without it the page at this address is the next best."""
        key = request.query_params.get(ANSWER, "")
        if request.method != "GET" or not key:
            return None
        try:
            visitor = await visitor_of(request, self._site)
        except RepresentativeError:
            return None
        found = self._answers.find(key, visitor.form_token)
        if found is None:
            return None
        return Response(
            zlib.decompress(found.page), status_code=found.status, media_type="text/html; charset=utf-8"
        )

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        collected: list[Message] = []

        async def collect(message: Message) -> None:
            collected.append(message)

        try:
            await self.inner(scope, receive, collect)
        finally:  # a handler that failed has drawn its page before it raises
            for message in self._redirected(Request(scope), collected):
                await send(message)

    def _redirected(self, request: Request, messages: list[Message]) -> list[Message]:
        """The redirect to what was answered, where that is a page for a browser that we know."""
        known: Visitor | None = getattr(request.state, "visitor", None)
        visitor = stranger_of(request, self._site) if known is None else known
        if visitor.is_new or not messages:  # a browser without cookies is told at once, or never
            return messages
        headers = messages[0]["headers"]
        if not dict(headers).get(b"content-type", b"").startswith(_HTML):
            return messages
        page = b"".join(message.get("body", b"") for message in messages[1:])
        status = messages[0]["status"]
        key = self._answers.keep(visitor.form_token, address_of(request), status=status, page=page)
        kept = [one for one in headers if one[0] not in {b"content-type", b"content-length"}]
        led = [(b"location", _address(request, key).encode()), (b"content-length", b"0")]
        return [
            {"type": "http.response.start", "status": 303, "headers": [*kept, *led]},
            {"type": "http.response.body", "body": b""},
        ]


def _address(request: Request, key: str) -> str:
    """Where the form was sent, with the answer's key: where the answer is gone, a page is there all the same."""
    asked = [one for one in parse_qsl(request.url.query) if one[0] != ANSWER]
    path = quote(request.scope["path"], safe="/:@*~!$,;=")
    return local(f"{path}?{urlencode([*asked, (ANSWER, key)])}", f"/?{urlencode({ANSWER: key})}")
