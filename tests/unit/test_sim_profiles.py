"""The simulator's charging profiles: prevailing power, expiry, dead-man, dialects."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_sim.profiles import Profile, ProfileRefused, ProfileStack, read_profile, read_update_w
from firmware_sim.world import NS_PER_S, iso

S = NS_PER_S


def tx_profile(level: int, power_w: int, **changes: Any) -> Profile:
    base: dict[str, Any] = {
        "profile_id": level,
        "purpose": "TxProfile",
        "stack_level": level,
        "kind": "Absolute",
        "start_ns": 0,
        "steps": ((0, power_w),),
    }
    return Profile(**(base | changes))


def stack_of(*profiles: Profile) -> ProfileStack:
    stack = ProfileStack(default_w=11_000)
    for profile in profiles:
        stack.install(profile, replace_level=True)
    return stack


def table(**changes: Any) -> dict[str, Any]:
    schedule = {
        "charging_rate_unit": "W",
        "charging_schedule_period": [{"start_period": 0, "limit": 5000}],
        **changes.pop("schedule", {}),
    }
    return {
        "charging_profile_id": 4,
        "stack_level": 1,
        "charging_profile_purpose": "TxProfile",
        "charging_profile_kind": "Absolute",
        "charging_schedule": schedule,
        **changes,
    }


def test_the_highest_level_prevails_and_expiry_uncovers_the_next() -> None:
    """Law: at each instant the highest valid level holds; after its end the next lower, then the default."""
    stack = stack_of(
        tx_profile(2, -7_000, duration_ns=900 * S),
        tx_profile(1, 1_000, duration_ns=1800 * S),
    )
    assert stack.pieces(0) == [(0, -7_000), (900 * S, 1_000), (1800 * S, 11_000)]
    assert stack.pieces(900 * S) == [(900 * S, 1_000), (1800 * S, 11_000)]


def test_a_tx_profile_overrules_the_default_profile() -> None:
    """Law: TxDefaultProfile holds only where no TxProfile does, whatever its level."""
    default = tx_profile(9, 0, purpose="TxDefaultProfile")
    stack = stack_of(default, tx_profile(1, 4_000, profile_id=1, duration_ns=60 * S))
    assert stack.pieces(0) == [(0, 4_000), (60 * S, 0)]


def test_periods_and_validity_cut_the_schedule() -> None:
    """Law: each period holds from its start; nothing holds before validFrom or from validTo on."""
    profile = tx_profile(1, 0, steps=((0, 1_000), (10 * S, 2_000)), valid_from_ns=5 * S, valid_to_ns=20 * S)
    assert stack_of(profile).pieces(0) == [(0, 11_000), (5 * S, 1_000), (10 * S, 2_000), (20 * S, 11_000)]


def test_an_update_starts_a_dynamic_profile_again() -> None:
    """Law: the duration of a dynamic profile is a dead-man's time that each update starts again."""
    stack = stack_of(tx_profile(1, -5_000, kind="Dynamic", duration_ns=60 * S))
    assert stack.update(1, -3_000, 50 * S)
    assert stack.pieces(50 * S) == [(50 * S, -3_000), (110 * S, 11_000)]
    assert not stack.update(7, 0, 0)


def test_a_profile_may_not_outlive_its_offline_time() -> None:
    """Law: maxOfflineDuration ends a profile while offline, and for good where the profile says so."""
    stack = stack_of(tx_profile(1, -5_000, max_offline_ns=30 * S, stays_invalid=True))
    stack.went_offline(10 * S)
    assert stack.pieces(10 * S) == [(10 * S, -5_000), (40 * S, 11_000)]
    stack.came_online(39 * S)
    assert stack.power_w(50 * S) == -5_000
    stack.went_offline(60 * S)
    stack.came_online(90 * S)
    assert stack.power_w(91 * S) == 11_000


def test_a_cap_bounds_charging_and_not_selling() -> None:
    """Law: a maximum profile caps what is charged and leaves a discharge as it is."""
    cap = tx_profile(0, 2_000, profile_id=50, purpose="ChargePointMaxProfile")
    assert stack_of(cap).power_w(0) == 2_000
    assert stack_of(cap, tx_profile(1, -5_000)).power_w(0) == -5_000


