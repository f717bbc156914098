"""The industrial complex: posts its demand for discharged energy and bids for it with standing offers of tokens.

Decides when a bid is renewed; its limit is the tariff's ceiling, the price that it would pay elsewhere.
Source: docs/contract.md, Functions (PostLoad on DISCHARGE: industry posts demand; Offer).
"""

from dataclasses import dataclass

from edgegw.common.units import INTERVAL_S, interval_of
from edgegw.participants.load_profiles import LoadProfile
from edgegw.participants.market_client import MarketClient
from edgegw.representative import ledger_accounts
from edgegw.representative.posting_schedule import DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Industry:
    """A client of the ledger with the role `representative` of the industrial complexes."""

    market_client: MarketClient
    load: LoadProfile
    utc_offset_s: int
    offer_mtok: int
    limit_mtok_per_kwh: int

    async def open(self) -> None:
        """Post the first loads and make the first bid, before the run."""
        for interval in self.market_client.schedule.opening():
            await self._post_demand(interval)
        await self._bid(interval_of(self.market_client.schedule.clock.now_ns()))

    async def run(self) -> None:
        """Post demand and renew the bid in each quarter hour; return at the end of the run."""
        async for interval in self.market_client.schedule.quarter_hours():
            await self._post_demand(interval + self.market_client.schedule.ahead * INTERVAL_S)
            await self._bid(interval)

    async def close(self) -> None:
        """Close the offers, which releases what no slice has reserved, and sweep credits."""
        await self.market_client.close_offers()
        await ledger_accounts.sweep(self.market_client.ledger, self.market_client.member_id)

    async def _post_demand(self, interval: int) -> None:
        await self.market_client.post_load(interval, self.load.energy_wh(interval, self.utc_offset_s))

    async def _bid(self, interval: int) -> None:
        """Make a new offer where less than half of one is left for the interval."""
        if (
            interval >= self.market_client.schedule.end_s
            or await self.market_client.left_at(interval) * 2 >= self.offer_mtok
        ):
            return
        amount_mtok = min(
            self.offer_mtok,
            await ledger_accounts.available_mtok(self.market_client.ledger, self.market_client.member_id),
        )
        if amount_mtok == 0:
            self.market_client.counts["no_tokens"] += 1
            return
        await self.market_client.offer(
            f"bid:{self.market_client.member_id}:{interval}",
            behind={"mtok": str(amount_mtok)},
            limit=self.limit_mtok_per_kwh,
            valid=(interval, self.market_client.schedule.end_s + DAY_S),
        )
