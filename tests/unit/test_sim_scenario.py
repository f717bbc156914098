"""Scenarios, seeds and the clock of the simulator."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.plans import ScenarioFault
from firmware_sim.scenario import build_scenario, read_scenario
from firmware_sim.sealed_books import seal_of
from firmware_sim.station import SimulatedStation
from firmware_sim.world import NS_PER_S, Clock, iso, parse_ns, stream

SCENARIOS = Path(__file__).parents[2] / "configs" / "scenarios"
FILE = "data/acn_jpl_2019-06-10_week.csv"


def day(**changes: Any) -> dict[str, Any]:
    world = {"seed": changes.pop("seed", 1)}
    return {"world": world, "sessions": {"file": FILE, "day": "2019-06-10", **changes}}


def test_the_real_day_is_whole() -> None:
    """Law: every session of the day is there with its energy, in all three versions, and the share of sellers holds."""
    scenario = read_scenario(SCENARIOS / "real_day.toml")
    assert (len(scenario.visits), len(scenario.evses)) == (78, 51)
    assert sum(visit.wanted_wh for visit in scenario.visits) == pytest.approx(1_230_700, abs=100)
    assert not [visit for visit in scenario.visits if visit.refusal]
    assert sum(visit.car.max_discharge_w is not None for visit in scenario.visits) == 23
    assert {evse.ocpp for evse in scenario.evses} == {"1.6", "2.0.1", "2.1"}
    assert len({visit.id_token for visit in scenario.visits}) == 78
    assert scenario.utc_start_ns <= scenario.visits[0].arrival_ns - 3600 * NS_PER_S
    assert scenario.utc_end_ns > max(visit.departure_ns for visit in scenario.visits)


def test_every_car_can_take_what_it_wants() -> None:
    """Law: battery room and power suffice for each car's energy within its stay."""
    for visit in read_scenario(SCENARIOS / "real_day.toml").visits:
        car = visit.car
        room_wh = car.capacity_wh * (1_000_000 - car.soc_ppm) // 1_000_000
        assert visit.wanted_wh * car.charge_efficiency_ppm // 1_000_000 < room_wh
        stay_s = (visit.departure_ns - visit.arrival_ns) // NS_PER_S
        assert visit.wanted_wh * 3600 < car.max_charge_w * stay_s


def test_fewer_chargers_refuse_overlaps_and_lose_nobody() -> None:
    """Law: mapped onto fewer EVSEs, a car that finds its EVSE occupied is refused EVSE_BUSY and still counted."""
    scenario = build_scenario(day(chargers=10), SCENARIOS)
    assert (len(scenario.evses), len(scenario.visits)) == (10, 78)
    assert Counter(visit.refusal for visit in scenario.visits)["EVSE_BUSY"] > 0
    for evse in scenario.evses:
        stays = [v for v in scenario.visits if v.evse == evse.evse and v.refusal is None]
        assert all(one.departure_ns <= two.arrival_ns for one, two in itertools.pairwise(stays))


def test_the_seed_decides_everything_drawn() -> None:
    """Law: the same seed gives the same scenario, another seed another; streams are independent by name."""
    assert build_scenario(day(v2g_share=0.3), SCENARIOS) == build_scenario(day(v2g_share=0.3), SCENARIOS)
    one, two = (build_scenario(day(v2g_share=0.3, seed=seed), SCENARIOS) for seed in (1, 2))
    assert one.visits != two.visits
    assert stream(1, "a").random() == stream(1, "a").random() != stream(1, "b").random()


def test_a_station_that_stands_still_seals_the_same_books() -> None:
    """Law: the sealed books are a pure function of scenario and clock, and any change breaks the seal."""
    clock = Clock(
        monotonic_origin_ns=time.monotonic_ns() + 3600 * NS_PER_S, utc_origin_ns=0, utc_end_ns=NS_PER_S
    )
    scenario = read_scenario(SCENARIOS / "one_car.toml")
    one, two = (SimulatedStation(scenario, clock).seal() for _ in range(2))
    assert one == two
    assert one["wanted_wh"] == 9_000
    assert one["outcomes"] == {"waiting": 1}
    one["evses"]["EVSE1"]["register_end_mwh"]["import"] += 1000
    assert seal_of(one) != one["seal"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"wrold": {}}, "unknown tables: wrold"),
        ({"world": {"sede": 1}}, "unknown keys: sede"),
        ({"evses": [{"evse": "E"}]}, "missing keys: charger_id"),
        ({"evses": [{"evse": "E", "charger_id": "C", "ocpp": "1.5"}]}, "evses E.ocpp"),
        ({"evses": [{"evse": "E", "charger_id": "C", "rated_w": "11"}]}, "rated_w: int expected"),
        ({"faults": [{"kind": "flood", "evse": "E", "at": "2019-06-10T00:00:00Z"}]}, "kind is one of"),
        ({"faults": [{"kind": "socket_drop", "evse": "E", "at": "noon"}]}, "a date and time expected"),
        ({"visits": [{"evse": "E"}]}, "missing key"),
        ({"sessions": {"file": FILE, "day": "1999-01-01"}}, "no session arrives"),
    ],
)
def test_a_wrong_scenario_says_where(table: dict[str, Any], told: str) -> None:
    """Law: a scenario's fault names the table and key."""
    with pytest.raises(ScenarioFault, match=told):
        build_scenario(table, SCENARIOS)


def test_the_clock_stands_still_outside_its_world() -> None:
    """Law: before the origin and after the end time does not move; between, it runs at the speed."""
    now_ns = time.monotonic_ns()
    text = f"{now_ns + 3600 * NS_PER_S}:1000:600:2000"
    assert Clock.from_environment({"STATION_CLOCK": text}).now_ns() == 1000
    assert Clock.from_environment({"STATION_CLOCK": text}).to_text() == text
    late = Clock(
        monotonic_origin_ns=now_ns - NS_PER_S, utc_origin_ns=1000, speed=Fraction(600), utc_end_ns=2000
    )
    assert late.now_ns() == 2000
    assert late.real_s_until(2001) is None
    free = Clock(monotonic_origin_ns=now_ns - NS_PER_S, utc_origin_ns=0, speed=Fraction(600))
    assert 600 * NS_PER_S <= free.now_ns() < 6000 * NS_PER_S
    assert abs(Clock.from_environment({}).now_ns() - time.time_ns()) < NS_PER_S


def test_times_read_and_write_the_same() -> None:
    """Law: an ISO time written is the time read, to the millisecond, whatever its zone."""
    assert iso(parse_ns("2019-06-10T05:14:34.5-07:00")) == "2019-06-10T12:14:34.500Z"
    assert parse_ns(iso(1_560_168_874_123_000_000)) == 1_560_168_874_123_000_000