def test_same_level_replaces_or_is_refused() -> None:
    """Law: 1.6 replaces a profile of the same purpose and level; 2.x refuses a second id there (K01.FR.39)."""
    stack = stack_of(tx_profile(1, 1_000))
    stack.install(tx_profile(1, 2_000, profile_id=77), replace_level=True)
    assert stack.power_w(0) == 2_000
    with pytest.raises(ProfileRefused, match="DuplicateProfile"):
        stack.install(tx_profile(1, 3_000, profile_id=78), replace_level=False)
    stack.install(tx_profile(1, 4_000, profile_id=77), replace_level=False)
    assert stack.power_w(0) == 4_000
    assert stack.clear(purpose="TxProfile", level=1)
    assert not stack.clear(profile_id=77)


def test_relative_profiles_count_from_the_start() -> None:
    """Law: a relative profile's periods begin with the transaction."""
    stack = stack_of(tx_profile(1, 0, kind="Relative", purpose="TxDefaultProfile", duration_ns=60 * S))
    stack.begin(100 * S)
    assert stack.pieces(100 * S) == [(100 * S, 0), (160 * S, 11_000)]


def test_both_wire_forms_are_read() -> None:
    """Law: 1.6's single schedule and 2.x's list mean the same; amperes count at 230 V on three phases."""
    start = {"start_schedule": iso(60 * S), "duration": 900}
    old = read_profile(table(schedule=start), now_ns=5 * S, dialect="none")
    assert (old.start_ns, old.duration_ns, old.steps) == (60 * S, 900 * S, ((0, 5_000),))
    new = table(schedule=start)
    new["id"], new["charging_schedule"] = new.pop("charging_profile_id"), [new["charging_schedule"]]
    assert read_profile(new, now_ns=5 * S, dialect="setpoint") == old
    amperes = {"charging_rate_unit": "A", "charging_schedule_period": [{"start_period": 0, "limit": 16}]}
    assert read_profile(table(schedule=amperes), now_ns=0, dialect="none").steps == ((0, 11_040),)


@pytest.mark.parametrize(
    ("period", "dialect", "power_w"),
    [
        ({"limit": -7000.0}, "negative_limit", -7_000),
        ({"limit": -7000.0}, "none", None),
        ({"limit": -7000.0}, "setpoint", None),
        ({"setpoint": -7000, "operation_mode": "CentralSetpoint"}, "setpoint", -7_000),
        ({"setpoint": -7000}, "setpoint", None),
        ({"setpoint": -7000, "limit": 1, "operation_mode": "CentralSetpoint"}, "setpoint", None),
        ({"setpoint": -7000, "operation_mode": "CentralSetpoint"}, "negative_limit", None),
        ({"operation_mode": "Idle"}, "setpoint", 0),
        ({}, "setpoint", None),
    ],
)
def test_each_dialect_discharges_in_its_own_way_only(
    period: dict[str, Any], dialect: str, power_w: int | None
) -> None:
    """Law: a negative limit, a central setpoint or nothing: a charger obeys its own dialect and refuses the others."""
    schedule = {"charging_schedule_period": [{"start_period": 0, **period}]}
    if power_w is None:
        with pytest.raises(ProfileRefused, match="InvalidSchedule"):
            read_profile(table(schedule=schedule), now_ns=0, dialect=dialect)
    else:
        assert read_profile(table(schedule=schedule), now_ns=0, dialect=dialect).steps == ((0, power_w),)


def test_what_cannot_be_obeyed_is_refused() -> None:
    """Law: recurring profiles, unknown purposes and dynamic schedules of several periods are refused."""
    for wrong in ({"charging_profile_kind": "Recurring"}, {"charging_profile_purpose": "LocalGeneration"}):
        with pytest.raises(ProfileRefused, match="UnsupportedProfile"):
            read_profile(table(**wrong), now_ns=0, dialect="none")
    late = {"charging_schedule_period": [{"start_period": 5, "limit": 1}]}
    with pytest.raises(ProfileRefused, match="InvalidSchedule"):
        read_profile(table(charging_profile_kind="Dynamic", schedule=late), now_ns=0, dialect="none")
    assert read_update_w({"setpoint": -5}, "setpoint") == -5
    assert read_update_w({"limit": 5}, "setpoint") == 5
