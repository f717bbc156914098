"""All chargers of a station, as the gateway sees them: `ChargerPort`.

Decides which connection of a charger counts: a second one is let in only when the first is dead. Answers meant for an
earlier socket are dropped.
Source: HOUSE.md, rulings; the same-id hijack of several back ends (2026).
"""

import asyncio
import itertools
import time
from collections import Counter

from edgegw.chargers import commands, versions
from edgegw.chargers.connection import Connection, Socket
from edgegw.chargers.listener import listen
from edgegw.chargers.security import Gatekeeper
from edgegw.chargers.settings import StationSettings
from edgegw.core.effects import AnswerCall, ChargerCommand
from edgegw.ports import Clock, Emit


class Chargers:
    """ChargerPort over WebSockets. `counts` counts what was tolerated; `port` is known once `listening` is set."""

    def __init__(self, settings: StationSettings, emit: Emit, clock: Clock) -> None:
        self.counts: Counter[str] = Counter()
        self.listening = asyncio.Event()
        self.port = settings.listener.port
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._versions = versions.load()
        self._chargers = {charger.charger_id: charger for charger in settings.chargers}
        self._charger_ids = {
            evse_id: charger.charger_id for charger in settings.chargers for evse_id in charger.evses.values()
        }
        self._connections: dict[str, Connection] = {}
        self._doors = {charger_id: asyncio.Lock() for charger_id in self._chargers}
        # Never a number of an earlier run, whose unanswered CALLs may come back from the journal.
        self._numbers = itertools.count(time.time_ns())

    async def run(self) -> None:
        """Listen until cancelled."""
        hashes = {charger.charger_id: charger.password_hash for charger in self._chargers.values()}
        gatekeeper = Gatekeeper(hashes, time.monotonic)
        async with listen(self._settings, gatekeeper, self._welcome) as port:
            self.port = port
            self.listening.set()
            await asyncio.Event().wait()

    def answer(self, effect: AnswerCall) -> None:
        """Send an answer; dropped when its connection is gone."""
        connection = self._connections.get(effect.call.charger_id)
        if connection is None or connection.number != effect.call.connection:
            self.counts["answer.dropped"] += 1
            return
        connection.answer(effect)

    def command(self, effect: ChargerCommand) -> None:
        """Queue a command; a setpoint or start for a charger that is not connected is answered "lost"."""
        connection = self._connections.get(self._charger_ids.get(effect.evse_id, ""))
        if connection is not None:
            connection.command(effect)
            return
        for event in commands.answered(effect, "lost"):
            self._emit(event)

    async def _welcome(self, charger_id: str, version: str, socket: Socket) -> None:
        async with self._doors[charger_id]:
            old = self._connections.get(charger_id)
            if old is not None:
                if await old.is_alive(self._settings.probe_timeout_s):
                    self.counts["connection.duplicate"] += 1
                    refused = {"charger_id": charger_id, "reason": "connected already"}
                    self._settings.log("charger.refused", refused)
                    await socket.close("this charger is connected already")
                    return
                old.abandon()
                await old.finished.wait()
                self._settings.log("charger.replaced", {"charger_id": charger_id})
            connection = self._connect(charger_id, version, socket)
        try:
            await connection.serve()
        finally:
            if self._connections.get(charger_id) is connection:
                del self._connections[charger_id]

    def _connect(self, charger_id: str, version: str, socket: Socket) -> Connection:
        connection = Connection(
            number=next(self._numbers),
            station=self._settings,
            charger=self._chargers[charger_id],
            version=self._versions[version],
            socket=socket,
            emit=self._emit,
            clock=self._clock,
            counts=self.counts,
        )
        self._connections[charger_id] = connection
        return connection
