"""The pages of a producer's generation and of a member's trades with their prices, from the ledger's records."""

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.ports.representative import LotShown, Profile, TradeShown
from edgegw.web import formats
from edgegw.web.market.market_context import MarketContext, Reader

PAGE = 20
BOOKMARK_MAX = 400


def routes(context: MarketContext) -> Sequence[BaseRoute]:
    """Generation and trades."""
    trades = _Trades(context)
    return [context.page("/generation", trades.lots), context.page("/sold", trades.sold)]


class _Trades:
    """Handlers of the two lists."""

    def __init__(self, context: MarketContext) -> None:
        self._context = context
        self._zone = context.pages.site.settings.time_zone

    def _quarter(self, interval: int, reader: Reader) -> str:
        begin_ns = interval * SECOND_NS
        return (
            f"{formats.date(begin_ns, self._zone, reader.language)} "
            f"{formats.span(begin_ns, begin_ns + INTERVAL_S * SECOND_NS, self._zone)}"
        )

    def _lot_row(self, one: LotShown, reader: Reader) -> dict[str, object]:
        return {
            "when": self._quarter(one.interval, reader),
            "energy": formats.kwh(one.energy_wh, places=3),
            "left": formats.kwh(one.unsold_wh, places=3),
            "expires": reader.at(one.expires_s),
            "is_over": one.expires_s * SECOND_NS <= reader.now_ns,
        }

    def _trade_row(self, one: TradeShown, reader: Reader, member_id: str) -> dict[str, object]:
        is_seller = one.seller == member_id
        return {
            "when": self._quarter(one.interval, reader),
            "side": reader.word("sold") if is_seller else reader.word("bought"),
            "energy": formats.kwh(one.end_wh - one.start_wh, places=3),
            "price": reader.price(one.price_mtok_per_kwh),
            "amount": formats.tokens(one.amount_mtok, reader.language),
            "fee": formats.tokens(one.fee_mtok, reader.language),
            "trade_id": one.trade_id,
        }

    async def lots(self, request: Request, reader: Reader, profile: Profile) -> Response:
        if not reader.sells:
            raise HTTPException(404)
        found = await self._context.book.lots(profile.member_id)
        return await self._context.pages.answer(
            request,
            "market/generation.html",
            reader=reader,
            lots=[self._lot_row(one, reader) for one in found],
        )

    async def sold(self, request: Request, reader: Reader, profile: Profile) -> Response:
        bookmark = request.query_params.get("from", "")[:BOOKMARK_MAX]
        found = await self._context.book.sold(profile.member_id, bookmark=bookmark, size=PAGE)
        own = [one for one in found.trades if profile.member_id in {one.seller, one.buyer}]
        return await self._context.pages.answer(
            request,
            "market/sold.html",
            reader=reader,
            trades=[self._trade_row(one, reader, profile.member_id) for one in own],
            onwards=f"/sold?{urlencode({'from': found.bookmark})}" if found.bookmark else "",
            is_first=not bookmark,
        )
