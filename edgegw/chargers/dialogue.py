"""One connection's dialogue, sans I/O: frames to events and answers, the core's answers to frames.

Decides which CALL is answered at once, which waits for the core, and which is an error. Every CALL with a readable id
gets exactly one answer; a billing message never gets an error (a charger discards what was refused to it, E13).
"""

from collections import Counter
from dataclasses import dataclass

from edgegw.chargers import wire
from edgegw.chargers.exchange import Fault, Incoming, IncompleteCallError, Payload
from edgegw.chargers.masking import masked
from edgegw.chargers.rpc import CallEnded, CallReceived, Ignored, MessageId, Rpc, SendText
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.chargers.versions import Version
from edgegw.core.effects import AnswerCall
from edgegw.core.events import CallRef, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a frame led to. `action` names the CALL it was; `ended` is a CALL of ours that is over."""

    action: str | None = None
    events: tuple[Event, ...] = ()
    text: str | None = None
    ended: CallEnded | None = None


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
    ) -> None:
        self.rpc = Rpc(version.name)
        self._station = station
        self._charger = charger
        self._version = version
        self._connection = connection
        self._counts = counts
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waiting(self) -> int:
        """CALLs that wait for the core."""
        return len(self._waiting)

    def receive(self, text: str, now_ns: int) -> Outcome:
        """What a frame leads to; total over all texts."""
        match self.rpc.receive(text):
            case CallReceived() as call:
                return self._call(call, text, now_ns)
            case CallEnded() as ended:
                return Outcome(ended=ended)
            case SendText(text=answer):
                self._counts["frame.unreadable"] += 1
                return Outcome(text=answer)
            case Ignored(reason=reason):
                self._counts[f"frame.{reason}"] += 1
                return Outcome()

    def answer(self, effect: AnswerCall) -> str | None:
        """The text of the core's answer; None for a CALL that does not wait (any more).

        Raises AssertionError where the answer does not fit the CALL.
        """
        waiting = self._waiting.pop(effect.call.message_id, None)
        if waiting is None:
            return None
        payload = self._version.answers[waiting.action](waiting.call, effect.answer)
        return self._result(waiting.message_id, waiting.action, payload)

    def _call(self, received: CallReceived, text: str, now_ns: int) -> Outcome:
        action, payload = received.action, received.payload
        handler = self._version.handlers.get(action)
        if handler is None:
            known = action in self._version.schemas.actions
            return self._fault(received, Fault.UNSUPPORTED_ACTION if known else Fault.UNKNOWN_ACTION)
        if payload is None and action not in self._version.billing:
            return self._fault(received, Fault.MALFORMED)
        if payload is None or not self._version.schemas.is_compliant_request(action, payload):
            self._counts[f"noncompliant.{action}"] += 1
        frame = masked(text, wire.normal_token, self._station.hash_token)
        call = self._incoming(received.message_id, payload or {}, frame=frame, now_ns=now_ns)
        try:
            reaction = handler(call)
        except IncompleteCallError:
            return self._fault(received, Fault.INCOMPLETE)
        if reaction.answer is None:
            waiting = _Waiting(message_id=received.message_id, action=action, call=call)
            self._waiting[call.call.message_id] = waiting
            return Outcome(action=action, events=reaction.events)
        answer = self._result(received.message_id, action, reaction.answer)
        return Outcome(action=action, events=reaction.events, text=answer)

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
        name = str(message_id).encode("utf-8", "replace").decode()
        count = 1
        reference = name
        while reference in self._waiting:
            count += 1
            reference = f"{name}#{count}"
        return reference

    def _result(self, message_id: MessageId, action: str, payload: Payload) -> str:
        self._version.schemas.assert_response(action, payload)
        return self.rpc.result(message_id, payload)

    def _fault(self, received: CallReceived, fault: Fault) -> Outcome:
        self._counts[f"refused.{fault.value.replace(' ', '_')}"] += 1
        return Outcome(text=self.rpc.error(received.message_id, fault))
