"""The simulator's physics: exact, conserved, and the same however time is cut."""

from __future__ import annotations

import random

import pytest

from firmware_sim.ev import NJ_PER_MWH, NJ_PER_WH, PPM, Battery, Car
from firmware_sim.plant import Plant
from firmware_sim.world import NS_PER_S, QUARTER_NS

HOUR_NS = 3600 * NS_PER_S
LONG_NS = 100 * HOUR_NS


def plugged(
    car: Car, setpoint_w: int, *, wanted_wh: int = 100_000, until_ns: int = LONG_NS, standby_w: int = 5
) -> Plant:
    plant = Plant(at_ns=0, rated_w=22_000, standby_w=standby_w)
    plant.plug(0, car, wanted_wh=wanted_wh, until_ns=until_ns)
    plant.command(0, [(0, setpoint_w)])
    plant.close(0)
    return plant


def brute_force_wh(car: Car, setpoint_w: int, *, hours: int, wanted_wh: int) -> tuple[float, float, float]:
    """Return (import Wh, export Wh, battery Wh) by small steps of floating point: a second opinion."""
    step_h = 1 / 3600
    level_wh = car.capacity_wh * car.soc_ppm / PPM
    import_wh = export_wh = 0.0
    for _ in range(hours * 3600):
        soc_ppm = int(level_wh / car.capacity_wh * PPM)
        if setpoint_w > 0 and import_wh < wanted_wh:
            power_w = min(setpoint_w, car.charge_limit_w(soc_ppm))
            import_wh += power_w * step_h
            level_wh += power_w * step_h * car.charge_efficiency_ppm / PPM
        elif setpoint_w < 0 and soc_ppm > car.min_soc_ppm:
            power_w = min(-setpoint_w, car.max_discharge_w or 0)
            export_wh += power_w * step_h
            level_wh -= power_w * step_h * PPM / car.discharge_efficiency_ppm
    return import_wh, export_wh, level_wh


@pytest.mark.parametrize(
    ("setpoint_w", "soc_ppm", "wanted_wh"),
    [
        (11_000, 500_000, 20_000),
        (7_400, 780_000, 60_000),
        (3_000, 990_000, 9_000),
        (-7_000, 700_000, 1),
        (0, 500_000, 5),
    ],
)
def test_analytic_integral_agrees_with_small_steps(setpoint_w: int, soc_ppm: int, wanted_wh: int) -> None:
    """Law: the analytic registers equal a brute-force integration within one step's energy and taper band."""
    car = Car(soc_ppm=soc_ppm, max_discharge_w=10_000)
    import_wh, export_wh, level_wh = brute_force_wh(car, setpoint_w, hours=6, wanted_wh=wanted_wh)
    plant = plugged(car, setpoint_w, wanted_wh=wanted_wh)
    import_mwh, export_mwh, _ = plant.registers(6 * HOUR_NS)
    assert plant.car is not None
    assert import_mwh / 1000 == pytest.approx(import_wh, abs=15)
    assert export_mwh / 1000 == pytest.approx(export_wh, abs=15)
    assert plant.car.battery.soc_ppm == pytest.approx(level_wh / car.capacity_wh * PPM, abs=500)


