"""The daemon's present as a file: complete, atomic, of the station as it stands."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from edgegw import status
from edgegw.core.market import CHARGE
from edgegw.core.metering import MeterAccount
from edgegw.core.station import new_station
from edgegw.ops.lag import LagProbe
from edgegw.status import Board
from tests.core_bench import T0_S, Bench, S, settings
from tests.gateway_fakes import FakeClock


def board(path: Path) -> Board:
    clock = FakeClock()
    clock.at_ns = (T0_S + 70) * S
    return Board(path, clock=clock, lag=LagProbe(clock))


def test_the_present_of_a_station(tmp_path: Path) -> None:
    """Sessions, power in and out, the interval's prices, polls and what is open."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.active()
    bench.go(70)
    bench.read("MA1", 1_036)
    bench.read("MA2", 1_000, 9)
    path = tmp_path / "status.json"
    board(path).write(bench.station, (10, 1))
    present = json.loads(path.read_text())
    assert (present["sessions"], present["chargers_online"], present["holds_open"]) == (1, 3, 1)
    assert (present["import_w"], present["export_w"]) == (14_400, 3_240)
    assert present["prices"] == {"CHARGE": 100_000}
    assert present["polls"] == {"done": 10, "lost": 1}
    assert present["interval"] == T0_S
    assert present["tally"]["sessions"] == 1
    assert present["meters_read"] == 3


async def test_it_is_rewritten_until_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader always finds a whole file; a station that was never read says so."""
    monkeypatch.setattr(status, "EVERY_S", 0.001)
    path = tmp_path / "status.json"
    unread = new_station(settings(), {"MA1": MeterAccount(meter_id="MA1", meter_ref="R", power_w_max=1)})
    stations = [unread, unread]
    task = asyncio.create_task(
        board(path).run(lambda: stations.pop() if len(stations) > 1 else stations[0], lambda: (0, 0))
    )
    async with asyncio.timeout(10):
        while not path.exists() or len(stations) > 1:  # noqa: ASYNC110 - a file is no event
            await asyncio.sleep(0.001)
    present = json.loads(path.read_text())
    assert (present["meters_cut_ns"], present["prices"]) == (0, {})
    assert len(stations) == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
