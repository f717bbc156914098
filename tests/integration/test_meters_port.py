"""All meters of a station over real sockets: one connection an address, meters that come while it runs, adoption, progress."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edgegw.common.clock import StationClock
from edgegw.common.errors import ConfigError, DeviceError
from edgegw.core.events import Event, MeterAdopted, MeterReadFailed, RegisterRead
from edgegw.core.metering import MeterAccount, measure
from edgegw.core.state import Settings, Station
from edgegw.core.station import new_station, step
from edgegw.meters import bus as bus_module
from edgegw.meters.adopt import adopt_command
from edgegw.meters.meter_port import Meters, MeterSettings
from edgegw.meters.profile import named_profile
from tests.support.modbus_bus import serve_bus
from tests.support.patience import until

SDM = named_profile("eastron-sdm630")


def meter(meter_id: str, port: int, unit_id: int = 1) -> MeterSettings:
    return MeterSettings(
        meter_id=meter_id, profile=SDM, host="127.0.0.1", port=port, unit_id=unit_id, poll_s=900
    )


@asynccontextmanager
async def running(*meters: MeterSettings) -> AsyncIterator[tuple[Meters, list[Event]]]:
    events: list[Event] = []
    made = Meters(meters, StationClock(), events.append)
    task = asyncio.create_task(made.run())
    try:
        yield made, events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def read_ids(events: list[Event]) -> set[str]:
    return {event.meter_id for event in events if isinstance(event, RegisterRead)}


async def test_meters_come_while_it_runs() -> None:
    """From no meter to three: at a new address, or on a running bus, which keeps its one connection."""
    async with (
        serve_bus(a="eastron-sdm630", b="eastron-sdm630") as one,
        serve_bus(c="eastron-sdm630") as two,
        running() as (meters, events),
    ):
        assert meters.turned_s() == 0.0
        await asyncio.sleep(0)
        meters.adopt(meter("A", one.port))
        await until(lambda: read_ids(events) == {"A"})
        meters.adopt(meter("B", one.port, 2))
        meters.adopt(meter("C", two.port))
        await until(lambda: read_ids(events) == {"A", "B", "C"})
        assert len(meters._buses) == 2
        with pytest.raises(ConfigError, match="'B' is read already"):
            meters.adopt(meter("B", two.port))
        count = len(events)
        meters.request("B")
        await until(lambda: len(events) > count)
        assert 0.0 <= meters.turned_s() < 5.0


async def test_all_behind_an_address_where_nobody_listens_are_told() -> None:
    """If no connection can be made, all meters at the address are unreachable, not only the first one read."""
    async with serve_bus(a="eastron-sdm630") as gone:
        port = gone.port
    async with running(meter("A", port), meter("B", port, 2)) as (_meters, events):
        await until(lambda: len(events) >= 2)
    failed = [event for event in events if isinstance(event, MeterReadFailed)]
    assert {event.meter_id for event in failed} == {"A", "B"}
    assert {(event.reason, event.code, event.detail) for event in failed} == {
        ("unreachable", "EGW-2005", f"no connection to 127.0.0.1:{port} within 0.5 s")
    }


async def test_a_bus_that_has_nothing_to_do_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus between two distant polls shows progress; one that hangs in a call does not."""
    monkeypatch.setattr(bus_module, "SLEEP_LONGEST_S", 0.02)
    async with serve_bus(a="eastron-sdm630") as one, running(meter("A", one.port)) as (meters, events):
        await until(lambda: bool(events))
        (bus,) = meters._buses.values()
        marks = set()
        await until(lambda: marks.add(bus._turned_at) or len(marks) >= 4)  # type: ignore[func-returns-value]  # a mark
    stopped = time.monotonic() - bus._turned_at
    assert meters.turned_s() >= stopped


# --- the control command --------------------------------------------------------------------------------------------


class Desk:
    """A station with one meter, whose reading comes as soon as it is adopted, or never."""

    def __init__(self, *, silent: bool = False) -> None:
        settings = Settings(station_id="S", zone="Z", gateway_id="G", evses={}, meter_evse={}, nonce_key=b"k")
        account = MeterAccount(meter_id="M", meter_ref="M", power_w_max=22_000)
        self.station = new_station(settings, {"M": account})
        self.silent = silent
        self.now_ns = 10**18
        self.read("7", 100)

    def read(self, serial: str, import_wh: int) -> None:
        self.now_ns += 10**9
        self.take(
            RegisterRead(
                meter_id="M", t0_ns=self.now_ns, t1_ns=self.now_ns, import_mwh=import_wh * 1000,
                export_mwh=5_000, power_w=None, serial=serial,
            )
        )  # fmt: skip

    def take(self, event: Event) -> None:
        self.station = step(self.station, event, self.now_ns).station
        if isinstance(event, MeterAdopted) and not self.silent:
            self.read(event.serial, 8)

    def now(self) -> Station:
        return self.station


async def test_adopting_a_meter_that_was_replaced() -> None:
    """The answer says who was and who is there, and where the new epoch starts."""
    desk = Desk()
    desk.read("8", 7)
    assert await adopt_command(desk.now, desk.take)({"meter_id": "M"}) == {
        "meter_id": "M", "was": "7", "is": "8", "epoch": 2, "import_wh": 8, "export_wh": 5,
    }  # fmt: skip


async def test_nothing_to_adopt() -> None:
    """A meter that is unknown, that was not replaced, or that falls silent: each is said, and the first two change nothing."""
    desk = Desk(silent=True)
    before = desk.station
    adopt = adopt_command(desk.now, desk.take, answer_s=0.01)
    with pytest.raises(DeviceError, match="no meter 'X' is configured; configured meters: M"):
        await adopt({"meter_id": "X"})
    with pytest.raises(DeviceError, match="meter M was not replaced: its serial number is 7"):
        await adopt({"meter_id": "M"})
    assert desk.station == before
    desk.read("8", 7)
    with pytest.raises(DeviceError, match=r"8 is adopted, but no reading arrived within 0.01 s"):
        await adopt({"meter_id": "M"})
    account = desk.station.meters["M"]
    reading = RegisterRead(
        meter_id="M", t0_ns=desk.now_ns + 1, t1_ns=desk.now_ns + 1, import_mwh=8_000, export_mwh=0, power_w=None, serial="8"
    )  # fmt: skip
    assert measure(replace(account), reading).epoch_opened
