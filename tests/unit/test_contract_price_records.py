"""Tariffs, load periods, floors, loads, and the price that is fixed from them."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.contract_world import (
    AUDITOR,
    DAY0,
    ECO,
    EVU,
    GATE,
    IND,
    LIGHT,
    ORACLE,
    World,
    fix_price,
    market,
    summer_tariff,
)

KST = timezone(timedelta(hours=9))
NOON = DAY0 + 12 * 3600
WHERE = {"zone": "KR-CB-1", "product": "CHARGE", "interval": NOON}


@pytest.mark.parametrize(
    ("local", "period"),
    [
        ("2026-07-15 00:00", "light"),
        ("2026-07-15 07:45", "light"),
        ("2026-07-15 08:00", "mid"),
        ("2026-07-15 15:00", "peak"),
        ("2026-07-15 20:45", "peak"),
        ("2026-07-15 21:00", "mid"),
        ("2026-07-15 22:00", "light"),
        ("2026-07-18 15:00", "mid"),
        ("2026-07-19 15:00", "light"),
        ("2026-08-17 15:00", "light"),
        ("2026-12-31 15:00", "peak"),
    ],
)
def test_load_periods_follow_the_local_calendar(local: str, period: str) -> None:
    """Hours are local; Sundays and holidays are light, Saturday's peak counts as mid."""
    at = datetime.strptime(local, "%Y-%m-%d %H:%M").replace(tzinfo=KST)
    preview = market().call(GATE, "DetermineCost", **{**WHERE, "interval": int(at.timestamp())})
    assert (preview["period"], preview["final"]) == (period, False)
    assert preview["ceiling"] == {"light": "98300", "mid": "186000", "peak": "273200"}[period]


def test_a_calendar_without_rules_has_ordinary_weekends() -> None:
    """Rules that are absent change nothing."""
    world = market()
    calendar = {"seasons": {"all": list(range(1, 13))}}
    one = {name: {"all": world_rates["summer"]} for name, world_rates in summer_tariff()["ceilings"].items()}
    rates = {"ceilings": one, "floors": {name: {"all": {**one[name]["all"], "peak": "1"}} for name in one}}
    hours = {"all": {"peak": [[0, 1440]]}}
    tariff = summer_tariff("Z2", tariffId="T2", calendar=calendar, periods=hours, **rates)
    world.call(ORACLE, "PostTariff", **tariff)
    sunday = DAY0 + 4 * 86_400
    assert world.call(GATE, "DetermineCost", zone="Z2", product="CHARGE", interval=sunday)["period"] == "peak"


HOURS = summer_tariff()["periods"]
RATES = summer_tariff()["ceilings"]
CALENDAR = summer_tariff()["calendar"]


@pytest.mark.parametrize(
    "change",
    [
        {"calendar": {**CALENDAR, "seasons": {"summer": [6, 7, 8], "other": [1, 2, 3]}}},
        {"periods": {"summer": HOURS["summer"]}},
        {"periods": {**HOURS, "other": {"light": [[0, 1425]]}}},
        {"periods": {**HOURS, "other": {"light": [[0, 900]], "mid": [[885, 1440]]}}},
        {"periods": {**HOURS, "other": {"light": [[0, 900], [900, 901], [901, 1440]]}}},
        {"periods": {**HOURS, "other": {"light": [[0, 1440, 1440]]}}},
        {"periods": {**HOURS, "other": {"light": [[1440, 0]]}}},
        {"ceilings": {"CHARGE": RATES["CHARGE"]}},
        {"floors": {**RATES, "CHARGE": {"summer": RATES["CHARGE"]["summer"]}}},
        {"floors": {**RATES, "DISCHARGE": {"summer": {"light": "1"}, "other": {"light": "1"}}}},
        {"utcOffsetS": 50_401},
    ],
)
def test_incomplete_tariffs_are_refused(change: dict[str, Any]) -> None:
    """Every month, minute, product, season and period has exactly one value."""
    assert (
        market().code(ORACLE, "PostTariff", **summer_tariff("Z2", tariffId="T2", **change)) == "BAD_ARGUMENT"
    )


def test_tariffs_are_superseded_in_the_future_only() -> None:
    """A tariff is never edited and, once its zone has one, never backdated; the latest in force counts."""
    world = market()
    world.call(ORACLE, "PostTariff", **summer_tariff())
    assert world.last.writes == []
    assert world.code(ORACLE, "PostTariff", **summer_tariff(utcOffsetS=0)) == "ID_CONFLICT"
    assert world.code(ORACLE, "PostTariff", **summer_tariff(tariffId="T2")) == "ID_CONFLICT"
    late = summer_tariff(tariffId="T2", effectiveFrom=DAY0)
    assert world.code(ORACLE, "PostTariff", **late) == "TARIFF_IN_PAST"
    misaligned = summer_tariff(tariffId="T2", effectiveFrom=DAY0 + 1)
    assert world.code(ORACLE, "PostTariff", **misaligned) == "INTERVAL_MISALIGNED"
    world.call(ORACLE, "PostTariff", **summer_tariff(tariffId="T2", effectiveFrom=NOON))
    assert "guard~tariff" in dict(world.last.writes)
    assert world.call(GATE, "DetermineCost", **WHERE)["tariffId"] == "T2"
    assert (
        world.call(GATE, "DetermineCost", **{**WHERE, "interval": NOON - 900})["tariffId"] == "KR-2026-06-01"
    )
    assert world.code(GATE, "DetermineCost", **{**WHERE, "interval": 900}) == "NO_TARIFF"
    assert world.code(GATE, "DetermineCost", **{**WHERE, "zone": "Z9"}) == "NO_TARIFF"


