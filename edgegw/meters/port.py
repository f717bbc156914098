"""All meters of a station, as the gateway sees them: ports.MeterPort over one bus a connection.

Decides which meters share a connection. Never judges a reading.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgegw.core.events import MeterReadFailed, RegisterRead
from edgegw.meters.bus import BusSettings, MeterBus, UnitSettings
from edgegw.meters.profile import Profile
from edgegw.meters.reading import ReadFailed, RegisterReading
from edgegw.ports import Clock, Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSettings:
    """One meter: where it is and how often it is read; `before_cut_s` is how long before a quarter hour its bus reads."""

    meter_id: str
    profile: Profile
    host: str
    port: int
    unit_id: int
    poll_s: int
    before_cut_s: float = 2.0


class Meters:
    """ports.MeterPort. Meters at one address share a connection; new ones may come in while it runs."""

    def __init__(self, settings: Sequence[MeterSettings], clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._put = emit
        self._bus_of: dict[str, MeterBus] = {}
        self._waiting: asyncio.Queue[MeterBus] = asyncio.Queue()
        self.adopt(settings)

    def adopt(self, settings: Sequence[MeterSettings]) -> None:
        """Take in the meters that are not known yet."""
        by_place: dict[tuple[str, int], list[MeterSettings]] = {}
        for one in settings:
            if one.meter_id not in self._bus_of:
                by_place.setdefault((one.host, one.port), []).append(one)
        for (host, port), group in by_place.items():
            units = [
                UnitSettings(meter_id=one.meter_id, unit_id=one.unit_id, profile=one.profile) for one in group
            ]
            bus = MeterBus(
                self._clock,
                units,
                host=host,
                port=port,
                settings=BusSettings(
                    poll_s=min(one.poll_s for one in group), before_cut_s=group[0].before_cut_s
                ),
            )
            self._waiting.put_nowait(bus)
            self._bus_of.update(dict.fromkeys((one.meter_id for one in group), bus))

    def request(self, meter_id: str) -> None:
        """See ports.MeterPort."""
        self._bus_of[meter_id].request(meter_id)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                bus = await self._waiting.get()
                group.create_task(bus.run(self._emit), name="meter bus")

    async def prove(self) -> None:
        """Return once every bus made progress."""

    def polls(self) -> Mapping[str, tuple[int, int]]:
        """Scheduled polls done and lost, by meter."""
        counts = {meter_id: bus.counts(meter_id) for meter_id, bus in self._bus_of.items()}
        return {meter_id: (item.done, item.lost) for meter_id, item in counts.items()}

    def counts(self) -> tuple[int, int]:
        """Scheduled polls done and lost, all meters."""
        polls = self.polls().values()
        return sum(done for done, _ in polls), sum(lost for _, lost in polls)

    def _emit(self, reading: RegisterReading | ReadFailed) -> None:
        if isinstance(reading, ReadFailed):
            self._put(MeterReadFailed(meter_id=reading.meter_id, at_ns=reading.at_ns, reason=reading.reason))
            return
        self._put(
            RegisterRead(
                meter_id=reading.meter_id,
                t0_ns=reading.t0_ns,
                t1_ns=reading.t1_ns,
                import_mwh=reading.import_mwh,
                export_mwh=reading.export_mwh,
                power_w=reading.power_w,
                serial=reading.serial,
            )
        )
