"""Makes, lists and closes standing offers of producers and industrial members, and lists their lots and trades.

Decides which member owns an offer, and what covers it: energy of one lot (a producer) or tokens (an industrial member).
Never shows or closes another member's offer. One `OfferBook` serves one organisation and one zone.
Source: docs/contract.md (Offer, CloseOffer, ListOffers, GetLot, historyAPI).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from edgegw.common.trade_terms import Product
from edgegw.contract.codec import MalformedError, decode
from edgegw.contract.codes import CHARGE, DISCHARGE, Code
from edgegw.contract.records import Lot, Offer, Trade
from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.ledger.view import shown_trade
from edgegw.ports.representative import (
    LotShown,
    NewOffer,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
    TradesShown,
)
from edgegw.representative.ledger_port import LedgerPort

T = TypeVar("T")
MOST_WH_PER_GATEWAY_DAY = 10_000_000
_PAGE = 200
_PAGES_MOST = 5  # of a member's history that are read
_AT_ONCE = 8
_PRODUCTS: Mapping[str, Product] = {"PRODUCER": CHARGE, "INDUSTRY": DISCHARGE}
_FAULTS = frozenset({Code.NOT_CONFIGURED, Code.NOT_AUTHORISED, Code.WRONG_ORG, Code.UNKNOWN_VERSION})


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferBook:
    """The members' offers, lots and trades on the ledger. Every method raises RepresentativeError."""

    ledger: LedgerPort
    zone: str

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """Return the member's offers that are not closed, newest first, including fully reserved and expired ones."""
        return await _fetched(self._offers(member_id))

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer covered by energy of an own lot, or by tokens; returns the contract's refusals."""
        return await _answered(self._offer(member_id, new))

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Close an offer and release the part that no station has reserved; a repeat changes nothing."""
        return await _answered(self._close(member_id, offer_id))

    async def lots(self, member_id: str) -> Sequence[LotShown]:
        """Return a producer's lots with energy that is in no offer, newest first; expired lots included."""
        return await _fetched(self._lots(member_id))

    async def sold(self, member_id: str, *, bookmark: str = "", size: int = 20) -> TradesShown:
        """Return a page of the member's trades, as buyer and as seller; it may be shorter than `size`."""
        return await _fetched(self._sold(member_id, bookmark=bookmark, size=size))

    async def _offers(self, member_id: str) -> Sequence[StandingOffer]:
        closed: set[str] = set()
        opened: list[str] = []
        for entry in await self._newest(member_id):
            if entry["type"] == "offer.closed":
                closed.add(entry["id"])
            elif entry["type"] == "offer.opened" and entry["id"] not in closed:
                opened.append(entry["id"])
        found = await _each(self._record(offer_id) for offer_id in opened)
        known = set(opened)
        product = await self._product(member_id)
        listed = await self._listed(product) if product else []
        older = [one for one in listed if one.member_id == member_id and one.offer_id not in known]
        return [_shown(one) for one in (*found, *older) if one.member_id == member_id]

    async def _listed(self, product: Product) -> Sequence[Offer]:
        answer = await self.ledger.evaluate("ListOffers", {"zone": self.zone, "product": product})
        return [decode(Offer, one) for one in answer["offers"]]

    async def _record(self, offer_id: str) -> Offer:
        return decode(Offer, await self.ledger.evaluate("GetOffer", {"offerId": offer_id}))

    async def _product(self, member_id: str) -> Product | None:
        """Return the product that a member of its kind offers, or None."""
        member = await self.ledger.evaluate("GetMember", {"memberId": member_id})
        return _PRODUCTS.get(member["kind"])

    async def _offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        product = await self._product(member_id)
        if product is None:
            return RefusedRequest(code=Code.WRONG_KIND)
        behind: dict[str, str] = {}
        if product == DISCHARGE:
            if new.tokens_mtok <= 0 or new.lot_id or new.energy_wh:
                return RefusedRequest(code=RefusalCode.BAD_FIELD, detail="tokens_mtok")
            behind["mtok"] = str(new.tokens_mtok)
        else:
            if new.energy_wh <= 0 or new.tokens_mtok:
                return RefusedRequest(code=RefusalCode.BAD_FIELD, detail="energy_wh")
            lot = decode(Lot, await self.ledger.evaluate("GetLot", {"lotId": new.lot_id}))
            if lot.member_id != member_id:
                return RefusedRequest(code=RefusalCode.NOT_YOURS)
            behind |= {"lotId": new.lot_id, "wh": str(new.energy_wh)}
        arguments = {
            "offerId": f"offer:{secrets.token_hex(16)}",
            "memberId": member_id,
            "product": product,
            "zone": self.zone,
            "limitPrice": str(new.limit_mtok_per_kwh),
            "validFrom": new.valid_from_s,
            "validTo": new.valid_to_s,
            "maxWhPerGatewayDay": str(MOST_WH_PER_GATEWAY_DAY),
            **behind,
        }
        return _shown(decode(Offer, await self.ledger.execute("Offer", arguments)))

    async def _close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        if (await self._record(offer_id)).member_id != member_id:
            return RefusedRequest(code=RefusalCode.NOT_YOURS)
        await self.ledger.execute("CloseOffer", {"offerId": offer_id})
        return None

    async def _lots(self, member_id: str) -> Sequence[LotShown]:
        entries = await self._newest(member_id)
        lost = {entry["id"] for entry in entries if entry["type"] == "lot.expired"}
        ids = [
            entry["id"] for entry in entries if entry["type"] == "lot.registered" and entry["id"] not in lost
        ]
        answers = await _each(self.ledger.evaluate("GetLot", {"lotId": lot_id}) for lot_id in ids)
        return [
            LotShown(
                lot_id=lot.lot_id,
                interval=lot.interval,
                energy_wh=lot.wh,
                unsold_wh=lot.free,
                expires_s=lot.expires_at,
            )
            for lot in (decode(Lot, answer) for answer in answers)
            if lot.free > 0
        ]

    async def _sold(self, member_id: str, *, bookmark: str, size: int) -> TradesShown:
        ids: list[str] = []
        for _ in range(_PAGES_MOST):
            page = await self._page(member_id, min(max(size, 1), _PAGE), bookmark)
            ids += [entry["id"] for entry in page["entries"] if entry["type"] == "trade.recorded"]
            bookmark = page["bookmark"]
            if ids or not bookmark:
                break
        answers = await _each(self.ledger.evaluate("GetTrade", {"tradeId": trade_id}) for trade_id in ids)
        return TradesShown(
            trades=[shown_trade(decode(Trade, answer)) for answer in answers], bookmark=bookmark
        )

    async def _newest(self, member_id: str) -> Sequence[dict[str, Any]]:
        """Return the newest thousand entries of a member's history."""
        entries: list[dict[str, Any]] = []
        bookmark = ""
        for _ in range(_PAGES_MOST):
            page = await self._page(member_id, _PAGE, bookmark)
            entries += page["entries"]
            bookmark = page["bookmark"]
            if not bookmark:
                break
        return entries

    async def _page(self, member_id: str, size: int, bookmark: str) -> dict[str, Any]:
        query = {"memberId": member_id, "pageSize": size, "bookmark": bookmark}
        return await self.ledger.evaluate("historyAPI", query)


