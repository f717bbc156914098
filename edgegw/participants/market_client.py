"""A member's seat at the market of one zone and product: its loads posted in time, its standing offers.

Decides nothing about amounts. A post after the cut-off is counted, never an error. Source: docs/contract.md (PostLoad, Offer, ListOffers, CloseOffer).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edgegw.common.trade_terms import Product
from edgegw.ledger import BusinessRefusal
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import Schedule
from edgegw.representative.standing_offers import MOST_WH_PER_GATEWAY_DAY

SETTLED_S = 3600  # after an offer's end its last slice has come back


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClient:
    """`counts` holds posts by outcome (`posted`, `late`) and refusals by code."""

    ledger: LedgerPort
    member_id: str
    zone: str
    product: Product
    schedule: Schedule
    counts: Counter[str] = field(default_factory=Counter)
    offered: dict[str, int] = field(default_factory=dict)
    """Offers to close, and when each of them ends (UTC epoch seconds)."""

    async def submit(self, function: str, args: dict[str, Any]) -> bool:
        """Whether the contract took it; a refusal is counted by its code."""
        try:
            await self.ledger.execute(function, args)
        except BusinessRefusal as refusal:
            self.counts[refusal.code] += 1
            return False
        return True

    async def post_load(self, interval: int, energy_wh: int) -> None:
        """This side's energy in an interval, if it is served and its cut-off has not passed."""
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
        """A standing offer with energy (`lotId`, `wh`) or tokens (`mtok`) behind it, valid in [from, to)."""
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
        """What this member's offers that are valid in an interval still have: Wh for CHARGE, else milli-token."""
        listed = await self.ledger.evaluate("ListOffers", {"zone": self.zone, "product": self.product})
        return sum(
            int(offer["left"])
            for offer in listed["offers"]
            if offer["memberId"] == self.member_id and offer["validFrom"] <= interval < offer["validTo"]
        )

    async def close_offers(self) -> int:
        """Take back what no slice has; returns how many offers closed."""
        return sum([await self.submit("CloseOffer", {"offerId": offer_id}) for offer_id in self.offered])

    async def close_ended(self, now_s: int) -> None:
        """Close offers that ended a while ago, so that the ledger's list of them does not grow from day to day."""
        for offer_id in [one for one, end_s in self.offered.items() if now_s >= end_s + SETTLED_S]:
            await self.submit("CloseOffer", {"offerId": offer_id})
            del self.offered[offer_id]
