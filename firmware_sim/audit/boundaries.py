"""Compare the station's registers at quarter-hour boundaries with the true ones.

Decides by the quarter marks of the sealed books. Differences of registers telescope, so the balance alone does not
show energy that was recorded in the wrong quarter hour. Source: docs/meters.md, From registers to segments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firmware_sim.audit.facts import Facts
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.prices import INTERVAL_S

DIRECTIONS = ("import", "export")
NS_PER_S = 1_000_000_000
W_NS_PER_MWH = 3_600_000_000
STEPS_MWH = 2 * 1000
"""Two steps of a meter that counts in Wh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A boundary's error and its bound: rated power times the gap between the readings around it, plus two steps."""

    error_mwh: int
    bound_mwh: int


def cuts(books: dict[str, Any], facts: Facts, findings: Findings) -> list[Cut]:
    """Return the quarter-hour cuts within sessions whose energy moved; record every cut whose error exceeds its bound."""
    evse_of = {meter.meter_id: meter.evse_id for meter in facts.meters}
    found = []
    for segment in _cut_at_quarters(facts):
        evse_id, at_s = evse_of[segment["meter_id"]], segment["end_ns"] // NS_PER_S
        true_mwh = _registers_mwh(books["evses"][evse_id], at_s)
        if true_mwh is None:
            continue
        error_mwh = max(abs(segment[f"{name}_mwh"][1] - true_mwh[name]) for name in DIRECTIONS)
        rated_w = books["evses"][evse_id]["rated_w"]
        cut = Cut(error_mwh=error_mwh, bound_mwh=rated_w * segment["gap_ns"] // W_NS_PER_MWH + STEPS_MWH)
        findings.require(
            "BOUNDARY",
            f"{evse_id} {at_s}",
            holds=cut.error_mwh <= cut.bound_mwh,
            rule=f"at most {cut.bound_mwh} mWh",
            found=cut.error_mwh,
        )
        moved = any(segment[f"{name}_mwh"][0] != segment[f"{name}_mwh"][1] for name in DIRECTIONS)
        if moved and segment["session_id"] is not None:
            found.append(cut)
    return found


def percentiles_wh(found: list[Cut]) -> dict[str, float]:
    """Return the 50th and 99th percentile and the maximum of the errors in Wh; 0 without cuts."""
    errors = sorted(cut.error_mwh for cut in found) or [0]
    return {
        name: errors[min(len(errors) - 1, len(errors) * percent // 100)] / 1000
        for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
    }


def _cut_at_quarters(facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield the segments that end exactly at a quarter hour."""
    quarter_ns = INTERVAL_S * NS_PER_S
    return (segment for segment in facts.of("segment") if segment["end_ns"] % quarter_ns == 0)


def _registers_mwh(book: dict[str, Any], at_s: int) -> dict[str, int] | None:
    """Return what an ideal meter would show: the true register since the last counter reset; None without a mark."""
    mark = next((mark for mark in book["quarters"] if mark["utc_s"] == at_s), None)
    if mark is None:
        return None
    resets = [reset for reset in book.get("resets", []) if reset["utc_s"] < at_s]
    zero = resets[-1] if resets else {f"{name}_mwh": 0 for name in DIRECTIONS}
    return {name: mark[f"{name}_mwh"] - zero[f"{name}_mwh"] for name in DIRECTIONS}
