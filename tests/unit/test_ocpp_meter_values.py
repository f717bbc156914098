"""Meter values are read correctly in all the forms in which chargers send them."""

from typing import Any

import pytest

from edgegw.chargers import json_values, meter_values, timestamps
from edgegw.chargers.violations import Violations
from edgegw.core.events import ChargerSample
from tests.support.chargers_station import NOW_NS, at

IMPORT = "Energy.Active.Import.Register"
EXPORT = "Energy.Active.Export.Register"


def sampled(value: Any, **more: Any) -> dict[str, Any]:
    """A sampledValue."""
    return {"value": value, **more}


def read(*values: Any, at_start: bool = False) -> ChargerSample | None:
    """The sample of one meterValue element, or None."""
    element = {"timestamp": "2026-11-22T08:20:00Z", "sampledValue": list(values)}
    found = meter_values.samples([element], Violations(), now_ns=NOW_NS, at_start=at_start)
    return found[0] if found else None


REGISTERS: list[tuple[dict[str, Any], int | None]] = [
    (sampled("1523400"), 1523400),  # no measurand: the import register
    (sampled(1523400, measurand=IMPORT), 1523400),
    (sampled("1523.4", measurand=IMPORT, unit="kWh"), 1523400),
    (sampled(1523.4, measurand=IMPORT, unitOfMeasure={"unit": "kWh"}), 1523400),
    (sampled(15234, measurand=IMPORT, unitOfMeasure={"unit": "Wh", "multiplier": 2}), 1523400),
    (sampled(1.5234, measurand=IMPORT, unitOfMeasure={"unit": "kWh", "multiplier": 3}), 1523400),
    (sampled(15234000, measurand=IMPORT, unitOfMeasure={"multiplier": -1}), 1523400),
    (sampled("1523400.9", measurand=IMPORT, unit="Wh"), 1523400),  # a register truncates
    (sampled("0.1", measurand=IMPORT, unit="kWh"), 100),  # exactly, no binary fraction
    (sampled("7", measurand=IMPORT, unit="W"), 7),  # a mislabelled unit keeps its prefix
    (sampled(" 12 ", measurand=IMPORT), 12),
    (sampled("0", measurand=IMPORT), 0),
    (sampled("-1", measurand=IMPORT), None),  # registers are never negative
    (sampled("", measurand=IMPORT), None),
    (sampled("abc", measurand=IMPORT), None),
    (sampled("NaN", measurand=IMPORT), None),
    (sampled("Infinity", measurand=IMPORT), None),
    (sampled("1e400", measurand=IMPORT), None),
    (sampled("1e999999999", measurand=IMPORT), None),
    (sampled(True, measurand=IMPORT), None),
    (sampled(None, measurand=IMPORT), None),
    (sampled([1], measurand=IMPORT), None),
    (sampled("5", measurand=IMPORT, unit="Celsius"), None),
    (sampled("5", measurand=IMPORT, unit=7), None),
    (sampled("5", measurand=IMPORT, unitOfMeasure={"multiplier": 10**9}), None),
    (sampled("5", measurand=[IMPORT]), None),
    (sampled("5", measurand=IMPORT, location=["Inlet"], context={}), 5),  # no place and no context we know
    (sampled('{"signedMeterData":"' + "0" * 100, measurand=IMPORT, format="SignedData"), None),
]


@pytest.mark.parametrize(("value", "expected"), REGISTERS)
def test_register(value: dict[str, Any], expected: int | None) -> None:
    """A register is read in whatever unit it comes, exactly, or not at all."""
    sample = read(value)
    assert (None if sample is None else sample.import_wh) == expected


@pytest.mark.parametrize(
    ("values", "power_w"),
    [
        ([sampled("7.2", measurand="Power.Active.Import", unit="kW")], 7200),
        ([sampled("4980", measurand="Power.Active.Export", unit="W")], -4980),
        (
            [sampled(0, measurand="Power.Active.Import"), sampled(4980, measurand="Power.Active.Export")],
            -4980,
        ),
        ([sampled("-4980", measurand="Power.Active.Import", unit="W")], -4980),  # a quirk that means export
        ([sampled("11", measurand="Power.Active.Import", unit="kWh")], 11000),
        ([sampled(230, measurand="Voltage", unit="V"), sampled(5, measurand="Power.Active.Import")], 5),
    ],
)
def test_power_is_import_positive(values: list[dict[str, Any]], power_w: int) -> None:
    """Import and export power become one signed power."""
    sample = read(*values)
    assert sample is not None
    assert sample.power_w == power_w


@pytest.mark.parametrize(
    ("value", "soc_bp"), [("58", 5800), (58.25, 5825), ("101", None), ("-1", None), ("x", None)]
)
def test_state_of_charge(value: Any, soc_bp: int | None) -> None:
    """State of charge is basis points between 0 and 100 %."""
    sample = read(sampled(value, measurand="SoC", unit="Percent", location="EV"))
    assert (None if sample is None else sample.soc_bp) == soc_bp


