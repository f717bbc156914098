"""Check by the sealed books that every Wh that flowed was traded or declared untraded, exactly once.

Decides per meter and direction. The witness's energy is floor(R_end/1000) - floor(R_start/1000) of the true registers in
mWh. Source: docs/ledger.md, Equations ("register difference = traded + untraded, exactly") and Trades.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from firmware_sim.audit.facts import Facts, Meter, canonical, sha256_hex
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.prices import INTERVAL_S
from firmware_sim.audit.resets import unmeasured_wh_max
from firmware_sim.audit.standby import check_standby
from firmware_sim.audit.trades import Traded

DIRECTIONS = ("import", "export")
NS_PER_S = 1_000_000_000
RECORDED = {"RECORDED", "KNOWN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Compares the sealed books with the facts and the trades of the station's own meters."""

    books: dict[str, Any]
    facts: Facts
    trades: list[Traded]
    findings: Findings

    def run(self) -> None:
        """Run all checks and record every difference."""
        self._seal()
        self._mapping()
        for meter in self.facts.meters:
            for direction in DIRECTIONS:
                self._witness(meter, direction)
                self._tiles(meter, direction)
            if meter.evse_id in self.books["evses"]:
                book = self.books["evses"][meter.evse_id]
                check_standby(book, self.facts, meter=meter, findings=self.findings)
        self._segments()
        self._evidence()
        self._recorded()

    def witness_wh(self, evse_id: str, direction: str) -> int:
        """Return the energy that an EVSE's true register counted."""
        book = self.books["evses"][evse_id]
        return (
            int(book["register_end_mwh"][direction]) // 1000
            - int(book["register_start_mwh"][direction]) // 1000
        )

    def witnessed_wh(self, direction: str) -> int:
        """Return the energy that the true registers of all EVSEs counted."""
        return sum(self.witness_wh(evse_id, direction) for evse_id in self.books["evses"])

    def untraded_wh(self) -> Counter[tuple[str, str]]:
        """Return the declared untraded energy by direction and code."""
        sums: Counter[tuple[str, str]] = Counter()
        for fact in self.facts.of("untraded"):
            sums[fact["direction"], fact["code"]] += fact["energy_wh"]
        return sums

    def _seal(self) -> None:
        content = {key: value for key, value in self.books.items() if key != "seal"}
        equal = self.findings.equal
        equal("SEAL", "books", expected=sha256_hex(content), found=self.books.get("seal"))
        sums = {f"{direction}_wh": self.witnessed_wh(direction) for direction in DIRECTIONS}
        equal("BOOKS_SUM", "books", expected=sums, found=self.books.get("witness"))

    def _mapping(self) -> None:
        """Check that each EVSE has one meter, each meter one reference, and each trade one of these references."""
        evses = sorted(meter.evse_id for meter in self.facts.meters)
        self.findings.equal("METERS", "facts", expected=sorted(self.books["evses"]), found=evses)
        refs = [meter.meter_ref for meter in self.facts.meters]
        self.findings.equal("METERS", "facts", expected=len(set(refs)), found=len(refs))
        own = {meter.meter_id for meter in self.facts.meters}
        strangers = {
            fact["meter_id"] for kind in ("untraded", "segment") for fact in self.facts.of(kind)
        } - own
        self.findings.equal("METERS", "facts", expected=[], found=sorted(strangers))
        for trade in self.trades:
            if trade.meter_ref not in refs:
                self.findings.add(
                    "METERS",
                    f"trade {trade.trade_id}",
                    expected="a meter of the station",
                    found=trade.meter_ref,
                )

    def unmetered_wh(self, direction: str) -> int:
        """Return the energy lost to counter resets: the witness's energy that is neither traded nor declared."""
        books = self.books["evses"]
        reset = [meter for meter in self.facts.meters if books.get(meter.evse_id, {}).get("resets")]
        return sum(
            self.witness_wh(meter.evse_id, direction) - self._accounted_wh(meter, direction)
            for meter in reset
        )

    def _accounted_wh(self, meter: Meter, direction: str) -> int:
        traded_wh = sum(trade.energy_wh for trade in self._of(meter, direction))
        return traded_wh + sum(int(fact["energy_wh"]) for fact in self._untraded(meter, direction))

    def _witness(self, meter: Meter, direction: str) -> None:
        """Check that traded and untraded energy equals what flowed; a counter reset may hide a bounded amount."""
        book = self.books["evses"].get(meter.evse_id)
        if book is None:
            return
        where = f"{meter.evse_id} {direction}"
        expected, found = self.witness_wh(meter.evse_id, direction), self._accounted_wh(meter, direction)
        most_wh = unmeasured_wh_max(book, self.facts, meter_id=meter.meter_id, findings=self.findings)
        if not most_wh:
            self.findings.equal("WITNESS", where, expected=expected, found=found)
            return
        rule = f"{expected - most_wh} to {expected}"
        holds = 0 <= expected - found <= most_wh
        self.findings.require("WITNESS", where, holds=holds, rule=rule, found=found)

    def _tiles(self, meter: Meter, direction: str) -> None:
        """Check that in each epoch, trades and untraded pieces cover the register without a gap or an overlap."""
        pieces: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for epoch, _, piece in self._pieces(meter, direction):
            pieces[epoch].append(piece)
        for epoch, (first_wh, last_wh) in self._epochs(meter, direction).items():
            where = f"{meter.evse_id} {direction} epoch {epoch}"
            edges = [(first_wh, first_wh), *sorted(pieces.pop(epoch, [])), (last_wh, last_wh)]
            for (_, end_wh), (start_wh, _) in pairwise(edges):
                self.findings.equal("REGISTER_PIECES", where, expected=end_wh, found=start_wh)
        found = sorted(pieces)
        self.findings.equal("EPOCHS", f"{meter.evse_id} {direction}", expected=[], found=found)

    def _epochs(self, meter: Meter, direction: str) -> dict[int, tuple[int, int]]:
        """Return the first and last register (Wh) of each epoch, from the station's facts."""
        ends: dict[int, tuple[int, int]] = {}
        for fact in self.facts.of("epoch"):
            if fact["meter_id"] == meter.meter_id:
                first_wh = fact[f"{direction}_mwh"] // 1000
                ends[fact["epoch"]] = (first_wh, first_wh)
        for fact in self.facts.of("segment"):
            if fact["meter_id"] == meter.meter_id:
                last_wh = fact[f"{direction}_mwh"][1] // 1000
                ends[fact["epoch"]] = (ends[fact["epoch"]][0], last_wh)
        return ends

    def _of(self, meter: Meter, direction: str) -> Iterator[Traded]:
        return (
            trade
            for trade in self.trades
            if (trade.meter_ref, trade.direction) == (meter.meter_ref, direction)
        )

    def _untraded(self, meter: Meter, direction: str) -> Iterator[dict[str, Any]]:
        return (
            fact
            for fact in self.facts.of("untraded")
            if (fact["meter_id"], fact["direction"]) == (meter.meter_id, direction)
        )

    def _segments(self) -> None:
        """Check that each piece is inside a segment of its own quarter hour; `boundaries` checks the segments' ends."""
        spans: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
        for fact in self.facts.of("segment"):
            interval = fact["start_ns"] // NS_PER_S // INTERVAL_S * INTERVAL_S
            self.findings.require(
                "SEGMENT",
                f"{fact['meter_id']} {interval}",
                holds=fact["interval"] == interval and fact["end_ns"] <= (interval + INTERVAL_S) * NS_PER_S,
                rule="one quarter hour",
                found=[fact["start_ns"], fact["end_ns"]],
            )
            spans[fact["meter_id"], fact["epoch"], interval].append(fact)
        for meter in self.facts.meters:
            for direction in DIRECTIONS:
                for epoch, interval, piece in self._pieces(meter, direction):
                    held = any(
                        segment[f"{direction}_mwh"][0] // 1000 <= piece[0]
                        and piece[1] <= segment[f"{direction}_mwh"][1] // 1000
                        for segment in spans[meter.meter_id, epoch, interval]
                    )
                    where = f"{meter.evse_id} {direction} {interval}"
                    self.findings.require("SEGMENT", where, holds=held, rule="inside a segment", found=piece)

    def _pieces(self, meter: Meter, direction: str) -> Iterator[tuple[int, int, tuple[int, int]]]:
        """Yield epoch, interval and (start, end) registers (Wh) of everything traded or declared untraded."""
        for trade in self._of(meter, direction):
            yield trade.epoch, trade.interval, (trade.start_wh, trade.end_wh)
        for fact in self._untraded(meter, direction):
            end_wh = fact["start_wh"] + fact["energy_wh"]
            yield fact["epoch"], fact["interval"], (fact["start_wh"], end_wh)

    def _evidence(self) -> None:
        """Check that each trade has signed readings, whose hash it carries and whose registers bracket its own."""
        facts = {fact["trade_id"]: fact for fact in self.facts.of("evidence")}
        for trade in self.trades:
            where = f"trade {trade.trade_id}"
            fact = facts.get(trade.trade_id)
            if fact is None:
                self.findings.add("EVIDENCE_MISSING", where, expected="evidence", found=None)
                continue
            evidence = fact["evidence"]
            self.findings.equal(
                "EVIDENCE_HASH", where, expected=trade.evidence_hash, found=sha256_hex(evidence)
            )
            signed = trade.creator.signed(canonical(evidence), bytes.fromhex(fact["signature"]))
            self.findings.equal("EVIDENCE_SIGNATURE", where, expected=True, found=signed)
            self._brackets(trade, evidence, where=where)

    def _brackets(self, trade: Traded, evidence: dict[str, Any], *, where: str) -> None:
        """Check the readings before and after each end: [sent ns, answered ns, import mWh, export mWh]."""
        self.findings.equal("EVIDENCE", where, expected=trade.trade_id, found=evidence["tradeId"])
        column = 2 + DIRECTIONS.index(trade.direction)
        (before, after_start), (before_end, after) = evidence["start"], evidence["end"]
        registers = (before[column] // 1000, after[column] // 1000)
        self.findings.require(
            "EVIDENCE_REGISTER",
            where,
            holds=registers[0] <= trade.start_wh < trade.end_wh <= registers[1],
            rule=f"{trade.start_wh} to {trade.end_wh} Wh",
            found=registers,
        )
        begin_ns, end_ns = trade.interval * NS_PER_S, (trade.interval + INTERVAL_S) * NS_PER_S
        times = ((after_start[0] + after_start[1]) // 2, (before_end[0] + before_end[1]) // 2)
        self.findings.require(
            "EVIDENCE_TIME",
            where,
            holds=begin_ns <= times[0] and times[1] <= end_ns,
            rule=f"{begin_ns} to {end_ns}",
            found=times,
        )

    def _recorded(self) -> None:
        """Check that every trade that the station has as recorded is on the ledger."""
        ledger = {trade.trade_id for trade in self.trades}
        for fact in self.facts.of("trade"):
            if fact["status"] in RECORDED and fact["trade_id"] not in ledger:
                self.findings.add("TRADE_MISSING", fact["trade_id"], expected=fact["tx_id"], found=None)
