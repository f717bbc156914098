"""OCPP 2.0.1 and 2.1: the commands that the station sends, and what counts as their acceptance."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.chargers import ocpp2_commands
from edgegw.chargers.call_types import Installed, ProfileStep, SetpointRefusal
from edgegw.chargers.timestamps import SECOND_NS
from edgegw.chargers.versions import is_accepted
from edgegw.core.effects import (
    AllowEnergyTransfer,
    ApplySetpoint,
    StartRemotely,
    StopRemotely,
)
from tests.support.chargers_station import (
    NOW_NS,
    charger_settings,
    command_context,
    loaded,
    station_settings,
)
from tests.unit.test_ocpp2 import TX, VERSIONS


def setpoint(**more: Any) -> ApplySetpoint:
    """Discharge 7 kW for 900 s and a bit."""
    given = {"power_w": -7000, "ends_ns": NOW_NS + 900_900_000_000, "fallback_w": 1400, "transaction_id": TX}
    return ApplySetpoint(evse_id="evse-1", setpoint_id=3, **{**given, **more})


def step_21(effect: ApplySetpoint, installed: Installed | None, now_ns: int = NOW_NS) -> ProfileStep:
    """The next step on 2.1, checked against the schema."""
    step = ocpp2_commands.apply_setpoint(effect, command_context(installed=installed, now_ns=now_ns))
    assert isinstance(step, ProfileStep)
    loaded()["2.1"].schemas.assert_request(step.request.action, step.request.payload)
    return step


def test_dynamic_profile() -> None:
    """2.1: a ChargingOnly fallback below, then a Dynamic profile with setpoint alone and a dead man's duration."""
    first = step_21(setpoint(), None)
    second = step_21(setpoint(), first.installed)
    fallback, active = (step.request.payload["chargingProfile"] for step in (first, second))
    assert (first.is_last, second.is_last) == (False, True)
    assert (fallback["stackLevel"], active["stackLevel"]) == (1, 2)
    assert fallback["chargingSchedule"][0]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "operationMode": "ChargingOnly", "limit": 1400}
    ]
    assert "duration" not in fallback["chargingSchedule"][0]
    assert active["chargingProfileKind"] == "Dynamic"
    assert active["chargingSchedule"] == [
        {
            "id": active["id"],
            "duration": 900,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": -7000}
            ],
        }
    ]


@pytest.mark.parametrize(
    ("after_s", "ends_s", "action"),
    [
        (60, 960, "UpdateDynamicSchedule"),  # rolling end: the restarted duration ends there
        (60, 961, "UpdateDynamicSchedule"),  # a second early is near enough
        (60, 900, "SetChargingProfile"),  # the end stays: a restart would pass it
        (60, 959, "SetChargingProfile"),
        (60, 1000, "SetChargingProfile"),  # far too early
        (899, 1799, "UpdateDynamicSchedule"),
        (900, 1800, "SetChargingProfile"),  # the profile is dead, nothing to update
    ],
)
def test_update_only_where_its_restart_fits(after_s: int, ends_s: int, action: str) -> None:
    """An update restarts the duration, so it is used only on a live profile whose new end is not past the setpoint's."""
    effect = setpoint(ends_ns=NOW_NS + 900 * SECOND_NS)
    installed = step_21(effect, step_21(effect, None).installed).installed
    later = setpoint(power_w=-5000, ends_ns=NOW_NS + ends_s * SECOND_NS)
    now_ns = NOW_NS + after_s * SECOND_NS
    step = step_21(later, installed, now_ns)
    assert step.request.action == action
    assert step.is_last
    assert step.installed.duration_s is not None
    assert now_ns + step.installed.duration_s * SECOND_NS <= later.ends_ns


def test_changed_fallback_keeps_the_active_profile() -> None:
    """A changed fallback is sent first; the active profile above it is still known."""
    installed = Installed(transaction_id=TX, fallback_w=0, duration_s=900, updated_ns=NOW_NS)
    step = step_21(setpoint(), installed)
    assert step.installed == replace(installed, fallback_w=1400)


