"""The meter bus against real Modbus servers on loopback: guards, recovery, identity, and reads around the quarter hour."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edgegw.common.clock import ClockMapping, StationClock
from edgegw.common.units import INTERVAL_NS, SECOND_NS
from edgegw.meters.bus import BusSettings, MeterBus, UnitSettings, answer_timeout_s
from edgegw.meters.modbus_connection import (
    Framing,
    ModbusConnection,
    ReadError,
    RefusedError,
)
from edgegw.meters.profile import Block, load_profile
from edgegw.meters.reading import ReadFailed, RegisterReading
from firmware_sim.modbus_server import ServedMeter, serve_meter
from tests.support.patience import PATIENCE_S
from tests.support.raw_modbus import answer_frame, raw_server

METERS = Path(__file__).parents[2] / "configs" / "meters"
CUT_NS = 1_560_150_000 // 900 * INTERVAL_NS
PATIENT = BusSettings(poll_s=86_400, timeout_s=5.0)  # a busy machine must not look like an absent meter


def _truth() -> tuple[int, int, int]:
    return 1_234_567_890, 89_012_345, 7360


class Station:
    """A bus under test with everything it emitted."""

    def __init__(self, bus: MeterBus) -> None:
        self.bus = bus
        self.emitted: list[RegisterReading | ReadFailed] = []
        self.on_failure: Callable[[], None] = lambda: None

    def emit(self, item: RegisterReading | ReadFailed) -> None:
        """Take what the bus emits; `on_failure` runs before the bus can ask again."""
        self.emitted.append(item)
        if isinstance(item, ReadFailed):
            self.on_failure()

    @property
    def readings(self) -> list[RegisterReading]:
        return [item for item in self.emitted if isinstance(item, RegisterReading)]

    @property
    def reasons(self) -> list[str]:
        return [item.reason for item in self.emitted if isinstance(item, ReadFailed)]

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():  # noqa: ASYNC110 - a condition over what the bus has emitted, not one event
                await asyncio.sleep(0.005)


def _unit(meter_id: str, name: str, unit_id: int = 1, *, swapped: bool = False) -> UnitSettings:
    profile = load_profile(METERS / f"{name}.json")
    return UnitSettings(meter_id=meter_id, unit_id=unit_id, profile=profile, swapped=swapped)


@asynccontextmanager
async def running(
    port: int, *units: UnitSettings, clock: StationClock | None = None, settings: BusSettings | None = None
) -> AsyncIterator[Station]:
    """Return a bus that polls so rarely that it reads only what the test requests, unless settings are given."""
    settings = settings or PATIENT
    bus = MeterBus(clock or StationClock(), units, host="127.0.0.1", port=port, settings=settings)
    station = Station(bus)
    task = asyncio.create_task(bus.run(station.emit))
    try:
        yield station
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def meter(name: str, *, port: int = 0, serial: str = "4711") -> AsyncIterator[ServedMeter]:
    served = await serve_meter(METERS / f"{name}.json", _truth, unit_id=1, port=port, serial=serial)
    try:
        yield served
    finally:
        await served.stop()


@pytest.mark.parametrize("name", sorted(path.stem for path in METERS.glob("*.json")))
async def test_every_profile_is_read_over_a_socket(name: str) -> None:
    """Each shipped profile gives both registers truncated to its step in one request, and times that enclose the read.

    Power is told where it comes with the energy, and costs no request of its own.
    """
    unit = _unit("m", name)
    before_ns = time.time_ns()
    async with meter(name) as served, running(served.port, unit) as station:
        await station.until(lambda: bool(station.emitted))
    reading = station.readings[0]
    lsb_mwh = unit.profile.import_.lsb_mwh
    assert reading.import_mwh == _truth()[0] // lsb_mwh * lsb_mwh
    assert reading.export_mwh == _truth()[1] // lsb_mwh * lsb_mwh
    profile = unit.profile
    assert reading.power_w == (7360 if profile.power_block == profile.energy_block else None)
    assert before_ns <= reading.t0_ns <= reading.t1_ns <= time.time_ns()
    assert reading.serial == (None if unit.profile.serial is None else "4711")


async def test_a_swapped_meter_is_turned_round() -> None:
    """A meter wired the other way gives its import as our export, and the opposite power."""
    unit = _unit("m", "eastron-sdm630", swapped=True)
    async with meter("eastron-sdm630") as served, running(served.port, unit) as station:
        await station.until(lambda: bool(station.readings))
    reading = station.readings[0]
    assert (reading.import_mwh, reading.export_mwh, reading.power_w) == (89_012_000, 1_234_567_000, -7360)


async def _late_answers(served: ServedMeter, station: Station, delay_s: float) -> None:
    """Three times: one answer later than the timeout, then reads that must be right."""

    def punctual() -> None:
        served.faults.delay_s = 0.0

    station.on_failure = punctual
    await station.until(lambda: bool(station.readings))
    for late in range(1, 4):
        served.faults.delay_s = delay_s
        for _ in range(3):
            count = len(station.readings)
            station.bus.request("m")
            await station.until(lambda count=count: len(station.readings) > count)  # type: ignore[misc]  # bound now
        assert station.reasons == ["no_answer"] * late
    assert {(item.import_mwh, item.export_mwh, item.power_w, item.serial) for item in station.readings} == {
        (1_234_560_000, 89_010_000, None, "4711")
    }


@pytest.mark.parametrize("framing", ["tcp", "rtu-tcp"])
async def test_a_late_answer_is_never_taken_for_another(framing: Framing) -> None:
    """An answer later than the timeout is a failure, and every reading after it is right, with RTU frames too."""
    settings = BusSettings(poll_s=86_400, timeout_s=0.6, framing=framing)
    served = await serve_meter(
        METERS / "abb-b23.json", _truth, unit_id=1, serial="4711", rtu_frames=framing == "rtu-tcp"
    )
    try:
        async with running(served.port, _unit("m", "abb-b23"), settings=settings) as station:
            await _late_answers(served, station, 0.8)
    finally:
        await served.stop()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda request: answer_frame(request, [1] * 11), "wrong_count"),
        (lambda request: answer_frame(request, [1] * 13), "wrong_count"),
        (lambda request: answer_frame(request, [1] * 12, fc=3), "foreign_answer"),
    ],
    ids=["short", "long", "other function"],
)
async def test_an_answer_of_another_shape_is_refused(change: Callable[[bytes], bytes], reason: str) -> None:
    """Too few registers, too many, or another function's: no value, and the connection is not used again."""

    async def answer(request: bytes) -> bytes:
        return change(request)

    async with raw_server(answer) as port:
        line = ModbusConnection("127.0.0.1", port, framing="tcp", timeout_s=PATIENCE_S, gap_s=0.0)
        await line.connect()
        with pytest.raises(ReadError, match=reason):
            await line.request(1, Block(fc=4, start=801, count=12))
        assert not line.connected


