"""Types that pass between a connection and the version modules. Pure; decides nothing.

Source: OCPP-J 1.6 §4, OCPP 2.1 Part 4 §4 (CALL, CALLRESULT, CALLERROR).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.common.errors import DeviceError
from edgegw.core.effects import Answer, ChargerCommand
from edgegw.core.events import CallRef, Event

C = TypeVar("C", bound=ChargerCommand)

Payload = dict[str, Any]


class Fault(StrEnum):
    """What is wrong with a charger's CALL; `rpc` maps each to the CALLERROR code of the version."""

    UNREADABLE = "unreadable"
    UNKNOWN_ACTION = "unknown action"
    UNSUPPORTED_ACTION = "unsupported action"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong type"
    BAD_ID = "message id too long or no text"
    UNKNOWN_TYPE = "message type not supported"
    REFUSED = "not yet accepted"
    INCOMPLETE = "incomplete"


class IncompleteCallError(DeviceError):
    """A CALL that is no billing message lacks a field that its handler needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A charger's CALL with what its translation needs; `frame` is its text with masked idTokens, `now_ns` the receipt time."""

    station: StationSettings
    charger: ChargerSettings
    version: str
    call: CallRef
    frame: str
    payload: Payload
    now_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """Events and answer of a CALL. `answer` None: the core answers with AnswerCall."""

    events: tuple[Event, ...] = ()
    answer: Payload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A CALL from the station to a charger."""

    action: str
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The charging profiles that a charger is known to hold for one EVSE.

    `fallback_w` is None where no fallback of this transaction is installed, `duration_s` where no active profile is.
    `updated_ns` is when the active profile was last sent.
    """

    transaction_id: str
    fallback_w: int | None = None
    duration_s: int | None = None
    updated_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileStep:
    """The next CALL of a setpoint; once it is accepted, `installed` holds. `is_last`: no further CALL follows.

    Steps are built one at a time, because the remaining duration of a setpoint is computed when its CALL is sent.
    """

    request: Request
    installed: Installed
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointRefusal:
    """A command that cannot be sent to this charger."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """What the next CALL of a command depends on besides the command; made for each CALL."""

    charger: ChargerSettings
    installed: Installed | None
    now_ns: int


@dataclass(frozen=True, kw_only=True)  # without slots: Python 3.11 sets __orig_class__ on a generic
class Outgoing(Generic[C]):
    """How one version sends one command of the core. `build` is pure; `actions` names every CALL that it may make.

    A Request is the whole command; further steps may follow a ProfileStep.
    """

    actions: frozenset[str]
    build: Callable[[C, CommandContext], Request | ProfileStep | SetpointRefusal]


def unsupported(_command: ChargerCommand, _context: CommandContext) -> SetpointRefusal:
    """Refuse a command that a version of OCPP has no message for."""
    return SetpointRefusal(reason="NotSupported")


UNSUPPORTED = Outgoing[ChargerCommand](actions=frozenset(), build=unsupported)

Commands = Mapping[type[ChargerCommand], Outgoing[Any]]
Handler = Callable[[Incoming], Reaction]
AnswerTranslator = Callable[[Incoming, Answer], Payload]
