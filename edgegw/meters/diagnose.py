"""Check a meter's wiring and profile from two full reads some seconds apart.

Each finding has a name, the measurement, a verdict and a remedy. Pure: never reads a meter.
Source: docs/meters.md, What `diagnose` shows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

from edgegw.common.error_codes import REMEDIES
from edgegw.meters.decode import decode_energy
from edgegw.meters.profile import WORDS, Profile, Register
from edgegw.meters.register_dump import MODEL, Observed, energy_text

OK, UNKNOWN, FAILED = "ok", "unknown", "failed"
POWER_W_MAX = 400_000  # above any charger's power, for an unknown rated power
ENERGY_MWH_MOST = 10**13  # 10 GWh: more indicates a wrong word order
CLOCK_NS_MOST = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding of a diagnosis."""

    what: str
    measured: str
    verdict: str
    remedy: str = ""


def diagnose(
    profile: Profile,
    seen: Observed,
    *,
    known_serial: str | None = None,
    swapped: bool = False,
    rated_w: int | None = None,
) -> tuple[Finding, ...]:
    """Run all checks.

    `known_serial` is the serial number the station has stored; `rated_w` is the sum of the EVSE's rated power in both
    directions.
    """
    findings = [
        _round_trip(profile, seen),
        *_model(seen),
        _serial(profile, seen, known_serial),
        present := _presence(seen),
        _words(profile, seen),
        _torn(profile, seen, rated_w or POWER_W_MAX),
        _clock(seen),
    ]
    if present.verdict == OK:
        findings += [_energy_against_power(profile, seen), _sign(seen, swapped=swapped)]
    return tuple(findings)


def as_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return the findings for `--json` and tables."""
    return [asdict(finding) for finding in findings]


def _round_trip(profile: Profile, seen: Observed) -> Finding:
    longest_ms = max(each.t1_ns - each.t0_ns for each in seen.samples) // 1_000_000
    slow = longest_ms * 2 > profile.min_timeout_ms
    return Finding(
        what="round trip",
        measured=f"{len(seen.samples)} answers, the slowest after {longest_ms} ms (timeout {profile.min_timeout_ms} ms)",
        verdict=FAILED if slow else OK,
        remedy="check the Modbus gateway and other Modbus clients on the bus" if slow else "",
    )


def _model(seen: Observed) -> list[Finding]:
    """Return a finding for each model register of the profile."""
    return [
        Finding(
            what="model",
            measured=f"{one.address:#06x} holds {one.value}" + (f", {one.unit}" if one.unit else ""),
            verdict=FAILED if one.unit else OK,
            remedy=f"EGW-2010: {REMEDIES['EGW-2010'].remedy}" if one.unit else "",
        )
        for one in seen.first.shown
        if one.name == MODEL
    ]


def _serial(profile: Profile, seen: Observed, known: str | None) -> Finding:
    told = {seen.first.serial, seen.last.serial}
    measured = " then ".join(sorted(str(one) for one in told))
    if profile.serial is None or told == {None}:
        return Finding(
            what="serial",
            measured="not available",
            verdict=UNKNOWN,
            remedy="seal the meter: only its registers would reveal a replacement",
        )
    changed = len(told) > 1 or (known is not None and told != {known})
    if changed and known is not None:
        measured = f"{measured}; the station expects {known}"
    return Finding(
        what="serial",
        measured=measured,
        verdict=FAILED if changed else OK,
        remedy=f"EGW-2007: {REMEDIES['EGW-2007'].remedy}" if changed else "",
    )


def _presence(seen: Observed) -> Finding:
    energies = [each.energy for each in seen.samples]
    gone = [
        name
        for name in ("import_mwh", "export_mwh")
        if any(getattr(energy, name) is None for energy in energies)
    ]
    if gone:
        return Finding(
            what="both energy registers",
            measured=f"no number in {' and '.join(name.removesuffix('_mwh') for name in gone)}",
            verdict=FAILED,
            remedy="EGW-2003: use a variant that counts both directions, or the meter profile of this model",
        )
    first, last = energies[0], energies[-1]
    measured = ", ".join(
        f"{name} {energy_text(getattr(first, f'{name}_mwh'))} then {energy_text(getattr(last, f'{name}_mwh'))} Wh"
        for name in ("import", "export")
    )
    return Finding(what="both energy registers", measured=measured, verdict=OK)


def _words(profile: Profile, seen: Observed) -> Finding:
    """Check whether the words decode to energies in the profile's order, and in which other order they would."""
    registers = seen.first.sample.registers
    orders = {
        "as the profile says": (profile, registers),
        "words swapped": (replace(profile, little=not profile.little), registers),
        "bytes swapped": (profile, _bytes_swapped(registers)),
        "words and bytes swapped": (replace(profile, little=not profile.little), _bytes_swapped(registers)),
    }
    plausible = [name for name, (as_if, words) in orders.items() if makes_energies(as_if, words)]
    if "as the profile says" in plausible:
        return Finding(what="word order", measured="as the profile says", verdict=OK)
    if plausible:
        return Finding(
            what="word order",
            measured=f"only {' or '.join(plausible)} gives energies",
            verdict=FAILED,
            remedy="set the word order of the meter to that of its meter profile, or use another meter profile",
        )
    return Finding(
        what="word order",
        measured="no order of these words gives energies",
        verdict=FAILED,
        remedy="find the right meter profile: edgegw meter scan --host HOST",
    )