@pytest.mark.parametrize("seed", range(8))
def test_registers_do_not_depend_on_how_often_they_are_read(seed: int) -> None:
    """Law: two plants under the same commands show the same registers whether read at random instants or never."""
    chance = random.Random(seed)
    car = Car(soc_ppm=chance.randrange(200_000, PPM), max_discharge_w=9_000, min_soc_ppm=300_000)
    pieces = [(hour * HOUR_NS // 3, chance.choice((-8_000, -1, 0, 333, 11_000))) for hour in range(30)]
    read, unread = (Plant(at_ns=0, rated_w=11_000) for _ in range(2))
    for plant in (read, unread):
        plant.plug(0, car, wanted_wh=12_345, until_ns=9 * HOUR_NS)
        plant.command(0, pieces)
        plant.close(0)
    for at_ns in sorted(chance.randrange(10 * HOUR_NS) for _ in range(2000)):
        read.registers(at_ns)
    assert read.registers(10 * HOUR_NS) == unread.registers(10 * HOUR_NS)
    assert read.standby_nj == unread.standby_nj
    assert read.marks == unread.marks
    assert read.car is not None
    assert unread.car is not None
    assert read.car.battery.soc_ppm == unread.car.battery.soc_ppm


@pytest.mark.parametrize("seed", range(8))
def test_energy_is_conserved(seed: int) -> None:
    """Law: register import = the car's import + standby, export = the car's export, and the battery balances exactly."""
    chance = random.Random(seed)
    car = Car(soc_ppm=400_000, max_discharge_w=9_000, min_soc_ppm=300_000)
    plant = plugged(car, 0, wanted_wh=30_000, until_ns=50 * HOUR_NS)
    now_ns = 0
    for _ in range(200):
        now_ns += chance.randrange(HOUR_NS // 4)
        chance.choice((plant.open, plant.close))(now_ns)
        plant.command(now_ns, [(now_ns, chance.randrange(-11_000, 11_000))])
    import_mwh, export_mwh, _ = plant.registers(now_ns)
    moved = plant.unplug(now_ns)
    assert import_mwh == (moved.import_nj + plant.standby_nj) // NJ_PER_MWH
    assert export_mwh == moved.export_nj // NJ_PER_MWH
    drawn = -(-PPM * PPM // car.discharge_efficiency_ppm)
    stored_fj = moved.import_nj * car.charge_efficiency_ppm - moved.export_nj * drawn
    before_fj = car.capacity_wh * NJ_PER_WH * car.soc_ppm
    assert moved.battery.soc_ppm == (before_fj + stored_fj) // (car.capacity_wh * NJ_PER_WH)


def test_taper_falls_in_steps_to_its_floor() -> None:
    """Law: above 80 % the charge limit falls each per cent and never below its floor; full takes nothing."""
    car = Car(max_charge_w=10_000)
    assert car.charge_limit_w(799_999) == 10_000
    assert [car.charge_limit_w(soc) for soc in (800_000, 809_999, 810_000, 900_000)] == [
        10_000,
        10_000,
        9_500,
        5_000,
    ]
    assert car.charge_limit_w(990_000) == 1_000
    assert car.charge_limit_w(PPM) == 0
    plant = plugged(Car(soc_ppm=950_000, max_charge_w=10_000), 22_000)
    plant.registers(LONG_NS)
    assert plant.car is not None
    assert PPM <= plant.car.battery.soc_ppm <= PPM + 1


def test_wanted_energy_floor_and_departure_are_exact() -> None:
    """Law: a car takes what it wants to the mWh, sells down to its floor and not below, and stops at departure."""
    plant = plugged(Car(soc_ppm=300_000), 7_321, wanted_wh=4_567, standby_w=0)
    assert plant.registers(LONG_NS) == (4_567_000, 0, 0)
    plant = plugged(Car(soc_ppm=300_000, min_soc_ppm=250_000, max_discharge_w=7_000), -22_000)
    plant.registers(LONG_NS)
    assert plant.car is not None
    assert plant.car.battery.soc_ppm in {249_999, 250_000}
    plant = plugged(Car(soc_ppm=300_000), 3_600, until_ns=1000 * NS_PER_S)
    assert plant.registers(2000 * NS_PER_S)[0] == 1_000_000 + 5 * 1000 * 1000 // 3600


def test_a_car_that_cannot_discharge_gives_nothing() -> None:
    """Law: without a discharge limit a setpoint below zero moves nothing."""
    assert Battery(Car(max_discharge_w=None)).power_w(-5_000) == 0


def test_standby_only_while_the_contactor_is_open() -> None:
    """Law: an idle EVSE imports its standby; a closed contactor without offer imports nothing."""
    plant = plugged(Car(), 0)
    assert plant.registers(HOUR_NS) == (0, 0, 0)
    plant.open(HOUR_NS)
    assert plant.registers(2 * HOUR_NS) == (5_000, 0, 5)


def test_marks_stand_at_each_quarter_hour() -> None:
    """Law: the true register of every UTC quarter hour is kept, exact at that instant."""
    plant = plugged(Car(), 3_600)
    plant.registers(4 * QUARTER_NS + 1)
    assert [mark.at_ns for mark in plant.marks] == [QUARTER_NS * n for n in range(1, 5)]
    assert [mark.import_mwh for mark in plant.marks] == [900_000 * n for n in range(1, 5)]


def test_each_piece_of_a_command_holds_until_the_next() -> None:
    """Law: power changes at a piece's start without anybody looking, and the rating caps it both ways."""
    plant = Plant(at_ns=0, rated_w=3_600)
    plant.plug(0, Car(max_discharge_w=9_000), wanted_wh=50_000, until_ns=LONG_NS)
    plant.command(0, [(0, 9_999), (HOUR_NS, -9_999), (2 * HOUR_NS, 0)])
    plant.close(0)
    assert plant.next_change_ns(0) == HOUR_NS
    assert plant.registers(5 * HOUR_NS) == (3_600_000, 3_600_000, 0)
