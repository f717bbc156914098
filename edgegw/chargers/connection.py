"""Runs the connection of one charger: reads frames, writes answers, and sends commands one at a time.

Decides when a command's outcome is known and when a charger is configured. Knows no WebSocket library and no message's
content.
Source: OCPP-J §4.1.1 (one outstanding CALL); OCPP 1.6 §4.2, 2.x B01 (a boot forgets profiles, not transactions).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol, assert_never

from edgegw.chargers.call_types import (
    CommandContext,
    Installed,
    ProfileStep,
    Request,
    SetpointRefusal,
)
from edgegw.chargers.command_queue import Command, CommandQueue, Configuration, answered
from edgegw.chargers.dialogue import Dialogue, DialogueOutcome
from edgegw.chargers.rpc import CallEnded
from edgegw.chargers.send_queue import SendQueue
from edgegw.chargers.settings import ChargerSettings, StationSettings
from edgegw.chargers.versions import Version, is_accepted
from edgegw.common.clock import Clock
from edgegw.common.error_codes import REMEDIES
from edgegw.common.rate_limited_log import RateLimitedLog
from edgegw.core.effects import AnswerCall, ChargerCommand
from edgegw.core.events import ChargerConnected, ChargerDisconnected, Violation
from edgegw.ports.gateway import Emit

OUTBOX_MAX = 256  # texts; a charger that does not read them is disconnected
WAITING_MAX = 64  # unanswered billing messages; at this number reading pauses
FRAME_BYTES_MAX = 65_536
TOO_LARGE = "EGW-1221"


class Socket(Protocol):
    """A text socket whose methods raise no connection errors.

    `overflowed`: it was closed because the charger sent more than FRAME_BYTES_MAX in one frame.
    """

    @property
    def overflowed(self) -> bool:
        """Whether a frame was too large; holds once `frames` has ended."""

    async def send(self, text: str) -> None:
        """Send a text; do nothing on a closed socket."""

    def frames(self) -> AsyncIterator[str]:
        """Yield texts until the socket is closed."""

    async def is_alive(self, timeout_s: float) -> bool:
        """Return True where the charger answers a ping in time."""

    async def close(self, reason: str) -> None:
        """Close the socket with a reason."""

    def abort(self) -> None:
        """Drop the socket without a close frame."""


class Connection:
    """One socket of a configured charger; `number` tells it from earlier sockets of the same charger."""

    def __init__(
        self,
        *,
        number: int,
        station: StationSettings,
        charger: ChargerSettings,
        version: Version,
        socket: Socket,
        emit: Emit,
        clock: Clock,
        dialogue: Dialogue,
    ) -> None:
        self.number = number
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._station = station
        self._charger = charger
        self._version = version
        self._socket = socket
        self._emit = emit
        self._clock = clock
        self._dialogue = dialogue
        self._outbox = SendQueue(OUTBOX_MAX)
        self._commands = CommandQueue()
        self._current: Command | None = None
        self._ended: asyncio.Future[CallEnded] | None = None
        self._installed: dict[str, Installed] = {}
        self._answered: asyncio.Event | None = None  # while reading pauses
        self._is_configured = False
        self._is_abandoned = False
        self._frames = 0
        self._seldom = RateLimitedLog(asyncio.get_running_loop().time)

    async def serve(self) -> None:
        """Run until the socket is closed; then report every setpoint or start without outcome as lost."""
        self._emit(ChargerConnected(charger_id=self._charger.charger_id, version=self._version.name))
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = (tasks.create_task(self._write()), tasks.create_task(self._work()))
                await self._read()
                for helper in helpers:
                    helper.cancel()
        finally:
            # First: what follows may fail, and the next connection waits for this.
            self.finished.set_result(None)
            for command in (self._current, *self._commands.drain()):
                self._report(command, "lost")
            self._emit(ChargerDisconnected(charger_id=self._charger.charger_id))

    def answer(self, effect: AnswerCall) -> None:
        """Send the core's answer; do nothing for a CALL that does not wait here."""
        text = self._dialogue.answer(effect)
        self._read_on()
        if text is not None and not self._outbox.offer(text):
            self.abandon()

    def command(self, effect: ChargerCommand) -> None:
        """Queue a command; report a queued setpoint or start of the same EVSE as superseded."""
        self._report(self._commands.put(effect), "superseded")

    def adopt(self, station: StationSettings) -> None:
        """Use these settings from now on; configure the charger again where the sample interval changed."""
        is_told = self._is_configured and station.sample_interval_s != self._station.sample_interval_s
        self._station = station
        if is_told:
            self._configure()

    async def dismiss(self, reason: str) -> None:
        """Close the socket with a reason; `finished` is set afterwards."""
        self._is_abandoned = True
        self._read_on()
        await self._socket.close(reason)

    async def is_alive(self, timeout_s: float) -> bool:
        """Return True where the charger answers a ping or sends any frame meanwhile (some never answer pings)."""
        frames = self._frames
        return await self._socket.is_alive(timeout_s) or self._frames != frames

    def abandon(self) -> None:
        """Drop the socket; `finished` is set afterwards."""
        self._is_abandoned = True
        self._read_on()
        self._socket.abort()

    async def _read(self) -> None:
        async for text in self._socket.frames():
            self._frames += 1
            outcome = self._dialogue.receive(text, self._clock.now_ns())
            for event in outcome.events:
                self._emit(event)
            if outcome.text is not None:
                await self._outbox.put(outcome.text)
            self._follow_up(outcome)
            while self._dialogue.waiting >= WAITING_MAX and not self._is_abandoned:
                self._answered = asyncio.Event()
                await self._answered.wait()
        if self._socket.overflowed:
            self._tell(Violation(code=TOO_LARGE, detail=f"closed, at most {FRAME_BYTES_MAX} bytes"))

    def _read_on(self) -> None:
        if self._answered is not None:
            self._answered.set()

    def _tell(self, flaw: Violation) -> None:
        """Log at most one line a minute for each code."""
        count = self._seldom.due(flaw.code)
        if count:
            told = {"charger_id": self._charger.charger_id, "code": flaw.code, "detail": flaw.detail}
            self._station.log("frame.flawed", {**told, "remedy": REMEDIES[flaw.code].remedy, "count": count})

    def _follow_up(self, outcome: DialogueOutcome) -> None:
        if outcome.flaw is not None:
            self._tell(outcome.flaw)
        if outcome.ended is not None and self._ended is not None and not self._ended.done():
            self._ended.set_result(outcome.ended)
        if outcome.action is None:
            return
        if outcome.action == "BootNotification":
            self._station.log("charger.booted", {"charger_id": self._charger.charger_id})
            self._installed.clear()
            self._is_configured = False
        if not self._is_configured:  # its first CALL shows that a charger takes commands
            self._is_configured = True
            self._configure()

    def _configure(self) -> None:
        for alternatives in self._version.configuration(self._station, self._charger):
            self._commands.put(Configuration(alternatives=alternatives))

    async def _write(self) -> None:
        while True:
            await self._socket.send(await self._outbox.get())

    async def _work(self) -> None:
        while True:
            self._current = await self._commands.get()
            await self._perform(self._current)
            self._current = None

    async def _perform(self, command: Command) -> None:
        if isinstance(command, Configuration):
            for request in command.alternatives:
                if await self._request(request) in {"", "timeout"}:
                    break
        else:
            self._report(command, await self._carry_out(command))

    async def _carry_out(self, command: ChargerCommand) -> str:
        """Send the CALLs of a command; return "" once the charger accepted the last one, else the reason."""
        outgoing = self._version.commands[type(command)]
        while True:
            context = CommandContext(
                charger=self._charger,
                installed=self._installed.get(command.evse_id),
                now_ns=self._clock.now_ns(),
            )
            step = outgoing.build(command, context)
            match step:
                case SetpointRefusal(reason=reason):
                    return reason
                case Request():
                    return await self._request(step)
                case ProfileStep():
                    reason = await self._install(command.evse_id, step)
                    if reason or step.is_last:
                        return reason
                case _:
                    assert_never(step)

    async def _install(self, evse_id: str, step: ProfileStep) -> str:
        """Send a charging profile; after a failure no profile counts as installed."""
        self._installed.pop(evse_id, None)
        reason = await self._request(step.request)
        if not reason:
            self._installed[evse_id] = step.installed
        return reason

    async def _request(self, request: Request) -> str:
        """Send one CALL and wait for its outcome; return "" where it is accepted, else the reason."""
        reason = await self._call(request)
        if reason:
            failed = {"charger_id": self._charger.charger_id, "action": request.action, "reason": reason}
            if count := self._seldom.due((request.action, reason)):
                self._station.log("call.failed", {**failed, "count": count})
        return reason

    async def _call(self, request: Request) -> str:
        self._version.schemas.assert_request(request.action, request.payload)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._station.call_timeout_s
        message_id = self._station.fresh_message_id()
        text = self._dialogue.rpc.call(message_id, request.action, request.payload, deadline_s=deadline_s)
        self._ended = loop.create_future()
        await self._outbox.put(text)
        try:
            async with asyncio.timeout_at(deadline_s):
                ended = await self._ended
        except TimeoutError:
            (ended,) = self._dialogue.rpc.expire(deadline_s)
        if ended.payload is None:
            return ended.reason or "refused"
        if is_accepted(request.action, ended.payload):
            return ""
        return str(ended.payload.get("status", "refused"))[:50]

    def _report(self, command: Command | None, reason: str) -> None:
        for event in answered(command, reason):
            self._emit(event)
