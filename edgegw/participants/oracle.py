"""The price oracle: posts the tariff once, and the hourly floors a day in advance.

Decides which published value belongs to which hour, never a price: the contract fixes prices from what is posted.
Source: docs/ledger.md, Price; docs/contract.md, Functions (PostTariff, PostFloor).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from edgegw.common.trade_terms import PRODUCTS, Product
from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal
from edgegw.participants.tariff_file import Tariff
from edgegw.representative.ledger_accounts import at_most
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import DAY_S, HOUR_S, Schedule, hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """A client of the ledger with the role `oracle`. `utc_offset_s` is that of the tariff's hours in this run."""

    ledger: LedgerPort
    tariff: Tariff
    zone: str
    utc_offset_s: int
    schedule: Schedule
    counts: Counter[str] = field(default_factory=Counter)

    async def post_tariff(self, effective_from: int) -> None:
        """Post the whole tariff, valid from a UTC epoch second on; it is never changed, only superseded."""
        arguments = self.tariff.arguments(
            zone=self.zone, utc_offset_s=self.utc_offset_s, effective_from=effective_from
        )
        await self.ledger.execute("PostTariff", arguments)

    async def open(self) -> None:
        """Post the floors of the first day, before the run."""
        now_s = self.schedule.now_s()
        await self._post_floors(hours(now_s, min(self.schedule.end_s, now_s + DAY_S)))

    async def run(self) -> None:
        """At each hour, post the floors of the last hour of the next 24; return at the end of the run."""
        async for interval in self.schedule.quarter_hours():
            if interval % HOUR_S == 0 and interval + DAY_S - HOUR_S < self.schedule.end_s:
                await self._post_floors([interval + DAY_S - HOUR_S])

    async def _post_floors(self, starts: Iterable[int]) -> None:
        await at_most(8, (self._post_floor(start, product) for start in starts for product in PRODUCTS))

    async def _post_floor(self, hour: int, product: Product) -> None:
        """Post one floor; an hour whose first cut-off has passed is counted and keeps the tariff's own floor."""
        if self.schedule.closed(hour):
            self.counts["late"] += 1
            return
        floor_mtok = self.tariff.floor_mtok_per_kwh(hour, self.utc_offset_s)
        try:
            await self.ledger.execute(
                "PostFloor", {"zone": self.zone, "product": product, "hour": hour, "floor": str(floor_mtok)}
            )
        except BusinessRefusal as refusal:
            self.counts["late" if refusal.code == Code.CUT_OFF_PASSED else refusal.code] += 1
        else:
            self.counts["posted"] += 1
