"""Implements OCPP-J framing and correlation: text in, outputs out, one outstanding CALL of ours at a time. No I/O.

Decides which answer belongs to which CALL and how to answer an unreadable frame. Never looks into a payload, never repeats
a charger's text in an error. A frame whose id and action can be read is a CALL, however broken the rest: a billing message
must not be refused for that.
Source: OCPP-J 1.6 §4; OCPP 2.1 Part 4 §4 (types 5 and 6, id "-1", unknown types).
"""

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from edgegw.chargers import json_values, strict_json
from edgegw.chargers.call_types import Fault, Payload
from edgegw.chargers.strict_json import NotStrictError
from edgegw.chargers.violations import MESSAGE_ID
from edgegw.core.events import Violation

MESSAGE_ID_LENGTH_MAX = 36
NO_MESSAGE, UNKNOWN_TYPE = "EGW-1202", "EGW-1203"

# Matches the beginning of a frame that is not JSON as a whole: type, id and, for a CALL, action.
_HEAD = re.compile(
    r'\s*\[\s*([234])\s*,\s*("(?:[^"\\\x00-\x1f]|\\.)*+"|-?\d{1,18}(?=\s*[,\]]))(?:\s*,\s*"([A-Za-z]+)")?'
)

_CODES_16 = {
    Fault.UNREADABLE: "GenericError",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.UNSUPPORTED_ACTION: "NotSupported",
    Fault.MALFORMED: "FormationViolation",
    Fault.WRONG_TYPE: "TypeConstraintViolation",
    Fault.BAD_ID: "FormationViolation",
    Fault.REFUSED: "GenericError",
    Fault.INCOMPLETE: "OccurenceConstraintViolation",  # the standard's own spelling
}
_CODES_2 = {
    Fault.UNREADABLE: "RpcFrameworkError",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.UNSUPPORTED_ACTION: "NotSupported",
    Fault.MALFORMED: "FormatViolation",
    Fault.WRONG_TYPE: "TypeConstraintViolation",
    Fault.BAD_ID: "RpcFrameworkError",
    Fault.UNKNOWN_TYPE: "MessageTypeNotSupported",
    Fault.REFUSED: "SecurityError",
    Fault.INCOMPLETE: "OccurrenceConstraintViolation",
}


class MessageType(IntEnum):
    """First element of a frame."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4
    CALLRESULTERROR = 5
    SEND = 6


_TOLERATED: dict[int, str] = {MessageType.CALLRESULTERROR: "callresulterror", MessageType.SEND: "send"}

_ENCODER = json.JSONEncoder(separators=(",", ":"))

MessageId = str | int  # integers are non-compliant, and are echoed as received


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReceived:
    """A CALL to be answered; `payload` is None where it is absent or no object.

    `broken` is what is wrong with the frame as JSON; the payload then serves for wording the answer only.
    """

    message_id: MessageId
    action: str
    payload: Payload | None
    broken: Violation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """A CALL of ours is over. `payload` is its result, or None with the `reason`."""

    message_id: str
    payload: Payload | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendText:
    """Text to be sent because of `flaw`."""

    text: str
    flaw: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A frame without effect; `reason` names the counter."""

    reason: str
    flaw: Violation | None = None


Output = CallReceived | CallEnded | SendText | Ignored


