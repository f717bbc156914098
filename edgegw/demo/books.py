"""Add up a station's journal: metered and untraded energy, refusals, and the facts for the auditor.

Decides how registers become Wh (floors of both ends, epoch by epoch) and how far the journal's register at a quarter
hour is from the true one. Reads the journal and the witness's sealed books; changes neither.
Source: docs/ledger.md, Equations; docs/meters.md, From registers to segments.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from edgegw.common.trade_terms import EXPORT, IMPORT
from edgegw.common.units import INTERVAL_S, SECOND_NS, energy_mwh
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Tally
from edgegw.gateway.row_codec import decode_row
from edgegw.store.journal_reader import JournalReader

DIRECTIONS = (IMPORT, EXPORT)
FACTS = ("epoch", "segment", "untraded", "evidence", "trade", "refused")
GAP_S_MIN = 10
GAP_REAL_S = 0.2  # between the readings on both sides of a cut, on a machine that is fast enough
STEP_MWH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundaries:
    """Errors of the quarter-hour cuts with power flowing, in Wh; `beyond` counts those above power x sample gap."""

    errors_wh: tuple[int, ...]
    beyond: int

    def percentile_wh(self, percent: int) -> int:
        """Return the error that `percent` of the cuts do not exceed; 0 without cuts."""
        if not self.errors_wh:
            return 0
        return self.errors_wh[min(len(self.errors_wh) - 1, len(self.errors_wh) * percent // 100)]


class StationBooks:
    """The journal of a station that has shut down."""

    def __init__(self, journal: Path) -> None:
        reader = JournalReader(journal)
        self.facts: Mapping[str, list[dict[str, Any]]] = {
            kind: [dict(body) for _, body in reader.facts(kind)] for kind in FACTS
        }
        self.accounts = [decode_row(MeterAccount, text) for text in reader.rows("meters/").values()]
        self.tally = decode_row(Tally, reader.rows("tally/")["tally/all"])

    def metered_wh(self) -> dict[str, int]:
        """Return the sum of all registers' differences by direction, from each epoch's first reading to its last."""
        sums = Counter(dict.fromkeys(DIRECTIONS, 0))
        ends = self._ends()
        for epoch in self.facts["epoch"]:
            end = ends[epoch["meter_id"], epoch["epoch"]]
            for direction in DIRECTIONS:
                sums[direction] += end[direction] // 1000 - epoch[f"{direction}_mwh"] // 1000
        return dict(sums)

    def _ends(self) -> dict[tuple[str, int], dict[str, int]]:
        """Return the last accepted registers (mWh) by meter and epoch."""
        ends: dict[tuple[str, int], dict[str, int]] = {}
        for epoch in self.facts["epoch"]:
            first = {direction: epoch[f"{direction}_mwh"] for direction in DIRECTIONS}
            ends[epoch["meter_id"], epoch["epoch"]] = first
        for segment in self.facts["segment"]:
            last = {direction: segment[f"{direction}_mwh"][1] for direction in DIRECTIONS}
            ends[segment["meter_id"], segment["epoch"]] = last
        for account in self.accounts:
            if account.last is not None:
                last = {"import": account.last.import_mwh, "export": account.last.export_mwh}
                ends[account.meter_id, account.epoch] = last
        return ends

    def untraded_wh(self) -> Counter[tuple[str, str]]:
        """Return the energy that was metered and not traded, by direction and code."""
        sums: Counter[tuple[str, str]] = Counter()
        for fact in self.facts["untraded"]:
            sums[fact["direction"], fact["code"]] += fact["energy_wh"]
        return sums

    def boundaries(self, sealed: Mapping[str, Any], evse_of: Mapping[str, str], speed: int) -> Boundaries:
        """Compare the registers at quarter hours with the witness's; `evse_of` maps meter ids to EVSE ids."""
        marks = {
            (evse, mark["utc_s"]): _since_reset(book, mark)
            for evse, book in sealed["evses"].items()
            for mark in book["quarters"]
        }
        gap_ns = max(GAP_S_MIN * SECOND_NS, round(GAP_REAL_S * speed * SECOND_NS))
        errors, beyond = [], 0
        for meter_id, at_s, segment in self._cuts():
            evse = evse_of[meter_id]
            mark = marks.get((evse, at_s))
            if mark is None:
                continue
            error_mwh = max(abs(segment[f"{d}_mwh"][1] - mark[f"{d}_mwh"]) for d in DIRECTIONS)
            errors.append(error_mwh // 1000)
            bound_mwh = energy_mwh(sealed["evses"][evse]["rated_w"], gap_ns) + STEP_MWH
            beyond += error_mwh > bound_mwh
        return Boundaries(errors_wh=tuple(sorted(errors)), beyond=beyond)

    def _cuts(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield the segments of sessions that end exactly at a quarter hour and in which energy flowed."""
        for segment in self.facts["segment"]:
            at_ns = segment["end_ns"]
            moved = any(segment[f"{d}_mwh"][1] != segment[f"{d}_mwh"][0] for d in DIRECTIONS)
            if at_ns % (INTERVAL_S * SECOND_NS) == 0 and moved and segment["session_id"] is not None:
                yield segment["meter_id"], at_ns // SECOND_NS, segment

    def export(self, path: Path, evse_of: Mapping[str, str]) -> None:
        """Write the facts for the auditor, one JSON object `{kind, body}` per line, first the meters' names."""
        meters = {
            account.meter_id: {"meter_ref": account.meter_ref, "evse_id": evse_of[account.meter_id]}
            for account in self.accounts
        }
        with path.open("w", encoding="utf-8") as file:
            file.write(_line("meters", meters))
            for kind, facts in self.facts.items():
                file.writelines(_line(kind, fact) for fact in facts)


def _line(kind: str, body: Mapping[str, Any]) -> str:
    return json.dumps({"kind": kind, "body": body}, sort_keys=True) + "\n"


def _since_reset(book: Mapping[str, Any], mark: Mapping[str, int]) -> dict[str, int]:
    """Return what a meter shows at a mark: the energy since its last counter reset."""
    zero = {f"{direction}_mwh": 0 for direction in DIRECTIONS}
    for reset in book.get("resets", []):
        if reset["utc_s"] < mark["utc_s"]:
            zero = reset
    return {name: mark[name] - zero[name] for name in (f"{direction}_mwh" for direction in DIRECTIONS)}


def refusals(
    sealed: Mapping[str, Any], refused: list[dict[str, Any]], not_played: Mapping[str, int]
) -> tuple[int, Counter[str]]:
    """Return how many cars were served by the sealed books, and how many were not, by code.

    Args:
        sealed: the witness's books.
        refused: the station's own refusals; one during a visit gives the visit's code.
        not_played: the number of sessions that the simulator could not play, by code.
    """
    codes: Counter[str] = Counter(not_played)
    served = 0
    for evse, book in sealed["evses"].items():
        for visit in book["visits"]:
            if visit["outcome"] == "served":
                served += 1
            else:
                codes[_code(visit, [fact for fact in refused if fact.get("evse_id") == evse])] += 1
    return served, codes


def _code(visit: Mapping[str, Any], refused: list[dict[str, Any]]) -> str:
    outcome, _, reason = str(visit["outcome"]).partition(":")
    if reason != "EVSE_BUSY":
        for fact in refused:
            if _ns(visit["arrival"]) <= fact["at_ns"] <= _ns(visit["departure"]):
                return str(fact["code"])
    if outcome == "refused" and reason:
        return reason.upper()
    return "UNDERSERVED" if outcome == "short" else "NOT_STARTED"


def _ns(text: str) -> int:

    return round(datetime.fromisoformat(text).timestamp()) * SECOND_NS
