"""The daemon's status file is complete, written atomically, and current."""

import asyncio
import contextlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from edgegw.core.market import CHARGE
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Station
from edgegw.core.station import new_station
from edgegw.daemon import status
from edgegw.daemon.status import Board
from edgegw.ops.logs import configure
from edgegw.ops.loop_lag import LagProbe
from edgegw.ports.station_health import Signs
from tests.support.core_bench import T0_S, Bench, S, settings
from tests.support.gateway_fakes import FakeClock
from tests.support.patience import PATIENCE_S


def board(path: Path, station: Station) -> Board:
    clock = FakeClock()
    clock.at_ns = (T0_S + 70) * S
    return Board(
        path,
        lag=LagProbe(clock),
        signs=lambda: Signs(now_ns=clock.at_ns, station=station, grid_price={"price": "1.5"}),
        polls=lambda: (10, 1),
    )


def test_the_present_of_a_station(tmp_path: Path) -> None:
    """Sessions, power in and out, the interval's prices, and what is open; the parts come with their level."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.active()
    bench.go(70)
    bench.read("MA1", 1_036)
    bench.read("MA2", 1_000, 9)
    path = tmp_path / "status.json"
    board(path, bench.station).write()
    present = json.loads(path.read_text())
    assert (present["sessions"], present["chargers_online"], present["holds_open"]) == (1, 3, 1)
    assert present["grid_price"] == {"price": "1.5"}
    assert (present["import_w"], present["export_w"]) == (14_400, 3_240)
    assert present["prices"] == {"CHARGE": 100_000}
    assert present["interval"] == T0_S
    assert present["tally"]["sessions"] == 1
    assert present["meters_read"] == 3
    assert present["level"] == "ok"
    evse = next(one for one in present["evses"] if one["meter_id"] == "MA1")
    assert (evse["state"], evse["power_w"], evse["import_mwh"]) == ("in a session", 14_400, 1_036_000)


async def test_it_is_rewritten_until_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader always finds a whole file; polls come with it; the loop shows that it turns."""
    monkeypatch.setattr(status, "EVERY_S", 0.001)
    path = tmp_path / "status.json"
    accounts = {
        name: MeterAccount(meter_id=name, meter_ref=name, power_w_max=1) for name in ("MA1", "MA2", "MB1")
    }
    unread = new_station(settings(), accounts)
    shown = board(path, unread)
    task = asyncio.create_task(shown.run())
    async with asyncio.timeout(PATIENCE_S):
        while not path.exists():  # noqa: ASYNC110 - a file is no event
            await asyncio.sleep(0.001)
    present = json.loads(path.read_text())
    assert (present["meters_cut_ns"], present["prices"]) == (0, {})
    assert present["polls"] == {"done": 10, "lost": 1}
    assert shown.alive()["ok"] is True
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    monkeypatch.setattr(status, "ALIVE_S", 0.0)
    assert shown.alive()["ok"] is False


def test_a_file_that_cannot_be_written_costs_its_readers_only(tmp_path: Path) -> None:
    """If the file cannot be written, the status in memory is still updated, and the daemon continues."""
    shown = board(tmp_path / "nowhere" / "status.json", Bench().station)
    shown.write()
    assert shown.alive()["ok"] is True
    assert shown.present()["station_id"] == "ST"


def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run folder that cannot be written is logged once until it can be; the status in memory is still current."""
    configure("info", "json", sys.stdout)
    folder = tmp_path / "run"
    shown = board(folder / "status.json", Bench().station)
    for _ in range(2):
        shown.write()
    assert shown.present()["level"] == "ok"
    folder.mkdir()
    shown.write()
    assert (folder / "status.json").exists()
    shutil.rmtree(folder)
    shown.write()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in said] == ["status.failed"] * 2
    assert said[0]["reason"] == "No such file or directory"


def test_the_present_that_others_read_is_never_changed() -> None:
    """Threads of the health server get what was renewed last, as a value of its own."""
    shown = board(Path("unused"), Bench().station)
    before = shown.present()
    text = json.dumps(before)
    assert shown.present() is before
    shown.renewed()
    assert json.dumps(before) == text
    assert shown.present() is not before
