"""Own one Modbus connection: read its meters in turn, pause silent ones, emit readings.

Decides what is read next (`poll_schedule`), when a failing unit is only probed, and whether the meter that answers is
still the same. Never decides whether a reading is plausible, and never uses the library's retries.
Source: docs/meters.md, From registers to segments.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgegw.common.clock import Clock
from edgegw.common.units import SECOND_NS
from edgegw.meters.decode import decode_energy, decode_identity, decode_power
from edgegw.meters.modbus_connection import (
    Framing,
    ModbusConnection,
    ReadError,
    RefusedError,
    UnreachableError,
)
from edgegw.meters.poll_schedule import Cause, Due, Schedule, Times
from edgegw.meters.profile import Block, Profile
from edgegw.meters.reading import ReadFailed, RegisterReading

PROBE_FIRST_S = 5.0
PROBE_LONGEST_S = 60.0
RECONNECT_FIRST_S = 0.1
RECONNECT_LONGEST_S = 5.0
IDENTIFY_EVERY_S = 900.0
SLEEP_LONGEST_S = 5.0  # real time; an idle bus still proves progress
_LACKING = frozenset({1, 2, 3, 4})  # exceptions of a unit without the register; others are temporary
Emit = Callable[[RegisterReading | ReadFailed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSettings:
    """One meter on the bus; `swapped` if it is wired so that its import register counts the station's export.

    `poll_s` is its own polling period, None the bus's.
    """

    meter_id: str
    unit_id: int
    profile: Profile
    swapped: bool = False
    poll_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """Settings of a bus. Poll period and guard times are station time, everything else is real time.

    `before_cut_s` and `after_cut_s` are the distances of the reads before and after a quarter hour; the former must
    exceed the time the bus needs for all its units. `baud` matters only with RTU framing. `timeout_s` replaces the
    computed timeout.
    """

    poll_s: int = 5
    before_cut_s: float = 2.0
    after_cut_s: float = 0.0
    framing: Framing = "tcp"
    baud: int = 9600
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollCounts:
    """Scheduled reads of one meter: done, lost because they were late, lost because they failed."""

    done: int
    late: int
    failed: int

    @property
    def lost(self) -> int:
        """The number of reads that were due and gave no reading."""
        return self.late + self.failed


def answer_timeout_s(profile: Profile, framing: Framing, baud: int) -> float:
    """Return the response timeout in real seconds: the device's response time and the frames' transmission time."""
    if framing == "tcp":
        return profile.min_timeout_ms / 1000
    blocks = [
        profile.energy_block,
        *(identity.block for identity in (profile.serial, *profile.match) if identity),
    ]
    registers = max(block.count for block in blocks)
    characters = 8 + 5 + 2 * registers + 7  # request, answer, two gaps of 3.5
    return profile.min_timeout_ms / 1000 + characters * 11 / baud


@dataclass(slots=True)
class _Unit:
    """The bus's state of one unit."""

    settings: UnitSettings
    done: int = 0
    failed: int = 0
    failures: int = 0  # in a row
    probe_s: float = PROBE_FIRST_S
    left_alone: bool = False
    identify_at: float = 0.0  # loop time
    serial: str | None = None
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class MeterBus:
    """The owner of one connection: `run` reads, `request` schedules an extra read, `counts` returns statistics.

    Scheduled reads are a poll every `poll_s`, and one read before and one after each quarter hour. A read is lost if it
    fails (also while a silent unit is paused between probes) or starts too late: a poll if its successor is due, a read
    before a quarter hour if that has begun. The energy sums balance even with many late reads, because registers are
    cumulative, so only these counts show them.
    """

    def __init__(
        self, clock: Clock, units: Sequence[UnitSettings], *, host: str, port: int, settings: BusSettings
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._units: list[_Unit] = []
        self._index: dict[str, int] = {}
        self._line = ModbusConnection(
            host, port, framing=settings.framing, timeout_s=settings.timeout_s or 0.0, gap_s=0.0
        )
        times = Times(
            poll_ns=settings.poll_s * SECOND_NS,
            before_ns=round(settings.before_cut_s * SECOND_NS),
            after_ns=round(settings.after_cut_s * SECOND_NS),
        )
        self._schedule = Schedule((), times, clock.now_ns())
        self._turned_at = time.monotonic()
        self._unreachable = False
        self._reconnect_s = RECONNECT_FIRST_S
        self._reconnect: asyncio.TimerHandle | None = None
        self._sleep: asyncio.Timeout | None = None
        for unit in units:
            self.add(unit)

    def add(self, unit: UnitSettings) -> None:
        """Add a meter to this connection, also while it runs; it is read at once."""
        now_ns, settings = self._clock.now_ns(), self._settings
        self._index[unit.meter_id] = len(self._units)
        self._units.append(_Unit(unit))
        self._schedule.add(unit.meter_id, now_ns, poll_ns=unit.poll_s and unit.poll_s * SECOND_NS)
        if settings.timeout_s is None:
            slowest_s = answer_timeout_s(unit.profile, settings.framing, settings.baud)
            self._line.timeout_s = max(self._line.timeout_s, slowest_s)
        if settings.framing == "rtu-tcp":
            self._line.gap_s = max(self._line.gap_s, unit.profile.min_gap_ms / 1000)
        self._ask(self._index[unit.meter_id])

    def turned_s(self) -> float:
        """Return the real seconds since the task last made progress; a few seconds when healthy."""
        return time.monotonic() - self._turned_at

    def request(self, meter_id: str) -> None:
        """Read this meter as soon as possible; requests before the read starts are merged.

        A unit that is paused after failures is not read before its next probe.
        """
        self._ask(self._index[meter_id])

    def counts(self, meter_id: str) -> PollCounts:
        """Return the statistics of this meter's scheduled reads since the bus was created."""
        index = self._index[meter_id]
        unit = self._units[index]
        return PollCounts(done=unit.done, late=self._schedule.late[index], failed=unit.failed)

    async def run(self, emit: Emit) -> None:
        """Read until cancelled; `emit` is called from this task and must not block."""
        owner = asyncio.current_task()
        assert owner is not None
        try:
            # asyncio.wait_for of Python 3.11, which pymodbus uses to connect, can lose a cancellation at its end.
            while not owner.cancelling():
                self._turned_at = time.monotonic()
                if self._clock.now_ns() < self._schedule.next_due_ns():
                    await self._wait()
                due = self._schedule.take(self._clock.now_ns())
                if due is not None:
                    await self._serve(due, emit)
            raise asyncio.CancelledError
        finally:
            self._line.close()
            for handle in (self._reconnect, *(unit.timer for unit in self._units)):
                if handle is not None:
                    handle.cancel()

    def _ask(self, index: int) -> None:
        self._schedule.ask(index, self._clock.now_ns())
        if self._sleep is not None:
            self._sleep.reschedule(0)  # in the past: ends the sleep without a task of its own
            self._sleep = None

    async def _wait(self) -> None:
        """Sleep until the next read is due or requested, or it is time to prove progress."""
        due_ns = self._schedule.next_due_ns()
        try:
            async with asyncio.timeout(SLEEP_LONGEST_S) as self._sleep:
                await self._clock.sleep_until(due_ns)
        except TimeoutError:
            pass
        finally:
            self._sleep = None

    async def _serve(self, due: Due, emit: Emit) -> None:
        """Do one read, count it and emit its result."""
        unit = self._units[due.unit]
        scheduled = due.cause is not Cause.ASKED
        if unit.left_alone or self._unreachable:
            unit.failed += scheduled
            return
        try:
            reading = await self._read(unit)
        except ReadError as error:
            unit.failed += scheduled
            unit.identify_at = 0.0  # the next response may come from another meter
            if isinstance(error, UnreachableError):
                self._await_reconnect()
                concerned = self._units  # all units behind this connection
            else:
                self._await_probe(due.unit)
                concerned = [unit]
            for each in concerned:
                emit(self._failed(each, error))
        else:
            unit.done += scheduled
            unit.failures, unit.probe_s = 0, PROBE_FIRST_S
            emit(reading)

    def _failed(self, unit: _Unit, error: ReadError) -> ReadFailed:
        """Return the failure to emit; for a missing register or another model's number it names the profile."""
        of_profile = error.code in {"EGW-2001", "EGW-2010"}
        profile = f'; check profile "{unit.settings.profile.profile_id}"' if of_profile else ""
        return ReadFailed(
            meter_id=unit.settings.meter_id,
            at_ns=self._clock.now_ns(),
            reason=str(error),
            code=error.code,
            detail=error.detail + profile,
        )

    def _await_probe(self, index: int) -> None:
        """Retry at once after a first failure, then at growing intervals, so that other units keep the bus."""
        unit = self._units[index]
        unit.failures += 1
        if unit.failures == 1:
            self._ask(index)
            return
        unit.left_alone = True
        unit.timer = asyncio.get_running_loop().call_later(unit.probe_s, self._probe, index)
        unit.probe_s = min(unit.probe_s * 2, PROBE_LONGEST_S)

    def _probe(self, index: int) -> None:
        self._units[index].left_alone = False
        self._ask(index)

    def _await_reconnect(self) -> None:
        """Pause all units until the next connection attempt, because the host is unreachable."""
        self._unreachable = True
        self._reconnect = asyncio.get_running_loop().call_later(self._reconnect_s, self._try_again)
        self._reconnect_s = min(self._reconnect_s * 2, RECONNECT_LONGEST_S)

    def _try_again(self) -> None:
        self._unreachable = False
        for index in range(len(self._units)):
            self._ask(index)

    async def _read(self, unit: _Unit) -> RegisterReading:
        """Return one reading; raise ReadError."""
        settings, profile = unit.settings, unit.settings.profile
        if not self._line.connected:
            await self._connect()
        if asyncio.get_running_loop().time() >= unit.identify_at:
            await self._identify(unit)
        t0_ns = self._clock.now_ns()
        registers = await self._line.request(settings.unit_id, profile.energy_block)
        t1_ns = self._clock.now_ns()
        energy = decode_energy(profile, registers)
        # Power is not used for billing: it is read only if it is in the energy block and needs no extra request.
        power_w = decode_power(profile, registers) if profile.power_block == profile.energy_block else None
        import_mwh, export_mwh = energy.import_mwh, energy.export_mwh
        if settings.swapped:
            import_mwh, export_mwh = export_mwh, import_mwh
            power_w = None if power_w is None else -power_w
        return RegisterReading(
            meter_id=settings.meter_id,
            t0_ns=t0_ns,
            t1_ns=t1_ns,
            import_mwh=import_mwh,
            export_mwh=export_mwh,
            power_w=power_w,
            serial=unit.serial,
            degraded=energy.degraded,
        )

    async def _identify(self, unit: _Unit) -> None:
        """Check the model and read the serial number: per connection, after each failure, and periodically."""
        profile, unit_id = unit.settings.profile, unit.settings.unit_id
        for match in profile.match:
            found = decode_identity(match, await self._line.request(unit_id, match.block))
            if found != match.equals:
                detail = f"register {match.block.start:#06x} holds {found!r} instead of {match.equals!r}"
                raise ReadError("wrong_model", code="EGW-2010", detail=detail)
        if profile.serial is not None:
            registers = await self._request_or_none(unit_id, profile.serial.block)
            serial = decode_identity(profile.serial, registers) if registers else None
            unit.serial = None if serial is None else str(serial)
        unit.identify_at = asyncio.get_running_loop().time() + IDENTIFY_EVERY_S

    async def _request_or_none(self, unit_id: int, block: Block) -> Sequence[int] | None:
        """Return registers that a variant of the meter may lack; None if the unit refuses them."""
        try:
            return await self._line.request(unit_id, block)
        except RefusedError as refused:
            if refused.exception_code in _LACKING:
                return None
            raise

    async def _connect(self) -> None:
        """Open the connection, and identify every unit again on it."""
        await self._line.connect()
        self._reconnect_s = RECONNECT_FIRST_S
        for unit in self._units:
            unit.identify_at = 0.0
