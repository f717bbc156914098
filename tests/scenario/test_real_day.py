"""The real day, 51 EVSEs and a third of the cars selling, in each version of OCPP: every promise of its settlement.

The long form: `make soak` runs it, one day after the other, on a machine that has nothing else to do.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEEK = ROOT / "configs" / "scenarios" / "data" / "acn_jpl_2019-06-10_week.csv"
WALL_S = 300  # the aim on two idle cores; told, not judged, because a shared machine proves nothing about it
LIMIT_S = 900


def played(version: str, folder: Path) -> dict[str, Any]:
    """The day's settlement; the exit status must be 0."""
    options = {"--sessions": WEEK, "--day": "2019-06-10", "--v2g-share": "0.3", "--ocpp": version}
    words = [str(word) for option in {**options, "--data": folder / "run"}.items() for word in option]
    run = subprocess.run(
        [sys.executable, "-m", "edgegw.cli", "demo", *words, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    numbers: dict[str, Any] = json.loads(run.stdout)
    return numbers


def untraded_beside_standby_wh(numbers: dict[str, Any]) -> dict[str, int]:
    """Untraded energy by direction; standby is import outside sessions."""
    untraded = numbers["untraded"]
    standby_wh = untraded["by_code"].get("STANDBY", 0)
    return {"import_wh": untraded["import_wh"] - standby_wh, "export_wh": untraded["export_wh"]}


@pytest.mark.soak
@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1", "mixed"])
def test_the_real_day_keeps_every_promise(version: str, tmp_path: Path) -> None:
    """Conserved, verified, served, traded at market price, discharged and sold, nearly nothing untraded, few polls lost."""
    numbers = played(version, tmp_path)
    print(f"{version}: {numbers['wall_seconds']} s (aim: {WALL_S} s)")
    assert numbers["conserved"] is numbers["verified"] is True
    assert numbers["sessions"] > 50
    assert numbers["served"] + sum(numbers["refused"].values()) == numbers["sessions"]
    assert numbers["served"] * 100 >= numbers["sessions"] * 95
    assert numbers["metered"] == numbers["witness"]
    assert numbers["market_wh"] + numbers["retail_wh"] == numbers["ledger"]["import_wh"]
    assert numbers["market_wh"] * 100 >= numbers["ledger"]["import_wh"] * 30
    assert numbers["ledger"]["export_wh"] >= 20_000
    for direction, untraded_wh in untraded_beside_standby_wh(numbers).items():
        assert untraded_wh * 1000 < numbers["metered"][direction] * 5, direction
    weights = numbers["price_weights"]
    assert weights["distinct"] > 1
    assert weights["min"] < weights["max"]
    polls = numbers["polls"]
    assert polls["lost"] * 100 <= polls["done"] + polls["lost"]
