"""Recompute each trade's energy, price, amounts and registers, and what it drew from hold and slice.

Decides by the ledger's state before the trade. Source: docs/ledger.md, Trades, Units and Retail; docs/contract.md,
RecordTrades.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from firmware_sim.audit.finding import Findings
from firmware_sim.audit.identity import Identity
from firmware_sim.audit.prices import INTERVAL_S, Slot, derive, rate_of
from firmware_sim.audit.replay import Entry
from firmware_sim.audit.state import State

DIRECTION = {"CHARGE": "import", "DISCHARGE": "export"}
REASONS = {
    "PRICE_NOT_FIXED",
    "PRICE_WINDOW_EMPTY",
    "NO_SLICE",
    "LATE_PRICE",
    "KEPT",
    "PRICE_LIMIT",
    "PEER_DOWN",
}
CLAIMS = {"PRICE_NOT_FIXED", "PRICE_WINDOW_EMPTY", "NO_SLICE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """The fields of a trade that other checks use; registers and energy in Wh."""

    trade_id: str
    kind: str
    meter_ref: str
    epoch: int
    direction: str
    start_wh: int
    end_wh: int
    interval: int
    evidence_hash: str
    creator: Identity
    reason: str | None

    @property
    def energy_wh(self) -> int:
        """The traded energy."""
        return self.end_wh - self.start_wh


class Trades:
    """Checks every transaction that writes trades, and collects them in `all`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.all: list[Traded] = []

    def __call__(self, entry: Entry, state: State) -> None:
        """Record every trade that does not follow from meter, price, hold and slice."""
        records = [record for _, record in entry.written("trade")]
        records.sort(key=lambda record: int(record["startWh"]))
        asked = {line.get("tradeId"): line for line in _lines(entry)}
        for record in records:
            where = f"trade {record['tradeId']}"
            self._identity(entry, record, where=where, line=asked.get(record["tradeId"], {}))
            self._money(entry, state, record=record, where=where)
            self._draws(entry, state, record=record, where=where)
            self.all.append(_traded(entry, record))
        self._registers(entry, state, records)
        self._sums(entry, state, records)

    def _identity(self, entry: Entry, record: dict[str, Any], *, where: str, line: dict[str, Any]) -> None:
        """Check the trade's derived key, its fields against the request's line, and its transaction and time."""
        derived = ":".join(str(record[name]) for name in ("meterRef", "epoch", "direction", "startWh"))
        equal = self._findings.equal
        equal("TRADE_ID", where, expected=derived, found=record["tradeId"])
        equal("TRADE_ID", where, expected=True, found=f"trade~{derived}" in entry.records)
        equal("DIRECTION", where, expected=DIRECTION[record["product"]], found=record["direction"])
        wh = int(record["endWh"]) - int(record["startWh"])
        equal("ENERGY", where, expected=wh, found=int(record["wh"]))
        stamp = (entry.transaction.tx_id, entry.now_ms)
        equal("TRADE_STAMP", where, expected=stamp, found=(record["txId"], record["ledgerTimeMs"]))
        for name in ("endWh", "interval", "kind", "holdId", "sliceId", "reason", "evidenceHash"):
            asked = line.get(name, "DIRECT" if name == "kind" else None)
            equal("NOT_ASKED", f"{where} {name}", expected=asked, found=record.get(name))

    def _money(self, entry: Entry, state: State, *, record: dict[str, Any], where: str) -> None:
        """Check amount (price times energy, half up), fee and gross; retail is at the tariff's ceiling."""
        cfg = state.record("cfg") or {}
        slot = Slot(zone=record["zone"], product=record["product"], interval=record["interval"])
        wh = int(record["wh"])
        if record["kind"] == "RETAIL":
            rate = rate_of(slot, state)
            supplier = (state.record("supplier") or {}).get("memberId")
            price, fee, gross = rate.ceiling, 0, wh
            names = {"tariffId": rate.tariff_id, "period": rate.period, "seller": supplier}
            self._retail(entry, state, record=record, where=where)
        else:
            fixed = state.record(slot.price_key) or {}
            price = int(fixed.get("price", -1))
            fee = half_up(int(cfg["netFeeMtok"]), wh)
            loss_bp = cfg["lossBp" if slot.product == "CHARGE" else "dischargeLossBp"]
            gross = with_loss(wh, loss_bp)
            names = {"priceId": fixed.get("priceId")}
            self._window(state, slot, where=where, price=price)
        expected = {"price": str(price), "fee": str(fee), "gross": str(gross), **names}
        expected["amount"] = str(half_up(price, wh))
        for name, value in expected.items():
            self._findings.equal("AMOUNT", f"{where} {name}", expected=value, found=record.get(name))

    def _window(self, state: State, slot: Slot, *, where: str, price: int) -> None:
        """Check that a market price is within the bounds at which both sides gain."""
        inside = derive(slot, state)
        low = int(inside["floor"]) + int(inside["gain"])
        high = int(inside["ceiling"]) - int(inside["netFee"]) - int(inside["gain"])
        self._findings.require(
            "PRICE_WINDOW", where, holds=low <= price <= high, rule=f"{low} to {high}", found=price
        )

    def _retail(self, entry: Entry, state: State, *, record: dict[str, Any], where: str) -> None:
        """Check that the reason is a known one, and that it is true if the ledger can decide it."""
        reason = record.get("reason")
        holds = reason in REASONS and record["product"] == "CHARGE"
        self._findings.require("RETAIL_REASON", where, holds=holds, rule="a known reason", found=reason)
        slot = Slot(zone=record["zone"], product=record["product"], interval=record["interval"])
        if reason not in CLAIMS or "price" not in (state.record(slot.price_key) or {}):
            return
        start = f"sl~{entry.creator.gateway}~{slot.zone}~{slot.product}~{slot.interval:012d}~"
        for key, _ in state.records(start):
            slice_key = f"slice~{key.removeprefix(start)}"
            piece = entry.records.get(slice_key) or state.record(slice_key) or {}
            left_wh = int(piece["amount"]) - int(piece["drawn"])
            loss_bp = (state.record("cfg") or {})["lossBp"]
            self._findings.require(
                "MARKET_AVAILABLE",
                where,
                holds=left_wh * (10_000 - loss_bp) < 10_000,
                rule=f"{reason}: nothing left in {slice_key}",
                found=left_wh,
            )

    def _draws(self, entry: Entry, state: State, *, record: dict[str, Any], where: str) -> None:
        """Check that hold and slice are open, and fit the gateway, the parties, the interval and the price."""
        if record["kind"] == "DIRECT":
            return
        hold = state.record(f"hold~{record['holdId']}") or {}
        charging = record["product"] == "CHARGE"
        driver, other = ("buyer", "seller") if charging else ("seller", "buyer")
        expected = {
            "memberId": record[driver],
            "product": record["product"],
            "gatewayId": entry.creator.gateway,
            "status": "OPEN",
        }
        self._same("HOLD", where, expected=expected, found=hold)
        price, fee = int(record["price"]), int((state.record("cfg") or {})["netFeeMtok"])
        limits = [(hold, driver)]
        if record["kind"] == "MARKET":
            piece = state.record(f"slice~{record['sliceId']}") or {}
            expected["memberId"] = record[other]
            expected |= {"zone": record["zone"], "interval": record["interval"]}
            self._same("SLICE", where, expected=expected, found=piece)
            limits.append((piece, other))
        else:
            fee = 0
            self._findings.equal("RETAIL_ACCEPTED", where, expected=True, found=hold.get("acceptRetail"))
        for position, side in limits:
            limit = int(position["limitPrice"])
            holds = price + fee <= limit if side == "buyer" else price >= limit
            self._findings.require("PRICE_LIMIT", where, holds=holds, rule=f"{side} {limit}", found=price)

    def _same(self, code: str, where: str, *, expected: dict[str, Any], found: dict[str, Any]) -> None:
        for name, value in expected.items():
            self._findings.equal(code, f"{where} {name}", expected=value, found=found.get(name))

    def _registers(self, entry: Entry, state: State, records: list[dict[str, Any]]) -> None:
        """Check that a register never passes a value twice, goes back in time or exceeds its meter's rating."""
        at: dict[str, tuple[int, int, int]] = {}
        for record in records:
            where = f"trade {record['tradeId']}"
            key = "reg~{meterRef}~{epoch}~{direction}".format(**record)
            meter = state.record("met~{meterRef}~{epoch}".format(**record)) or {}
            kind = "PLANT" if record["kind"] == "DIRECT" and meter.get("kind") == "PLANT" else "EVSE"
            self._same("METER", where, expected={"kind": kind, "zone": record["zone"]}, found=meter)
            before = state.record(key) or {"wh": "-1", "interval": 0, "intervalWh": "0"}
            wh, interval, interval_wh = at.get(
                key, (int(before["wh"]), before["interval"], int(before["intervalWh"]))
            )
            start_wh, end_wh, now = int(record["startWh"]), int(record["endWh"]), record["interval"]
            self._findings.require(
                "REGISTER",
                where,
                holds=0 <= wh <= start_wh < end_wh and interval <= now,
                rule=f"from {wh} Wh in {interval} on",
                found=f"{start_wh} to {end_wh} in {now}",
            )
            self._findings.require(
                "INTERVAL",
                where,
                holds=now % INTERVAL_S == 0 and now * 1000 <= entry.now_ms,
                rule="a quarter hour that has begun",
                found=now,
            )
            moved_wh = end_wh - start_wh + (interval_wh if now == interval else 0)
            most_w = int(meter.get("ratedW", 0))
            self._findings.require(
                "IMPLAUSIBLE", where, holds=moved_wh * 40 <= most_w * 11, rule=f"{most_w} W", found=moved_wh
            )
            at[key] = (end_wh, now, moved_wh)
        for key, (wh, interval, interval_wh) in at.items():
            expected = {"wh": str(wh), "interval": interval, "intervalWh": str(interval_wh)}
            self._findings.equal(
                "REGISTER", f"{entry.where} {key}", expected=expected, found=entry.records.get(key)
            )

    def _sums(self, entry: Entry, state: State, records: list[dict[str, Any]]) -> None:
        """Check that each hold and slice is reduced by what the trades drew, and was large enough."""
        drawn: Counter[str] = Counter()
        for record in records:
            paid, charging = int(record["amount"]) + int(record["fee"]), record["product"] == "CHARGE"
            if "holdId" in record:
                drawn[f"hold~{record['holdId']}"] += paid if charging else int(record["gross"])
            if "sliceId" in record:
                drawn[f"slice~{record['sliceId']}"] += int(record["gross"]) if charging else paid
        touched = {key for kind in ("hold", "slice") for key, _ in entry.written(kind)}
        for key in sorted(drawn.keys() | touched):
            before, after = state.record(key) or {"drawn": "0"}, entry.records.get(key) or {"drawn": "0"}
            self._findings.equal(
                "DRAWN",
                f"{entry.where} {key}",
                expected=int(before["drawn"]) + drawn[key],
                found=int(after["drawn"]),
            )
            total = int(after.get("reserved", after.get("amount", 0)))
            self._findings.require(
                "DRAWN",
                f"{entry.where} {key}",
                holds=int(after["drawn"]) + int(after.get("released", after.get("returned", 0))) <= total,
                rule=f"at most {total}",
                found=int(after["drawn"]),
            )


def half_up(price_mtok_per_kwh: int, energy_wh: int) -> int:
    """Return the milli-tokens for an energy, rounded half up."""
    return (price_mtok_per_kwh * energy_wh + 500) // 1000


def with_loss(energy_wh: int, loss_bp: int) -> int:
    """Return the Wh that the seller gives so that `energy_wh` arrive, rounded up."""
    return -(-energy_wh * 10_000 // (10_000 - loss_bp))


def _lines(entry: Entry) -> list[dict[str, Any]]:
    """Return the lines that the transaction requests to record."""
    argument = json.loads(entry.transaction.argument)
    lines: list[dict[str, Any]] = argument.get("lines", [argument])
    return lines


def _traded(entry: Entry, record: dict[str, Any]) -> Traded:
    return Traded(
        trade_id=record["tradeId"],
        kind=record["kind"],
        meter_ref=record["meterRef"],
        epoch=record["epoch"],
        direction=record["direction"],
        start_wh=int(record["startWh"]),
        end_wh=int(record["endWh"]),
        interval=record["interval"],
        evidence_hash=record["evidenceHash"],
        creator=entry.creator,
        reason=record.get("reason"),
    )
