"""What the operator's pages share: port, logins, language and times; and the check of the login.

Decides who may see a page. A fragment request whose login has ended makes htmx reload the page, which leads to the login.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import Language
from edgegw.web import formats
from edgegw.web.application import FormHandler, Handler, action, page
from edgegw.web.forms import Form
from edgegw.web.operator.login import OperatorLogins
from edgegw.web.operator.operator_port import OperatorPort
from edgegw.web.pages import Pages, Word, see_other
from edgegw.web.visitor_login import visitor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Locale:
    """A reader's language, and formatters of instants in it: `moment` is a time, `ago` its distance from now."""

    language: Language
    word: Word
    now_ns: int
    moment: Callable[[int], str]
    ago: Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorContext:
    """Templates, port and logins of the operator's site; `door` checks the logins."""

    pages: Pages
    operator_port: OperatorPort
    door: OperatorLogins

    def page(self, path: str, handler: Handler) -> Route:
        """Return the route of a page that requires the operator's login."""
        return page(path, self._for_operator(handler))

    def action(self, path: str, handler: FormHandler) -> Route:
        """Return the route of a form that requires the operator's login."""

        async def known(request: Request, form: Form) -> Response:
            visitor = await visitor_of(request, self.pages.site)
            return see_other("/login") if visitor.profile is None else await handler(request, form)

        return action(self.pages, path, known)

    async def locale(self, request: Request) -> Locale:
        """Return the reader's language and formatters; times are in the station's time zone."""
        visitor = await visitor_of(request, self.pages.site)
        now_ns, zone = self.pages.site.clock.now_ns(), self.pages.site.settings.time_zone
        language = visitor.language

        def moment(at_ns: int) -> str:
            return formats.moment(at_ns, now_ns=now_ns, zone=zone, language=language)

        def ago(at_ns: int) -> str:
            return formats.relative(-max(1, (now_ns - at_ns) // SECOND_NS), language)

        return Locale(
            language=language, word=self.pages.word(language), now_ns=now_ns, moment=moment, ago=ago
        )

    def note(self, deed: str, subject: str) -> None:
        """Log an action of the operator."""
        self.pages.site.log("operator.acted", {"deed": deed, "subject": subject})

    def _for_operator(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def known(request: Request) -> Response:
            visitor = await visitor_of(request, self.pages.site)
            if visitor.profile is not None:
                return await handler(request)
            if "hx-request" in request.headers:
                return Response(status_code=204, headers={"HX-Refresh": "true"})
            return see_other(f"/login?next={quote(request.url.path)}")

        return known
