"""OCPP's framing and correlation, sans I/O: text in, outputs out; one outstanding CALL of ours at a time.

Decides which answer belongs to which CALL and what an unreadable frame deserves. Never opens a socket, never looks
into a payload, never echoes what a charger sent back into an error.
Source: OCPP-J 1.6 §4; OCPP 2.1 Part 4 §4 (types 5 and 6, id "-1", unknown types ignored).
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from edgegw.chargers.exchange import Fault, Payload

MESSAGE_ID_LENGTH_MAX = 255  # the standard says 36; longer ones are seen and harmless

_CODES_16 = {
    Fault.UNREADABLE: "GenericError",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.UNSUPPORTED_ACTION: "NotSupported",
    Fault.MALFORMED: "FormationViolation",
    Fault.INCOMPLETE: "OccurenceConstraintViolation",  # the standard's own spelling
}
_CODES_2 = {
    Fault.UNREADABLE: "RpcFrameworkError",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.UNSUPPORTED_ACTION: "NotSupported",
    Fault.MALFORMED: "FormatViolation",
    Fault.INCOMPLETE: "OccurrenceConstraintViolation",
}


class MessageType(IntEnum):
    """First element of a frame."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4
    CALLRESULTERROR = 5
    SEND = 6


_IGNORED: dict[int, str] = {MessageType.CALLRESULTERROR: "callresulterror", MessageType.SEND: "send"}

_ENCODER = json.JSONEncoder(separators=(",", ":"))

MessageId = str | int  # integers are against the standard and are echoed as they came


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReceived:
    """A CALL to be answered; `payload` is None when it was absent or no object."""

    message_id: MessageId
    action: str
    payload: Payload | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """Our CALL is over. `payload` is its result; None: `reason` says why there is none."""

    message_id: str
    payload: Payload | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendText:
    """Text to be sent as it is."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A frame without consequence; `reason` is a count's name."""

    reason: str


Output = CallReceived | CallEnded | SendText | Ignored


class Rpc:
    """Correlation of one connection."""

    def __init__(self, version: str) -> None:
        self._codes = _CODES_16 if version == "1.6" else _CODES_2
        self._names_unreadable = version != "1.6"
        self._deadlines_s: dict[str, float] = {}

    def receive(self, text: str) -> Output:
        """What a frame means; total over all texts."""
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            return self._unreadable()
        match frame:
            case [MessageType.CALL, message_id, *rest] if _is_message_id(message_id):
                return self._called(message_id, rest)
            case [MessageType.CALLRESULT | MessageType.CALLERROR as kind, message_id, *rest]:
                return self._answered(message_id, kind, rest)
            case [int(kind), *_] if kind != MessageType.CALL:
                return Ignored(reason=_IGNORED.get(kind, "unknown_type"))
            case _:
                return self._unreadable()

    def call(self, message_id: str, action: str, payload: Payload, *, deadline_s: float) -> str:
        """The text of a CALL of ours, now outstanding until `deadline_s` of the caller's clock.

        OCPP-J §4.1.1: no CALL before the last one was answered or timed out.
        """
        assert not self._deadlines_s, "one outstanding CALL at a time"
        self._deadlines_s[message_id] = deadline_s
        return _dumps([MessageType.CALL, message_id, action, payload])

    def expire(self, now_s: float) -> list[CallEnded]:
        """CALLs whose deadline has passed; their answers will count as late."""
        expired = [message_id for message_id, deadline_s in self._deadlines_s.items() if deadline_s <= now_s]
        for message_id in expired:
            del self._deadlines_s[message_id]
        return [CallEnded(message_id=message_id, payload=None, reason="timeout") for message_id in expired]

    def result(self, message_id: MessageId, payload: Payload) -> str:
        """The text of a CALLRESULT."""
        return _dumps([MessageType.CALLRESULT, message_id, payload])

    def error(self, message_id: MessageId, fault: Fault) -> str:
        """The text of a CALLERROR; says what is wrong, repeats nothing of the message."""
        return _dumps([MessageType.CALLERROR, message_id, self._codes[fault], fault.value, {}])

    def _unreadable(self) -> Output:
        # 2.1 Part 4 §4.2.3: an id that cannot be read is answered as "-1"; 1.6 knows no such answer.
        if self._names_unreadable:
            return SendText(text=self.error("-1", Fault.UNREADABLE))
        return Ignored(reason="unreadable")

    def _called(self, message_id: MessageId, rest: list[Any]) -> Output:
        if not rest or not isinstance(rest[0], str):
            return SendText(text=self.error(message_id, Fault.MALFORMED))
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


def _is_message_id(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= MESSAGE_ID_LENGTH_MAX
    return isinstance(value, int) and not isinstance(value, bool)


def _printable(code: str) -> str:
    return "".join(character for character in code[:50] if character.isascii() and character.isprintable())


def _dumps(frame: list[Any]) -> str:
    return _ENCODER.encode(frame)
