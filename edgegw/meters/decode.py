"""Decode the registers of one response to exact integer mWh and whole W.

A float becomes a count of the meter's smallest step by round(value / step), computed here, once, on exact ratios; from
there on energy is an integer. Sentinels, NaN, infinities and negative registers become None (not measured).
Never decides whether a value is plausible. Source: docs/meters.md, From registers to segments; IEEE 754.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgegw.meters.profile import WORDS, Field, Identity, Profile, Register

SF_MAX = 10  # SunSpec sunssf runs from -10 to 10
_PACK = {count: struct.Struct(f">{count}H").pack for count in set(WORDS.values())}
_UNPACK: dict[str, Callable[[bytes], tuple[int | float, ...]]] = {
    kind: struct.Struct(f">{code}").unpack
    for kind, code in {
        "u16": "H", "s16": "h", "u32": "I", "s32": "i", "f32": "f", "u64": "Q", "s64": "q", "f64": "d",
    }.items()
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Energy:
    """Both registers of one response in mWh; `degraded` if a float has outgrown the register's smallest step."""

    import_mwh: int | None
    export_mwh: int | None
    degraded: bool


def decode_energy(profile: Profile, registers: Sequence[int]) -> Energy:
    """Decode the energy block, exactly `profile.energy_block.count` words."""
    import_mwh, import_coarse = _register(profile.import_, registers, profile.little)
    export_mwh, export_coarse = _register(profile.export, registers, profile.little)
    return Energy(import_mwh, export_mwh, import_coarse or export_coarse)


def decode_power(profile: Profile, registers: Sequence[int]) -> int | None:
    """Decode the power block to whole watts, import positive; halves round up."""
    if profile.power is None:
        return None
    ratio = _ratio(profile.power, registers, profile.little)
    if ratio is None:
        return None
    return profile.power_sign * ((2 * ratio[0] + ratio[1]) // (2 * ratio[1]))


def decode_identity(identity: Identity, registers: Sequence[int]) -> int | str | None:
    """Decode a unit's number or text; None if it has none (all ones, or empty)."""
    if identity.kind == "ascii":
        text = b"".join(word.to_bytes(2, "big") for word in registers)
        read = text.split(b"\0", 1)[0].decode("ascii", "replace")
        return "".join(character for character in read if character.isprintable()).strip() or None
    if all(word == 0xFFFF for word in registers):
        return None
    return int.from_bytes(b"".join(word.to_bytes(2, "big") for word in registers), "big")


def raw_number(field: Field, registers: Sequence[int], little: bool) -> int | float:  # noqa: FBT001 - as in the profile
    """Return the number in a field's words without scaling, for display, never for billing."""
    words = _words(field, registers)
    if little:
        words = words[::-1]
    return _UNPACK[field.kind](_PACK[len(words)](*words))[0]


def _register(register: Register, registers: Sequence[int], little: bool) -> tuple[int | None, bool]:  # noqa: FBT001 - private
    """Return the cumulative mWh, and whether the step was coarsened."""
    ratio = _ratio(register.field, registers, little)
    if ratio is None or ratio[0] < 0:
        return None, False
    if ratio[0] == 0 and register.exact_max_mwh is not None and any(_words(register.field, registers)):
        return None, False  # -0.0 is 0x80000000, the "no value" of many meters
    wh_num, wh_den = ratio
    if register.fine is not None:
        fine = _ratio(register.fine, registers, little)
        unit = register.field
        if fine is None or not 0 <= fine[0] * unit.den < unit.num * fine[1]:
            return None, False
        wh_num, wh_den = wh_num * fine[1] + fine[0] * wh_den, wh_den * fine[1]
    if register.exact_max_mwh is None:
        return wh_num * 1000 // wh_den, False
    step_mwh, exact_max_mwh = register.lsb_mwh, register.exact_max_mwh
    # At the limit itself the next count already rounds onto it. Each doubling of the value costs the float one bit.
    while wh_num * 1000 >= exact_max_mwh * wh_den:
        step_mwh, exact_max_mwh = step_mwh * 2, exact_max_mwh * 2
    count = (2000 * wh_num + wh_den * step_mwh) // (2 * wh_den * step_mwh)
    return count * step_mwh, step_mwh != register.lsb_mwh


def _words(field: Field, registers: Sequence[int]) -> Sequence[int]:
    return registers[field.off : field.off + WORDS[field.kind]]


def _ratio(field: Field, registers: Sequence[int], little: bool) -> tuple[int, int] | None:  # noqa: FBT001 - private
    """Return the field's value as an exact fraction (numerator, positive denominator), or None."""
    raw = raw_number(field, registers, little)
    if isinstance(raw, float):
        if not math.isfinite(raw):
            return None
        num, den = raw.as_integer_ratio()
    elif raw in field.nan:
        return None
    else:
        num, den = raw, 1
    num, den = num * field.num, den * field.den
    if field.sf_off is not None:
        exponent = (registers[field.sf_off] ^ 0x8000) - 0x8000
        if not -SF_MAX <= exponent <= SF_MAX:  # 0x8000 (not implemented) is outside
            return None
        num, den = (num * 10**exponent, den) if exponent >= 0 else (num, den * 10**-exponent)
    return num, den
