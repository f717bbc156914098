"""If chargers report a whole visit only after the day's end, the run waits for them, and no hold is left open."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from edgegw.demo.orchestrator import Orchestrator, read_json
from edgegw.demo.plan import Fault
from tests.support.disturbance import day, kill, local_s, now_s, play, until

CARS = tuple(("13:10", "13:40", "2.000", evse) for evse in "ABCDE")
HELD = "13:05"  # from here on no charger's transaction message leaves
ALONE_S = 6.0  # real: by then chargers wait seconds between two attempts, each its own


@dataclass(slots=True)
class Absence:
    """The daemon dies after every card was accepted and before any start was sent, and returns after the day's end."""

    waiting: int = 0

    async def __call__(self, stage: Orchestrator) -> None:
        while self.waiting < len(CARS):
            assert now_s(stage) < stage.plan.end_s, "not every car began"
            world = read_json(stage.places.world_status)
            self.waiting = min(world["waiting_messages"], world["plugged"])
            await asyncio.sleep(0.05)
        await kill(stage, "daemon")
        await asyncio.sleep(ALONE_S)
        await until(stage, stage.plan.end_s)
        await stage.start_daemon()


async def test_a_start_after_the_end_leaves_no_hold(tmp_path: Path) -> None:
    """Every transaction that a charger began is a session of the station, however late it was reported."""
    plan = day(tmp_path, CARS, v2g_share="0")
    held_s = local_s(HELD)
    faults = [
        Fault(kind="late_messages", evse_id=evse.evse_id, at_s=held_s, duration_s=plan.end_s - held_s)
        for evse in plan.evses
    ]
    absence = Absence()
    after = await play(tmp_path, day(tmp_path, CARS, v2g_share="0", faults=faults), absence)
    assert absence.waiting == len(CARS)
    assert after.numbers["tokens"]["held"] == 0, "a hold was left open"
    begun = [line["evse_id"] for line in after.log() if line["event"] == "session.finished"]
    assert sorted(begun) == sorted(evse.evse_id for evse in plan.evses)
