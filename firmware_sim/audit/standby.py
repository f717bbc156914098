"""Check that a station declares no more energy as STANDBY than its EVSEs drew with an open contactor.

The limit is the standby energy of the sealed books plus a slack for each run of adjoining pieces.
Source: docs/ledger.md, Trades (untraded energy); DESIGN.md, The simulator is a witness.
"""

from __future__ import annotations

from typing import Any

from firmware_sim.audit.facts import Facts, Meter
from firmware_sim.audit.finding import Findings

CODE = "STANDBY"
RUN_SLACK_WH = 3
"""Per run of adjoining pieces: 1 Wh of rounding, 2 Wh that flow between a session's ends and the readings nearest to them."""


def check_standby(book: dict[str, Any], facts: Facts, *, meter: Meter, findings: Findings) -> None:
    """Record import declared as STANDBY beyond the limit of the meter's EVSE, and any export."""
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
