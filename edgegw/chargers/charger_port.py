"""Implements `ports.gateway.ChargerPort`: all chargers of a station over WebSockets.

Decides which connection of a charger counts: a second one is accepted only where the first one is dead. Answers to an
earlier socket are dropped. Chargers may be added, changed and removed while it runs; a charger that is not configured
waits, and none of its messages leaves this package.
Source: docs/ocpp.md, Connections (second connection of an identity).
"""

import asyncio
import itertools
import time
from collections import Counter

from edgegw.chargers import command_queue, pending_dialogue, versions
from edgegw.chargers.admission import Admission, AdmissionControl, RememberedProfiles
from edgegw.chargers.basic_authentication import Gatekeeper
from edgegw.chargers.connection import Connection, Socket
from edgegw.chargers.dialogue import Dialogue
from edgegw.chargers.duplicates import Duplicates
from edgegw.chargers.listener import ListenerContext, listen
from edgegw.chargers.pending_chargers import PendingCharger, PendingChargers
from edgegw.chargers.rejection_log import Rejection, RejectionLog
from edgegw.chargers.settings import ChargerSettings, ProfileStore, StationSettings, VersionName
from edgegw.chargers.tls import Tls
from edgegw.common.clock import Clock
from edgegw.core.effects import AnswerCall, ChargerCommand
from edgegw.ports.gateway import Emit

_SAME_ID = "EGW-1007"
_TOO_MANY_WAIT = "EGW-1006"


