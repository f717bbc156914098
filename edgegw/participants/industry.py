"""The industrial complex: posts its demand for discharged energy and bids for it with standing token offers.

Decides when a bid is renewed; its limit is the tariff's ceiling, what it would pay elsewhere.
Source: docs/contract.md, Functions (PostLoad on DISCHARGE: industry posts demand; Offer).
"""

from dataclasses import dataclass

from edgegw.participants import accounts
from edgegw.participants.profiles import LoadProfile
from edgegw.participants.schedule import DAY_S
from edgegw.participants.seat import Seat
from edgegw.units import INTERVAL_S, interval_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Industry:
    """A client of the ledger with the role `representative` of the industrial complexes."""

    seat: Seat
    load: LoadProfile
    utc_offset_s: int
    offer_mtok: int
    limit_mtok_per_kwh: int

    async def open(self) -> None:
        """Before the day runs: the first loads and the first bid."""
        for interval in self.seat.schedule.opening():
            await self._post_demand(interval)
        await self._bid(interval_of(self.seat.schedule.clock.now_ns()))

    async def run(self) -> None:
        """Each quarter hour: post demand in time, renew the bid; returns at the end of the run."""
        async for interval in self.seat.schedule.quarter_hours():
            await self._post_demand(interval + self.seat.schedule.ahead * INTERVAL_S)
            await self._bid(interval)

    async def close(self) -> None:
        """Take back what no slice has, and sweep."""
        await self.seat.close_offers()
        await accounts.sweep(self.seat.ledger, self.seat.member_id)

    async def _post_demand(self, interval: int) -> None:
        await self.seat.post_load(interval, self.load.energy_wh(interval, self.utc_offset_s))

    async def _bid(self, interval: int) -> None:
        """A new offer where less than half of one is left for the coming interval."""
        if interval >= self.seat.schedule.end_s or await self.seat.left_at(interval) * 2 >= self.offer_mtok:
            return
        amount_mtok = min(
            self.offer_mtok, await accounts.available_mtok(self.seat.ledger, self.seat.member_id)
        )
        if amount_mtok == 0:
            self.seat.counts["no_tokens"] += 1
            return
        await self.seat.offer(
            f"bid:{self.seat.member_id}:{interval}",
            behind={"mtok": str(amount_mtok)},
            limit=self.limit_mtok_per_kwh,
            valid=(interval, self.seat.schedule.end_s + DAY_S),
        )
