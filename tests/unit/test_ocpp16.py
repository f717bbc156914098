"""OCPP 1.6: each message's translation, both ways."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.chargers import ocpp16
from edgegw.chargers.call_types import ProfileStep, Request, SetpointRefusal
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

GOLDEN = Path(__file__).parent.parent / "golden" / "ocpp16_session.txt"
START = {"connectorId": 1, "idTag": "04a1", "meterStart": 1523400, "timestamp": "2026-11-22T08:05:10Z"}


def core_answer(event: Event) -> Answer:
    """What a willing core answers."""
    match event:
        case AuthorizeRequested():
            return AuthorizeAnswer(status=IdTokenStatus.ACCEPTED)
        case TransactionStarted():
            return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id)
        case _:
            return Acknowledge()


def test_golden_session() -> None:
    """The recorded example session is answered frame by frame and becomes these events."""
    talk = Talk("1.6")
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
    kinds = [type(event) for event in events]
    assert kinds == [
        ChargerBooted,
        ConnectorStatusChanged,
        AuthorizeRequested,
        TransactionStarted,
        TransactionUpdated,
        TransactionUpdated,
        TransactionEnded,
        ConnectorStatusChanged,
    ]
    ended = events[-2]
    assert isinstance(ended, TransactionEnded)
    assert ended.transaction_id == "100042"
    first, last, stop = ended.samples
    assert (first.import_wh, first.export_wh) == (1523400, 88210)
    assert (last.import_wh, last.export_wh, stop.import_wh) == (1524100, 93210, 1524100)
    assert talk.counts == {
        "received.Authorize": 1,
        "received.BootNotification": 1,
        "received.MeterValues": 2,
        "received.StartTransaction": 1,
        "received.StatusNotification": 2,
        "received.StopTransaction": 1,
    }


def test_start_keeps_frame_and_key() -> None:
    """A start carries the raw frame without the card's number, a key equal for repeats, and a fresh id proposed as text."""
    talk = Talk("1.6")
    started = talk.event("4", "StartTransaction", START)
    assert isinstance(started, TransactionStarted)
    assert json.loads(started.frame) == [2, "4", "StartTransaction", {**START, "idTag": "#hash-of-04A1"}]
    assert started.business_key == "start:1:2026-11-22T08:05:10Z:1523400:hash-of-04A1"
    assert (started.evse_id, started.transaction_id, started.id_token_hash) == (
        "evse-1",
        "100042",
        "hash-of-04A1",
    )
    assert started.sample == ChargerSample(at_ns=at("2026-11-22T08:05:10Z"), import_wh=1523400)
    again = talk.event("9", "StartTransaction", START)
    assert isinstance(again, TransactionStarted)
    assert again.business_key == started.business_key
    assert again.call != started.call


def test_start_answer_is_the_cores_id() -> None:
    """The core's transaction id is a number on the wire; a refusal keeps its id too."""
    talk = Talk("1.6")
    talk.event("4", "StartTransaction", START)
    answer = talk.answer("4", StartAnswer(status=IdTokenStatus.CONCURRENT_TX, transaction_id="77"))
    assert answer == [3, "4", {"transactionId": 77, "idTagInfo": {"status": "ConcurrentTx"}}]
    assert talk.answer("4", Acknowledge()) is None


@pytest.mark.parametrize(
    "payload", [{}, {**START, "connectorId": 9}, {**START, "connectorId": "one"}, [], None, 5, {"idTag": {}}]
)
def test_start_that_fits_nowhere(payload: Any) -> None:
    """A start that cannot be placed is kept as a frame and answered with a result, never an error."""
    talk = Talk("1.6")
    event = talk.event("4", "StartTransaction", payload)
    assert isinstance(event, TransactionUpdated)
    assert (event.evse_id, event.transaction_id) == (None, None)
    answer = talk.answer("4", Acknowledge())
    assert answer == [3, "4", {"transactionId": 100042, "idTagInfo": {"status": "Invalid"}}]