async def _answered(answer: Awaitable[T]) -> T | RefusedRequest:
    """Convert the contract's refusals to answers, except those that concern the representative and not the member."""
    try:
        return await _fetched(answer)
    except RepresentativeError as fault:
        refusal = fault.__cause__
        if isinstance(refusal, BusinessRefusal) and refusal.code not in _FAULTS:
            return RefusedRequest(code=refusal.code, detail=refusal.detail)
        raise


async def _fetched(answer: Awaitable[T]) -> T:
    """Await an answer; raises RepresentativeError where the ledger fails or refuses, or a record is malformed."""
    try:
        return await answer
    except (LedgerError, MalformedError) as fault:
        raise RepresentativeError(f"the ledger is unavailable: {fault}") from fault


async def _each(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Return all answers in order, with at most `_AT_ONCE` calls at a time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with places:
            return await call

    return list(await asyncio.gather(*(one(call) for call in calls)))


def _shown(offer: Offer) -> StandingOffer:
    return StandingOffer(
        offer_id=offer.offer_id,
        member_id=offer.member_id,
        product=offer.product,
        amount=offer.amount,
        left=offer.left,
        limit_mtok_per_kwh=offer.limit_price,
        valid_from_s=offer.valid_from,
        valid_to_s=offer.valid_to,
        status=offer.status,
        lot_id=offer.lot_id or "",
    )
