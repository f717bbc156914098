"""What the market's pages share: the port, the member, and formatters in the member's language."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgegw.common.trade_terms import CHARGE, DISCHARGE, Product
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import Language, Profile
from edgegw.web import formats
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.forms import Form
from edgegw.web.market.market_port import MarketPort
from edgegw.web.pages import Pages, Word
from edgegw.web.visitor_login import visitor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The reader of a page with language and formatters; `profile` is None without a login."""

    profile: Profile | None
    language: Language
    word: Word
    now_ns: int
    moment: Callable[[int], str]

    @property
    def sells(self) -> bool:
        """Whether the member is a producer."""
        return self.profile is not None and self.profile.kind == "PRODUCER"

    @property
    def product(self) -> Product:
        """The product of the member: a producer sells what cars charge, an industrial member buys what they discharge."""
        return CHARGE if self.sells else DISCHARGE

    def amount(self, amount: int) -> str:
        """Format the amount of an offer: Wh of a producer, milli-token of an industrial member."""
        return formats.kwh(amount, places=3) if self.sells else formats.tokens(amount, self.language)

    def price(self, price_mtok_per_kwh: int) -> str:
        """162.6 tokens/kWh."""
        return formats.price(price_mtok_per_kwh, self.language)

    def at(self, at_s: int) -> str:
        """Format a UTC second as local time."""
        return self.moment(at_s * SECOND_NS)


Handler = Callable[[Request, Reader, Profile], Awaitable[Response]]
FormHandler = Callable[[Request, Reader, Form], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """Templates and port of the representative's site."""

    pages: Pages
    book: MarketPort

    def page(self, path: str, handler: Handler) -> Route:
        """Return the route of a page for producers and industrial members."""

        async def known(request: Request) -> Response:
            reader = await self.reader(request)
            return await handler(request, reader, trader(reader))

        return page(path, for_members(self.pages, known))

    def action(self, path: str, handler: FormHandler) -> Route:
        """Return the route of a form for producers and industrial members."""

        async def known(request: Request, form: Form) -> Response:
            reader = await self.reader(request)
            trader(reader)
            return await handler(request, reader, form)

        return action_for_members(self.pages, path, known)

    async def reader(self, request: Request) -> Reader:
        """Return the reader of a request; raises RepresentativeError."""
        site = self.pages.site
        visitor = await visitor_of(request, site)
        now_ns, zone, language = site.clock.now_ns(), site.settings.time_zone, visitor.language

        def moment(at_ns: int) -> str:
            return formats.moment(at_ns, now_ns=now_ns, zone=zone, language=language)

        return Reader(
            profile=visitor.profile,
            language=language,
            word=self.pages.word(language),
            now_ns=now_ns,
            moment=moment,
        )


def trader(reader: Reader) -> Profile:
    """Return the profile of a producer or industrial member; raise HTTPException 404 for others, such as drivers."""
    if reader.profile is None or reader.profile.kind == "EV":
        raise HTTPException(404)
    return reader.profile
