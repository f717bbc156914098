"""The ledger's peer goes away for two hours of a day, or forgets what it acknowledged: everything settles afterwards."""

import asyncio
import json
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
import pytest

from edgegw.demo.orchestrator import Orchestrator
from tests.support.disturbance import (
    QUARTER_S,
    check_settled,
    day,
    kill,
    local_s,
    now_s,
    play,
    until,
)

DOWN, UP = "15:20", "17:20"
CARS = (
    ("13:10", "17:55", "6.000", "A"),  # these two sell from 15:00 on
    ("13:20", "18:00", "8.250", "B"),
    ("14:30", "18:00", "16.500", "C"),  # charges through it all
    ("16:00", "16:40", "3.000", "D"),  # comes and goes while nobody can open its hold
    ("17:30", "18:05", "2.000", "E"),
)
REASONS = {"PRICE_NOT_FIXED", "LATE_PRICE", "PEER_DOWN"}
NO_LEDGER = {"LEDGER_TIMEOUT", "EXPIRED"}


@dataclass(slots=True)
class Outage:
    """The peer ends by a signal and comes back on the same address and data. Times are simulated."""

    number: signal.Signals
    down_s: float = 0.0
    up_s: float = 0.0

    async def __call__(self, stage: Orchestrator) -> None:
        await until(stage, local_s(DOWN))
        self.down_s = await kill(stage, "peer", self.number)
        await until(stage, local_s(UP))
        await stage.start_peer()
        self.up_s = now_s(stage)


@pytest.mark.nightly
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)],
    ids=["SIGKILL", "SIGTERM"],
)
async def test_two_hours_without_a_peer(tmp_path: Path, number: signal.Signals) -> None:
    """Energy charged meanwhile is retail with its reason, nothing was sold, and all of it is on the ledger at the end."""
    outage = Outage(number)
    plan = day(tmp_path, CARS)
    after = await play(tmp_path, plan, outage)
    check_settled(after)
    # Prices are fixed shortly after the cut-off; those of the intervals that follow never were.
    first_s = -(-int(outage.down_s + plan.cutoff_s) // QUARTER_S) * QUARTER_S
    intervals = range(first_s, int(outage.up_s) - QUARTER_S + 1, QUARTER_S)
    assert len(intervals) >= 5
    meanwhile = [trade for trade in after.trades if trade.interval in intervals]
    assert sum(trade.energy_wh for trade in meanwhile) > 5_000
    assert {(trade.direction, trade.kind) for trade in meanwhile} == {("import", "RETAIL")}
    assert {trade.reason for trade in meanwhile} <= REASONS
    assert after.exported_mwh(intervals[0], intervals[-1] + QUARTER_S) == 0
    assert REASONS & set(after.numbers["retail_reasons"])
    assert after.numbers["ledger"]["export_wh"] > 0, "the day sold nothing before the outage"
    assert set(after.numbers["refused"]) <= NO_LEDGER, "only the car that came meanwhile is not served"


@dataclass(slots=True)
class Forgetting:
    """Now and then the peer forgets what it acknowledges, or denies what it took; each time it is killed soon after."""

    seed: int
    times: list[float] = field(default_factory=list)

    async def __call__(self, stage: Orchestrator) -> None:
        chance = random.Random(self.seed)
        switches = ["forget", "unavailable_after"] * 3
        for number, switch in enumerate(switches):
            await until(stage, local_s("13:30") + (number + chance.random() / 2) * 2_400)
            await set_faults(stage.endpoint, **{switch: 3})
            await asyncio.sleep(0.3 + chance.random())
            self.times.append(await kill(stage, "peer", signal.SIGKILL))
            await stage.start_peer()


async def set_faults(endpoint: str, **switches: int) -> None:
    """Tell a peer that was started with fault switches which of them are on."""
    async with grpc.aio.insecure_channel(endpoint) as channel:
        await channel.unary_unary("/edgegw.Peer/SetFaults")(json.dumps(switches).encode())


async def test_a_peer_that_forgets_and_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although Submit answered OK or UNAVAILABLE and the peer was killed, only commits count, and each trade is there once."""
    monkeypatch.setenv("EDGEGW_PEER_FAULTS", "{}")
    forgetting = Forgetting(seed=1)
    after = await play(tmp_path, day(tmp_path, CARS), forgetting)
    assert len(forgetting.times) == 6
    check_settled(after)
    assert after.numbers["ledger"]["export_wh"] > 0
    assert after.numbers["market_wh"] > 0
