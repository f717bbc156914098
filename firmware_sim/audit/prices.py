"""Recompute every fixed price from the tariff, floors and loads on the ledger before it.

Decides with its own implementation of `sdr-share/1` and of the tariff's calendar. Source: docs/ledger.md, Price;
docs/contract.md, PostTariff and price.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from firmware_sim.audit.finding import Findings
from firmware_sim.audit.replay import Entry
from firmware_sim.audit.state import State

INTERVAL_S = 900
HOUR_S = 3600
MILLION = 1_000_000
SATURDAY, SUNDAY = 5, 6
SIDES = {
    "CHARGE": {"EVUserMSP": "demand", "ProducerMSP": "supply"},
    "DISCHARGE": {"EVUserMSP": "supply", "IndustryMSP": "demand"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The zone, product and interval that a price applies to."""

    zone: str
    product: str
    interval: int

    @property
    def price_key(self) -> str:
        """The key of its price on the ledger."""
        return f"price~{self.zone}~{self.product}~{self.interval:012d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The tariff's rates for a slot, in milli-token per kWh."""

    tariff_id: str
    period: str
    ceiling: int
    floor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The bounds of a price, in milli-token per kWh, and of its weight, in ppm."""

    floor: int
    ceiling: int
    net_fee: int
    gain: int
    least_ppm: int
    most_ppm: int

    @property
    def low(self) -> int:
        """The lowest price at which the seller gains."""
        return self.floor + self.gain

    @property
    def high(self) -> int:
        """The highest price at which the buyer gains."""
        return self.ceiling - self.net_fee - self.gain

    def share(self, supply_wh: int, demand_wh: int) -> tuple[int, int, int | None]:
        """Return raw weight, weight and price by `sdr-share/1`; the price is None if the window is empty."""
        posted_wh = supply_wh + demand_wh
        raw_ppm = MILLION * demand_wh // posted_wh if posted_wh else MILLION // 2
        weight_ppm = min(max(raw_ppm, self.least_ppm), self.most_ppm)
        if self.low > self.high:
            return raw_ppm, weight_ppm, None
        return raw_ppm, weight_ppm, self.low + (self.high - self.low) * weight_ppm // MILLION


class Prices:
    """Checks floors, loads, tariffs and prices."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.weights_ppm: list[int] = []

    def __call__(self, entry: Entry, state: State) -> None:
        """Record posts after the cut-off, and prices that differ from the recomputed ones."""
        for key, record in entry.written("floor"):
            named = f"floor~{record['zone']}~{record['product']}~{record['hour']:012d}"
            self._findings.equal("FLOOR", f"{entry.where} {key}", expected=key, found=named)
            self._before_cut_off(entry, state, key=key, start=int(record["hour"]))
        for key, record in entry.written("load"):
            _, _, product, interval, msp = key.split("~")
            expected = (entry.creator.msp, entry.creator.msp, SIDES[product].get(entry.creator.msp))
            found = (msp, record["msp"], record["side"])
            self._findings.equal("LOAD", f"{entry.where} {key}", expected=expected, found=found)
            self._before_cut_off(entry, state, key=key, start=int(interval))
        for key, record in entry.written("tariff"):
            self._tariff(entry, state, key=key, record=record)
        for key, record in entry.written("price"):
            self._price(entry, state, key=key, record=record)

    def _before_cut_off(self, entry: Entry, state: State, *, key: str, start: int) -> None:
        cut_off_ms = (start - _cfg(state)["cutoffS"]) * 1000
        self._findings.require(
            "CUT_OFF",
            f"{entry.where} {key}",
            holds=entry.now_ms < cut_off_ms,
            rule=f"before {cut_off_ms}",
            found=entry.now_ms,
        )

    def _tariff(self, entry: Entry, state: State, *, key: str, record: dict[str, Any]) -> None:
        """Check that a tariff begins in the future, unless it is its zone's first."""
        first = next(state.records(f"tariff~{record['zone']}~"), None) is None
        self._findings.require(
            "TARIFF",
            f"{entry.where} {key}",
            holds=first or record["effectiveFrom"] * 1000 > entry.now_ms,
            rule="a tariff is superseded in the future only",
            found=record["effectiveFrom"],
        )

    def _price(self, entry: Entry, state: State, *, key: str, record: dict[str, Any]) -> None:
        where = f"{entry.where} {key}"
        slot = Slot(zone=record["zone"], product=record["product"], interval=record["interval"])
        self._findings.equal("PRICE", where, expected=slot.price_key, found=key)
        expected = derive(slot, state) | {
            "final": True,
            "fixedTxId": entry.transaction.tx_id,
            "fixedAtMs": entry.now_ms,
        }
        for name in sorted(expected.keys() | record.keys()):
            self._findings.equal(
                "PRICE", f"{where} {name}", expected=expected.get(name), found=record.get(name)
            )
        first_ms = (slot.interval - _cfg(state)["cutoffS"]) * 1000
        self._findings.require(
            "PRICE_TIME",
            where,
            holds=first_ms <= entry.now_ms < slot.interval * 1000 and slot.interval % INTERVAL_S == 0,
            rule="after the cut-off, before the quarter hour",
            found=entry.now_ms,
        )
        if "price" in record:
            self.weights_ppm.append(int(record["wPpm"]))


