"""OCPP 2.0.1 and 2.1: each message's translation, both ways."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.chargers import ocpp2_commands
from edgegw.chargers.call_types import Installed, ProfileStep, SetpointRefusal
from edgegw.chargers.timestamps import SECOND_NS
from edgegw.chargers.versions import is_accepted
from edgegw.core.effects import (
    Acknowledge,
    AllowEnergyTransfer,
    Answer,
    ApplySetpoint,
    AuthorizeAnswer,
    IdTokenStatus,
    StartAnswer,
    StartRemotely,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    ChargerBooted,
    ChargerSample,
    ChargingState,
    ChargingStateChanged,
    ConnectorStatus,
    ConnectorStatusChanged,
    Event,
    EvNeedsReported,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from tests.support.chargers_station import (
    NOW_NS,
    Talk,
    at,
    charger_settings,
    command_context,
    frame,
    loaded,
    station_settings,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "ocpp21_session.txt"
TX = "7b1c0f52-5f0e-4a53-9c0e-2f2f6a6f0001"
VERSIONS = ["2.0.1", "2.1"]


def transaction_event(kind: str = "Started", **more: Any) -> dict[str, Any]:
    """A TransactionEvent of the transaction TX."""
    return {
        "eventType": kind,
        "timestamp": "2026-11-22T08:05:10Z",
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": TX},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "04a1", "type": "ISO14443"},
        **more,
    }


def core_answer(event: Event) -> Answer:
    """What a willing core answers."""
    match event:
        case AuthorizeRequested():
            return AuthorizeAnswer(status=IdTokenStatus.ACCEPTED, bidirectional=True)
        case TransactionStarted():
            return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id)
        case _:
            return Acknowledge()


def test_golden_session() -> None:
    """The recorded example session is answered frame by frame and becomes these events."""
    talk = Talk("2.1")
    events: list[Event] = []
    lines = GOLDEN.read_text().splitlines()
    for said, expected in zip(lines[::2], lines[1::2], strict=True):
        outcome = talk.dialogue.receive(said.removeprefix("> "), NOW_NS)
        events += outcome.events
        answer = (
            json.loads(outcome.text)
            if outcome.text
            else talk.answer(json.loads(said[2:])[1], core_answer(events[-1]))
        )
        assert answer == json.loads(expected.removeprefix("< "))
    assert [type(event) for event in events] == [
        ChargerBooted,
        ConnectorStatusChanged,
        ConnectorStatusChanged,
        AuthorizeRequested,
        TransactionStarted,
        EvNeedsReported,
        TransactionUpdated,
        TransactionUpdated,
        TransactionEnded,
    ]
    assert talk.counts == {
        "received.Authorize": 1,
        "received.BootNotification": 1,
        "received.NotifyEVChargingNeeds": 1,
        "received.StatusNotification": 2,
        "received.TransactionEvent": 4,
    }
    started, updated, ended = events[4], events[7], events[8]
    assert isinstance(started, TransactionStarted)
    assert isinstance(updated, TransactionUpdated)
    assert isinstance(ended, TransactionEnded)
    assert started.sample == ChargerSample(
        at_ns=at("2026-11-22T08:05:10Z"), import_wh=1523400, export_wh=88210
    )
    (sample,) = updated.samples
    assert (sample.import_wh, sample.export_wh, sample.power_w, sample.soc_bp) == (
        1523400,
        89460,
        -4980,
        5800,
    )
    assert updated.charging_state is ChargingState.CHARGING
    assert (ended.reason, ended.business_key) == ("EVDisconnected", f"event:{TX}:3")


def test_needs_are_reported() -> None:
    """NotifyEVChargingNeeds is answered at once; its event has both powers, the departure and whether it is bidirectional."""
    needs = {
        "requestedEnergyTransfer": "AC_BPT",
        "departureTime": "2026-11-22T17:00:00Z",
        "v2xChargingParameters": {
            "maxChargePower": 3680,
            "maxChargePower_L2": 3680,
            "maxDischargePower": -10000,
        },
    }
    outcome = Talk("2.1").call("n", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert frame(outcome) == [3, "n", {"status": "Accepted"}]
    assert outcome.events == (
        EvNeedsReported(
            evse_id="evse-1",
            bidirectional=True,
            charge_power_w_max=7360,
            discharge_power_w_max=10_000,
            departure_ns=at("2026-11-22T17:00:00Z"),
        ),
    )


def test_one_way_needs() -> None:
    """2.0.1 cannot express whether a car is bidirectional, so its needs forbid nothing; 2.1 can; absent values are None."""
    needs = {"requestedEnergyTransfer": "DC", "dcChargingParameters": {"evMaxPower": 50_000}}
    (event,) = Talk("2.0.1").call("n", "NotifyEVChargingNeeds", {"evseId": 2, "chargingNeeds": needs}).events
    assert event == EvNeedsReported(
        evse_id="evse-2",
        bidirectional=True,
        charge_power_w_max=50_000,
        discharge_power_w_max=None,
        departure_ns=None,
    )
    (event,) = Talk("2.1").call("n", "NotifyEVChargingNeeds", {"evseId": 2, "chargingNeeds": needs}).events
    assert isinstance(event, EvNeedsReported)
    assert not event.bidirectional


@pytest.mark.parametrize(("version", "both_ways"), [("2.0.1", False), ("2.1", True)])
def test_authorize(version: str, *, both_ways: bool) -> None:
    """Only 2.1 is answered with the allowed energy transfer, and only for a seller."""
    talk = Talk(version)
    for message_id, bidirectional in [("a", True), ("b", False)]:
        event = talk.event(message_id, "Authorize", {"idToken": {"idToken": "04a1", "type": "ISO14443"}})
        assert isinstance(event, AuthorizeRequested)
        assert event.id_token_hash == "hash-of-04A1"
        answer = talk.answer(
            message_id, AuthorizeAnswer(status=IdTokenStatus.ACCEPTED, bidirectional=bidirectional)
        )
        assert ("allowedEnergyTransfer" in answer[2]) == (both_ways and bidirectional)


@pytest.mark.parametrize("version", VERSIONS)
def test_start(version: str) -> None:
    """A start keeps the charger's own transaction id, its key counts seqNo, and the answer is about the idToken."""
    talk = Talk(version)
    event = talk.event("t", "TransactionEvent", transaction_event(offline=True))
    assert isinstance(event, TransactionStarted)
    assert (event.transaction_id, event.business_key, event.evse_id) == (TX, f"event:{TX}:0", "evse-1")
    assert (event.id_token_hash, event.offline, event.sample) == ("hash-of-04A1", True, None)
    answer = talk.answer("t", StartAnswer(status=IdTokenStatus.BLOCKED, transaction_id=TX))
    assert answer == [3, "t", {"idTokenInfo": {"status": "Blocked"}}]


