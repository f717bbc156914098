"""What waits to be sent to one charger: most urgent first, newest setpoint only. No I/O.

Decides the order of CALLs (OCPP allows one at a time): stops, then what ends or limits a discharge, then the rest, then
start-up configuration. Never sends.
"""

import asyncio
import itertools
from dataclasses import dataclass

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


def answered(command: Command | None, reason: str) -> tuple[Event, ...]:
    """What the core is told of a command's end; "" means accepted. Only setpoints and starts are answered for."""
    match command:
        case ApplySetpoint(evse_id=evse_id, setpoint_id=number):
            return (
                SetpointAnswered(evse_id=evse_id, setpoint_id=number, accepted=not reason, reason=reason),
            )
        case StartRemotely(evse_id=evse_id, remote_start_id=number):
            return (
                RemoteStartAnswered(
                    evse_id=evse_id, remote_start_id=number, accepted=not reason, reason=reason
                ),
            )
        case _:
            return ()


class CommandQueue:
    """Bounded by its keys: one entry per EVSE, transaction or start-up request."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, int, Command]] = {}
        self._counter = itertools.count()
        self._filled: asyncio.Future[None] | None = None  # while somebody waits

    def put(self, command: Command) -> Command | None:
        """Queue a command; returns the one it takes the place of."""
        key = _key(command)
        _, _, superseded = self._waiting.pop(key, (0, 0, None))
        self._waiting[key] = (_rank(command), next(self._counter), command)
        if self._filled is not None and not self._filled.done():
            self._filled.set_result(None)
        return superseded

    async def get(self) -> Command:
        """Wait for and take the most urgent command, the oldest of equals."""
        while not self._waiting:
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled
        key = min(self._waiting, key=lambda waiting: self._waiting[waiting][:2])
        return self._waiting.pop(key)[2]

    def drain(self) -> list[Command]:
        """Take all that still wait."""
        commands = [command for _, _, command in self._waiting.values()]
        self._waiting.clear()
        return commands


def _key(command: Command) -> str:
    match command:
        case ApplySetpoint():
            return f"setpoint:{command.evse_id}"
        case AllowEnergyTransfer():
            return f"allow:{command.transaction_id}"
        case StartRemotely():
            return f"start:{command.evse_id}"
        case StopRemotely():
            return f"stop:{command.transaction_id}"
        case Configuration():
            first = command.alternatives[0]
            return f"configuration:{first.action}:{first.payload}"


def _rank(command: Command) -> int:
    match command:
        case StopRemotely():
            return 0
        case ApplySetpoint() if command.power_w <= 0:
            return 1
        case AllowEnergyTransfer():  # before the discharge it allows
            return 1
        case ApplySetpoint() | StartRemotely():
            return 2
        case Configuration():
            return 3
