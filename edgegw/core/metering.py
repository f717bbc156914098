"""From registers to segments: what is accepted, where a segment is cut, when a register's life (epoch) ends.

Only differences of cumulative registers count; power never bills. A quarter hour is cut by interpolation between the
readings around it, once, and never recomputed. Nothing here knows prices or sessions.
Source: metering reference §6 (accept test §6.6, boundary §6.4); trade_wh = floor(R_end/1000) - floor(R_start/1000).
"""

from dataclasses import dataclass, replace

from edgegw.core.events import RegisterRead
from edgegw.units import INTERVAL_NS, energy_mwh, interval_of

SUSPECTS_TO_DECIDE = 3
SUSPECT_SPAN_NS = 10_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Both cumulative registers at one instant; `t0_ns`..`t1_ns` is when the meter may have latched them."""

    t0_ns: int
    t1_ns: int
    import_mwh: int
    export_mwh: int

    @property
    def at_ns(self) -> int:
        """Midpoint: the instant that these registers stand for."""
        return (self.t0_ns + self.t1_ns) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Registers at the instant between two segments, with the readings they were interpolated from."""

    at_ns: int
    import_mwh: int
    export_mwh: int
    before: Registers
    after: Registers


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Energy of one meter between two cuts inside one quarter hour. `disputed`: implausible, never traded."""

    meter_id: str
    epoch: int
    start: Cut
    end: Cut
    disputed: bool = False

    @property
    def interval(self) -> int:
        """Start of the quarter hour this segment lies in (UTC epoch seconds)."""
        return interval_of(self.start.at_ns)

    @property
    def import_wh(self) -> int:
        """Whole Wh delivered, by floors of the cumulative register."""
        return self.end.import_mwh // 1000 - self.start.import_mwh // 1000

    @property
    def export_wh(self) -> int:
        """Whole Wh discharged, by floors of the cumulative register."""
        return self.end.export_mwh // 1000 - self.start.export_mwh // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAccount:
    """What is known of one meter: its epoch, the last accepted registers, and the open segment's start."""

    meter_id: str
    meter_ref: str
    power_w_max: int
    step_mwh: int = 1000
    epoch: int = 0
    serial: str | None = None
    last: Registers | None = None
    cut: Cut | None = None
    first: Registers | None = None  # of this epoch
    suspects: tuple[Registers, ...] = ()
    power_w: int = 0  # import positive, of the last accepted pair of readings
    registered: bool = False  # its starting registers are on the ledger
    accepted: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one reading brought: the account after it, closed segments, and what else became known."""

    account: MeterAccount
    segments: tuple[Segment, ...] = ()
    quarantined: str | None = None
    epoch_opened: bool = False


def measure(account: MeterAccount, reading: RegisterRead) -> Measured:
    """Accept or quarantine one reading; close every quarter hour that it completes.

    Args:
        account: the meter's account; its `last` is older than the reading.
        reading: both registers in mWh, or None where the meter did not tell (quarantined).
    """
    if reading.import_mwh is None or reading.export_mwh is None:
        return Measured(account=_quarantine(account), quarantined="not measured")
    registers = Registers(
        t0_ns=reading.t0_ns,
        t1_ns=reading.t1_ns,
        import_mwh=reading.import_mwh,
        export_mwh=reading.export_mwh,
    )
    swapped = None not in {account.serial, reading.serial} and account.serial != reading.serial
    if account.last is None or swapped:
        return _open_epoch(account, (registers,), serial=reading.serial)
    if registers.at_ns <= account.last.at_ns:
        return Measured(account=account, quarantined="older than the last reading")
    if _is_plausible(account.last, registers, account):
        return _accept(account, registers)
    return _suspect(account, registers, serial=reading.serial)


def cut_at_last(account: MeterAccount) -> tuple[MeterAccount, Segment | None]:
    """End the open segment at the last accepted registers (a session begins or ends there).

    Returns no segment when nothing was read since the last cut.
    """
    last = account.last
    if last is None or account.cut is None or account.cut.at_ns >= last.at_ns:
        return account, None
    end = _cut_from(last)
    segment = Segment(meter_id=account.meter_id, epoch=account.epoch, start=account.cut, end=end)
    return replace(account, cut=end), segment


def running_wh(account: MeterAccount) -> tuple[int, int]:
    """Whole Wh delivered and discharged since the last cut: they stand on no line yet."""
    last, cut = account.last, account.cut
    if last is None or cut is None:
        return 0, 0
    return (
        last.import_mwh // 1000 - cut.import_mwh // 1000,
        last.export_mwh // 1000 - cut.export_mwh // 1000,
    )


def interpolate(first: Registers, last: Registers, at_ns: int) -> Cut:
    """Registers at `at_ns` between two readings, rounded down; source: metering reference §6.4."""
    assert first.at_ns <= at_ns <= last.at_ns
    span_ns = max(1, last.at_ns - first.at_ns)
    part_ns = at_ns - first.at_ns
    return Cut(
        at_ns=at_ns,
        import_mwh=first.import_mwh + (last.import_mwh - first.import_mwh) * part_ns // span_ns,
        export_mwh=first.export_mwh + (last.export_mwh - first.export_mwh) * part_ns // span_ns,
        before=first,
        after=last,
    )


def _cut_from(registers: Registers) -> Cut:
    return Cut(
        at_ns=registers.at_ns,
        import_mwh=registers.import_mwh,
        export_mwh=registers.export_mwh,
        before=registers,
        after=registers,
    )


def _is_plausible(old: Registers, new: Registers, account: MeterAccount) -> bool:
    """0 <= difference <= Pmax * time * 1.1 + 2 steps, in both directions (metering reference §6.6)."""
    most_mwh = energy_mwh(account.power_w_max * 11, new.t1_ns - old.t0_ns) // 10 + 2 * account.step_mwh
    return (
        0 <= new.import_mwh - old.import_mwh <= most_mwh and 0 <= new.export_mwh - old.export_mwh <= most_mwh
    )


def _accept(account: MeterAccount, registers: Registers, *, disputed: bool = False) -> Measured:
    last, cut = account.last, account.cut
    assert last is not None
    assert cut is not None
    segments = []
    boundary_ns = (cut.at_ns // INTERVAL_NS + 1) * INTERVAL_NS
    while boundary_ns <= registers.at_ns:
        end = interpolate(last, registers, boundary_ns)
        segments.append(
            Segment(meter_id=account.meter_id, epoch=account.epoch, start=cut, end=end, disputed=disputed)
        )
        cut = end
        boundary_ns += INTERVAL_NS
    after = replace(
        account,
        last=registers,
        cut=cut,
        suspects=(),
        accepted=account.accepted + 1,
        power_w=_mean_power_w(last, registers),
    )
    return Measured(account=after, segments=tuple(segments))


def _mean_power_w(old: Registers, new: Registers) -> int:
    """Net power between two readings, for control and forecasts only."""
    net_mwh = new.import_mwh - old.import_mwh - new.export_mwh + old.export_mwh
    return net_mwh * 3_600_000_000 // max(1, new.at_ns - old.at_ns)


def _quarantine(account: MeterAccount) -> MeterAccount:
    return replace(account, quarantined=account.quarantined + 1)


def _suspect(account: MeterAccount, registers: Registers, *, serial: str | None) -> Measured:
    """Keep the old registers until three consistent readings over ten seconds say the same new thing."""
    suspects = account.suspects
    if suspects and not _is_plausible(suspects[-1], registers, account):
        suspects = ()
    suspects = (*suspects[: SUSPECTS_TO_DECIDE - 1], registers)  # the first, the second, the newest
    quarantined = replace(_quarantine(account), suspects=suspects)
    settled = len(suspects) >= SUSPECTS_TO_DECIDE and registers.at_ns - suspects[0].at_ns >= SUSPECT_SPAN_NS
    if not settled:
        return Measured(account=quarantined, quarantined="implausible")
    last = account.last
    assert last is not None
    if registers.import_mwh < last.import_mwh or registers.export_mwh < last.export_mwh:
        return _open_epoch(quarantined, suspects, serial=serial)
    return _dispute(quarantined, registers)


def _dispute(account: MeterAccount, registers: Registers) -> Measured:
    """A jump upwards that stays: it is counted, as segments that nobody is charged for."""
    account, before = cut_at_last(account)
    measured = _accept(account, registers, disputed=True)
    after, rest = cut_at_last(measured.account)
    disputed = [] if rest is None else [replace(rest, disputed=True)]
    ordinary = [] if before is None else [before]
    return replace(measured, account=after, segments=(*ordinary, *measured.segments, *disputed))


def _open_epoch(account: MeterAccount, readings: tuple[Registers, ...], *, serial: str | None) -> Measured:
    """Close the old epoch at its last accepted registers; the new one starts at the first reading of its own."""
    account, closed = cut_at_last(account)
    first = readings[0]
    opened = replace(
        account,
        epoch=account.epoch + 1,
        serial=serial or account.serial,
        last=first,
        first=first,
        cut=_cut_from(first),
        suspects=(),
        registered=False,
        accepted=account.accepted + 1,
    )
    segments = [] if closed is None else [closed]
    for registers in readings[1:]:
        measured = _accept(opened, registers)
        opened = measured.account
        segments += measured.segments
    return Measured(account=opened, segments=tuple(segments), epoch_opened=True)