def test_start_without_token() -> None:
    """A start without idToken is answered without idTokenInfo, unless it is refused."""
    talk = Talk("2.1")
    payload = transaction_event()
    del payload["idToken"]
    talk.event("t", "TransactionEvent", payload)
    assert talk.answer("t", StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=TX)) == [3, "t", {}]
    talk.event("u", "TransactionEvent", payload)
    answer = talk.answer("u", StartAnswer(status=IdTokenStatus.INVALID, transaction_id=TX))
    assert answer == [3, "u", {"idTokenInfo": {"status": "Invalid"}}]


def test_start_that_charges_already() -> None:
    """A start with the state Charging also reports the state, because later events name it only when it changes."""
    payload = transaction_event(transactionInfo={"transactionId": TX, "chargingState": "Charging"})
    _, state = Talk("2.1").call("t", "TransactionEvent", payload).events
    assert state == ChargingStateChanged(evse_id="evse-1", charging_state=ChargingState.CHARGING)


@pytest.mark.parametrize(
    "payload",
    [
        transaction_event(evse={"id": 9}),
        transaction_event(evse=None),
        transaction_event(transactionInfo={}),
        transaction_event("Renewed"),
        {},
        [],
        None,
        {"eventType": {}, "transactionInfo": 5, "evse": [], "meterValue": "x", "idToken": 3},
    ],
)
def test_event_that_fits_nowhere(payload: Any) -> None:
    """An event that cannot be placed is kept as a frame and answered with a result, never an error."""
    talk = Talk("2.1")
    event = talk.event("t", "TransactionEvent", payload)
    assert isinstance(event, TransactionUpdated)
    answer = talk.answer("t", Acknowledge())
    assert answer[:2] == [3, "t"]
    assert answer[2] in ({}, {"idTokenInfo": {"status": "Invalid"}})


