"""OCPP 2.0.1 and 2.1: each message's translation, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgegw.core.effects import (
    Acknowledge,
    Answer,
    AuthorizeAnswer,
    IdTokenStatus,
    StartAnswer,
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
    frame,
    loaded,
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