def test_floors_are_posted_by_the_hour_until_its_first_cut_off() -> None:
    """A posted floor overrides the tariff's for its hour and product; the last one counts."""
    world = market()
    hour = {"zone": "KR-CB-1", "product": "CHARGE", "hour": NOON}
    assert world.code(ORACLE, "PostFloor", **{**hour, "hour": NOON + 900}, floor="1") == "INTERVAL_MISALIGNED"
    for floor in ("80000", "47000"):
        world.call(ORACLE, "PostFloor", **hour, floor=floor)
    world.call(ORACLE, "PostFloor", **hour, floor="47000")
    assert world.last.writes == []
    price = world.call(GATE, "DetermineCost", **{**WHERE, "interval": NOON + 2700})
    assert (price["floor"], price["floorSource"]) == ("47000", "POSTED")
    other = world.call(GATE, "DetermineCost", **{**WHERE, "interval": NOON + 3600})
    assert (other["floor"], other["floorSource"]) == ("70000", "TARIFF")
    world.now_s = NOON - 300
    assert world.code(ORACLE, "PostFloor", **hour, floor="1") == "CUT_OFF_PASSED"


def test_each_organisation_posts_its_own_side_until_the_cut_off() -> None:
    """Side follows product and organisation; the last post counts, equal ones write nothing."""
    world = market()
    assert world.code(IND, "PostLoad", **WHERE, wh="1") == "WRONG_ORG"
    assert world.code(ECO, "PostLoad", **{**WHERE, "product": "DISCHARGE"}, wh="1") == "WRONG_ORG"
    assert world.code(ECO, "PostLoad", **{**WHERE, "interval": NOON + 1}, wh="1") == "INTERVAL_MISALIGNED"
    world.call(ECO, "PostLoad", **WHERE, wh="7")
    assert world.call(ECO, "PostLoad", **WHERE, wh="30000")["side"] == "supply"
    assert world.call(EVU, "PostLoad", **WHERE, wh="10000")["side"] == "demand"
    world.call(EVU, "PostLoad", **WHERE, wh="10000")
    assert world.last.writes == []
    preview = world.call(AUDITOR, "DetermineCose", **WHERE)
    assert (preview["supplyWh"], preview["demandWh"], preview["rawPpm"]) == ("30000", "10000", "250000")
    assert "fixedTxId" not in preview
    world.now_s = NOON - 300
    assert world.code(EVU, "PostLoad", **WHERE, wh="1") == "CUT_OFF_PASSED"


def test_a_price_is_fixed_once_between_cut_off_and_start() -> None:
    """A price is fixed after the cut-off and before the start; a later call returns the same record."""
    world = market()
    assert world.code(GATE, "GetPrice", **WHERE) == "PRICE_NOT_FIXED"
    world.now_s = NOON - 301
    assert world.code(GATE, "FixPrice", **WHERE) == "CUT_OFF_OPEN"
    assert world.code(GATE, "FixPrice", **{**WHERE, "interval": NOON + 1}) == "INTERVAL_MISALIGNED"
    assert world.code(GATE, "DetermineCost", **{**WHERE, "interval": NOON + 1}) == "INTERVAL_MISALIGNED"
    world.now_s = NOON - 300
    fixed = world.call(GATE, "FixPrice", **WHERE)
    assert (fixed["price"], fixed["final"], fixed["fixedAtMs"]) == ("128000", True, world.now_s * 1000)
    assert fixed["fixedTxId"] == world.last.tx_id
    world.now_s = NOON + 5
    assert world.call(IND, "FixPrice", **WHERE) == fixed == world.call(ECO, "GetPrice", **WHERE)
    assert world.last.writes == []
    assert world.call(GATE, "DetermineCost", **WHERE) == fixed
    assert world.code(GATE, "FixPrice", **{**WHERE, "product": "DISCHARGE"}) == "INTERVAL_STARTED"


def test_an_empty_window_is_a_record_without_a_price() -> None:
    """An empty window is fixed like a price, and DetermineCost then refuses."""
    world = market()
    world.call(ORACLE, "PostFloor", zone="KR-CB-1", product="CHARGE", hour=LIGHT, floor="117000")
    where = {**WHERE, "interval": LIGHT}
    assert world.code(GATE, "DetermineCost", **where) == "PRICE_WINDOW_EMPTY"
    world.now_s = LIGHT - 60
    record = world.call(GATE, "FixPrice", **where)
    assert record["refusal"] == "PRICE_WINDOW_EMPTY"
    assert "price" not in record
    assert world.code(GATE, "DetermineCost", **where) == "PRICE_WINDOW_EMPTY"
    assert world.call(GATE, "GetPrice", **where) == record


def test_the_worked_prices() -> None:
    """Light 93.321 and peak 162.600, as in the day worked out by hand."""
    assert fix_price(market(), "CHARGE", LIGHT, supply=24_000, demand=14_000) == 93_321
    assert fix_price(market(), "DISCHARGE", DAY0 + 18 * 3600, supply=12_368, demand=50_000) == 162_600


def test_the_second_formula() -> None:
    """A channel configured for `mmr/1` halves the window."""
    world: World = market(formula="mmr/1")
    assert fix_price(world, "CHARGE", NOON, supply=1, demand=99_000) == 128_000
    assert world.call(GATE, "GetPrice", **WHERE)["formula"] == "mmr/1"
