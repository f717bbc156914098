"""Reads a charger's measurements from meterValue with tolerance. Pure; skips what it cannot read, never fails.

Decides which of several sampled values to take for a quantity (location, phase, context), and the units. Never nets import
and export registers, never takes a missing quantity for zero.
Source: OCPP 1.6 §7.31 and §7.43-7.45; OCPP 2.1 Part 2 §2.48 (SampledValueType), §3.59 (measurands); practice in the field.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

from edgegw.chargers import json_values
from edgegw.chargers.violations import NO_DECIMAL, NO_NUMBER, NO_UNIT, Violations
from edgegw.core.events import ChargerSample


class Quantity(StrEnum):
    """The measurands that are read."""

    IMPORT = "Energy.Active.Import.Register"
    EXPORT = "Energy.Active.Export.Register"
    POWER_IMPORT = "Power.Active.Import"
    POWER_EXPORT = "Power.Active.Export"
    SOC = "SoC"

    __hash__ = str.__hash__  # in C; Enum has its own in Python


_QUANTITIES = {quantity.value: quantity for quantity in Quantity}
_IMPORT = Quantity.IMPORT.value
_REGISTERS = frozenset({Quantity.IMPORT, Quantity.EXPORT})

# Only the prefix of a unit counts: chargers label power "kWh" and registers "W" (seen in the field).
_UNIT_FACTORS = {"wh": 1, "w": 1, "kwh": 1000, "kw": 1000, "mwh": 1_000_000, "mw": 1_000_000}
_SOC_UNITS = frozenset({"percent", "%"})
_MULTIPLIER_MAX = 9
_VALUE_MAX = Decimal(10**12)  # 1000 GWh; above any charger's register

# Best first. A value at the end is fresher than a periodic one beside it; one at the beginning is older.
_CONTEXTS = (
    "Transaction.End",
    "Sample.Periodic",
    "Sample.Clock",
    "Trigger",
    "Other",
    "Interruption.End",
    "Interruption.Begin",
    "Transaction.Begin",
)
_PHASES = {"L1": 1, "L2": 2, "L3": 3, "L1-N": 1, "L2-N": 2, "L3-N": 3}
_CONTEXT_RANKS = {context: rank for rank, context in enumerate(_CONTEXTS)}
_OTHER_PLACES = frozenset({"Inlet", "Body", "Cable", "Upstream"})


class _Reading(NamedTuple):  # several a message: a tuple is made in a fifth of the time
    value: Decimal  # in Wh, W or percent
    rank: tuple[int, int]  # place, context: smaller is better
    phase: int | None


def samples(
    meter_values: Any, flaws: Violations, *, now_ns: int, absent_ns: int | None = None, at_start: bool = False
) -> tuple[ChargerSample, ...]:
    """Return one sample per meterValue element with a known quantity, in the order sent; add what is wrong to `flaws`.

    `now_ns` replaces an unreadable timestamp, `absent_ns` (by default `now_ns`) an absent one. `at_start` prefers the
    context Transaction.Begin.
    """
    found = []
    absent_ns = now_ns if absent_ns is None else absent_ns
    for element in json_values.sequence(meter_values):
        if isinstance(element, dict):
            at_ns = flaws.instant_ns(element.get("timestamp"), now_ns=now_ns, absent_ns=absent_ns)
            sample = _sample(element, flaws, at_ns=at_ns, at_start=at_start)
            if sample is not None:
                found.append(sample)
    return tuple(found)


def _sample(
    element: Mapping[str, Any], flaws: Violations, *, at_ns: int, at_start: bool
) -> ChargerSample | None:
    readings: dict[Quantity, list[_Reading]] = {}
    for sampled in json_values.sequence(element.get("sampledValue")):
        if not isinstance(sampled, dict):
            continue
        # No measurand means Energy.Active.Import.Register (1.6 §7.43, 2.1 §2.48).
        measurand = sampled.get("measurand", _IMPORT)
        quantity = _QUANTITIES.get(measurand) if isinstance(measurand, str) else None
        value = None if quantity is None else _value(sampled, quantity, flaws)
        if quantity is not None and value is not None:
            reading = _Reading(value=value, rank=_rank(sampled, at_start=at_start), phase=_phase(sampled))
            readings.setdefault(quantity, []).append(reading)
    values = {quantity: total for quantity, found in readings.items() if (total := _total(found)) is not None}
    if not values:
        return None
    return ChargerSample(
        at_ns=at_ns,
        import_wh=_register_wh(values.get(Quantity.IMPORT)),
        export_wh=_register_wh(values.get(Quantity.EXPORT)),
        power_w=_power_w(values),
        soc_bp=_soc_bp(values.get(Quantity.SOC)),
    )


def _value(sampled: Mapping[str, Any], quantity: Quantity, flaws: Violations) -> Decimal | None:
    number = _decimal(sampled.get("value"))
    if number is None and sampled.get("format") != "SignedData":
        _note_no_decimal(sampled.get("value"), quantity, flaws)
    unit = sampled.get("unit")
    multiplier: int | None = 0
    if "unitOfMeasure" in sampled:
        unit_of_measure = json_values.mapping(sampled["unitOfMeasure"])
        unit = unit_of_measure.get("unit", unit)
        if "multiplier" in unit_of_measure:
            multiplier = json_values.integer(unit_of_measure["multiplier"])
    if number is None or multiplier is None or abs(multiplier) > _MULTIPLIER_MAX:
        return None
    if multiplier:
        number = number.scaleb(multiplier)
    if quantity is Quantity.SOC:
        fits = unit is None or (isinstance(unit, str) and unit.lower() in _SOC_UNITS)
        return number if fits and 0 <= number <= 100 else None
    if unit is None and quantity in _REGISTERS:
        flaws.add(NO_UNIT, quantity.value)
    factor = 1 if unit is None else _UNIT_FACTORS.get(unit.lower()) if isinstance(unit, str) else None
    if factor is None:
        return None
    if factor != 1:
        number *= factor
    # 2.1 §3.59 note 4: registers are never negative. Negative import power is a quirk that means export.
    least = 0 if quantity in _REGISTERS else -_VALUE_MAX
    return number if least <= number <= _VALUE_MAX else None


def _decimal(value: Any) -> Decimal | None:
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        value = str(value)
    elif len(value) > 40:  # signed data and other long texts
        return None
    try:
        number = Decimal(value.strip())
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and -15 < number.adjusted() < 15 else None


def _note_no_decimal(value: Any, quantity: Quantity, flaws: Violations) -> None:
    shown = f"{quantity.value} is {'missing' if value is None else json_values.short(value)}"
    if isinstance(value, str) and "," in value:
        flaws.add(NO_DECIMAL, f"{shown}; a comma?")
    else:
        flaws.add(NO_NUMBER, shown)


def _rank(sampled: Mapping[str, Any], *, at_start: bool) -> tuple[int, int]:
    location, context = sampled.get("location"), sampled.get("context", "Sample.Periodic")
    place = 1 if isinstance(location, str) and location in _OTHER_PLACES else 0
    if at_start and context == "Transaction.Begin":
        return (place, -1)
    rank = _CONTEXT_RANKS.get(context) if isinstance(context, str) else None
    return (place, len(_CONTEXTS) if rank is None else rank)


def _phase(sampled: Mapping[str, Any]) -> int | None:
    """Return 1 to 3 for a phase, None for a total, 0 for what is left out of sums, such as line to line."""
    phase = sampled.get("phase")
    return None if phase is None else _PHASES.get(phase, 0) if isinstance(phase, str) else 0


def _total(readings: Sequence[_Reading]) -> Decimal | None:
    """Return the best total; where none was sent, the sum of the phases of the best rank."""
    if len(readings) == 1 and readings[0].phase is None:
        return readings[0].value
    ordered = sorted(readings, key=lambda reading: reading.rank)
    totals = [reading for reading in ordered if reading.phase is None]
    if totals:
        return totals[0].value
    by_phase: dict[int, Decimal] = {}
    for reading in ordered:
        if reading.phase and reading.rank == ordered[0].rank:
            by_phase.setdefault(reading.phase, reading.value)
    return sum(by_phase.values(), Decimal(0)) if by_phase else None


def _register_wh(value: Decimal | None) -> int | None:
    return None if value is None else int(value)  # a register truncates


def _power_w(values: Mapping[Quantity, Decimal]) -> int | None:
    taken, given = values.get(Quantity.POWER_IMPORT), values.get(Quantity.POWER_EXPORT)
    if taken is None and given is None:
        return None
    return round((taken or Decimal(0)) - (given or Decimal(0)))


def _soc_bp(value: Decimal | None) -> int | None:
    return None if value is None else round(value * 100)
