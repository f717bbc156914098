"""Turns register readings into segments: accepts or quarantines readings, cuts segments, opens epochs.

Only differences of cumulative registers count; power is never billed. A quarter hour is cut by interpolation between the
readings around it, once, and never recomputed. A meter is identified by its serial: another one counts only after an
operator adopted it. Nothing here knows prices or sessions.
Source: docs/meters.md, From registers to segments; trade_wh = floor(R_end/1000) - floor(R_start/1000).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgegw.common.units import INTERVAL_NS, SECOND_NS, energy_mwh, interval_of
from edgegw.core.events import RegisterRead
from edgegw.core.meter_condition import JUMP, NO_NUMBER, REPLACED, WENT_BACK, MeterCondition

SUSPECTS_TO_DECIDE = 3
SUSPECT_SPAN_NS = 10_000_000_000
REGISTER_MWH_MAX = 10**18  # 10**12 kWh: the ledger's bound, above any meter's range


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Both cumulative registers, latched by the meter between `t0_ns` and `t1_ns`."""

    t0_ns: int
    t1_ns: int
    import_mwh: int
    export_mwh: int

    @property
    def at_ns(self) -> int:
        """The instant assigned to the registers: the midpoint."""
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
    """Energy of one meter between two cuts in one quarter hour. `disputed`: implausible, and never traded."""

    meter_id: str
    epoch: int
    start: Cut
    end: Cut
    disputed: bool = False

    @property
    def interval(self) -> int:
        """Start of the segment's quarter hour (UTC epoch seconds)."""
        return interval_of(self.start.at_ns)

    @property
    def import_wh(self) -> int:
        """Whole Wh imported, by floors of the cumulative register."""
        return self.end.import_mwh // 1000 - self.start.import_mwh // 1000

    @property
    def export_wh(self) -> int:
        """Whole Wh exported, by floors of the cumulative register."""
        return self.end.export_mwh // 1000 - self.start.export_mwh // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAccount:
    """State of one meter: its epoch, the last accepted registers, and the start of the open segment."""

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
    stranger: str | None = None  # serial of another device that answers: no energy may flow
    adopted: str | None = None  # serial of an accepted replacement that has not been read yet
    trouble: MeterCondition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Outcome of one reading: the account after it and the segments it closed.

    `quarantined` is why it was discarded; `code` and `detail` are for operators (`code` None: not worth reporting).
    `ask_again`: read the meter again at once.
    """

    account: MeterAccount
    segments: tuple[Segment, ...] = ()
    quarantined: str | None = None
    code: str | None = None
    detail: str = ""
    ask_again: bool = False
    epoch_opened: bool = False


def measure(account: MeterAccount, reading: RegisterRead) -> Measured:
    """Accept or quarantine one reading; close every quarter hour that it completes.

    Args:
        account: the meter's account; its `last` is older than the reading.
        reading: both registers in mWh, or None where the meter returned none (quarantined).
    """
    if _is_other_device(account, reading):
        return _discard_other_device(account, reading)
    if reading.import_mwh is None or reading.export_mwh is None:
        return _discard(account, "not measured", code=NO_NUMBER, detail=_missing(reading))
    registers = Registers(
        t0_ns=reading.t0_ns,
        t1_ns=reading.t1_ns,
        import_mwh=reading.import_mwh,
        export_mwh=reading.export_mwh,
    )
    if max(registers.import_mwh, registers.export_mwh) > REGISTER_MWH_MAX:
        return _discard(account, "implausible", code=JUMP, detail=_jump(account, registers))
    return _judge(account, registers, serial=reading.serial)


def _judge(account: MeterAccount, registers: Registers, *, serial: str | None) -> Measured:
    """Apply a reading of this meter, or of its adopted replacement."""
    if account.last is None or (serial is not None and serial == account.adopted):
        return _open_epoch(account, (registers,), serial=serial)
    if registers.at_ns <= account.last.at_ns:
        return Measured(account=account, quarantined="older than the last reading")
    if _is_plausible(account.last, registers, account):
        return _accept(account, registers, serial=serial)
    return _suspect(account, registers, serial=serial)


def faults(accounts: Mapping[str, MeterAccount]) -> Mapping[str, MeterCondition]:
    """Return the conditions of faulty meters by meter id."""
    return {
        meter_id: account.trouble
        for meter_id, account in accounts.items()
        if account.trouble is not None and account.trouble.is_fault
    }


def cut_at_last(account: MeterAccount) -> tuple[MeterAccount, Segment | None]:
    """End the open segment at the last accepted registers, where a session begins or ends.

    Return no segment where nothing was read since the last cut.
    """
    last = account.last
    if last is None or account.cut is None or account.cut.at_ns >= last.at_ns:
        return account, None
    end = _cut_from(last)
    segment = Segment(meter_id=account.meter_id, epoch=account.epoch, start=account.cut, end=end)
    return replace(account, cut=end), segment


def rerate(account: MeterAccount, *, power_w_max: int, step_mwh: int) -> Measured:
    """Apply another limit. A different one opens an epoch at the last registers: the ledger keeps one limit per epoch."""
    rated = replace(account, power_w_max=power_w_max, step_mwh=step_mwh, suspects=())
    if account.last is None or power_w_max == account.power_w_max:
        return Measured(account=rated)
    rated, closed = cut_at_last(rated)
    opened = replace(
        rated, epoch=rated.epoch + 1, first=account.last, cut=_cut_from(account.last), registered=False
    )
    return Measured(account=opened, segments=() if closed is None else (closed,), epoch_opened=True)


def running_wh(account: MeterAccount) -> tuple[int, int]:
    """Return the whole Wh imported and exported since the last cut, which are on no line yet."""
    last, cut = account.last, account.cut
    if last is None or cut is None:
        return 0, 0
    return (
        last.import_mwh // 1000 - cut.import_mwh // 1000,
        last.export_mwh // 1000 - cut.export_mwh // 1000,
    )


def interpolate(first: Registers, last: Registers, at_ns: int) -> Cut:
    """Return the registers at `at_ns` between two readings, rounded down."""
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
    """Return whether 0 <= difference <= Pmax * time * 1.1 + 2 steps, for both registers."""
    most_mwh = energy_mwh(account.power_w_max * 11, new.t1_ns - old.t0_ns) // 10 + 2 * account.step_mwh
    return (
        0 <= new.import_mwh - old.import_mwh <= most_mwh and 0 <= new.export_mwh - old.export_mwh <= most_mwh
    )


def _is_other_device(account: MeterAccount, reading: RegisterRead) -> bool:
    """Return whether another device answers; one without a serial is taken for the device before it."""
    if reading.serial is None:
        return account.stranger is not None
    return account.serial not in {None, reading.serial} and reading.serial != account.adopted


def _discard_other_device(account: MeterAccount, reading: RegisterRead) -> Measured:
    """Discard a reading of another device; none counts until it is adopted or the old meter answers again."""
    stranger = reading.serial or account.stranger
    detail = (
        f"meter replaced? was {account.serial}, is {stranger}. Run: edgegw meter adopt {account.meter_id}"
    )
    return _discard(replace(account, stranger=stranger), "serial_changed", code=REPLACED, detail=detail)


def _discard(account: MeterAccount, reason: str, *, code: str, detail: str) -> Measured:
    after = replace(account, quarantined=account.quarantined + 1)
    return Measured(account=after, quarantined=reason, code=code, detail=detail)


def _missing(reading: RegisterRead) -> str:
    energies = {"import": reading.import_mwh, "export": reading.export_mwh}
    names = [name for name, energy in energies.items() if energy is None]
    return f"no number in {' and '.join(names)}"


def _jump(account: MeterAccount, new: Registers) -> str:
    """Describe a jump: how far, in how long, and what the rated power allows; `account.last` may be None."""
    old = account.last
    if old is None:
        return (
            f"a register holds {max(new.import_mwh, new.export_mwh) // 1000} Wh, more than any meter counts"
        )
    jump_mwh = max(new.import_mwh - old.import_mwh, new.export_mwh - old.export_mwh)
    span = _decimal((new.t1_ns - old.t0_ns) // (SECOND_NS // 1000), "s")
    return f"jump of {jump_mwh // 1000} Wh in {span} exceeds {_decimal(account.power_w_max, 'kW')} x {span}"


def _decimal(thousandths: int, unit: str) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d} {unit}"


def _accept(
    account: MeterAccount, registers: Registers, *, serial: str | None = None, disputed: bool = False
) -> Measured:
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
        serial=account.serial or serial,  # the first serial seen is kept
        last=registers,
        cut=cut,
        suspects=(),
        accepted=account.accepted + 1,
        power_w=_mean_power_w(last, registers),
        stranger=None,
        adopted=None,
    )
    return Measured(account=after, segments=tuple(segments))


def _mean_power_w(old: Registers, new: Registers) -> int:
    """Return the net power between two readings, for control and forecasts only."""
    net_mwh = new.import_mwh - old.import_mwh - new.export_mwh + old.export_mwh
    return net_mwh * 3_600_000_000 // max(1, new.at_ns - old.at_ns)


def _suspect(account: MeterAccount, registers: Registers, *, serial: str | None) -> Measured:
    """Keep the old registers until three consistent new readings span ten seconds."""
    last, suspects = account.last, account.suspects
    assert last is not None
    if suspects and not _is_plausible(suspects[-1], registers, account):
        suspects = ()
    quick = bool(suspects) and registers.at_ns - suspects[-1].at_ns < SECOND_NS
    suspects = (*suspects[: SUSPECTS_TO_DECIDE - 1], registers)  # first, second and newest
    fallen = registers.import_mwh < last.import_mwh or registers.export_mwh < last.export_mwh
    detail = _fall(last, registers) if fallen else _jump(account, registers)
    discarded = _discard(
        replace(account, suspects=suspects),
        "implausible",
        code=WENT_BACK if fallen else JUMP,
        detail=detail,
    )
    enough = len(suspects) >= SUSPECTS_TO_DECIDE
    if not enough or registers.at_ns - suspects[0].at_ns < SUSPECT_SPAN_NS:
        # Read again at once, but do not poll a fast meter without pause for ten seconds.
        return replace(discarded, ask_again=not (enough and quick))
    if fallen:
        return _open_epoch(discarded.account, suspects, serial=serial)
    return _dispute(discarded.account, registers)


def _fall(old: Registers, new: Registers) -> str:
    pairs = {"import": (old.import_mwh, new.import_mwh), "export": (old.export_mwh, new.export_mwh)}
    name, (before, now) = next((name, pair) for name, pair in pairs.items() if pair[1] < pair[0])
    return f"{name} went back from {before // 1000} Wh to {now // 1000} Wh"


def _dispute(account: MeterAccount, registers: Registers) -> Measured:
    """Accept a lasting upward jump, as disputed segments that are never traded."""
    account, before = cut_at_last(account)
    measured = _accept(account, registers, disputed=True)
    after, rest = cut_at_last(measured.account)
    disputed = [] if rest is None else [replace(rest, disputed=True)]
    ordinary = [] if before is None else [before]
    return replace(measured, account=after, segments=(*ordinary, *measured.segments, *disputed))


def _open_epoch(account: MeterAccount, readings: tuple[Registers, ...], *, serial: str | None) -> Measured:
    """Close the old epoch at its last accepted registers; the new one starts at the first of `readings`."""
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
        stranger=None,
        adopted=None,
    )
    segments = [] if closed is None else [closed]
    for registers in readings[1:]:
        measured = _accept(opened, registers)
        opened = measured.account
        segments += measured.segments
    return Measured(account=opened, segments=tuple(segments), epoch_opened=True)