def test_both_registers_stay_apart() -> None:
    """Import and export are never netted, and a value that is not sent is None."""
    sample = read(sampled(10, measurand=IMPORT), sampled(4, measurand=EXPORT))
    assert sample == ChargerSample(at_ns=at("2026-11-22T08:20:00Z"), import_wh=10, export_wh=4)


@pytest.mark.parametrize("order", [1, -1])
def test_context_decides_not_order(order: int) -> None:
    """A Begin value never hides a periodic one, except where the start is asked for."""
    values = [
        sampled(100, measurand=IMPORT, context="Transaction.Begin"),
        sampled(150, measurand=IMPORT, context="Sample.Periodic"),
    ][::order]
    sample, first = read(*values), read(*values, at_start=True)
    assert sample is not None
    assert first is not None
    assert (sample.import_wh, first.import_wh) == (150, 100)


def test_phases_count_only_without_a_total() -> None:
    """A total wins over phases; without one the phases are summed; line-to-line values never are."""
    phases = [sampled(100, measurand=IMPORT, phase=f"L{n}") for n in (1, 2, 3)]
    total = read(*phases, sampled(299, measurand=IMPORT))
    summed = read(*phases, sampled(999, measurand=IMPORT, phase="L1-L2"))
    assert total is not None
    assert summed is not None
    assert (total.import_wh, summed.import_wh) == (299, 300)
    assert read(sampled(999, measurand=IMPORT, phase="L1-L2")) is None


def test_outlet_wins_over_other_places() -> None:
    """The value at the outlet is used for the EVSE; without one, another location's is."""
    inlet = sampled(900, measurand=IMPORT, location="Inlet")
    both, alone = read(inlet, sampled(850, measurand=IMPORT, location="Outlet")), read(inlet)
    assert both is not None
    assert alone is not None
    assert (both.import_wh, alone.import_wh) == (850, 900)


@pytest.mark.parametrize(
    "junk", [None, 3, "x", [], [1], [{}], [{"sampledValue": 5}], {"sampledValue": [None]}, [[]]]
)
def test_junk_is_no_sample(junk: Any) -> None:
    """A batch without energy, power or state of charge is no information at all."""
    assert meter_values.samples(junk, Violations(), now_ns=NOW_NS) == ()


def test_one_sample_per_element() -> None:
    """Elements keep their order; one without readable time is as of receipt; a lone object counts as a list."""
    elements = [
        {"timestamp": "2026-11-22T08:05:10Z", "sampledValue": [sampled(1)]},
        {"timestamp": "yesterday", "sampledValue": [sampled(2)]},
    ]
    found = meter_values.samples(elements, Violations(), now_ns=NOW_NS)
    assert [sample.at_ns for sample in found] == [at("2026-11-22T08:05:10Z"), NOW_NS]
    assert meter_values.samples(elements[0], Violations(), now_ns=NOW_NS) == found[:1]


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z"),
        ("2026-11-22T08:00:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22 08:00:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22t08:00:00z", "2026-11-22T08:00:00Z"),
        ("2026-11-22T09:00:00+01:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22T13:30:00+0530", "2026-11-22T08:00:00Z"),
        ("2026-11-22T08:00:00.1234567Z", "2026-11-22T08:00:00.123456Z"),
    ],
)
def test_timestamps_are_read(text: str, same_as: str) -> None:
    """Every spelling seen in the field means one instant; without zone it is UTC."""
    assert timestamps.parse(text) == at(same_as)


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "yesterday",
        "1970-01-01T00:00:00Z",
        "2000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-99-99",
    ],
)
def test_no_time_is_none(value: Any) -> None:
    """A malformed time, or one of a clock that was never set, is None."""
    assert timestamps.parse(value) is None


def test_timestamps_round_trip() -> None:
    """An instant of whole milliseconds is written and read back as itself."""
    assert timestamps.parse(timestamps.render(NOW_NS + 987_000_000)) == NOW_NS + 987_000_000


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (12, 12),
        (12.0, 12),
        ("12", 12),
        ("12.4", 12),
        (True, None),
        ("x", None),
        (None, None),
        ("inf", None),
        (10**30, None),
        ([], None),
    ],
)
def test_integers_are_read_with_tolerance(value: Any, number: int | None) -> None:
    """A whole number may come as float or text; nothing else becomes one."""
    assert json_values.integer(value) == number


def test_text_is_storable() -> None:
    """Text from a charger has no unpaired surrogate and a bounded length."""
    assert json_values.text("\ud800x") == "?x"
    assert json_values.text("a" * 999) == "a" * 255
    assert (json_values.text("  "), json_values.text({}), json_values.text(7)) == (None, None, "7")
    assert json_values.normal_token(" 04a1b2 ") == "04A1B2"
