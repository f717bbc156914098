"""kill -9 of the daemon while cars charge and sell: it is started again and nothing is lost, doubled or invented."""

import asyncio
import random
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from edgegw.demo.orchestrator import Orchestrator, read_json
from tests.support.disturbance import (
    QUARTER_S,
    Aftermath,
    check_settled,
    day,
    kill,
    local_s,
    now_s,
    play,
    until,
)

FIRST, SALE, LAST = "13:15", "15:20", "17:45"  # the first car has come, cars sell, the last one has not gone
DEAD_S = 2_100  # contains a whole quarter hour, whenever it begins
AFTER_START_S = 0.5  # real
SPEED = 400
EARLY_S = 800  # the sale would end by itself soon after


@dataclass(slots=True)
class Killer:
    """Kills at random moments; once, in the middle of a sale, for long. Times are simulated."""

    seed: int
    kills: int
    long_death_s: tuple[float, float] = (0.0, 0.0)
    done: int = 0

    async def __call__(self, stage: Orchestrator) -> None:
        chance = random.Random(self.seed)
        before = self.kills // 2
        await self._die(stage, chance, before, local_s(FIRST), local_s(SALE))
        await self._die_long(stage)
        await self._die(stage, chance, self.kills - before - 1, now_s(stage), local_s(LAST))

    async def _die(self, stage: Orchestrator, chance: random.Random, kills: int, *span_s: float) -> None:
        """Once in each of as many equal parts of the span, at whatever the daemon does then.

        Of three kills one may hit a daemon that still starts; the others wait until it has come up.
        """
        begin_s, end_s = span_s
        for number in range(kills):
            await until(stage, begin_s + (number + chance.random()) * (end_s - begin_s) / kills)
            if number % 3:
                await come_up(stage)
                await asyncio.sleep(chance.random() * AFTER_START_S)
            await kill(stage, "daemon")
            await stage.start_daemon()
            self.done += 1

    async def _die_long(self, stage: Orchestrator) -> None:
        """Wait until cars discharge in the running quarter hour, and let the daemon be dead for more than half an hour."""
        while not sells(stage):
            assert now_s(stage) < local_s(LAST), "no car sold anything"
            await asyncio.sleep(0.05)
        died_s = await kill(stage, "daemon")
        await until(stage, died_s + DEAD_S)
        self.long_death_s = (died_s, now_s(stage))
        await stage.start_daemon()
        self.done += 1


async def come_up(stage: Orchestrator) -> None:
    """Wait until the restarted daemon has written its status."""
    while stage.status().get("pid") != stage.parts["daemon"].process.pid:
        assert now_s(stage) < local_s(LAST), "the machine was too slow to start the daemon again that often"
        await asyncio.sleep(0.05)


def sells(stage: Orchestrator) -> bool:
    """Whether power flowed out of cars in the running quarter hour, by the world's own word, and much of it is left."""
    world, at_s = read_json(stage.places.world_status), now_s(stage)
    said_s = datetime.fromisoformat(world["utc"]).timestamp()
    same = said_s // QUARTER_S == at_s // QUARTER_S
    return same and at_s % QUARTER_S < EARLY_S and world["power_out_w"] > 0


def check_alone(after: Aftermath, killer: Killer) -> None:
    """While the daemon was dead no car went on discharging: the true registers stood still for whole quarter hours."""
    died_s, back_s = killer.long_death_s
    first_s = -(-int(died_s) // QUARTER_S) * QUARTER_S
    assert first_s + QUARTER_S <= back_s
    assert after.exported_mwh(first_s - QUARTER_S, first_s) > 0, "nothing was sold when the daemon died"
    while first_s + QUARTER_S <= back_s:
        assert after.exported_mwh(first_s, first_s + QUARTER_S) == 0
        first_s += QUARTER_S


async def check_kills(folder: Path, killer: Killer) -> Aftermath:
    after = await play(folder, day(folder, seed=killer.seed, speed=SPEED), killer)
    assert killer.done == killer.kills
    assert sum(line["event"] == "gateway.started" for line in after.log()) > killer.kills // 2
    check_settled(after)
    check_alone(after, killer)
    return after


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.nightly)])
async def test_ten_kills(tmp_path: Path, seed: int) -> None:
    """Ten kills in a day of five EVSEs, one of them long: the books agree, no trade twice, no sale without a gateway.

    A car may stay short of its energy here: after each kill its charger waits real seconds before it connects again,
    which are as many minutes of the simulated day. It is counted as refused with its code.
    """
    after = await check_kills(tmp_path, Killer(seed=seed, kills=10))
    assert after.numbers["ledger"]["export_wh"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 30))
async def test_two_hundred_kills(tmp_path: Path, seed: int) -> None:
    """Two hundred kills in twenty days: the same holds."""
    await check_kills(tmp_path, Killer(seed=seed, kills=10))