async def test_an_answer_of_another_unit_is_never_a_value() -> None:
    """A frame that names another unit gives no registers."""

    async def answer(request: bytes) -> bytes:
        return answer_frame(request, [1] * 12, unit=9)

    async with raw_server(answer) as port:
        line = ModbusConnection("127.0.0.1", port, framing="tcp", timeout_s=0.1, gap_s=0.0)
        await line.connect()
        with pytest.raises(ReadError):
            await line.request(1, Block(fc=4, start=801, count=12))
        assert not line.connected


async def test_a_refusal_keeps_the_connection() -> None:
    """A Modbus exception is reported with its code, and the connection stays open."""
    async with meter("abb-b23") as served:
        line = ModbusConnection("127.0.0.1", served.port, framing="tcp", timeout_s=PATIENCE_S, gap_s=0.0)
        await line.connect()
        with pytest.raises(RefusedError, match="exception_2"):
            await line.request(1, Block(fc=3, start=0, count=2))
        assert line.connected
        line.close()


async def test_a_hang_up_fails_the_request_at_once() -> None:
    """When the peer closes mid-request the failure does not wait for the timeout."""

    async def answer(_request: bytes) -> None:
        await asyncio.sleep(0.02)

    async with raw_server(answer) as port:
        line = ModbusConnection("127.0.0.1", port, framing="tcp", timeout_s=PATIENCE_S, gap_s=0.0)
        await line.connect()
        started = time.monotonic()
        with pytest.raises(ReadError, match="closed"):
            await line.request(1, Block(fc=4, start=801, count=12))
        assert time.monotonic() - started < PATIENCE_S / 2


