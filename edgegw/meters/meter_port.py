"""Implement the station's meter port with one bus per connection.

Decides which meters share a connection (those at one host and port, because many Modbus gateways accept only one), and
converts readings to events of the core. Never judges a reading; `core.metering` does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from edgegw.common.clock import Clock
from edgegw.common.errors import ConfigError
from edgegw.common.units import SECOND_NS
from edgegw.core.events import MeterReadFailed, MeterReading, RegisterRead
from edgegw.meters.bus import BusSettings, MeterBus, UnitSettings
from edgegw.meters.profile import Profile
from edgegw.meters.reading import ReadFailed, RegisterReading
from edgegw.ports.gateway import Emit

BUS_REAL_S = 0.1  # real time this machine may need to read all meters before a quarter hour
BEFORE_CUT_S_MIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSettings:
    """One meter of the station and its address."""

    meter_id: str
    profile: Profile
    host: str
    port: int = 502
    unit_id: int = 1
    poll_s: int = 60
    swapped: bool = False


class Meters:
    """See ports.MeterPort; every reading and every failure is emitted through `emit`."""

    def __init__(self, meters: Sequence[MeterSettings], clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit_event = emit
        self._bus_of: dict[str, MeterBus] = {}
        self._buses: dict[tuple[str, int], MeterBus] = {}
        self._running: asyncio.TaskGroup | None = None
        for meter in meters:
            self.adopt(meter)

    def adopt(self, meter: MeterSettings) -> None:
        """Add a meter, also while `run` reads, to the connection of its host and port, or to a new one.

        Raises ConfigError if a meter of this id is read already.
        """
        if meter.meter_id in self._bus_of:
            raise ConfigError((f"meter {meter.meter_id!r} is read already",))
        unit = UnitSettings(
            meter_id=meter.meter_id,
            unit_id=meter.unit_id,
            profile=meter.profile,
            swapped=meter.swapped,
            poll_s=meter.poll_s,
        )
        place = (meter.host, meter.port)
        bus = self._buses.get(place)
        if bus is None:
            before_s = max(BEFORE_CUT_S_MIN, BUS_REAL_S / self._clock.real_seconds(SECOND_NS))
            settings = BusSettings(poll_s=meter.poll_s, before_cut_s=before_s)
            bus = MeterBus(self._clock, [unit], host=meter.host, port=meter.port, settings=settings)
            self._buses[place] = bus
            if self._running is not None:
                self._start(self._running, bus)
        else:
            bus.add(unit)
        self._bus_of[meter.meter_id] = bus

    def request(self, meter_id: str) -> None:
        """See ports.MeterPort."""
        self._bus_of[meter_id].request(meter_id)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            for bus in self._buses.values():
                self._start(group, bus)
            self._running = group
            try:
                await asyncio.Event().wait()
            finally:
                self._running = None

    def knows(self, meter_id: str) -> bool:
        """Return whether this meter is read."""
        return meter_id in self._bus_of

    def polls(self) -> Mapping[str, tuple[int, int]]:
        """Return the scheduled polls done and lost, by meter."""
        buses = list(self._bus_of.items())  # a copy, as other threads call this too
        counts = {meter_id: bus.counts(meter_id) for meter_id, bus in buses}
        return {meter_id: (item.done, item.lost) for meter_id, item in counts.items()}

    def counts(self) -> tuple[int, int]:
        """Return the scheduled polls done and lost of all meters."""
        polls = self.polls().values()
        return sum(done for done, _ in polls), sum(lost for _, lost in polls)

    def turned_s(self) -> float:
        """Return the longest time in real seconds since a bus made progress: a few seconds, even if meters fail."""
        return max((bus.turned_s() for bus in self._buses.values()), default=0.0)

    def _start(self, group: asyncio.TaskGroup, bus: MeterBus) -> None:
        group.create_task(bus.run(self._emit), name="meter bus")

    def _emit(self, reading: RegisterReading | ReadFailed) -> None:
        self._emit_event(_event(reading))


def _event(reading: RegisterReading | ReadFailed) -> MeterReading:
    """Return the core's event for a reading or failure."""
    match reading:
        case ReadFailed():
            return MeterReadFailed(
                meter_id=reading.meter_id,
                at_ns=reading.at_ns,
                reason=reading.reason,
                code=reading.code,
                detail=reading.detail,
            )
        case RegisterReading():
            return RegisterRead(
                meter_id=reading.meter_id,
                t0_ns=reading.t0_ns,
                t1_ns=reading.t1_ns,
                import_mwh=reading.import_mwh,
                export_mwh=reading.export_mwh,
                power_w=reading.power_w,
                serial=reading.serial,
            )
        case _:
            assert_never(reading)