@pytest.mark.parametrize("meter_start", ["1523400", 1523400.0, "x", None, -5])
def test_start_with_odd_register(meter_start: Any) -> None:
    """A malformed meterStart is converted or left out; the start is accepted."""
    started = Talk("1.6").event(
        "4", "StartTransaction", {**START, "meterStart": meter_start, "timestamp": "?"}
    )
    assert isinstance(started, TransactionStarted)
    assert started.at_ns == NOW_NS
    assert (started.sample is None) == (meter_start in {"x", None, -5})


def test_stop_key_is_the_transaction() -> None:
    """Two stops of one transaction have one key; stops without a known id differ by time and register."""

    def key(**stop: Any) -> str:
        event = Talk("1.6").event("7", "StopTransaction", stop)
        assert isinstance(event, TransactionEnded)
        return event.business_key

    assert key(transactionId=5, meterStop=1) == key(transactionId="5", meterStop=2) == "stop:5"
    assert key(transactionId=-1, timestamp="a", meterStop=1) != key(
        transactionId=-1, timestamp="b", meterStop=1
    )
    assert key(timestamp="a", meterStop=1) == "stop::a:1"


def test_stop_tells_why() -> None:
    """A stop without reason is Local; without idTag the answer is empty."""
    talk = Talk("1.6")
    ended = talk.event("7", "StopTransaction", {"transactionId": 5, "reason": "EVDisconnected"})
    assert isinstance(ended, TransactionEnded)
    assert (ended.reason, ended.at_ns, ended.samples) == ("EVDisconnected", NOW_NS, ())
    assert talk.answer("7", Acknowledge()) == [3, "7", {}]
    silent = talk.event("8", "StopTransaction", None)
    assert isinstance(silent, TransactionEnded)
    assert (silent.reason, silent.transaction_id) == ("Local", "")


def test_meter_values_without_transaction() -> None:
    """MeterValues of no transaction, or of the charger's own meter, wait for the core like any other."""
    talk = Talk("1.6")
    event = talk.event("5", "MeterValues", {"connectorId": 0, "meterValue": []})
    assert isinstance(event, TransactionUpdated)
    assert (event.evse_id, event.transaction_id, event.business_key, event.samples) == (None, None, None, ())
    assert talk.answer("5", Acknowledge()) == [3, "5", {}]


@pytest.mark.parametrize(
    ("status", "plug", "state"),
    [
        ("Available", ConnectorStatus.AVAILABLE, None),
        ("Preparing", ConnectorStatus.OCCUPIED, None),
        ("Charging", ConnectorStatus.OCCUPIED, ChargingState.CHARGING),
        ("SuspendedEV", ConnectorStatus.OCCUPIED, ChargingState.SUSPENDED_EV),
        ("SuspendedEVSE", ConnectorStatus.OCCUPIED, ChargingState.SUSPENDED_EVSE),
        ("Finishing", ConnectorStatus.OCCUPIED, None),
        ("Reserved", ConnectorStatus.AVAILABLE, None),
        ("Unavailable", ConnectorStatus.UNAVAILABLE, None),
        ("Faulted", ConnectorStatus.FAULTED, None),
    ],
)
def test_status(status: str, plug: ConnectorStatus, state: ChargingState | None) -> None:
    """A connector's status determines the plug, and three of them the charging state."""
    outcome = Talk("1.6").call(
        "2", "StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": status}
    )
    changed, *states = outcome.events
    assert changed == ConnectorStatusChanged(evse_id="evse-2", status=plug, at_ns=NOW_NS)
    assert states == ([] if state is None else [ChargingStateChanged(evse_id="evse-2", charging_state=state)])
    assert frame(outcome) == [3, "2", {}]