class Chargers:
    """ChargerPort over WebSockets. `counts` counts tolerated faults; `port` and `tls_port` hold once `listening` is set.

    Raises ConfigError where the certificates cannot be used.
    """

    def __init__(
        self, settings: StationSettings, emit: Emit, clock: Clock, *, profiles: ProfileStore | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.listening = asyncio.Event()
        self.port = settings.listener.port
        self.tls_port: int | None = None
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._versions = versions.load()
        self._tls = None if settings.listener.tls is None else Tls(settings.listener.tls)
        self._pending = PendingChargers()
        self._refusals = RejectionLog(settings.log, now_ns=clock.now_ns, now_s=time.monotonic)
        self._gatekeeper = Gatekeeper({}, time.monotonic)
        self._admission_control = AdmissionControl(
            settings=settings.listener,
            gatekeeper=self._gatekeeper,
            refusals=self._refusals,
            pending=self._pending,
            profiles=profiles or RememberedProfiles(),
        )
        self._chargers: dict[str, ChargerSettings] = {}
        self._charger_ids: dict[str, str] = {}
        self._connections: dict[str, Connection] = {}
        self._repeats: dict[str, Duplicates] = {}
        self._admission_locks: dict[str, asyncio.Lock] = {}
        # Larger than any number of an earlier run, whose unanswered CALLs may return from the journal.
        self._numbers = itertools.count(time.time_ns())
        self._take_over(settings)

    async def run(self) -> None:
        """Listen until cancelled."""
        context = ListenerContext(
            settings=lambda: self._settings,
            admission_control=self._admission_control,
            refusals=self._refusals,
            on_admitted=self._on_admitted,
            expected=self._expected,
        )
        async with listen(context, self._tls) as ports:
            self.port, self.tls_port = ports.plain, ports.tls
            self.listening.set()
            await asyncio.Event().wait()

    def answer(self, effect: AnswerCall) -> None:
        """Send an answer; drop it where its connection is gone."""
        connection = self._connections.get(effect.call.charger_id)
        if connection is None or connection.number != effect.call.connection:
            self.counts["answer.dropped"] += 1
            return
        connection.answer(effect)

    def command(self, effect: ChargerCommand) -> None:
        """Queue a command; report a setpoint or start as "lost" where the charger is not connected."""
        connection = self._connections.get(self._charger_ids.get(effect.evse_id, ""))
        if connection is not None:
            connection.command(effect)
            return
        for event in command_queue.answered(effect, "lost"):
            self._emit(event)

    # --- for operators ----------------------------------------------------------------------------------------------

    def connected(self) -> tuple[str, ...]:
        """Return the ids of the configured chargers whose socket is open."""
        return tuple(self._connections)

    def pending_chargers(self) -> tuple[PendingCharger, ...]:
        """Return the unknown chargers: waiting, gone and rejected ones."""
        return self._pending.all()

    def refusals(self) -> tuple[Rejection, ...]:
        """Return the newest refused connections, oldest first."""
        return self._refusals.recent()

    async def reject(self, charger_id: str) -> bool:
        """Close an unknown charger and refuse its id until a restart or its approval; return False for an id never seen."""
        if not self._pending.reject(charger_id):
            return False
        self._settings.log("charger.rejected", {"charger_id": charger_id})
        socket = self._pending.socket_of(charger_id)
        if socket is not None:
            await socket.close("this charger was rejected")
        return True

    def reload_tls(self) -> None:
        """Reload the certificates; raise ConfigError and keep the old ones where they cannot be used."""
        if self._tls is not None:
            self._tls.reload(self._settings.listener.tls)

    async def adopt(self, settings: StationSettings) -> None:
        """Apply a changed configuration, except for the listening addresses, which need a restart.

        A charger that was removed or changed is disconnected, and connects again under the new settings. So is an unknown
        charger that was approved.
        """
        old = self._take_over(settings)
        changed = [each for each in self._connections if old.get(each) != self._chargers.get(each)]
        for charger_id, connection in self._connections.items():
            if charger_id not in changed:
                connection.adopt(settings)
        async with asyncio.TaskGroup() as closing:
            for charger_id in changed:
                closing.create_task(self._connections[charger_id].dismiss("the configuration changed"))
            for socket in self._pending.release(self._chargers.keys()):
                closing.create_task(socket.close("approved: connect again"))

    def _take_over(self, settings: StationSettings) -> dict[str, ChargerSettings]:
        """Use these settings from now on; return the previous chargers by id."""
        old, chargers = self._chargers, settings.chargers
        self._settings = settings
        self._chargers = {charger.charger_id: charger for charger in chargers}
        self._charger_ids = {
            evse_id: charger.charger_id for charger in chargers for evse_id in charger.evses.values()
        }
        self._gatekeeper.adopt({charger.charger_id: charger.password_hash for charger in chargers})
        self._admission_control.settings = settings.listener
        self._admission_control.known = frozenset(self._chargers)
        return old

    # --- connections ------------------------------------------------------------------------------------------------

    def _expected(self, charger_id: str) -> VersionName | None:
        charger = self._chargers.get(charger_id)
        return None if charger is None else charger.version

    async def _on_admitted(self, admission: Admission, version: str, socket: Socket) -> None:
        if admission.password_hash is not None:
            await self._keep_waiting(admission, version, socket)
            return
        charger_id = admission.charger_id
        async with self._admission_locks.setdefault(charger_id, asyncio.Lock()):
            old = self._connections.get(charger_id)
            if old is not None:
                if await old.is_alive(self._settings.probe_timeout_s):
                    await self._refuse_second(admission, socket)
                    return
                old.abandon()
                await asyncio.wait((old.finished,))
                self._settings.log("charger.replaced", {"charger_id": charger_id})
            if charger_id not in self._chargers:  # removed during the handshake
                await socket.close("the configuration changed")
                return
            connection = self._connect(charger_id, version, socket)
        try:
            await connection.serve()
        finally:
            if self._connections.get(charger_id) is connection:
                del self._connections[charger_id]

    def _connect(self, charger_id: str, version: str, socket: Socket) -> Connection:
        number, charger = next(self._numbers), self._chargers[charger_id]
        dialogue = Dialogue(
            station=self._settings,
            charger=charger,
            version=self._versions[version],
            connection=number,
            counts=self.counts,
            repeats=self._repeats.setdefault(charger_id, Duplicates()),
        )
        connection = Connection(
            number=number,
            station=self._settings,
            charger=charger,
            version=self._versions[version],
            socket=socket,
            emit=self._emit,
            clock=self._clock,
            dialogue=dialogue,
        )
        self._connections[charger_id] = connection
        return connection

    async def _refuse_second(self, admission: Admission, socket: Socket) -> None:
        self.counts["connection.duplicate"] += 1
        self._refusals.note(_SAME_ID, address=admission.address, charger_id=admission.charger_id)
        await socket.close("this charger is connected already")

    async def _keep_waiting(self, admission: Admission, version: str, socket: Socket) -> None:
        """Serve an unknown charger: answer its messages, and pass none of them on."""
        charger_id = admission.charger_id
        while (old := self._pending.socket_of(charger_id)) is not None:
            if await old.is_alive(self._settings.probe_timeout_s):
                await self._refuse_second(admission, socket)
                return
            old.abort()
            self._pending.leave(charger_id, old)
        if self._pending.is_full_for(charger_id):
            self._refusals.note(_TOO_MANY_WAIT, address=admission.address, charger_id=charger_id)
            await socket.close("too many chargers wait already")
            return
        if charger_id in self._chargers or self._pending.is_rejected(charger_id):
            await socket.close("the configuration changed")
            return
        self._enter(admission, version, socket)
        try:
            await self._listen_to(charger_id, version, socket)
        finally:
            self._pending.leave(charger_id, socket)

    def _enter(self, admission: Admission, version: str, socket: Socket) -> None:
        assert admission.password_hash is not None
        now_ns = self._clock.now_ns()
        pending = PendingCharger(
            charger_id=admission.charger_id,
            address=admission.address,
            version=version,
            security_profile=admission.profile,
            password_hash=admission.password_hash,
            first_seen_ns=now_ns,
            last_seen_ns=now_ns,
        )
        self._pending.enter(pending, socket)
        found = {"charger_id": admission.charger_id, "address": admission.address, "version": version}
        self._settings.log("charger.discovered", found)

    async def _listen_to(self, charger_id: str, version: str, socket: Socket) -> None:
        talk = pending_dialogue.PendingDialogue(self._versions[version])
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(pending_dialogue.SILENCE_S) as silence:
                async for text in socket.frames():
                    silence.reschedule(loop.time() + pending_dialogue.SILENCE_S)
                    heard = talk.receive(text, self._clock.now_ns())
                    self._pending.heard(charger_id, self._clock.now_ns(), boot=heard.boot, evse=heard.evse)
                    if heard.text is not None:
                        await socket.send(heard.text)
                    await asyncio.sleep(pending_dialogue.PAUSE_S)
        except TimeoutError:
            socket.abort()