async def test_a_cancelled_read_leaves_no_connection_behind() -> None:
    """A read that is cancelled between request and answer closes the connection, so that no later read gets the answer."""
    async with meter("abb-b23") as served:
        served.faults.delay_s = 2.0
        line = ModbusConnection("127.0.0.1", served.port, framing="tcp", timeout_s=PATIENCE_S, gap_s=0.0)
        await line.connect()
        task = asyncio.create_task(line.request(1, Block(fc=3, start=0x5000, count=8)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not line.connected


async def test_a_cancellation_that_meets_the_answer_is_obeyed() -> None:
    """Cancelled in the very loop turn that brings the answer, where wait_for of Python 3.11 drops it, the bus ends."""
    async with meter("abb-b23") as served:
        settings = BusSettings(poll_s=86_400, timeout_s=PATIENCE_S)
        bus = MeterBus(
            StationClock(), [_unit("m", "abb-b23")], host="127.0.0.1", port=served.port, settings=settings
        )
        station = Station(bus)
        task = asyncio.create_task(bus.run(station.emit))
        await station.until(lambda: bool(station.readings))
        served.faults.delay_s = 0.05
        bus.request("m")
        await station.until(lambda: bus._line._asking)
        assert bus._line._client is not None
        bus._line._client.ctx.response_future.add_done_callback(lambda _answer: task.cancel())
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert done
        assert task.cancelled()
        assert not bus._line.connected


async def test_a_silent_unit_is_probed_and_comes_back() -> None:
    """After two failures a unit is not polled, requests do not reach it, and a later probe finds it again."""
    async with (
        meter("eastron-sdm630") as served,
        running(
            served.port, _unit("m", "eastron-sdm630"), settings=BusSettings(poll_s=86_400, timeout_s=0.2)
        ) as station,
    ):
        unit = station.bus._units[0]
        unit.probe_s = PATIENCE_S
        served.faults.silent = True
        await station.until(lambda: len(station.reasons) == 2)
        asked = served.reads
        for _ in range(5):
            station.bus.request("m")
            await asyncio.sleep(0.02)
        assert served.reads == asked
        served.faults.silent = False
        assert unit.timer is not None
        assert unit.timer.when() > asyncio.get_running_loop().time()
        unit.timer.cancel()
        station.bus._probe(0)  # its time has come
        await station.until(lambda: bool(station.readings))
    assert station.readings[0].import_mwh == 1_234_567_000


async def test_a_dead_unit_leaves_the_bus_to_the_others() -> None:
    """With one of two units silent, the other is read at nearly its full rate once the silent one is no longer polled."""
    async with meter("eastron-sdm630") as served:
        units = (_unit("alive", "eastron-sdm630"), _unit("dead", "eastron-sdm630", 2))
        async with running(
            served.port, *units, settings=BusSettings(poll_s=86_400, timeout_s=0.5)
        ) as station:
            await station.until(lambda: len(station.reasons) == 2)
            count = len(station.readings)
            for _ in range(50):
                station.bus.request("alive")
                station.bus.request("dead")
                await asyncio.sleep(0.005)
            await station.until(lambda: len(station.readings) >= count + 40)
    assert {item.meter_id for item in station.readings} == {"alive"}
    assert {item.meter_id for item in station.emitted if isinstance(item, ReadFailed)} == {"dead"}
    assert len(station.reasons) == 2


async def test_reconnects_and_notices_another_serial() -> None:
    """A meter that vanishes and is replaced on the same port is read again, under its new serial from the first reading."""
    async with (
        meter("abb-b23", serial="1001") as served,
        running(served.port, _unit("m", "abb-b23")) as station,
    ):
        await station.until(lambda: bool(station.readings))
        port = served.port
        await served.stop()
        station.bus.request("m")
        await station.until(lambda: "unreachable" in station.reasons)
        count = len(station.readings)
        async with meter("abb-b23", port=port, serial="1002"):
            await station.until(lambda: len(station.readings) > count)
    assert {item.serial for item in station.readings[:count]} == {"1001"}
    assert {item.serial for item in station.readings[count:]} == {"1002"}


async def test_a_meter_replaced_between_two_reads_is_noticed() -> None:
    """A connection that was lost between reads costs no failure, and the serial is read again on the next one."""
    async with (
        meter("abb-b23", serial="1001") as served,
        running(served.port, _unit("m", "abb-b23"), settings=PATIENT) as station,
    ):
        await station.until(lambda: bool(station.readings))
        port = served.port
        await served.stop()
        await station.until(lambda: not station.bus._line.connected)
        async with meter("abb-b23", port=port, serial="1002"):
            station.bus.request("m")
            await station.until(lambda: len(station.readings) == 2)
    assert [item.serial for item in station.readings] == ["1001", "1002"]
    assert station.reasons == []


async def test_a_meter_replaced_behind_a_gateway_is_noticed() -> None:
    """After a unit's exceptions its serial is read again on the same connection, because it may be another device."""
    serial, refuse = [1001], [False]

    async def answer(request: bytes) -> bytes:
        address, count = struct.unpack(">HH", request[8:12])
        if refuse[0]:
            return request[:4] + b"\x00\x03" + bytes([request[6], request[7] | 0x80, 0x0B])
        return answer_frame(request, [0] * (count - 1) + (serial if address == 0x81 else [7]))

    def replaced() -> None:
        serial[0], refuse[0] = 1002, False

    async with raw_server(answer) as port, running(port, _unit("m", "schneider-iem3x55")) as station:
        await station.until(lambda: bool(station.readings))
        line, client = station.bus._line, station.bus._line._client
        station.on_failure = replaced
        refuse[0] = True
        station.bus.request("m")
        await station.until(lambda: len(station.readings) == 2)
        assert line._client is client
    assert [item.serial for item in station.readings] == ["1001", "1002"]
    assert station.reasons == ["exception_11"]


async def test_the_wrong_model_is_never_read() -> None:
    """A unit whose type register names another model gives failures and no reading."""
    async with meter("sunspec-213") as served, running(served.port, _unit("m", "sunspec-203")) as station:
        await station.until(lambda: len(station.reasons) == 2)
    assert set(station.reasons) == {"wrong_model"}
    assert station.readings == []


async def test_a_counter_reset_is_passed_on_as_it_is() -> None:
    """The bus judges nothing: after a reset the registers read zero, and core decides what that means."""
    async with meter("abb-b23") as served, running(served.port, _unit("m", "abb-b23")) as station:
        await station.until(lambda: bool(station.readings))
        served.reset_counters()
        station.bus.request("m")
        await station.until(lambda: len(station.readings) == 2)
    assert (station.readings[1].import_mwh, station.readings[1].export_mwh) == (0, 0)


async def test_each_quarter_hour_lies_between_two_close_reads() -> None:
    """On an accelerated clock every cut has a reading completely before it and one completely after it, within the guards."""
    mapping = ClockMapping(
        monotonic_origin_ns=time.monotonic_ns(), utc_origin_ns=CUT_NS - 90 * SECOND_NS, speed=200
    )
    clock = StationClock(mapping)
    settings = BusSettings(poll_s=86_400, before_cut_s=60.0, after_cut_s=1.0, timeout_s=1.0)
    async with (
        meter("eastron-sdm630") as served,
        running(served.port, _unit("m", "eastron-sdm630"), clock=clock, settings=settings) as station,
    ):
        await station.until(lambda: clock.now_ns() > CUT_NS + INTERVAL_NS + 90 * SECOND_NS)
        counts = station.bus.counts("m")
    for cut in (CUT_NS, CUT_NS + INTERVAL_NS):
        assert [item for item in station.readings if cut - 60 * SECOND_NS <= item.t0_ns and item.t1_ns < cut]
        assert [item for item in station.readings if cut <= item.t0_ns and item.t1_ns < cut + 60 * SECOND_NS]
    assert counts.done >= 4
    assert counts.lost == 0


async def test_polls_lost_to_a_silent_meter_are_counted() -> None:
    """Each scheduled read of a silent meter counts as lost, also while it is left alone between probes."""
    clock = StationClock(
        ClockMapping(monotonic_origin_ns=time.monotonic_ns(), utc_origin_ns=CUT_NS, speed=600)
    )
    settings = BusSettings(poll_s=30, timeout_s=0.1)
    async with meter("eastron-sdm630") as served:
        served.faults.silent = True
        async with running(
            served.port, _unit("m", "eastron-sdm630"), clock=clock, settings=settings
        ) as station:
            await station.until(lambda: station.bus.counts("m").lost >= 10)
            counts = station.bus.counts("m")
    assert counts.done == 0
    assert counts.lost == counts.failed + counts.late
    assert counts.failed > 0


def test_timeout_follows_the_wire() -> None:
    """Behind RTU framing the timeout grows by the frames' own time: 24 registers at 9600 baud take about 78 ms."""
    profile = load_profile(METERS / "eastron-sdm630.json")
    tcp_s, rtu_s = (answer_timeout_s(profile, framing, 9600) for framing in ("tcp", "rtu-tcp"))
    assert tcp_s == 0.5
    assert 0.07 < rtu_s - tcp_s < 0.09
