"""Trades for one member at the market of one zone and product: posts loads before the cut-off, makes and closes offers.

Decides nothing about amounts. A post after the cut-off is counted and never an error.
Source: docs/contract.md (PostLoad, Offer, ListOffers, CloseOffer).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edgegw.common.trade_terms import Product
from edgegw.ledger import BusinessRefusal
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import Schedule
from edgegw.representative.standing_offers import MOST_WH_PER_GATEWAY_DAY

SETTLED_S = 3600  # after its end, all slices of an offer have been released


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClient:
    """The market as one member uses it. `counts`: posts by outcome (`posted`, `late`), and refusals by code."""

    ledger: LedgerPort
    member_id: str
    zone: str
    product: Product
    schedule: Schedule
    counts: Counter[str] = field(default_factory=Counter)
    offered: dict[str, int] = field(default_factory=dict)
    """Offers to close, and the end of each (UTC epoch seconds)."""

    async def submit(self, function: str, args: dict[str, Any]) -> bool:
        """Submit a transaction; return False, and count the code, where the contract refuses it."""
        try:
            await self.ledger.execute(function, args)
        except BusinessRefusal as refusal:
            self.counts[refusal.code] += 1
            return False
        return True

    async def post_load(self, interval: int, energy_wh: int) -> None:
        """Post this member's energy for an interval, if it is before the end and its cut-off has not passed."""
        if interval >= self.schedule.end_s:
            return
        if self.schedule.closed(interval):
            self.counts["late"] += 1
            return
        load = {"zone": self.zone, "product": self.product, "interval": interval, "wh": str(energy_wh)}
        if await self.submit("PostLoad", load):
            self.counts["posted"] += 1

    async def offer(
        self, offer_id: str, *, behind: dict[str, str], limit: int, valid: tuple[int, int]
    ) -> bool:
        """Make a standing offer covered by energy (`lotId`, `wh`) or tokens (`mtok`), valid in [from, to)."""
        arguments = {
            "offerId": offer_id,
            "memberId": self.member_id,
            "product": self.product,
            "zone": self.zone,
            "limitPrice": str(limit),
            "validFrom": valid[0],
            "validTo": valid[1],
            "maxWhPerGatewayDay": str(MOST_WH_PER_GATEWAY_DAY),
        }
        self.offered[offer_id] = valid[1]
        return await self.submit("Offer", arguments | behind)

    async def left_at(self, interval: int) -> int:
        """Return what is left of this member's offers that are valid in an interval: Wh for CHARGE, else milli-token."""
        listed = await self.ledger.evaluate("ListOffers", {"zone": self.zone, "product": self.product})
        return sum(
            int(offer["left"])
            for offer in listed["offers"]
            if offer["memberId"] == self.member_id and offer["validFrom"] <= interval < offer["validTo"]
        )

    async def close_offers(self) -> int:
        """Close all offers, which releases what no slice has reserved; return how many were closed."""
        return sum([await self.submit("CloseOffer", {"offerId": offer_id}) for offer_id in self.offered])

    async def close_ended(self, now_s: int) -> None:
        """Close offers that ended more than `SETTLED_S` ago, so that the ledger's list of offers does not grow."""
        for offer_id in [one for one, end_s in self.offered.items() if now_s >= end_s + SETTLED_S]:
            await self.submit("CloseOffer", {"offerId": offer_id})
            del self.offered[offer_id]
