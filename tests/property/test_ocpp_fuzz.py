"""Whatever a charger sends, the dialogue continues, and every CALL is answered exactly once."""

import json
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.chargers.pending_chargers import PendingCharger, PendingChargers
from edgegw.chargers.pending_dialogue import PendingDialogue
from edgegw.core.effects import Acknowledge, Answer, AnswerCall, AuthorizeAnswer, IdTokenStatus, StartAnswer
from edgegw.core.events import AuthorizeRequested, Event, TransactionStarted
from tests.support.chargers_station import NOW_NS, Talk, loaded

VERSIONS = st.sampled_from(["1.6", "2.0.1", "2.1"])
ACTIONS = [
    *sorted({action for version in loaded().values() for action in version.handlers}),
    "Reset",
    "Nonsense",
]
FIELDS = [
    "connectorId", "idTag", "timestamp", "meterStart", "meterStop", "transactionId", "meterValue", "transactionData",
    "evseId", "connectorStatus", "status", "eventType", "seqNo", "transactionInfo", "evse", "idToken", "chargingNeeds",
    "sampledValue", "value", "measurand", "unit", "unitOfMeasure", "multiplier", "context", "phase", "offline", "id",
    "type", "chargingState", "v2xChargingParameters", "maxDischargePower", "availableEnergyTransfer", "reason",
]  # fmt: skip
WORDS = [
    "Started",
    "Updated",
    "Ended",
    "Energy.Active.Export.Register",
    "SoC",
    "kWh",
    "L1",
    "1e9999",
    "2026-11-22T08:00:00Z",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from([*WORDS, "\ud800", "Charging", "Available"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
PAYLOADS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8) | JSON


class Nobody:
    """A socket that is never used."""

    overflowed = False

    async def send(self, text: str) -> None:
        raise NotImplementedError

    def frames(self) -> AsyncIterator[str]:
        raise NotImplementedError

    async def is_alive(self, timeout_s: float) -> bool:
        raise NotImplementedError

    async def close(self, reason: str) -> None:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError


def core_answer(event: Event) -> Answer:
    """An answer that fits the event."""
    match event:
        case AuthorizeRequested():
            return AuthorizeAnswer(status=IdTokenStatus.INVALID, bidirectional=True)
        case TransactionStarted():
            return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id)
        case _:
            return Acknowledge()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(version=VERSIONS, text=st.text(max_size=200) | JSON.map(json.dumps))
def test_any_text_is_survived(version: str, text: str) -> None:
    """No text raises, and what comes back is valid JSON."""
    outcome = Talk(version).dialogue.receive(text, NOW_NS)
    if outcome.text is not None:
        assert json.loads(outcome.text)[0] in {3, 4}


BROKEN = st.sampled_from(
    ["NaN", "-Infinity", "1e999", "9" * 5000, "[" * 50, '{"a":1,"a":2}', '"\\ud800"', "}", '"', ""]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(version=VERSIONS, payload=PAYLOADS, broken=BROKEN, data=st.data())
def test_a_billing_message_is_never_refused(
    version: str, payload: Any, broken: str, data: st.DataObject
) -> None:
    """However its payload is broken, as long as id and action can be read it becomes one event and is acknowledged."""
    talk = Talk(version)
    action = data.draw(st.sampled_from(sorted(loaded()[version].billing)))
    cut = data.draw(st.integers(0, 400))
    head = f'[2,"id","{action}",'
    text = f'{head}{{"x":{broken},"y":{json.dumps(payload)}}}]'
    outcome = talk.dialogue.receive(text[: len(head) + cut], NOW_NS)
    (event,) = [event for event in outcome.events if hasattr(event, "call")]
    answered = talk.dialogue.answer(AnswerCall(call=event.call, answer=core_answer(event)))
    assert answered is not None
    assert json.loads(answered)[:2] == [3, "id"]
    repr(event).encode()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(version=VERSIONS, text=st.text(max_size=200) | JSON.map(json.dumps))
def test_any_text_of_a_stranger_is_survived(version: str, text: str) -> None:
    """A waiting charger may say anything as well; what comes back is valid JSON."""
    heard = PendingDialogue(loaded()[version]).receive(text, NOW_NS)
    assert heard.text is None or json.loads(heard.text)[0] in {3, 4}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(version=VERSIONS, action=st.sampled_from(ACTIONS), payload=PAYLOADS)
def test_a_strangers_call_is_answered_once(version: str, action: str, payload: Any) -> None:
    """An unknown charger's CALL gets one answer, and its reported details are short and storable."""
    text = json.dumps([2, "id", action, payload])
    heard = PendingDialogue(loaded()[version]).receive(text, NOW_NS)
    assert heard.text is not None
    assert json.loads(heard.text)[1] == "id"
    room = PendingChargers()
    pending = PendingCharger(
        charger_id="X", address="", version=version, security_profile=1, password_hash="",
        first_seen_ns=0, last_seen_ns=0,
    )  # fmt: skip
    room.enter(pending, Nobody())
    room.heard("X", NOW_NS, boot=heard.boot, evse=heard.evse)
    (known,) = room.all()
    assert all(len(text) <= 50 and text.isprintable() for text in (known.vendor, known.model, known.serial))
    repr(known).encode()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(version=VERSIONS, action=st.sampled_from(ACTIONS), payload=PAYLOADS)
def test_every_call_is_answered_once(version: str, action: str, payload: Any) -> None:
    """A CALL is answered at once or through exactly one waiting event, never both; billing messages never by an error."""
    talk = Talk(version)
    outcome = talk.call("id", action, payload)
    waiting = [event for event in outcome.events if hasattr(event, "call")]
    if outcome.text is not None:
        assert not waiting
        answer = json.loads(outcome.text)
        assert action not in loaded()[version].billing
    else:
        (event,) = waiting
        text = talk.dialogue.answer(AnswerCall(call=event.call, answer=core_answer(event)))
        assert text is not None
        answer = json.loads(text)
        assert answer[0] == 3
        assert talk.dialogue.answer(AnswerCall(call=event.call, answer=Acknowledge())) is None
    assert answer[1] == "id"
    for event in outcome.events:
        repr(event).encode()  # storable: no unpaired surrogates


@settings(max_examples=100, deadline=None, derandomize=True)
@given(version=VERSIONS, ids=st.lists(st.sampled_from(["a", "b", 7, "\ud800"]), min_size=1, max_size=8))
def test_reused_ids_are_answered_as_often_as_used(version: str, ids: list[str | int]) -> None:
    """Even ids used again before their answer get one answer for each use, in whatever order the core answers."""
    talk = Talk(version)
    events: list[Any] = []
    for message_id in ids:
        outcome = talk.dialogue.receive(json.dumps([2, message_id, "MeterValues", {}]), NOW_NS)
        events += outcome.events
    texts = [
        talk.dialogue.answer(AnswerCall(call=event.call, answer=Acknowledge())) for event in reversed(events)
    ]
    assert sorted(str(json.loads(text or "")[1]) for text in texts) == sorted(map(str, ids))