@pytest.mark.parametrize("connector", [0, 9])
def test_status_of_no_evse(connector: int) -> None:
    """A status of the charger as a whole, or of an unknown connector, is answered and has no event."""
    outcome = Talk("1.6").call("2", "StatusNotification", {"connectorId": connector, "status": "Available"})
    assert (outcome.events, frame(outcome)) == ((), [3, "2", {}])


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Nonsense", {}, "NotImplemented"),
        ("Reset", {}, "NotSupported"),
        ("Heartbeat", [], "FormationViolation"),
        ("StatusNotification", {}, "OccurenceConstraintViolation"),
        ("Authorize", {}, "OccurenceConstraintViolation"),
    ],
)
def test_faulty_calls_get_an_error(action: str, payload: Any, code: str) -> None:
    """A CALL that is no billing message is refused with its version's code and repeats nothing."""
    outcome = Talk("1.6").call("x", action, payload)
    assert outcome.events == ()
    assert frame(outcome)[:3] == [4, "x", code]


def test_simple_answers() -> None:
    """Heartbeat, DataTransfer and notifications are answered at once."""
    talk = Talk("1.6")
    assert frame(talk.call("1", "Heartbeat", {})) == [3, "1", {"currentTime": "2026-11-22T08:00:00.000Z"}]
    assert frame(talk.call("2", "DataTransfer", {"vendorId": "x"})) == [3, "2", {"status": "UnknownVendorId"}]
    assert frame(talk.call("3", "FirmwareStatusNotification", {"status": "Idle"})) == [3, "3", {}]


def test_same_id_twice_is_answered_twice() -> None:
    """Two CALLs under one id before the first is answered: each gets its own answer, under that id."""
    talk = Talk("1.6")
    first = talk.event("a", "MeterValues", {"connectorId": 1, "meterValue": []})
    second = talk.event("a", "StartTransaction", START)
    assert isinstance(first, TransactionUpdated)
    assert isinstance(second, TransactionStarted)
    answer = talk.answer(
        second.call.message_id, StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id="1")
    )
    assert answer == [3, "a", {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}]
    assert talk.answer(first.call.message_id, Acknowledge()) == [3, "a", {}]


def test_noncompliance_is_counted_not_punished() -> None:
    """A payload that violates the schema is flagged and used."""
    talk = Talk("1.6")
    talk.event("4", "StartTransaction", {**START, "meterStart": 12.5})
    assert talk.counts == {"received.StartTransaction": 1, "noncompliant.StartTransaction": 1}


def setpoint(**more: Any) -> ApplySetpoint:
    """Discharge 7 kW for 900 s and a bit."""
    given = {
        "power_w": -7000,
        "ends_ns": NOW_NS + 900_900_000_000,
        "fallback_w": 1400,
        "transaction_id": "100042",
    }
    return ApplySetpoint(evse_id="evse-1", setpoint_id=3, **{**given, **more})


def steps(effect: ApplySetpoint, **charger: Any) -> list[Any]:
    """Schedules of all requests that bring a setpoint into force, checked against the schema."""
    found: list[Any] = []
    installed = None
    while True:
        step = ocpp16.apply_setpoint(
            effect,
            command_context(charger_settings(**charger), installed=installed, now_ns=NOW_NS + 300_000_000),
        )
        assert isinstance(step, ProfileStep)
        loaded()["1.6"].schemas.assert_request(step.request.action, step.request.payload)
        found.append(step.request.payload)
        installed = step.installed
        if step.is_last:
            return found


def test_setpoint_has_a_fallback_and_an_end() -> None:
    """First a fallback without end that charges, then the setpoint above it, absolute, never past its end."""
    fallback, active = (payload["csChargingProfiles"] for payload in steps(setpoint()))
    assert (fallback["stackLevel"], active["stackLevel"]) == (1, 2)
    assert fallback["chargingSchedule"] == {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1400}],
    }
    assert active["chargingSchedule"] == {
        "startSchedule": "2026-11-22T08:00:00.000Z",
        "duration": 900,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": -7000}],
    }
    assert {fallback["transactionId"], active["transactionId"]} == {100042}
    assert fallback["chargingProfileId"] != active["chargingProfileId"]


def test_known_fallback_is_not_sent_again() -> None:
    """With the fallback installed a setpoint takes one CALL; another fallback power or transaction sends it again."""
    first = ocpp16.apply_setpoint(setpoint(), command_context())
    assert isinstance(first, ProfileStep)
    for effect, is_last in [
        (setpoint(power_w=11_000), True),
        (setpoint(fallback_w=0), False),
        (setpoint(transaction_id="8"), False),
    ]:
        step = ocpp16.apply_setpoint(effect, command_context(installed=first.installed))
        assert isinstance(step, ProfileStep)
        assert step.is_last is is_last


