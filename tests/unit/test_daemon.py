"""A reload passes through the daemon's parts in order, and a fault ends the daemon with the status of its class."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from edgegw import app
from edgegw.app import exit_status, gateway_log
from edgegw.common.clock import StationClock
from edgegw.common.errors import AddressTakenError, ConfigError, JournalError, leaves
from edgegw.common.sqlite import NewerSchemaError
from edgegw.config.schema import load
from edgegw.core.station import new_station
from edgegw.daemon.running import Daemon, ReloadRefusedError
from edgegw.gateway.inbox import Inbox
from edgegw.ops.control_socket import ControlCommand
from edgegw.ops.loop_lag import LagProbe
from edgegw.ops.sd_notify import ServiceManager
from tests.support.core_bench import settings
from tests.unit.test_config_parts import CHARGER, MAIN


class Parts:
    """The daemon's parts as one fake, which records its calls in order; `gate` delays the chargers' part."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.gate, self.chargers_told = asyncio.Event(), asyncio.Event()
        self.known: set[str] = set()
        self.station = new_station(settings(evses={}, meter_evse={}), {})
        self.level = SimpleNamespace(name="OK")
        self.room = SimpleNamespace(free=1, total=1)

    def knows(self, meter_id: str) -> bool:
        return meter_id in self.known

    def counts(self) -> tuple[int, int]:
        return 0, 0

    def pending_chargers(self) -> tuple[()]:
        return ()

    refusals = connected = pending_chargers

    def reload_tls(self) -> None:
        self.told.append("tls")

    def adopt(self, part: Any) -> Any:
        """Of a meter, of the core, or of the chargers, by what is adopted."""
        if hasattr(part, "meter_id"):
            self.known.add(part.meter_id)
            self.told.append(f"meter {part.meter_id}")
            return None
        if hasattr(part, "evses"):
            self.told.append(f"core {','.join(part.evses)}")
            return None
        return self._chargers(part)

    async def _chargers(self, part: Any) -> None:
        self.told.append(f"chargers {','.join(one.charger_id for one in part.chargers)}")
        self.chargers_told.set()
        await self.gate.wait()


def running(path: Path, parts: Any) -> Daemon:
    clock = StationClock.from_environment({})
    part: Any = dict.fromkeys(
        ("journal", "inbox", "gateway", "chargers", "profiles", "meters", "storage"), parts
    )
    return Daemon(
        path=path,
        config=load(path),
        clock=clock,
        manager=ServiceManager({}),
        publisher=None,
        lag=LagProbe(clock),
        hash_token=str,
        **part,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(MAIN)
    (tmp_path / "station.key").write_text("ab" * 32)
    (tmp_path / "station.key").chmod(0o600)
    return path


def with_charger(path: Path, number: int) -> None:
    (path.parent / "conf.d").mkdir(exist_ok=True)
    charger = CHARGER.format(number=number)
    (path.parent / "conf.d" / f"{number}.toml").write_text(charger)


async def test_the_control_socket_answers_every_command(place: Path) -> None:
    """The daemon answers each command of the closed list that the command line may ask, and no other."""
    daemon = running(place, Parts())
    daemon.inbox = Inbox()
    commands = daemon.commands()
    assert set(commands) == set(get_args(ControlCommand))


async def test_core_and_meters_learn_of_each_other_in_one_go(place: Path) -> None:
    """In one reload the meters are started before the core asks for a reading, also while chargers are still being updated."""
    parts = Parts()
    daemon = running(place, parts)
    with_charger(place, 2)
    reloading = asyncio.create_task(daemon.reload())
    await parts.chargers_told.wait()
    assert parts.told == ["tls", "meter M-1", "meter M-2", "core E-2", "chargers 2"]
    parts.gate.set()
    assert (await reloading)["changed"] == ["meter M-2", "charger 2"]


async def test_reloads_go_one_after_the_other(place: Path) -> None:
    """Two chargers approved at once: the second reload starts from what the first one left, and nothing is forgotten."""
    parts = Parts()
    daemon = running(place, parts)
    with_charger(place, 2)
    first = asyncio.create_task(daemon.reload())
    await parts.chargers_told.wait()
    with_charger(place, 3)
    second = asyncio.create_task(daemon.reload())
    await asyncio.sleep(0)
    parts.gate.set()
    await first
    assert (await second)["changed"] == ["meter M-3", "charger 3"]
    assert [one.id for one in daemon.config.chargers] == ["2", "3"]


async def test_a_refused_reload_touches_no_part(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, a register map, or the certificates: whichever is at fault, nothing of the new file holds."""
    parts = Parts()
    daemon = running(place, parts)
    before = daemon.config
    with_charger(place, 2)
    part = place.parent / "conf.d" / "2.toml"
    part.write_text(part.read_text().replace("abb-b23", "no-such-map"))
    with pytest.raises(ReloadRefusedError, match="no-such-map"):
        await daemon.reload()
    part.write_text(part.read_text().replace("no-such-map", "abb-b23"))

    def refuse() -> None:
        raise ConfigError(("EGW-4003",))

    monkeypatch.setattr(parts, "reload_tls", refuse)
    with pytest.raises(ReloadRefusedError, match="EGW-4003"):
        await daemon.reload()
    assert (parts.told, daemon.config) == ([], before)


def test_only_what_no_start_can_mend_stops_the_restarts(capsys: pytest.CaptureFixture[str]) -> None:
    """78 for the configuration or a newer journal alone; anything beside it may pass, and 69 is tried again."""
    bad, newer = ConfigError(("edgegw.toml:1: x",)), NewerSchemaError("EGW-5002")
    taken = AddressTakenError("ocpp.port", "127.0.0.1:1", OSError(98, "Address already in use"))
    assert exit_status([]) == 0
    assert exit_status([bad, newer]) == 78
    assert capsys.readouterr().err == "edgegw.toml:1: x\nEGW-5002\n"
    assert exit_status([bad, taken]) == exit_status([JournalError("disk")]) == 69


def test_leaves_of_a_group_and_of_a_single_fault() -> None:
    """The leaves of an exception group are found at any depth, in their order."""
    one, two = ValueError("1"), ValueError("2")
    assert leaves(ExceptionGroup("a", [ExceptionGroup("b", [one]), two])) == [one, two]
    assert leaves(one) == [one]


def test_what_a_device_repeats_is_one_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A charger with a wrong clock marks each of its messages: the journal keeps all, the log one of each kind."""
    logged: list[tuple[str, object]] = []
    monkeypatch.setattr(app, "log_event", lambda name, fields: logged.append((name, fields.get("count"))))
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    log = gateway_log(None)
    for code in ("EGW-1214", "EGW-1214", "EGW-1215", "EGW-1214"):
        log("frame.quarantined", {"charger_id": "CP-1", "code": code})
    log("trade.recorded", {})
    log("trade.recorded", {})
    now_s[0] = 61.0
    log("frame.quarantined", {"charger_id": "CP-1", "code": "EGW-1214"})
    assert logged == [
        *(("frame.quarantined", 1), ("frame.quarantined", 1)),
        *(("trade.recorded", None), ("trade.recorded", None)),
        ("frame.quarantined", 3),
    ]