def test_lone_evse_need_not_be_named() -> None:
    """A charger with one EVSE may start without naming it."""
    talk = Talk("2.1", charger=charger_settings(evses={1: "only"}))
    event = talk.event("t", "TransactionEvent", transaction_event(evse=None))
    assert isinstance(event, TransactionStarted)
    assert event.evse_id == "only"


def test_update_and_end() -> None:
    """Later events need no evse; an end has its reason; without seqNo, kind and time are the key."""
    talk = Talk("2.0.1")
    updated = talk.event("u", "TransactionEvent", transaction_event("Updated", evse=None, seqNo=4))
    assert isinstance(updated, TransactionUpdated)
    assert (updated.evse_id, updated.transaction_id, updated.business_key) == (None, TX, f"event:{TX}:4")
    assert updated.id_token_hash == "hash-of-04A1"
    payload = transaction_event("Ended", evse=None, seqNo=None)
    ended = talk.event("e", "TransactionEvent", payload)
    assert isinstance(ended, TransactionEnded)
    assert (ended.reason, ended.at_ns) == ("Local", at("2026-11-22T08:05:10Z"))
    assert ended.business_key == f"event:{TX}:Ended:2026-11-22T08:05:10Z"
    assert talk.answer("e", Acknowledge()) == [3, "e", {}]


@pytest.mark.parametrize(
    "token", [{"idToken": "", "type": "NoAuthorization"}, {"idToken": "x", "type": "NoAuthorization"}, {}, 5]
)
def test_no_token(token: Any) -> None:
    """A transaction without identification has no idToken."""
    event = Talk("2.1").event("t", "TransactionEvent", transaction_event(idToken=token))
    assert isinstance(event, TransactionStarted)
    assert event.id_token_hash is None


def test_clock_aligned_values() -> None:
    """MeterValues belong to an EVSE, not to a transaction, and wait for the core."""
    talk = Talk("2.1")
    values = [{"timestamp": "2026-11-22T08:15:00Z", "sampledValue": [{"value": 5}]}]
    event = talk.event("v", "MeterValues", {"evseId": 1, "meterValue": values})
    assert isinstance(event, TransactionUpdated)
    assert (event.evse_id, event.transaction_id, event.samples[0].import_wh) == ("evse-1", None, 5)
    assert talk.answer("v", Acknowledge()) == [3, "v", {}]


@pytest.mark.parametrize("status", ["Available", "Occupied", "Reserved", "Unavailable", "Faulted"])
def test_status(status: str) -> None:
    """A connector's status determines the plug of its EVSE."""
    payload = {"timestamp": "2026-11-22T08:00:01Z", "connectorStatus": status, "evseId": 2, "connectorId": 1}
    (event,) = Talk("2.0.1").call("s", "StatusNotification", payload).events
    plug = ConnectorStatus.AVAILABLE if status == "Reserved" else ConnectorStatus(status)
    assert event == ConnectorStatusChanged(evse_id="evse-2", status=plug, at_ns=at("2026-11-22T08:00:01Z"))


@pytest.mark.parametrize(
    ("version", "action", "payload", "code"),
    [
        ("2.1", "Nonsense", {}, "NotImplemented"),
        ("2.0.1", "NotifyDERAlarm", {}, "NotImplemented"),
        ("2.1", "BatterySwap", {}, "NotSupported"),
        ("2.1", "Heartbeat", None, "FormatViolation"),
        ("2.1", "StatusNotification", {"evseId": 1}, "OccurrenceConstraintViolation"),
        ("2.1", "Authorize", {"idToken": {}}, "OccurrenceConstraintViolation"),
        ("2.1", "NotifyEVChargingNeeds", {"evseId": 1}, "OccurrenceConstraintViolation"),
    ],
)
def test_faulty_calls_get_an_error(version: str, action: str, payload: Any, code: str) -> None:
    """A CALL that is no billing message is refused with its version's code and repeats nothing."""
    assert frame(Talk(version).call("x", action, payload))[:3] == [4, "x", code]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_handler_answers_validly(version: str) -> None:
    """Whatever is in a CALL, every handled action is answered, now or through the core, by a payload that is valid."""
    talk = Talk(version)
    for action in loaded()[version].handlers:
        outcome = talk.call(action, action, {"evseId": 9, "chargingNeeds": {}})
        if outcome.text is None:
            assert talk.answer(action, core_answer(outcome.events[0])) is not None
        else:
            assert frame(outcome)[1] == action


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
