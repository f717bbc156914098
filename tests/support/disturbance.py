"""Run a station day of real processes with a disturbance, and check what must hold after every such day.

It runs `edgegw.demo` with a coroutine beside it, and reads the settlement, the sealed books and the trades in the raw
blocks.
"""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgegw.demo.documents import Places
from edgegw.demo.live_view import View
from edgegw.demo.orchestrator import Orchestrator, TooSlowError
from edgegw.demo.plan import DayPlan, Fault, Wishes, plan_day, read_sessions
from edgegw.demo.report import Settlement
from edgegw.demo.run import Run
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.identity import Roots
from firmware_sim.audit.replay import Replay
from firmware_sim.audit.trades import Traded, Trades

ROOT = Path(__file__).resolve().parents[2]
SPEED = 480
QUARTER_S = 900
TRIES = (1, 2, 4, 8)  # multiples of the estimated set-up time: a busy machine needs more
Beside = Callable[[Orchestrator], Awaitable[None]]

# Each car has its hours of 2019-06-10, its kWh and its EVSE. Those that stay beyond 15:00, when the peak begins, may
# sell; the others come and go around them.
CARS = (
    ("13:10", "17:40", "6.000", "A"),
    ("13:20", "17:50", "8.250", "B"),
    ("13:30", "16:00", "9.512", "C"),
    ("13:40", "17:30", "7.125", "D"),
    ("13:50", "15:30", "5.101", "E"),
    ("15:50", "17:40", "4.203", "E"),
    ("16:20", "17:45", "3.004", "C"),
)
# Untraded energy has one of these codes; any other code is a fault in the books.
HONEST = {"STANDBY", "NO_SESSION", "NO_HOLD", "NO_SLICE", "NO_PRICE", "EXCEEDS_HOLD", "DISPUTED"}


def local_s(hours: str) -> int:
    """Return the UTC seconds of a local time of the day."""
    return round(datetime.fromisoformat(f"2019-06-10 {hours}:00-07:00").timestamp())


def day(
    folder: Path,
    cars: Sequence[tuple[str, str, str, str]] = CARS,
    *,
    v2g_share: str = "0.4",
    seed: int = 1,
    speed: int = SPEED,
    faults: Sequence[Fault] = (),
) -> DayPlan:
    """Return the plan of a day."""
    path = folder / "sessions.csv"
    rows = [
        f"2019-06-10 {come}:00-07:00,2019-06-10 {go}:00-07:00,{kwh},{evse}" for come, go, kwh, evse in cars
    ]
    path.write_text("\n".join(["arrival,departure,delivered_energy_kwh,evse", *rows, ""]), encoding="utf-8")
    plan = plan_day(read_sessions(path), Wishes(v2g_share=Decimal(v2g_share), seed=seed, speed=speed))
    return replace(plan, faults=tuple(faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The results of a day: `trades` are the station's, from the blocks; `facts` are as the station exported them."""

    plan: DayPlan
    places: Places
    settlement: Settlement
    sealed: dict[str, Any]
    trades: tuple[Traded, ...]

    @property
    def numbers(self) -> dict[str, Any]:
        """The settlement's numbers."""
        return self.settlement.numbers

    def log(self) -> list[dict[str, Any]]:
        """Return the daemon's log, of all its processes."""
        lines = (self.places.root / "logs" / "daemon.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def exported_mwh(self, begin_s: int, end_s: int) -> int:
        """Return the true export of all EVSEs between two quarter hours."""
        total = 0
        for book in self.sealed["evses"].values():
            marks = {mark["utc_s"]: mark["export_mwh"] for mark in book["quarters"]}
            total += marks[end_s] - marks[begin_s]
        return total


async def play(folder: Path, plan: DayPlan, beside: Beside | None = None) -> Aftermath:
    """Run a day with `beside`; fail if no try sets it up in time."""
    places = Places(root=folder / "run", configs=ROOT / "configs")
    settlements: list[Settlement] = []
    late: TooSlowError | None = None
    with View(plan, to_stderr=True) as view:
        run = Run(plan=plan, places=places, view=view, settled=settlements.append, beside=beside, tries=TRIES)
        try:
            await run.run()
        except TooSlowError as fault:
            late = fault
    if not settlements:
        pytest.fail(f"the machine was too slow for this test, nothing else is known: {late}")
    return Aftermath(
        plan=plan,
        places=places,
        settlement=settlements[0],
        sealed=json.loads(places.books.read_text(encoding="utf-8")),
        trades=_trades(places),
    )


def _trades(places: Places) -> tuple[Traded, ...]:
    findings = Findings()
    trades = Trades(findings)
    roots = Roots(json.loads((places.crypto / "trust.json").read_text(encoding="utf-8")))
    Replay(roots=roots, findings=findings, checks=(trades,)).run(places.blocks.read_bytes())
    return tuple(trade for trade in trades.all if trade.kind != "DIRECT")


def check_settled(after: Aftermath) -> None:
    """Check that the day is conserved and verified, no trade is doubled, every car is counted, and codes are allowed.

    The settlement's limit on lost polls is left out: a killed daemon does not poll.
    """
    numbers = after.numbers
    assert numbers["conserved"], after.settlement.faults
    assert numbers["verified"], after.settlement.faults
    assert numbers["sessions"] == numbers["served"] + sum(numbers["refused"].values()), numbers["refused"]
    assert set(numbers["untraded"]["by_code"]) <= HONEST, numbers["untraded"]
    assert duplicates(after.trades) == []
    for direction in ("import", "export"):
        traded_wh = sum(trade.energy_wh for trade in after.trades if trade.direction == direction)
        assert traded_wh == numbers["ledger"][f"{direction}_wh"]
    tokens = numbers["tokens"]
    assert tokens["held"] == 0, "a hold was left open"


def duplicates(trades: Sequence[Traded]) -> list[str]:
    """Return trades that are there twice, or whose span of the register overlaps another's."""
    counts = Counter(trade.trade_id for trade in trades)
    found = [trade_id for trade_id, count in counts.items() if count > 1]
    ordered = sorted(trades, key=lambda each: (each.meter_ref, each.epoch, each.direction, each.start_wh))
    for one, other in pairwise(ordered):
        same = (one.meter_ref, one.epoch, one.direction) == (other.meter_ref, other.epoch, other.direction)
        if same and one.end_wh > other.start_wh:
            found.append(other.trade_id)
    return found


# --- disturbances ---


def now_s(stage: Orchestrator) -> float:
    """Return simulated UTC seconds now, also before the day has begun."""
    return stage.plan.begin_s + stage.late_s() * stage.plan.speed


async def until(stage: Orchestrator, utc_s: float) -> None:
    """Sleep until a simulated UTC second."""
    await asyncio.sleep(max(0.0, (utc_s - now_s(stage)) / stage.plan.speed))


async def kill(stage: Orchestrator, name: str, number: signal.Signals = signal.SIGKILL) -> float:
    """End a part of the run with a signal and remove it; return the simulated time of its end."""
    child = stage.parts.pop(name)
    child.check()
    child.signal(number)
    await child.process.wait()
    return now_s(stage)
