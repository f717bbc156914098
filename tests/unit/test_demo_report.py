"""The settlement reports every equation that does not hold, and every sign of a machine that is too slow."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.demo.books import Boundaries, refusals
from edgegw.demo.functions import SEVEN, TRANSFER
from edgegw.demo.report import Evidence, settle

TOKENS = {"minted": 100, "burned": 40, "supply": 60, "available": 30, "held": 10, "pending": 20}
ENERGY = {
    "generation": 1_000,
    "outside": 500,
    "grid": 200,
    "industry": 300,
    "conversion": 900,
    "loss": 0,
    "expired": 100,
    "available": 250,
    "held": 50,
    "pending": 100,
}
GOOD = Evidence(
    sessions=3,
    served=2,
    refused={"EVSE_BUSY": 1},
    wanted_wh=1_200,
    metered={"import": 1_005, "export": 300},
    untraded={("import", "STANDBY"): 5},
    witness={"import": 1_005, "export": 300},
    audit={
        "verified": True,
        "findings": [],
        "trades": 7,
        "ledger": {"import_wh": 1_000, "export_wh": 300},
        "direct_wh": 2_000,
        "functions": {"SignUp": 3, "Update": 1, "transfer": 1, "RecordTrades": 4},
    },
    totals={"tokens": TOKENS, "energy": ENERGY},
    tally={"market_wh": 800, "retail_wh": 200, "retail_reasons": {"NO_SLICE": 200}, "sold_wh": 300},
    weights_ppm=(200_000, 800_000, 200_000),
    required=SEVEN,
    asked={"totalSupply": 1, "balanceOf": 1, "historyAPI": 2, "DetermineCost": 9},
    boundaries=Boundaries(errors_wh=(0, 1, 9), beyond=0),
    status={"polls": {"done": 990, "lost": 10}, "clock_lag_s": {"p50": 0.1, "p99": 1.0, "max": 2.0}},
    blocks=12,
    wall_seconds=61.23,
)
KEYS = {
    *("sessions", "served", "trades", "metered", "ledger", "untraded", "witness", "wanted_wh", "market_wh"),
    *("retail_wh", "retail_reasons", "tokens", "energy", "refused", "price_weights", "blocks", "polls"),
    *("clock_lag_s", "boundary_error_wh", "conserved", "verified", "wall_seconds"),
}


def test_what_agrees() -> None:
    """A run without faults is settled with all numbers; one lost poll in a hundred is allowed."""
    settlement = settle(GOOD)
    assert settlement.agrees
    assert set(settlement.numbers) == KEYS
    assert settlement.numbers["conserved"] is settlement.numbers["verified"] is True
    assert settlement.numbers["untraded"] == {"import_wh": 5, "export_wh": 0, "by_code": {"STANDBY": 5}}
    assert settlement.numbers["price_weights"] == {"min": 200_000, "max": 800_000, "distinct": 2}
    assert settlement.numbers["boundary_error_wh"] == {"p50": 1, "p99": 9, "max": 9}


@pytest.mark.parametrize(
    "change",
    [
        {"metered": {"import": 1_006, "export": 300}},
        {"witness": {"import": 1_005, "export": 301}},
        {"untraded": {("import", "STANDBY"): 4}},
        {"tally": {**GOOD.tally, "market_wh": 801}},
        {"tally": {**GOOD.tally, "sold_wh": 299}},
        {"totals": {"tokens": {**TOKENS, "supply": 61}, "energy": ENERGY}},
        {"totals": {"tokens": {**TOKENS, "pending": 21}, "energy": ENERGY}},
        {"totals": {"tokens": TOKENS, "energy": {**ENERGY, "grid": 201}}},
    ],
)
def test_one_unit_too_much_is_not_conserved(change: dict[str, Any]) -> None:
    """One Wh or milli-token anywhere breaks an equation, and the run fails."""
    settlement = settle(replace(GOOD, **change))
    assert settlement.numbers["conserved"] is False
    assert not settlement.agrees


def test_the_auditor_decides_verified() -> None:
    """Findings, a missing verdict and no answer at all are not verified."""
    for audit in ({**GOOD.audit, "verified": False, "findings": ["block 3"]}, {}):
        settlement = settle(replace(GOOD, audit=audit))
        assert settlement.numbers["verified"] is False
        assert not settlement.agrees


@pytest.mark.parametrize(
    "change",
    [
        {"status": {**GOOD.status, "polls": {"done": 989, "lost": 11}}},
        {"boundaries": Boundaries(errors_wh=(500,), beyond=1)},
    ],
)
def test_a_slow_machine_fails(change: dict[str, Any]) -> None:
    """More than one lost poll in a hundred, or a cut beyond its bound, fails a run that is conserved and verified."""
    settlement = settle(replace(GOOD, **change))
    assert settlement.numbers["conserved"] is settlement.numbers["verified"] is True
    assert "too slow" in settlement.faults[0]


@pytest.mark.parametrize("missing", sorted(SEVEN))
def test_each_of_the_seven_functions_is_used(missing: str) -> None:
    """A required function that was neither committed nor answered fails the run by name; another may be missing."""
    functions = {name: count for name, count in GOOD.audit["functions"].items() if name != missing}
    asked = {name: count for name, count in GOOD.asked.items() if name != missing}
    without = replace(GOOD, audit={**GOOD.audit, "functions": functions}, asked=asked)
    assert settle(without).faults == (f"{missing} was never used",)
    assert settle(replace(without, required=SEVEN - {missing})).agrees


def test_a_sunny_noon_has_a_direct_sale() -> None:
    """A transfer of the direct sale that moved nothing fails the run, unless there was no noon."""
    idle = replace(GOOD, audit={**GOOD.audit, "direct_wh": 0})
    assert "direct sale" in settle(idle).faults[0]
    assert settle(replace(idle, required=SEVEN - {TRANSFER})).agrees


def test_a_lost_session_fails() -> None:
    """Every session is served or refused."""
    assert not settle(replace(GOOD, served=1)).agrees


def visit(outcome: str, hour: int) -> dict[str, str]:
    return {
        "outcome": outcome,
        "arrival": f"2019-06-10T{hour:02}:00:00.000Z",
        "departure": f"2019-06-10T{hour:02}:59:00.000Z",
    }


def test_why_a_car_was_not_served() -> None:
    """The station's own refusal during the visit explains it; else the witness's word does; none is left out."""
    noon_ns = 1_560_168_000 * 10**9
    visits = [
        visit("served", 10),
        visit("refused:EVSE_BUSY", 12),
        visit("refused:Blocked", 12),
        visit("refused:Blocked", 13),
        visit("short", 14),
        visit("waiting", 15),
    ]
    station = [{"evse_id": "E1", "at_ns": noon_ns + 60 * 10**9, "code": "ZERO_TOKENS"}]
    served, codes = refusals({"evses": {"E1": {"visits": visits}}}, station, {"NO_STAY": 2})
    assert served == 1
    assert codes == {
        "EVSE_BUSY": 1,
        "ZERO_TOKENS": 1,
        "BLOCKED": 1,
        "UNDERSERVED": 1,
        "NOT_STARTED": 1,
        "NO_STAY": 2,
    }
