"""The solar producer: registers generation, offers it, posts supply, and sells some of it directly at its wall box.

Decides how the generation of a quarter hour is divided between the direct sale at noon and the standing offer. The plant's
register is the sum of its profile since `begin_s`, also across restarts. Never changes a gateway's slices or holds.
Source: docs/contract.md, Functions (PostLoad on CHARGE: producers post supply; RegisterGeneration, transfer).
"""

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from edgegw.common.trade_terms import IMPORT
from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.ledger import BusinessRefusal
from edgegw.participants.load_profiles import SunProfile
from edgegw.participants.market_client import MarketClient
from edgegw.representative import ledger_accounts
from edgegw.representative.posting_schedule import DAY_S

NOON_HOUR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A solar plant and its meter. `begin_s` is the quarter hour in which its register was zero."""

    meter_ref: str
    epoch: int
    sun: SunProfile
    utc_offset_s: int
    begin_s: int
    evidence_key: bytes
    _known: list[int] = field(default_factory=list, init=False, compare=False, repr=False)
    """The last computed register: its instant and its Wh."""

    def energy_wh(self, interval: int) -> int:
        """Return the generation of a quarter hour, measured or expected: both follow the profile."""
        return self.sun.energy_wh(interval, self.utc_offset_s)

    def register_wh(self, at_s: int) -> int:
        """Return the export register at the start of a quarter hour."""
        known_s, known_wh = self._known or (self.begin_s, 0)
        if at_s < known_s:
            known_s, known_wh = self.begin_s, 0
        wh = known_wh + sum(self.energy_wh(interval) for interval in range(known_s, at_s, INTERVAL_S))
        if at_s >= self.begin_s:
            self._known[:] = at_s, wh
        return wh

    def local(self, interval: int) -> datetime:
        """Return the local time of the start of a quarter hour."""
        return datetime.fromtimestamp(interval + self.utc_offset_s, UTC)

    def midnight_after(self, interval: int) -> int:
        """Return the UTC epoch second at which the local day of a quarter hour ends."""
        local_s = interval + self.utc_offset_s
        return local_s - local_s % DAY_S + DAY_S - self.utc_offset_s

    def evidence_hash(self, reading: str) -> str:
        """Return the SHA-256 of a reading and a nonce that only the plant knows, so that readings cannot be guessed."""
        nonce = hmac.new(self.evidence_key, reading.encode(), hashlib.sha256).hexdigest()
        evidence = json.dumps({"nonce": nonce, "reading": reading}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(evidence.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WallBox:
    """An EVSE at the plant, where an EV member buys directly from the producer at noon.

    The EV users' representative registers its meter; each sale is `energy_wh` on its import register.
    """

    buyer_id: str
    meter_ref: str
    epoch: int
    energy_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """A client of the ledger with the role `representative` of the producers."""

    market_client: MarketClient
    plant: Plant
    wall_box: WallBox | None = None
    limit_mtok_per_kwh: int = 1
    sold_on: set[date] = field(default_factory=set)
    """Local days with a completed direct sale."""

    async def open(self) -> None:
        """Register the plant's meter and post the first loads, before the run."""
        await self.market_client.ledger.execute(
            "RegisterMeter",
            {
                "meterRef": self.plant.meter_ref,
                "epoch": self.plant.epoch,
                "zone": self.market_client.zone,
                "kind": "PLANT",
                "importWh": "0",
                "exportWh": "0",
                "ratedW": str(self.plant.sun.peak_w),
            },
        )
        for interval in self.market_client.schedule.opening():
            await self._post_supply(interval)
        self._remember_offers()

    def _remember_offers(self) -> None:
        """Remember the offers that an earlier process made in the last day, to close them after their end."""
        now_s = self.market_client.schedule.now_s() // INTERVAL_S * INTERVAL_S
        for interval in range(max(self.plant.begin_s, now_s - DAY_S), now_s, INTERVAL_S):
            if self.plant.energy_wh(interval):
                offer_id = f"sun:{self._lot_id(self.plant.register_wh(interval))}"
                self.market_client.offered[offer_id] = self.plant.midnight_after(interval)

    def _lot_id(self, start_wh: int) -> str:
        return f"{self.plant.meter_ref}:{self.plant.epoch}:{start_wh}"

    async def run(self) -> None:
        """In each quarter hour, post supply and sell the last one's generation; return at the end of the run."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fix_noon_prices())
            async for interval in self.market_client.schedule.quarter_hours():
                post = group.create_task(
                    self._post_supply(interval + self.market_client.schedule.ahead * INTERVAL_S)
                )
                await self._sell(interval - INTERVAL_S)
                await post
                await self.market_client.close_ended(interval)

    async def close(self) -> None:
        """Close the offers, which releases what no slice has reserved, and sweep credits."""
        await self.market_client.close_offers()
        await ledger_accounts.sweep(self.market_client.ledger, self.market_client.member_id)

    async def _post_supply(self, interval: int) -> None:
        """Post the expected generation of an interval, plus the offered and unsold energy."""
        unsold_wh = await self.market_client.left_at(interval)
        await self.market_client.post_load(interval, self.plant.energy_wh(interval) + unsold_wh)

    async def _sell(self, interval: int) -> None:
        """Register the generation of a quarter hour and offer it, less the direct sale."""
        start_wh = self.plant.register_wh(interval)
        end_wh = start_wh + self.plant.energy_wh(interval)
        lot_id = self._lot_id(start_wh)
        if end_wh == start_wh or not await self._register(lot_id, interval, start_wh=start_wh, end_wh=end_wh):
            return
        sold_wh = await self._sell_direct(interval, end_wh - start_wh)
        if end_wh - start_wh > sold_wh:
            await self.market_client.offer(
                f"sun:{lot_id}",
                behind={"lotId": lot_id, "wh": str(end_wh - start_wh - sold_wh)},
                limit=self.limit_mtok_per_kwh,
                valid=(interval + INTERVAL_S, self.plant.midnight_after(interval)),
            )

    async def _register(self, lot_id: str, interval: int, *, start_wh: int, end_wh: int) -> bool:
        return await self.market_client.submit(
            "RegisterGeneration",
            {
                "lotId": lot_id,
                "memberId": self.market_client.member_id,
                "meterRef": self.plant.meter_ref,
                "epoch": self.plant.epoch,
                "interval": interval,
                "startWh": str(start_wh),
                "endWh": str(end_wh),
                "evidenceHash": self.plant.evidence_hash(f"{lot_id}:{interval}:{end_wh}"),
                "expiresAt": self.plant.midnight_after(interval),
            },
        )

    # The direct sale: one `transfer` a day, for the first quarter hour from noon on that has a price.

    async def _fix_noon_prices(self) -> None:
        """Request FixPrice for each noon quarter hour, midway between its cut-off and its start."""
        if self.wall_box is None:
            return
        schedule = self.market_client.schedule
        begin = schedule.now_s() // INTERVAL_S * INTERVAL_S + INTERVAL_S
        for interval in range(begin, schedule.end_s, INTERVAL_S):
            if self._for_direct_sale(interval):
                await schedule.clock.sleep_until((interval - schedule.cutoff_s // 2) * SECOND_NS)
                if schedule.now_s() < interval:
                    await self.market_client.submit("FixPrice", self._price_key(interval))

    async def _sell_direct(self, interval: int, generated_wh: int) -> int:
        """Sell to the wall box; return the Wh, 0 where it is not noon, or generation or price is missing."""
        box = self.wall_box
        if box is None or generated_wh < box.energy_wh or not self._for_direct_sale(interval):
            return 0
        if not await self._priced(interval):
            return 0
        start_wh = len(self.sold_on) * box.energy_wh
        trade_id = f"{box.meter_ref}:{box.epoch}:import:{start_wh}"
        sold = await self.market_client.submit(
            "transfer",
            self._price_key(interval)
            | {
                "tradeId": trade_id,
                "buyer": box.buyer_id,
                "seller": self.market_client.member_id,
                "meterRef": box.meter_ref,
                "epoch": box.epoch,
                "direction": IMPORT,
                "startWh": str(start_wh),
                "endWh": str(start_wh + box.energy_wh),
                "evidenceHash": self.plant.evidence_hash(f"{trade_id}:{interval}"),
            },
        )
        if not sold:
            return 0
        self.sold_on.add(self.plant.local(interval).date())
        return box.energy_wh

    async def _priced(self, interval: int) -> bool:
        """Return whether the price of the interval is fixed."""
        try:
            return bool(
                (await self.market_client.ledger.evaluate("DetermineCost", self._price_key(interval)))[
                    "final"
                ]
            )
        except BusinessRefusal as refusal:
            self.market_client.counts[refusal.code] += 1
            return False

    def _for_direct_sale(self, interval: int) -> bool:
        local = self.plant.local(interval)
        return self.wall_box is not None and local.hour == NOON_HOUR and local.date() not in self.sold_on

    def _price_key(self, interval: int) -> dict[str, str | int]:
        return {"zone": self.market_client.zone, "product": self.market_client.product, "interval": interval}
