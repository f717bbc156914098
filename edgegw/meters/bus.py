"""The one task that owns a Modbus connection: reads its meters in turn, leaves silent ones alone, emits readings.

Decides what is asked next (`schedule`), when a unit has failed often enough to be probed only, and whether the meter that
answers is the one it was. Never decides whether a reading is plausible, never retries inside the library.
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
SLEEP_LONGEST_S = 5.0  # real; a bus that has nothing to do still shows that it turns
_LACKING = frozenset({1, 2, 3, 4})  # exceptions of a unit that has no such register; others pass
Emit = Callable[[RegisterReading | ReadFailed], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSettings:
    """One meter on the bus; `swapped` where it is wired so that its import is our export.

    `poll_s`: a rhythm of its own, instead of the bus's.
    """

    meter_id: str
    unit_id: int
    profile: Profile
    swapped: bool = False
    poll_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """How a bus is asked. Poll and guards are business time, everything else is real time.

    `before_cut_s` must exceed the time the bus needs for all its units. `baud` matters behind RTU framing only.
    `timeout_s` replaces the formula.
    """

    poll_s: int = 5
    before_cut_s: float = 2.0
    after_cut_s: float = 0.0
    framing: Framing = "tcp"
    baud: int = 9600
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PollCounts:
    """Scheduled reads of one meter: done, lost because we were late, lost because no good answer came."""

    done: int
    late: int
    failed: int

    @property
    def lost(self) -> int:
        """All that were due and gave no reading."""
        return self.late + self.failed


def answer_timeout_s(profile: Profile, framing: Framing, baud: int) -> float:
    """Real seconds after which an answer is not coming: the device's own slowness and the frames on the wire."""
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
    """What the owner remembers of one unit."""

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
    """Owner of one connection. `run` reads; `request` asks for a read out of turn; `counts` tells how well it goes.

    Scheduled reads: a poll every `poll_s`, and one read before and after each quarter hour. Lost are those without a good
    answer (also while a silent unit is left alone between probes), and those which this machine came to too late: a poll
    is skipped when its successor is due already, a read before the cut when the cut has passed. A run with many late
    reads still balances, since registers telescope, so whoever judges a run must look at these counts.
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
        """One more meter on this connection, also while it runs; it is read at once."""
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
        """Real seconds since this bus last showed that it goes on; a healthy one shows it every few seconds."""
        return time.monotonic() - self._turned_at

    def request(self, meter_id: str) -> None:
        """Read this meter as soon as possible; requests made before the read starts coalesce.

        A unit that is being left alone after failures is not disturbed: its next probe answers.
        """
        self._ask(self._index[meter_id])

    def counts(self, meter_id: str) -> PollCounts:
        """Scheduled reads of this meter since the bus was made."""
        index = self._index[meter_id]
        unit = self._units[index]
        return PollCounts(done=unit.done, late=self._schedule.late[index], failed=unit.failed)

    async def run(self, emit: Emit) -> None:
        """Read until cancelled; `emit` is called from this task and must not block."""
        owner = asyncio.current_task()
        assert owner is not None
        try:
            # asyncio.wait_for of Python 3.11, where pymodbus connects, drops a cancellation that meets the end.
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
        """Sleep until the next read is due, or somebody asks for one, or it is time to show that this task turns."""
        due_ns = self._schedule.next_due_ns()
        try:
            async with asyncio.timeout(SLEEP_LONGEST_S) as self._sleep:
                await self._clock.sleep_until(due_ns)
        except TimeoutError:
            pass
        finally:
            self._sleep = None

    async def _serve(self, due: Due, emit: Emit) -> None:
        """Do one read and account for it."""
        unit = self._units[due.unit]
        scheduled = due.cause is not Cause.ASKED
        if unit.left_alone or self._unreachable:
            unit.failed += scheduled
            return
        try:
            reading = await self._read(unit)
        except ReadError as error:
            unit.failed += scheduled
            unit.identify_at = 0.0  # whoever answers next may be another meter
            if isinstance(error, UnreachableError):
                self._await_reconnect()
                concerned = self._units  # whoever stands behind this connection
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
        """What people are told; a register that is missing, or holds another model's number, is the profile's matter."""
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
        """Ask again: at once after a first failure, then at growing distances, so that the others keep the bus."""
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
        """Nobody listens: no unit is to blame, all wait for the next attempt."""
        self._unreachable = True
        self._reconnect = asyncio.get_running_loop().call_later(self._reconnect_s, self._try_again)
        self._reconnect_s = min(self._reconnect_s * 2, RECONNECT_LONGEST_S)

    def _try_again(self) -> None:
        self._unreachable = False
        for index in range(len(self._units)):
            self._ask(index)

    async def _read(self, unit: _Unit) -> RegisterReading:
        """One reading, or ReadError."""
        settings, profile = unit.settings, unit.settings.profile
        if not self._line.connected:
            await self._connect()
        if asyncio.get_running_loop().time() >= unit.identify_at:
            await self._identify(unit)
        t0_ns = self._clock.now_ns()
        registers = await self._line.request(settings.unit_id, profile.energy_block)
        t1_ns = self._clock.now_ns()
        energy = decode_energy(profile, registers)
        # Nothing is decided by a meter's power: it is taken where it comes with the energy, and costs no request.
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
        """Check the model and learn the serial: on each connection, after each failure, and now and then."""
        profile, unit_id = unit.settings.profile, unit.settings.unit_id
        for match in profile.match:
            found = decode_identity(match, await self._line.request(unit_id, match.block))
            if found != match.equals:
                told = f"register {match.block.start:#06x} holds {found!r} instead of {match.equals!r}"
                raise ReadError("wrong_model", code="EGW-2010", detail=told)
        if profile.serial is not None:
            registers = await self._request_or_none(unit_id, profile.serial.block)
            serial = decode_identity(profile.serial, registers) if registers else None
            unit.serial = None if serial is None else str(serial)
        unit.identify_at = asyncio.get_running_loop().time() + IDENTIFY_EVERY_S

    async def _request_or_none(self, unit_id: int, block: Block) -> Sequence[int] | None:
        """Registers a variant of the meter may lack: None where the unit refuses them."""
        try:
            return await self._line.request(unit_id, block)
        except RefusedError as refused:
            if refused.exception_code in _LACKING:
                return None
            raise

    async def _connect(self) -> None:
        """Open the connection; who answers on it must say who it is."""
        await self._line.connect()
        self._reconnect_s = RECONNECT_FIRST_S
        for unit in self._units:
            unit.identify_at = 0.0