def _bytes_swapped(registers: Sequence[int]) -> tuple[int, ...]:
    return tuple((word & 0xFF) << 8 | word >> 8 for word in registers)


def makes_energies(profile: Profile, registers: Sequence[int]) -> bool:
    """Return whether both energy registers decode to a plausible energy."""
    energy = decode_energy(profile, registers)
    return all(
        energy_mwh is not None
        and energy_mwh <= ENERGY_MWH_MOST
        and not _vanished(register, registers, energy_mwh)
        for register, energy_mwh in (
            (profile.import_, energy.import_mwh),
            (profile.export, energy.export_mwh),
        )
    )


def _vanished(register: Register, registers: Sequence[int], energy_mwh: int) -> bool:
    """Return whether a non-zero register decodes to 0 mWh, as a float in the wrong word order often does."""
    field = register.field
    return (
        energy_mwh == 0
        and register.fine is None
        and any(registers[field.off : field.off + WORDS[field.kind]])
    )


def _torn(profile: Profile, seen: Observed, power_w_most: int) -> Finding:
    """Check that each response is consistent with the previous one; a torn read of two words would not be."""
    for old, new in pairwise(seen.samples):
        most_mwh = power_w_most * (new.t1_ns - old.t0_ns) // 3_600_000_000 + 2 * profile.import_.lsb_mwh
        for name in ("import_mwh", "export_mwh"):
            before, now = getattr(old.energy, name), getattr(new.energy, name)
            if before is None or now is None or 0 <= now - before <= most_mwh:
                continue
            code = "EGW-2006" if now < before else "EGW-2004"
            return Finding(
                what="steady registers",
                measured=f"{name.removesuffix('_mwh')} {energy_text(before)} then {energy_text(now)} Wh",
                verdict=FAILED,
                remedy=f"{code}: {REMEDIES[code].remedy}",
            )
    return Finding(what="steady registers", measured=f"{len(seen.samples)} consistent answers", verdict=OK)


def _clock(seen: Observed) -> Finding:
    """Check that UTC and the monotonic clock agree over the reads, because UTC places the quarter hours."""
    first, last = seen.first.sample, seen.last.sample
    drift_ns = abs((last.utc1_ns - first.utc0_ns) - (last.t1_ns - first.t0_ns))
    ok = drift_ns <= CLOCK_NS_MOST
    return Finding(
        what="clock of the answers",
        measured=f"UTC differs by {drift_ns // 1_000_000} ms from the monotonic clock",
        verdict=OK if ok else FAILED,
        remedy=""
        if ok
        else "wait until NTP synchronizes the clock (timedatectl), then run this command again",
    )