def derive(slot: Slot, state: State) -> dict[str, Any]:
    """Return the price record that follows from the state. Raise ValueError without a tariff."""
    cfg = _cfg(state)
    if cfg["formula"] != "sdr-share/1":
        raise ValueError(f"formula {cfg['formula']} is not this auditor's")
    rate = rate_of(slot, state)
    hour = slot.interval // HOUR_S * HOUR_S
    posted = state.record(f"floor~{slot.zone}~{slot.product}~{hour:012d}")
    loads = [load for _, load in state.records(f"load~{slot.zone}~{slot.product}~{slot.interval:012d}~")]
    energy_wh = {
        side: sum(int(load["wh"]) for load in loads if load["side"] == side) for side in ("supply", "demand")
    }
    window = Window(
        floor=rate.floor if posted is None else int(posted["floor"]),
        ceiling=rate.ceiling,
        net_fee=int(cfg["netFeeMtok"]),
        gain=int(cfg["gainMtok"]),
        least_ppm=int(cfg["wMinPpm"]),
        most_ppm=int(cfg["wMaxPpm"]),
    )
    raw_ppm, weight_ppm, price = window.share(energy_wh["supply"], energy_wh["demand"])
    return {
        "priceId": f"{slot.zone}:{slot.product}:{slot.interval}",
        "formula": cfg["formula"],
        "zone": slot.zone,
        "product": slot.product,
        "interval": slot.interval,
        "period": rate.period,
        "tariffId": rate.tariff_id,
        "floor": str(window.floor),
        "floorSource": "TARIFF" if posted is None else "POSTED",
        "ceiling": str(rate.ceiling),
        "netFee": cfg["netFeeMtok"],
        "gain": cfg["gainMtok"],
        "wMinPpm": cfg["wMinPpm"],
        "wMaxPpm": cfg["wMaxPpm"],
        "loads": loads,
        "supplyWh": str(energy_wh["supply"]),
        "demandWh": str(energy_wh["demand"]),
        "rawPpm": str(raw_ppm),
        "wPpm": str(weight_ppm),
    } | ({"refusal": "PRICE_WINDOW_EMPTY"} if price is None else {"price": str(price)})


def rate_of(slot: Slot, state: State) -> Rate:
    """Return the tariff's rates for a slot. Raise ValueError if no tariff is in force."""
    in_force = [
        record
        for _, record in state.records(f"tariff~{slot.zone}~")
        if record["effectiveFrom"] <= slot.interval
    ]
    if not in_force:
        raise ValueError(f"no tariff in {slot.zone} at {slot.interval}")
    tariff = in_force[-1]
    local = datetime.fromtimestamp(slot.interval + tariff["utcOffsetS"], UTC)
    season = next(name for name, months in tariff["calendar"]["seasons"].items() if local.month in months)
    period = _period(tariff, season, local)
    return Rate(
        tariff_id=tariff["tariffId"],
        period=period,
        ceiling=int(tariff["ceilings"][slot.product][season][period]),
        floor=int(tariff["floors"][slot.product][season][period]),
    )


def _period(tariff: dict[str, Any], season: str, local: datetime) -> str:
    """Return the load period of a local time, by holidays, then Sundays, then the time of day."""
    calendar = tariff["calendar"]
    if local.date().isoformat() in calendar.get("holidays", []) and "holiday" in calendar:
        return str(calendar["holiday"])
    if local.weekday() == SUNDAY and "sunday" in calendar:
        return str(calendar["sunday"])
    minute = local.hour * 60 + local.minute
    period = next(
        name
        for name, spans in tariff["periods"][season].items()
        if any(first <= minute < end for first, end in spans)
    )
    if period == "peak" and local.weekday() == SATURDAY:
        return str(calendar.get("saturdayPeakAs", period))
    return str(period)


def _cfg(state: State) -> dict[str, Any]:
    cfg = state.record("cfg")
    if cfg is None:
        raise ValueError("the channel has no constants")
    return cfg