@pytest.mark.parametrize(
    ("power_w", "limit"),
    [(-7000, -10.1), (7000, 10.1), (11_040, 16), (0, 0), (-68, 0), (-69, -0.1), (22_080, 32)],
)
def test_amperes_are_exact_tenths(power_w: int, limit: float) -> None:
    """The ampere dialect gives exact tenths per phase, rounded towards zero."""
    _, active = steps(setpoint(power_w=power_w), dialect="negative_limit_a")
    (period,) = active["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    assert period == {"startPeriod": 0, "limit": limit, "numberPhases": 3}
    assert json.dumps(period["limit"]) in {str(limit), f"{limit}.0"}


@pytest.mark.parametrize(
    ("effect", "reason"),
    [
        (setpoint(), "DischargeNotSupported"),
        (setpoint(power_w=1, ends_ns=NOW_NS), "Expired"),
        (setpoint(power_w=1, transaction_id="not a number"), "UnknownTransaction"),
    ],
)
def test_refused_setpoints(effect: ApplySetpoint, reason: str) -> None:
    """Without a dialect nothing discharges; a setpoint whose end has passed or that has no number is refused."""
    assert ocpp16.apply_setpoint(
        effect, command_context(charger_settings(dialect="none"))
    ) == SetpointRefusal(reason=reason)


def test_other_commands() -> None:
    """A remote stop is a number; 1.6 has no energy transfer to allow."""
    stop = StopRemotely(evse_id="evse-1", transaction_id="100042")
    assert ocpp16.stop_remotely(stop, command_context()) == Request(
        action="RemoteStopTransaction", payload={"transactionId": 100042}
    )
    unknown = StopRemotely(evse_id="evse-1", transaction_id="x")
    assert ocpp16.stop_remotely(unknown, command_context()) == SetpointRefusal(reason="UnknownTransaction")
    allow = AllowEnergyTransfer(evse_id="evse-1", transaction_id="1", bidirectional=True)
    assert ocpp16.COMMANDS[AllowEnergyTransfer].build(allow, command_context()) == SetpointRefusal(
        reason="NotSupported"
    )


def test_remote_start() -> None:
    """A remote start names connector and idTag; a token that no idTag can hold is not cut short but not sent."""
    effect = StartRemotely(evse_id="evse-2", id_token="T" * 20, remote_start_id=7)
    request = ocpp16.start_remotely(effect, command_context())
    assert request == Request(
        action="RemoteStartTransaction", payload={"connectorId": 2, "idTag": effect.id_token}
    )
    loaded()["1.6"].schemas.assert_request(request.action, request.payload)
    too_long = replace(effect, id_token="T" * 21)
    assert ocpp16.start_remotely(too_long, command_context()) == SetpointRefusal(reason="TokenTooLong")


def test_configuration_asks_for_both_registers() -> None:
    """After a boot both registers are configured, fewer if the charger refuses; all messages are valid."""
    groups = ocpp16.configuration(station_settings(), charger_settings())
    for request in (request for group in groups for request in group):
        loaded()["1.6"].schemas.assert_request(request.action, request.payload)
    rests = [
        group[0].payload["csChargingProfiles"] for group in groups if group[0].action == "SetChargingProfile"
    ]
    assert {rest["chargingProfilePurpose"] for rest in rests} == {"TxDefaultProfile"}
    assert [rest["chargingSchedule"]["chargingSchedulePeriod"] for rest in rests] == [
        [{"startPeriod": 0, "limit": 0}]
    ] * len(charger_settings().evses)
    values = [request.payload["value"] for request in groups[len(rests)]]
    assert all(
        "Energy.Active.Export.Register" in value and "Energy.Active.Import.Register" in value
        for value in values
    )
    assert [group[0].action for group in groups].count("TriggerMessage") == 1