def _moved_mwh(seen: Observed) -> int:
    """Return the net energy between the two reads, import positive, as the meter counts."""
    first, last = seen.first.sample.energy, seen.last.sample.energy
    assert None not in {first.import_mwh, first.export_mwh, last.import_mwh, last.export_mwh}
    return (last.import_mwh or 0) - (first.import_mwh or 0) - (last.export_mwh or 0) + (first.export_mwh or 0)


def _energy_against_power(profile: Profile, seen: Observed) -> Finding:
    """Compare the energy counted with power x time, which shows a wrong scale of either."""
    what = "energy against power"
    first_w, last_w = seen.first.power_w, seen.last.power_w
    if first_w is None or last_w is None:
        return Finding(what=what, measured="the meter profile has no power register", verdict=UNKNOWN)
    span_ns = seen.last.sample.middle_ns - seen.first.sample.middle_ns
    expected_mwh = abs(first_w + last_w) * span_ns // (2 * 3_600_000_000)
    moved_mwh = abs(_moved_mwh(seen))
    lsb_mwh = max(profile.import_.lsb_mwh, profile.export.lsb_mwh)
    slack_mwh = 2 * lsb_mwh + expected_mwh // 10 + abs(last_w - first_w) * span_ns // 3_600_000_000
    measured = (
        f"{energy_text(moved_mwh)} Wh counted, {energy_text(expected_mwh)} Wh expected from {first_w} W then {last_w} W "
        f"over {span_ns // 1_000_000} ms"
    )
    factor = _factor(moved_mwh, expected_mwh)
    if factor and abs(moved_mwh - expected_mwh) > slack_mwh:
        remedy = f"use another meter profile: the scale of energy or power is wrong by {factor}"
        return Finding(what=what, measured=measured, verdict=FAILED, remedy=remedy)
    if expected_mwh <= 2 * lsb_mwh and moved_mwh <= 2 * lsb_mwh:
        remedy = f"charge a car or increase --seconds: the meter counts in steps of {energy_text(lsb_mwh)} Wh"
        return Finding(what=what, measured=measured, verdict=UNKNOWN, remedy=remedy)
    if abs(moved_mwh - expected_mwh) > slack_mwh:
        return Finding(
            what=what,
            measured=measured,
            verdict=FAILED,
            remedy="check the meter profile and whether energy and power belong to the same circuit",
        )
    return Finding(what=what, measured=measured, verdict=OK)


def _factor(moved_mwh: int, expected_mwh: int) -> str:
    """Return the factor between counted and expected energy: x1000, x0.001 or an empty string."""
    if expected_mwh and 500 * expected_mwh <= moved_mwh <= 2_000 * expected_mwh:
        return "x1000"
    if moved_mwh and 500 * moved_mwh <= expected_mwh <= 2_000 * moved_mwh:
        return "x0.001"
    return ""


def _sign(seen: Observed, *, swapped: bool) -> Finding:
    """Check that power and energy have the same direction, and whether that is the station's import."""
    what = "direction"
    moved_mwh, power_w = _moved_mwh(seen), seen.last.power_w
    if power_w is None or not moved_mwh or not power_w:
        return Finding(
            what=what,
            measured="no energy flows" if power_w is not None else "the meter profile has no power register",
            verdict=UNKNOWN,
            remedy="run this command again while a car charges",
        )
    towards = "import" if moved_mwh > 0 else "export"
    measured = f"{towards} counts while power is {power_w} W" + (", reversed (swapped)" if swapped else "")
    if (moved_mwh > 0) == (power_w > 0):
        return Finding(
            what=what,
            measured=measured,
            verdict=OK,
            remedy=f"if a car {'discharges' if (moved_mwh > 0) != swapped else 'charges'} now, set swapped = "
            f"{'false' if swapped else 'true'}",
        )
    return Finding(
        what=what,
        measured=measured,
        verdict=FAILED,
        remedy="use the meter profile of this model, or correct a reversed phase",
    )
