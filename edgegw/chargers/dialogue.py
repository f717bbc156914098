"""Translates one connection's frames to events and answers, and the core's answers to frames. No I/O.

Decides which CALL is answered at once, which waits for the core, and which gets a CALLERROR. Every CALL with a readable id
gets exactly one answer. A billing message never gets a CALLERROR, because a charger discards what was refused (E13): what
cannot be understood is kept as a frame with its flaw, and acknowledged.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import assert_never

from edgegw.chargers import json_values
from edgegw.chargers.call_types import (
    Fault,
    Incoming,
    IncompleteCallError,
    Payload,
    Reaction,
)
from edgegw.chargers.duplicates import Duplicates
from edgegw.chargers.masking import masked, masked_broken
from edgegw.chargers.rpc import CallEnded, CallReceived, Ignored, MessageId, Rpc, SendText, bounded, id_flaw
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.chargers.strict_json import NO_JSON
from edgegw.chargers.versions import Version
from edgegw.chargers.violations import NO_NUMBER
from edgegw.core.effects import AnswerCall
from edgegw.core.events import (
    CallRef,
    Event,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
    Violation,
)

UNKNOWN_ACTION = "EGW-1209"
_REFERENCE_LENGTH_MAX = 255
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogueOutcome:
    """Outcome of a frame. `action` names the CALL received; `text` is to be sent; `ended` is a CALL of ours that is over.

    `flaw` is what was wrong with the frame, to be logged, where no event carries it.
    """

    action: str | None = None
    events: tuple[Event, ...] = ()
    text: str | None = None
    ended: CallEnded | None = None
    flaw: Violation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    message_id: MessageId
    action: str
    call: Incoming


class Dialogue:
    """The state of one socket's dialogue: CALLs that wait for the core, and ours. `counts` is shared by all dialogues."""

    def __init__(
        self,
        *,
        station: StationSettings,
        charger: ChargerSettings,
        version: Version,
        connection: int,
        counts: Counter[str],
        repeats: Duplicates | None = None,
    ) -> None:
        self.rpc = Rpc(version.name)
        self._station = station
        self._charger = charger
        self._version = version
        self._connection = connection
        self._counts = counts
        self._repeats = Duplicates() if repeats is None else repeats
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waiting(self) -> int:
        """Number of CALLs that wait for the core."""
        return len(self._waiting)

    def receive(self, text: str, now_ns: int) -> DialogueOutcome:
        """Return the outcome of a frame; raises for no text."""
        match self.rpc.receive(text):
            case CallReceived() as call:
                return self._call(call, text, now_ns)
            case CallEnded() as ended:
                return DialogueOutcome(ended=ended)
            case SendText(text=answer, flaw=flaw):
                self._counts["frame.unreadable"] += 1
                return DialogueOutcome(text=answer, flaw=self._shown(flaw, text))
            case Ignored(reason=reason, flaw=flaw):
                self._counts[f"frame.{reason}"] += 1
                return DialogueOutcome(flaw=None if flaw is None else self._shown(flaw, text))
            case unhandled:
                assert_never(unhandled)

    def answer(self, effect: AnswerCall) -> str | None:
        """Return the text of the core's answer; None for a CALL that does not wait (any more).

        Raise AssertionError where the answer does not fit the CALL.
        """
        waiting = self._waiting.pop(effect.call.message_id, None)
        if waiting is None:
            return None
        payload = self._version.answers[waiting.action](waiting.call, effect.answer)
        return self._result(waiting.message_id, waiting.action, payload)

    def _call(self, received: CallReceived, text: str, now_ns: int) -> DialogueOutcome:
        action = received.action
        if action in self._version.handlers:  # a closed list: invented names must not become counters
            self._counts[f"received.{action}"] += 1
        if action in self._version.billing:
            return self._billing(received, text, now_ns)
        refused = self._refused(received)
        if refused is not None:
            return refused
        payload = received.payload
        assert payload is not None
        if not self._version.schemas.is_compliant_request(action, payload):
            self._counts[f"noncompliant.{action}"] += 1
        call = self._incoming(received.message_id, payload, frame="", now_ns=now_ns)
        try:
            reaction = self._version.handlers[action](call)
        except IncompleteCallError as missing:
            flaw = Violation(code=NO_NUMBER, detail=f"{action}: {missing} is missing")
            return self._fault(received, Fault.INCOMPLETE, flaw)
        return self._react(received, call, reaction)

    def _refused(self, received: CallReceived) -> DialogueOutcome | None:
        """Return the CALLERROR for an unreadable CALL that is no billing message; None where it can be read."""
        action = received.action
        wrong_id = id_flaw(received.message_id)
        if received.broken is not None:
            fault = Fault.WRONG_TYPE if received.broken.code == NO_NUMBER else Fault.MALFORMED
            return self._fault(received, fault, received.broken)
        if wrong_id is not None and (self._version.name != "1.6" or not _is_answerable(received.message_id)):
            return self._fault(received, Fault.BAD_ID, wrong_id)
        if action not in self._version.handlers:
            known = action in self._version.schemas.actions
            flaw = Violation(
                code=UNKNOWN_ACTION,
                detail=f"action {json_values.shown(action, 40)} is not part of ocpp{self._version.name}",
            )
            return self._fault(received, Fault.UNSUPPORTED_ACTION if known else Fault.UNKNOWN_ACTION, flaw)
        if received.payload is None:
            return self._fault(
                received, Fault.MALFORMED, Violation(code=NO_NUMBER, detail=f"{action}: no payload")
            )
        return None

    def _billing(self, received: CallReceived, text: str, now_ns: int) -> DialogueOutcome:
        """Handle a billing message: always an event, never a CALLERROR."""
        action, payload = received.action, received.payload
        if payload is None or not self._version.schemas.is_compliant_request(action, payload):
            self._counts[f"noncompliant.{action}"] += 1
        frame = self._kept(text, is_json=received.broken is None)
        call = self._incoming(received.message_id, payload or {}, frame=frame, now_ns=now_ns)
        if received.broken is not None:
            return self._react(received, call, Reaction(events=(_quarantined(call, received.broken),)))
        reaction = self._version.handlers[action](call)
        differs = self._compared(call, reaction.events)
        return self._react(received, call, reaction if differs is None else differs)

    def _compared(self, call: Incoming, events: tuple[Event, ...]) -> Reaction | None:
        """Return the reaction to a message whose key came before with other content: the first one counts."""
        first = events[0]
        assert isinstance(first, TransactionStarted | TransactionUpdated | TransactionEnded)
        has_key = "seqNo" in call.payload or isinstance(first, TransactionEnded)
        if first.business_key is None or not has_key:
            return None
        flaw = self._repeats.differing(first.business_key, call.frame)
        if flaw is None:
            return None
        if isinstance(first, TransactionStarted):  # the core repeats its first answer
            return Reaction(events=(replace(first, flaws=(*first.flaws, flaw)),))
        return Reaction(events=(_quarantined(call, flaw),))

    def _react(self, received: CallReceived, call: Incoming, reaction: Reaction) -> DialogueOutcome:
        """Return the outcome of a CALL that was understood; still reports a non-compliant message id."""
        flaw = id_flaw(received.message_id)
        if reaction.answer is None:
            waiting = _Waiting(message_id=received.message_id, action=received.action, call=call)
            self._waiting[call.call.message_id] = waiting
            return DialogueOutcome(action=received.action, events=reaction.events, flaw=flaw)
        answer = self._result(received.message_id, received.action, reaction.answer)
        return DialogueOutcome(action=received.action, events=reaction.events, text=answer, flaw=flaw)

    def _kept(self, text: str, *, is_json: bool) -> str:
        mask = masked if is_json else masked_broken
        return mask(text, json_values.normal_token, self._station.hash_token)

    def _shown(self, flaw: Violation, text: str) -> Violation:
        """Return the flaw, with the beginning of the text where it is no JSON."""
        if flaw.code != NO_JSON:
            return flaw
        beginning = json_values.shown(self._kept(text, is_json=False), _SHOWN_CHARACTERS)
        return replace(flaw, detail=f"{flaw.detail}: {beginning}")

    def _incoming(self, message_id: MessageId, payload: Payload, *, frame: str, now_ns: int) -> Incoming:
        call = CallRef(
            charger_id=self._charger.charger_id,
            connection=self._connection,
            message_id=self._reference(message_id),
        )
        return Incoming(
            station=self._station,
            charger=self._charger,
            version=self._version.name,
            call=call,
            frame=frame,
            payload=payload,
            now_ns=now_ns,
        )

    def _reference(self, message_id: MessageId) -> str:
        """Return a storable and unique name for a CALL, even where a charger uses an id twice before the first answer."""
        name = str(message_id)[:_REFERENCE_LENGTH_MAX].encode("utf-8", "replace").decode()
        count = 1
        reference = name
        while reference in self._waiting:
            count += 1
            reference = f"{name}#{count}"
        return reference

    def _result(self, message_id: MessageId, action: str, payload: Payload) -> str:
        self._version.schemas.assert_response(action, payload)
        return self.rpc.result(message_id, payload)

    def _fault(self, received: CallReceived, fault: Fault, flaw: Violation) -> DialogueOutcome:
        self._counts[f"refused.{fault.value.replace(' ', '_')}"] += 1
        return DialogueOutcome(text=self.rpc.error(bounded(received.message_id), fault), flaw=flaw)


def _is_answerable(message_id: MessageId) -> bool:
    """Return whether to answer this id in 1.6, which has no error for a wrong id; the field has integers and long ids."""
    return isinstance(message_id, int) or len(message_id) <= _REFERENCE_LENGTH_MAX


def _quarantined(call: Incoming, flaw: Violation) -> TransactionUpdated:
    """Return the event of a billing message that is kept and acknowledged, and has no effect."""
    return TransactionUpdated(
        call=call.call,
        business_key=None,
        frame=call.frame,
        evse_id=None,
        transaction_id=None,
        charging_state=None,
        flaws=(flaw,),
    )
