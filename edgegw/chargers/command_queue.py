"""Queues the commands to one charger: most urgent first, of each setpoint the newest only. No I/O.

Decides the order of CALLs, since OCPP allows one at a time: stops, then what ends, limits or allows a discharge, then the
rest, then start-up configuration. Never sends.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

from edgegw.chargers.call_types import Request
from edgegw.core.effects import (
    AllowEnergyTransfer,
    ApplySetpoint,
    ChargerCommand,
    StartRemotely,
    StopRemotely,
)
from edgegw.core.events import Event, RemoteStartAnswered, SetpointAnswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One group of start-up requests: alternatives, best first."""

    alternatives: tuple[Request, ...]


Command = ChargerCommand | Configuration
C = TypeVar("C", bound=Command)


class Urgency(IntEnum):
    """The order of CALLs: lower values go first."""

    STOP = 0
    DISCHARGE = 1  # ends, limits or allows one
    CHARGE = 2
    CONFIGURE = 3


@dataclass(frozen=True, kw_only=True)  # without slots: Python 3.11 sets __orig_class__ on a generic
class CommandRule(Generic[C]):
    """How one kind of command is queued and reported.

    `subject`: a newer command of the same kind and subject replaces the older one. `answered`: makes the event that
    reports the outcome to the core ("" for accepted, else the reason), or None where the core needs none.
    """

    subject: Callable[[C], object]
    urgency: Callable[[C], Urgency]
    answered: Callable[[C, str], Event] | None


def _setpoint_answered(command: ApplySetpoint, reason: str) -> SetpointAnswered:
    return SetpointAnswered(
        evse_id=command.evse_id, setpoint_id=command.setpoint_id, accepted=not reason, reason=reason
    )


def _start_answered(command: StartRemotely, reason: str) -> RemoteStartAnswered:
    return RemoteStartAnswered(
        evse_id=command.evse_id, remote_start_id=command.remote_start_id, accepted=not reason, reason=reason
    )


def _first_request(command: Configuration) -> object:
    first = command.alternatives[0]
    return first.action, str(first.payload)


RULES: Mapping[type[Command], CommandRule[Any]] = {
    ApplySetpoint: CommandRule[ApplySetpoint](
        subject=lambda command: command.evse_id,
        urgency=lambda command: Urgency.DISCHARGE if command.power_w <= 0 else Urgency.CHARGE,
        answered=_setpoint_answered,
    ),
    AllowEnergyTransfer: CommandRule[AllowEnergyTransfer](
        subject=lambda command: command.transaction_id,
        urgency=lambda _command: Urgency.DISCHARGE,  # before the discharge it allows
        answered=None,
    ),
    StartRemotely: CommandRule[StartRemotely](
        subject=lambda command: command.evse_id,
        urgency=lambda _command: Urgency.CHARGE,
        answered=_start_answered,
    ),
    StopRemotely: CommandRule[StopRemotely](
        subject=lambda command: command.transaction_id,
        urgency=lambda _command: Urgency.STOP,
        answered=None,
    ),
    Configuration: CommandRule[Configuration](
        subject=_first_request,
        urgency=lambda _command: Urgency.CONFIGURE,
        answered=None,
    ),
}


def answered(command: Command | None, reason: str) -> tuple[Event, ...]:
    """Return the events that report a command's outcome to the core; reason "" means accepted."""
    event_of = None if command is None else RULES[type(command)].answered
    return () if event_of is None else (event_of(command, reason),)


class CommandQueue:
    """Commands by priority, bounded by their keys: one entry per EVSE, transaction or start-up request."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[type[Command], object], tuple[Urgency, int, Command]] = {}
        self._counter = itertools.count()
        self._filled: asyncio.Future[None] | None = None  # set while `get` waits

    def put(self, command: Command) -> Command | None:
        """Queue a command; return the one that it replaces."""
        rule = RULES[type(command)]
        key = type(command), rule.subject(command)
        _, _, superseded = self._waiting.pop(key, (0, 0, None))
        self._waiting[key] = (rule.urgency(command), next(self._counter), command)
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)
        return superseded

    async def get(self) -> Command:
        """Wait for and remove the most urgent command, the oldest among equals."""
        while not self._waiting:
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled
        key = min(self._waiting, key=lambda waiting: self._waiting[waiting][:2])
        return self._waiting.pop(key)[2]

    def drain(self) -> list[Command]:
        """Remove and return all queued commands."""
        commands = [command for _, _, command in self._waiting.values()]
        self._waiting.clear()
        return commands
