"""Bound the energy that counter resets hide: what flowed between the last reading before and the first after one.

The bound is the rated power over that gap. Source: docs/meters.md, From registers to segments; docs/ledger.md, Equations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from firmware_sim.audit.facts import Facts
from firmware_sim.audit.finding import Findings

NS_PER_S = 1_000_000_000
W_NS_PER_WH = 3_600 * NS_PER_S
STEPS_WH = 2


def unmeasured_wh_max(book: dict[str, Any], facts: Facts, *, meter_id: str, findings: Findings) -> int:
    """Return the most Wh in one direction that an EVSE's counter resets may hide; 0 without resets.

    Records each reset that no new epoch follows.
    """
    gaps = _gaps(facts, meter_id)
    most_wh = 0
    for reset in book.get("resets", []):
        lengths_ns = [
            end_ns - begin_ns
            for begin_ns, end_ns in gaps
            if begin_ns // NS_PER_S <= reset["utc_s"] <= end_ns // NS_PER_S
        ]
        rule = "a new epoch follows"
        findings.require("EPOCHS", meter_id, holds=bool(lengths_ns), rule=rule, found=reset["utc_s"])
        most_wh += book["rated_w"] * sum(lengths_ns[:1]) // W_NS_PER_WH + STEPS_WH
    return most_wh


def _gaps(facts: Facts, meter_id: str) -> list[tuple[int, int]]:
    """Return the times (ns) from the last reading of each epoch to the first of the next."""
    spans: dict[int, tuple[int, int]] = {}
    for segment in facts.of("segment"):
        if segment["meter_id"] == meter_id:
            begin_ns, end_ns = spans.get(segment["epoch"], (segment["start_ns"], segment["end_ns"]))
            spans[segment["epoch"]] = (min(begin_ns, segment["start_ns"]), max(end_ns, segment["end_ns"]))
    ordered = [span for _, span in sorted(spans.items())]
    return [(before[1], after[0]) for before, after in pairwise(ordered)]
