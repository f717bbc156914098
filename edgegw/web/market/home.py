"""A member's first page: present and next prices, the account, and open offers."""

from collections.abc import Sequence
from datetime import tzinfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.ports.representative import PriceShown
from edgegw.web import formats
from edgegw.web.application import page
from edgegw.web.market.market_context import MarketContext, Reader

SHOWN = 3  # quarter hours, the present one first


def routes(context: MarketContext) -> Sequence[BaseRoute]:
    """The first page; without a login it shows prices only."""
    site = context.pages.site

    async def show(request: Request) -> Response:
        reader = await context.reader(request)
        known = reader.profile is not None and reader.profile.kind != "EV"
        now = interval_of(reader.now_ns)
        found = [
            (now + number * INTERVAL_S, await site.ledger.price(reader.product, now + number * INTERVAL_S))
            for number in range(SHOWN)
        ]
        member_id = reader.profile.member_id if known and reader.profile is not None else ""
        return await context.pages.answer(
            request,
            "market/home.html",
            prices=[
                _price(reader, interval, price, zone=site.settings.time_zone) for interval, price in found
            ],
            reader=reader,
            known=known,
            balance=await site.representative.balance(member_id) if known else None,
            offers=await context.book.offers(member_id) if known else (),
            notices=await site.representative.notices(),
            tokens=lambda amount: formats.tokens(amount, reader.language),
            kwh=lambda amount: formats.kwh(amount, places=3),
        )

    return [page("/", show)]


def _price(reader: Reader, interval: int, price: PriceShown | None, *, zone: tzinfo) -> dict[str, object]:
    begin_ns = interval * SECOND_NS
    told: dict[str, object] = {
        "when": formats.span(begin_ns, begin_ns + INTERVAL_S * SECOND_NS, zone),
        "price": "",
        "bounds": "",
        "is_fixed": False,
    }
    if price is not None:
        told["bounds"] = (
            f"{reader.price(price.floor_mtok_per_kwh)} {formats.DASH} {reader.price(price.ceiling_mtok_per_kwh)}"
        )
        told["is_fixed"] = price.is_fixed
        if price.price_mtok_per_kwh is not None:
            told["price"] = reader.price(price.price_mtok_per_kwh)
    return told
