"""Measure readings per second, from the request to the core's acceptance, beside bare pymodbus reads.

Measured: wall time of one meter read as fast as it answers, over loopback Modbus TCP from another process: schedule,
request, checks of the answer, decoding to mWh, and the core's acceptance. Beside it `pymodbus` alone reads the same block
of registers on the same event loop and discards it.
Not measured: a real meter, which needs 20 to 100 ms for an answer; RTU; the journal (a plain reading is not committed).
"""

import asyncio
import contextlib
import time
from pathlib import Path

import uvloop
from pymodbus.client import AsyncModbusTcpClient

from edgegw.common.bundled_files import configs
from edgegw.common.clock import StationClock
from edgegw.core.events import RegisterRead
from edgegw.core.metering import MeterAccount
from edgegw.core.metering import measure as accept
from edgegw.meters.bus import BusSettings, MeterBus, UnitSettings
from edgegw.meters.profile import Profile, load_profile
from edgegw.meters.reading import ReadFailed, RegisterReading
from tests.bench.figures import Figure
from tests.bench.processes import part
from tests.bench.rounds import compared, interleaved

METER = "eastron-sdm630"


class Reader:
    """The daemon's path for one meter, which is read again as soon as a reading is accepted."""

    def __init__(self, profile: Profile, port: int) -> None:
        self._account = MeterAccount(
            meter_id="M", meter_ref="R", power_w_max=22_000, step_mwh=profile.import_.lsb_mwh
        )
        units = [UnitSettings(meter_id="M", unit_id=1, profile=profile)]
        settings = BusSettings(poll_s=900)
        self._bus = MeterBus(StationClock(), units, host="127.0.0.1", port=port, settings=settings)
        self._left = 0
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        await self._bus.run(self._emit)

    async def read(self, count: int) -> None:
        """Wait for `count` accepted readings."""
        self._left = count
        self._done.clear()
        self._bus.request("M")
        await self._done.wait()

    def _emit(self, reading: RegisterReading | ReadFailed) -> None:
        assert isinstance(reading, RegisterReading), reading
        event = RegisterRead(
            meter_id=reading.meter_id, t0_ns=reading.t0_ns, t1_ns=reading.t1_ns, import_mwh=reading.import_mwh,
            export_mwh=reading.export_mwh, power_w=reading.power_w, serial=reading.serial,
        )  # fmt: skip
        measured = accept(self._account, event)
        assert measured.quarantined is None, measured.quarantined
        self._account = measured.account
        self._left -= 1
        if self._left > 0:
            self._bus.request("M")
        else:
            self._done.set()


def measure(_folder: Path, *, short: bool) -> list[Figure]:
    """Measure the readings per second of both."""
    reads, rounds = (
        (20, 1) if short else (400, 25)
    )  # short ones, so that both sides of a pair run under the same load
    profile = load_profile(configs() / "meters" / f"{METER}.json")
    with (
        part("tests.bench.modbus_meters", METER) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        port = server.hear()["port"]
        reader, client = loop.run(_opened(profile, port))
        task = loop.get_loop().create_task(reader.run())
        found = interleaved(
            {
                "ours": lambda: _rate(loop, reader, reads),
                "bare": lambda: loop.run(_bare(client, profile, reads)),
            },
            rounds,
        )
        loop.run(_closed(task, client))
    value, baseline = compared(found["ours"], found["bare"])
    return [Figure(name="meters.readings", value=value, unit="readings/s", baseline=baseline)]


async def _opened(profile: Profile, port: int) -> tuple[Reader, AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=5, retries=0)
    assert await client.connect()
    return Reader(profile, port), client


async def _closed(task: asyncio.Task[None], client: AsyncModbusTcpClient) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    client.close()


def _rate(loop: asyncio.Runner, reader: Reader, reads: int) -> float:
    began = time.perf_counter()
    loop.run(reader.read(reads))
    return reads / (time.perf_counter() - began)


async def _bare(client: AsyncModbusTcpClient, profile: Profile, reads: int) -> float:
    block = profile.energy_block
    ask = client.read_input_registers if block.fc == 4 else client.read_holding_registers
    began = time.perf_counter()
    for _ in range(reads):
        answer = await ask(block.start, count=block.count, device_id=1)
        assert not answer.isError()
    return reads / (time.perf_counter() - began)
