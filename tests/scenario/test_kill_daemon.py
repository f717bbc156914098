"""kill -9 of the daemon while cars charge and sell: it is started again and nothing is lost, doubled or invented."""

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgegw.demo.stage import Stage
from tests.scenario.disturbance import (
    QUARTER_S,
    SPEED,
    Aftermath,
    check_settled,
    day,
    kill,
    local_s,
    now_s,
    play,
    until,
)

FIRST, LAST = "13:15", "17:45"  # from the first car to after the last one has gone
SALE = "15:20"
DEAD_S = 2_100  # contains a whole quarter hour, whenever it begins
LIVE_S_MIN = 60.0


@dataclass(slots=True)
class Killer:
    """Kills at random moments; once, in the middle of a sale, for long. Times are simulated."""

    seed: int
    kills: int
    long_death_s: tuple[float, float] = (0.0, 0.0)
    selling_w: int = 0
    done: int = 0

    async def __call__(self, stage: Stage) -> None:
        chance = random.Random(self.seed)
        span_s = (local_s(FIRST), local_s(LAST))
        for at_s in sorted(chance.uniform(*span_s) for _ in range(self.kills - 1)):
            if not self.selling_w and at_s > local_s(SALE):
                await self._die_long(stage)
            await until(stage, at_s)
            await kill(stage, "daemon")
            await stage.start_daemon()
            self.done += 1

    async def _die_long(self, stage: Stage) -> None:
        """Wait until the daemon says that cars discharge, and let it be dead for more than half an hour."""
        await until(stage, local_s(SALE))
        while not (exported_w := stage.status().get("export_w", 0)):
            assert now_s(stage) < local_s(LAST), "no car sold anything"
            await asyncio.sleep(0.1)
        self.selling_w = exported_w
        died_s = await kill(stage, "daemon")
        await until(stage, died_s + DEAD_S)
        self.long_death_s = (died_s, now_s(stage))
        await stage.start_daemon()
        self.done += 1


def check_alone(after: Aftermath, killer: Killer) -> None:
    """While the daemon was dead no car went on discharging: the true registers stood still for a whole quarter hour."""
    died_s, back_s = killer.long_death_s
    first_s = -(-int(died_s) // QUARTER_S) * QUARTER_S
    assert killer.selling_w > 0
    assert after.exported_mwh(first_s - QUARTER_S, first_s) > 0, "nothing was sold when the daemon died"
    while first_s + QUARTER_S <= back_s:
        assert after.exported_mwh(first_s, first_s + QUARTER_S) == 0
        first_s += QUARTER_S


async def check_kills(folder: Path, killer: Killer) -> Aftermath:
    after = await play(folder, day(folder, seed=killer.seed, speed=SPEED), killer)
    print(after.numbers, after.settlement.faults)
    boots = sum(line["event"] == "gateway.started" for line in after.log())
    assert killer.done == killer.kills
    check_settled(after)
    check_alone(after, killer)
    assert boots > 1
    return after


@pytest.mark.parametrize("seed", [1, 2])
async def test_ten_kills(tmp_path: Path, seed: int) -> None:
    """Ten kills in a day of four EVSEs, one of them long: the books agree, no trade twice, no sale without a gateway."""
    after = await check_kills(tmp_path, Killer(seed=seed, kills=10))
    assert after.numbers["ledger"]["export_wh"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 30))
async def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    """The same, two hundred kills in twenty days."""
    await check_kills(tmp_path, Killer(seed=seed, kills=10))
