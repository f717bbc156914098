"""Standby: what an EVSE draws with its contactor open, and nothing else may be booked under that name.

Decides how much a station may book as STANDBY: what the sealed books say flowed so, and a slack for each run of it.
Source: docs/ledger.md, Trades (untraded energy); DESIGN.md, The simulator is a witness.
"""

from __future__ import annotations

from typing import Any

from firmware_sim.audit.facts import Facts, Meter
from firmware_sim.audit.finding import Findings

CODE = "STANDBY"
RUN_SLACK_WH = 3
"""Of pieces that join on a register: 1 Wh of floors, 2 Wh that flowed within a reading of a session's ends."""


def check_standby(book: dict[str, Any], facts: Facts, *, meter: Meter, findings: Findings) -> None:
    """Note import booked as STANDBY beyond the sealed standby of the meter's EVSE, and any export."""
    pieces = [
        fact for fact in facts.of("untraded") if (fact["meter_id"], fact["code"]) == (meter.meter_id, CODE)
    ]
    exported = [fact["start_wh"] for fact in pieces if fact["direction"] != "import"]
    findings.equal(CODE, f"{meter.evse_id} export", expected=[], found=exported)
    starts = {(fact["epoch"], fact["start_wh"]) for fact in pieces}
    ends = {(fact["epoch"], fact["start_wh"] + fact["energy_wh"]) for fact in pieces}
    most_wh = book["standby_mwh"] // 1000 + RUN_SLACK_WH * len(starts - ends)
    booked_wh = sum(fact["energy_wh"] for fact in pieces if fact["direction"] == "import")
    rule = f"at most {most_wh} Wh"
    findings.require(CODE, f"{meter.evse_id} import", holds=booked_wh <= most_wh, rule=rule, found=booked_wh)
