"""Fake a currency exchange and an offer book that accept every request, for tests of the representative."""

from collections.abc import Sequence
from dataclasses import replace

from edgegw.ports.representative import (
    Exchanged,
    ExchangeQuote,
    NewOffer,
    RefusalCode,
    RefusedRequest,
    StandingOffer,
)


class Desks:
    """A currency exchange and an offer book that accept every request."""

    def __init__(self) -> None:
        self.under_way: set[str] = set()

    async def quote(self, member_id: str, *, buys: bool, tokens_mtok: int) -> ExchangeQuote | RefusedRequest:
        return ExchangeQuote(
            quote_id="q1", member_id=member_id, buys=buys, tokens_mtok=tokens_mtok, won=1, fee_won=0,
            won_per_token_milli=1000, expires_ns=7,
        )  # fmt: skip

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        return Exchanged(
            reference=f"{member_id}:{quote_id}",
            buys=True,
            tokens_mtok=5,
            won=1,
            fee_won=0,
            tx_id="t",
            block=3,
        )

    async def unfinished(self, member_id: str) -> int:
        return int(member_id in self.under_way)

    async def made(self, member_id: str) -> Sequence[Exchanged]:
        done = await self.exchange(member_id, "q1")
        assert isinstance(done, Exchanged)
        return [done]

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        return [self._made(member_id)]

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        return replace(self._made(member_id), limit_mtok_per_kwh=new.limit_mtok_per_kwh)

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        return None if offer_id == "o1" else RefusedRequest(code=RefusalCode.NOT_YOURS, detail=member_id)

    @staticmethod
    def _made(member_id: str) -> StandingOffer:
        return StandingOffer(
            offer_id="o1", member_id=member_id, product="CHARGE", amount=9, left=9, limit_mtok_per_kwh=1,
            valid_from_s=0, valid_to_s=900, status="OPEN",
        )  # fmt: skip