def test_limits_of_201() -> None:
    """2.0.1: Absolute limit with start and end, negative by dialect, over a fallback without end."""
    found = []
    installed = None
    for _ in range(2):
        step = ocpp2_commands.apply_limit(setpoint(), command_context(installed=installed))
        assert isinstance(step, ProfileStep)
        loaded()["2.0.1"].schemas.assert_request(step.request.action, step.request.payload)
        found.append(step.request.payload["chargingProfile"])
        installed = step.installed
    fallback, active = found
    assert fallback["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 1400}]
    assert active["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": -7000}]
    assert active["chargingSchedule"][0]["duration"] == 900
    assert active["chargingSchedule"][0]["startSchedule"] == "2026-11-22T08:00:00.000Z"


def test_refused_setpoints() -> None:
    """Nothing discharges without a dialect on 2.0.1, and no profile without an end is sent."""
    mute = charger_settings(dialect="none")
    refused = ocpp2_commands.apply_limit(setpoint(), command_context(mute))
    assert refused == SetpointRefusal(reason="DischargeNotSupported")
    for apply in (ocpp2_commands.apply_limit, ocpp2_commands.apply_setpoint):
        assert apply(setpoint(power_w=1, ends_ns=NOW_NS), command_context(mute)) == SetpointRefusal(
            reason="Expired"
        )


def test_other_commands() -> None:
    """Stops name the charger's own id; energy transfer is allowed on 2.1 only; all is valid."""
    stop = ocpp2_commands.stop_remotely(StopRemotely(evse_id="evse-1", transaction_id=TX), command_context())
    assert stop.payload == {"transactionId": TX}
    for bidirectional in (True, False):
        allow = AllowEnergyTransfer(evse_id="evse-1", transaction_id=TX, bidirectional=bidirectional)
        request = ocpp2_commands.allow_energy_transfer(allow, command_context())
        loaded()["2.1"].schemas.assert_request(request.action, request.payload)
        assert ("DC_BPT" in request.payload["allowedEnergyTransfer"]) == bidirectional
        assert loaded()["2.0.1"].commands[AllowEnergyTransfer].build(
            allow, command_context()
        ) == SetpointRefusal(reason="NotSupported")


@pytest.mark.parametrize("version", VERSIONS)
def test_remote_start(version: str) -> None:
    """A remote start names EVSE, token and its own number; a token that is too long is not cut short but not sent."""
    effect = StartRemotely(evse_id="evse-2", id_token="T" * 36, remote_start_id=7)
    request = loaded()[version].commands[StartRemotely].build(effect, command_context())
    assert request is not None
    assert request.action == "RequestStartTransaction"
    assert request.payload == {
        "evseId": 2,
        "idToken": {"idToken": effect.id_token, "type": "Central"},
        "remoteStartId": 7,
    }
    loaded()[version].schemas.assert_request(request.action, request.payload)
    too_long = replace(effect, id_token="T" * 37)
    assert loaded()[version].commands[StartRemotely].build(too_long, command_context()) == SetpointRefusal(
        reason="TokenTooLong"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_configuration_asks_for_both_registers(version: str) -> None:
    """After a boot both registers are configured, each EVSE's status is triggered once, and all messages are valid."""
    groups = loaded()[version].configuration(station_settings(), charger_settings())
    requests = [request for group in groups for request in group]
    for request in requests:
        loaded()[version].schemas.assert_request(request.action, request.payload)
    assert [request.action for request in requests].count("TriggerMessage") == 2
    measurands = [
        entry["attributeValue"]
        for request in requests
        for entry in request.payload.get("setVariableData", [])
        if entry["variable"]["name"].endswith("Measurands")
    ]
    assert measurands
    assert all("Energy.Active.Export.Register" in value for value in measurands)


def test_what_counts_as_yes() -> None:
    """SetVariables is a yes only when every variable was taken."""
    accepted = {"attributeStatus": "Accepted"}
    assert is_accepted(
        "SetVariables", {"setVariableResult": [accepted, {"attributeStatus": "RebootRequired"}]}
    )
    assert not is_accepted("SetVariables", {"setVariableResult": [accepted, {"attributeStatus": "Rejected"}]})
    assert not is_accepted("SetVariables", {"setVariableResult": 5})
    assert is_accepted("SetChargingProfile", {"status": "Accepted"})
    assert not is_accepted("SetChargingProfile", {})