class Rpc:
    """Framing and correlation of one connection."""

    def __init__(self, version: str) -> None:
        self._codes = _CODES_16 if version == "1.6" else _CODES_2
        self._names_unreadable = version != "1.6"
        self._deadlines_s: dict[str, float] = {}

    def receive(self, text: str) -> Output:
        """Return what a frame means; raises for no text."""
        try:
            frame = strict_json.read(text)
        except NotStrictError as error:
            return self._broken(text, error)
        match frame:
            case [MessageType.CALL, message_id, *rest] if _is_message_id(message_id):
                return self._called(message_id, rest)
            case [MessageType.CALLRESULT | MessageType.CALLERROR as kind, message_id, *rest]:
                return self._answered(message_id, kind, rest)
            case [int(kind), *rest] if kind != MessageType.CALL:
                return self._other_type(kind, rest)
            case _:
                return self._unreadable(Violation(code=NO_MESSAGE, detail=_shape(frame)))

    def call(self, message_id: str, action: str, payload: Payload, *, deadline_s: float) -> str:
        """Return the text of a CALL of ours, now outstanding until `deadline_s` of the caller's clock.

        OCPP-J §4.1.1: no CALL before the last one is answered or timed out.
        """
        assert not self._deadlines_s, "one outstanding CALL at a time"
        self._deadlines_s[message_id] = deadline_s
        return _dumps([MessageType.CALL, message_id, action, payload])

    def expire(self, now_s: float) -> list[CallEnded]:
        """Remove and return the CALLs whose deadline has passed; their answers count as late."""
        expired = [message_id for message_id, deadline_s in self._deadlines_s.items() if deadline_s <= now_s]
        for message_id in expired:
            del self._deadlines_s[message_id]
        return [CallEnded(message_id=message_id, payload=None, reason="timeout") for message_id in expired]

    def result(self, message_id: MessageId, payload: Payload) -> str:
        """Return the text of a CALLRESULT."""
        return _dumps([MessageType.CALLRESULT, message_id, payload])

    def error(self, message_id: MessageId, fault: Fault) -> str:
        """Return the text of a CALLERROR, which repeats nothing of the message."""
        return _dumps([MessageType.CALLERROR, message_id, self._codes[fault], fault.value, {}])

    def _unreadable(self, flaw: Violation) -> Output:
        # 2.1 Part 4 §4.2.3: an id that cannot be read is answered as "-1"; 1.6 knows no such answer.
        if self._names_unreadable:
            return SendText(text=self.error("-1", Fault.UNREADABLE), flaw=flaw)
        return Ignored(reason="unreadable", flaw=flaw)

    def _broken(self, text: str, error: NotStrictError) -> Output:
        """Read a frame that is no strict JSON from its beginning, or as a lax parser reads it."""
        head = _HEAD.match(text)
        if head is None:
            return self._unreadable(error.flaw)
        kind, message_id, action = int(head[1]), json.loads(head[2]), head[3]
        loose = error.loose if isinstance(error.loose, list) else [kind, message_id, action]
        if kind != MessageType.CALL:
            return self._answered(message_id, kind, loose[2:])
        if action is None or not _is_message_id(message_id):
            return self._unreadable(error.flaw)
        payload = loose[3] if len(loose) > 3 and isinstance(loose[3], dict) else None
        return CallReceived(message_id=message_id, action=action, payload=payload, broken=error.flaw)

    def _other_type(self, kind: int, rest: list[Any]) -> Output:
        """Handle other message types (2.1 Part 4 §4.1.3): SEND and CALLRESULTERROR need no answer.

        Others are answered MessageTypeNotSupported, for which 1.6 has no code.
        """
        if kind in _TOLERATED:
            return Ignored(reason=_TOLERATED[kind])
        flaw = Violation(code=UNKNOWN_TYPE, detail=f"message type {json_values.short(kind)}")
        message_id = rest[0] if rest else None
        if self._names_unreadable and isinstance(message_id, str) and _is_message_id(message_id):
            return SendText(text=self.error(message_id, Fault.UNKNOWN_TYPE), flaw=flaw)
        return Ignored(reason="unknown_type", flaw=flaw)

    def _called(self, message_id: MessageId, rest: list[Any]) -> Output:
        if not rest or not isinstance(rest[0], str):
            flaw = Violation(code=NO_MESSAGE, detail=_shape([2, message_id, *rest]))
            return SendText(text=self.error(bounded(message_id), Fault.MALFORMED), flaw=flaw)
        payload = rest[1] if len(rest) > 1 and isinstance(rest[1], dict) else None
        return CallReceived(message_id=message_id, action=rest[0], payload=payload)

    def _answered(self, message_id: Any, kind: int, rest: list[Any]) -> Output:
        if not isinstance(message_id, str) or self._deadlines_s.pop(message_id, None) is None:
            return Ignored(reason="late_answer")
        value = rest[0] if rest else None
        if kind == MessageType.CALLRESULT and isinstance(value, dict):
            return CallEnded(message_id=message_id, payload=value)
        reason = _printable(value) if isinstance(value, str) else "malformed answer"
        return CallEnded(message_id=message_id, payload=None, reason=reason)


def id_flaw(message_id: MessageId) -> Violation | None:
    """Return what is wrong with a CALL's id, or None: OCPP-J allows texts of at most 36 characters."""
    if isinstance(message_id, str) and len(message_id) <= MESSAGE_ID_LENGTH_MAX:
        return None
    length = f"{len(message_id)} characters" if isinstance(message_id, str) else "no text"
    return Violation(code=MESSAGE_ID, detail=f"the message id is {length}")


def bounded(message_id: MessageId) -> MessageId:
    """Return an id cut to the length that an answer may repeat."""
    return message_id[:MESSAGE_ID_LENGTH_MAX] if isinstance(message_id, str) else message_id


def _is_message_id(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _shape(frame: Any) -> str:
    """Describe a JSON value that is no OCPP message."""
    expected = "expected [2, id, action, payload]"
    if not isinstance(frame, list):
        return f"{expected}, got {json_values.short(frame)}"
    kind = f", type {json_values.short(frame[0])}" if frame else ""
    return f"{expected}, got a list of {len(frame)}{kind}"


def _printable(code: str) -> str:
    return "".join(character for character in code[:50] if character.isascii() and character.isprintable())


def _dumps(frame: list[Any]) -> str:
    return _ENCODER.encode(frame)
