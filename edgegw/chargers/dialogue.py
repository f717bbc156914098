"""One connection's dialogue, sans I/O: frames to events and answers, the core's answers to frames.

Decides which CALL is answered at once, which waits for the core, and which is an error. Every CALL with a readable id
gets exactly one answer; a billing message never gets an error (a charger discards what was refused to it, E13): what
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
    """What a frame led to. `action` names the CALL it was; `ended` is a CALL of ours that is over.

    `flaw`: what was wrong with it, where no event tells; to be logged.
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
    """All that one socket's messages need to know of each other. `counts` is shared and only grows."""

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
        """CALLs that wait for the core."""
        return len(self._waiting)

    def receive(self, text: str, now_ns: int) -> DialogueOutcome:
        """What a frame leads to; total over all texts."""
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
        """The text of the core's answer; None for a CALL that does not wait (any more).

        Raises AssertionError where the answer does not fit the CALL.
        """
        waiting = self._waiting.pop(effect.call.message_id, None)
        if waiting is None:
            return None
        payload = self._version.answers[waiting.action](waiting.call, effect.answer)
        return self._result(waiting.message_id, waiting.action, payload)

    def _call(self, received: CallReceived, text: str, now_ns: int) -> DialogueOutcome:
        action = received.action
        if action in self._version.handlers:  # a closed list, so that no charger makes up names to be counted
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
        """The error that a CALL gets which is no billing message, or nothing where it can be read."""
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
        """A billing message: always an event, and never an error."""
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
        """What becomes of a message whose key came before with other content: the first one counts."""
        first = events[0]
        assert isinstance(first, TransactionStarted | TransactionUpdated | TransactionEnded)
        has_key = "seqNo" in call.payload or isinstance(first, TransactionEnded)
        if first.business_key is None or not has_key:
            return None
        flaw = self._repeats.differing(first.business_key, call.frame)
        if flaw is None:
            return None
        if isinstance(first, TransactionStarted):  # the core answers it as it answered the first one
            return Reaction(events=(replace(first, flaws=(*first.flaws, flaw)),))
        return Reaction(events=(_quarantined(call, flaw),))

    def _react(self, received: CallReceived, call: Incoming, reaction: Reaction) -> DialogueOutcome:
        """The outcome of a CALL that was understood; an id against the standard is told all the same."""
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
        """The flaw with the beginning of what is no JSON."""
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
        """A storable name for a CALL, its own even where a charger uses an id twice before the first is answered."""
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
    """1.6 has no error for a wrong id, and integers and somewhat long ones are seen in the field."""
    return isinstance(message_id, int) or len(message_id) <= _REFERENCE_LENGTH_MAX


def _quarantined(call: Incoming, flaw: Violation) -> TransactionUpdated:
    """A billing message that is kept and acknowledged, and has no effect."""
    return TransactionUpdated(
        call=call.call,
        business_key=None,
        frame=call.frame,
        evse_id=None,
        transaction_id=None,
        charging_state=None,
        flaws=(flaw,),
    )
