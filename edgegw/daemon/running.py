"""The running daemon: collects the state of its parts, answers the control socket, reloads and drains.

`app` builds it; signals and the control socket control it. Decides nothing about trades.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edgegw.chargers.charger_port import Chargers
from edgegw.common.clock import StationClock
from edgegw.common.errors import ConfigError
from edgegw.common.stop_signals import on_stop
from edgegw.common.units import SECOND_NS
from edgegw.config import schema as configuration
from edgegw.config.schema import Config
from edgegw.core.metering import faults
from edgegw.daemon import wiring
from edgegw.daemon.certificates import certificate_lives
from edgegw.daemon.charger_commands import ChargerCommands
from edgegw.daemon.reload import plan_reload
from edgegw.daemon.status import Board
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Gateway
from edgegw.ledger.renewal import RenewableSigner
from edgegw.meters.adopt import adopt_command
from edgegw.meters.meter_port import Meters
from edgegw.ops import logs
from edgegw.ops.adjtime import clock_state
from edgegw.ops.control_socket import Command, ControlCommand
from edgegw.ops.logs import log_event
from edgegw.ops.loop_lag import LagProbe
from edgegw.ops.metrics import Counts
from edgegw.ops.sd_notify import ServiceManager
from edgegw.ops.storage import StorageWatch
from edgegw.ops.watchdog import Watchdog
from edgegw.ports.station_health import (
    CertificateLife,
    Signs,
    assess,
    refused_lately,
    worst,
)
from edgegw.store.journal import SqliteJournal
from edgegw.store.security_profiles import ChargerProfiles
from edgegw.telemetry.publisher import Publisher, price_fields

DRAIN_S = 20.0
STATUS_EVERY_S = 30.0
BUS_STILL_S = 30.0  # longer than any timeout or pause of a bus
LATELY_NS = 600 * SECOND_NS


class ReloadRefusedError(ConfigError):
    """The new configuration is invalid; the daemon keeps the old one."""

    hint = "nothing is changed; correct the file (edgegw check), then reload again"


class Reloadable(Protocol):
    """A part that reads its files again at a reload, and logs what it cannot use."""

    def look(self) -> None:
        """Read the files again."""


@dataclass(slots=True, kw_only=True)
class Daemon:
    """All parts of one running station."""

    path: Path
    config: Config
    clock: StationClock
    manager: ServiceManager
    journal: SqliteJournal
    inbox: Inbox
    gateway: Gateway
    chargers: Chargers
    profiles: ChargerProfiles
    meters: Meters
    publisher: Publisher | None
    storage: StorageWatch
    lag: LagProbe
    hash_token: Callable[[str], str]
    identities: Sequence[RenewableSigner] = ()
    watchdog: Watchdog | None = None
    pages: Reloadable | None = None
    certificates: Mapping[str, CertificateLife] = field(init=False)
    board: Board = field(init=False)
    # One reload at a time: each compares with the configuration that applies.
    _reloads: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.certificates = certificate_lives(self.config)
        self.board = Board(
            self.config.run_dir / "status.json", lag=self.lag, signs=self.signs, polls=self.meters.counts
        )

    # --- state ------------------------------------------------------------------------------------------------------

    def signs(self) -> Signs:
        """Return the inputs of the station's health assessment."""
        return Signs(
            now_ns=self.clock.now_ns(),
            station=self.gateway.station,
            meter_faults=faults(self.gateway.station.meters),
            storage_level=self.storage.level.name,
            storage_free_bp=self.storage.room.free * 10_000 // max(1, self.storage.room.total),
            waiting=tuple(one.charger_id for one in self.chargers.pending_chargers() if not one.rejected),
            refused=self._refused_lately(),
            starved_by=None if self.watchdog is None else self.watchdog.starved_by,
            mqtt_connected=None if self.publisher is None else self.publisher.connected,
            lag_ns=self.lag.percentile_ns(50),
            certificates=self.certificates,
            clock_synchronized=self.clock.mapping is not None
            or (clock := clock_state()) is None
            or clock.synchronized,
            grid_price=None
            if self.publisher is None or (price := self.publisher.grid_price()) is None
            else price_fields(price),
        )

    def _refused_lately(self) -> Mapping[str, int]:
        since_ns = self.clock.now_ns() - LATELY_NS
        return refused_lately(
            (
                (one.code, one.charger_id, one.count)
                for one in self.chargers.refusals()
                if one.at_ns >= since_ns
            ),
            {charger.id for charger in self.config.chargers} - set(self.chargers.connected()),
        )

    def counts(self) -> Counts:
        """Return the counters of the adapters; called from the health server's threads."""
        return Counts(
            ocpp=dict(self.chargers.counts),
            polls=self.meters.polls(),
            inbox_waiting=len(self.inbox),
            inbox_dropped=self.inbox.dropped,
            mqtt_published=0 if self.publisher is None else self.publisher.counts.published,
            mqtt_dropped=0 if self.publisher is None else self.publisher.counts.dropped,
            lag_s={f"{percent / 100:g}": lag_ns / 1e9 for percent, lag_ns in self.board.lag_ns.items()},
        )

    def ready(self) -> Mapping[str, object]:
        """Return whether chargers can be served: the core has started and the listener is open."""
        waits = [
            name
            for name, event in (("core", self.gateway.awake), ("listener", self.chargers.listening))
            if not event.is_set()
        ]
        return {"ok": not waits, "waits_for": waits}

    def sentence(self) -> str:
        """Return one line for `systemctl status`."""
        station = self.gateway.station
        online = sum(1 for evse in station.evses.values() if evse.online)
        level = worst(assess(self.board.signs))
        return (
            f"{level}: {online} of {len(station.evses)} EVSEs online, "
            f"{len(station.lines)} trades waiting, {station.tally['all'].trades} committed"
        )

    async def prove_meters(self) -> None:
        """Return if every bus has made progress within `BUS_STILL_S`; raises TimeoutError."""
        if self.meters.turned_s() > BUS_STILL_S:
            raise TimeoutError

    # --- commands ---------------------------------------------------------------------------------------------------

    def commands(self) -> Mapping[ControlCommand, Command]:
        """Return the control socket's commands by name."""
        about_chargers = ChargerCommands(self.chargers, self.profiles)
        return {
            "status": self._tell_status,
            "reload": self._tell_reload,
            "adopt": adopt_command(lambda: self.gateway.station, self.inbox.put),
            **about_chargers.commands(lambda: self.config, lambda: self.gateway.station),
        }

    async def _tell_status(self, _arguments: Mapping[str, Any]) -> object:
        return self.board.renewed()

    async def _tell_reload(self, _arguments: Mapping[str, Any]) -> object:
        return await self.reload()

    async def reload(self) -> Mapping[str, object]:
        """Read the configuration again and apply the changes that need no restart.

        Raises ReloadRefusedError where it is invalid; then nothing has changed.
        """
        async with self._reloads:
            return await self._reload()

    async def _reload(self) -> Mapping[str, object]:
        try:
            plan = plan_reload(self.config, configuration.load(self.path))
            fresh = wiring.fresh_station(plan.effective, self.clock)
            chargers = wiring.charger_settings(plan.effective, self.hash_token)
            meters = wiring.meter_settings(plan.effective)
            self.chargers.reload_tls()  # the last step that may fail
        except ConfigError as refused:
            for fault in refused.faults:
                log_event("config.rejected", {"fault": fault}, level="error")
            raise ReloadRefusedError(refused.faults) from refused
        # Without an await between meters and core: neither may name a meter that the other does not know yet.
        for meter in meters:
            if not self.meters.knows(meter.meter_id):
                self.meters.adopt(meter)
        self.gateway.adopt(fresh)
        await self.chargers.adopt(chargers)
        logs.configure(plan.effective.log.level, plan.effective.log.format)
        self.config = plan.effective
        for identity in self.identities:
            identity.look()
        if self.pages is not None:
            self.pages.look()
        self.certificates = certificate_lives(self.config)
        result = {"changed": list(plan.changed), "needs_restart": list(plan.needs_restart)}
        log_event("config.reloaded", {key: ", ".join(names) for key, names in result.items()})
        return result

    # --- lifecycle --------------------------------------------------------------------------------------------------

    async def run(self, coroutines: Mapping[str, Coroutine[Any, Any, None]]) -> None:
        """Run all coroutines; drain at SIGTERM or SIGINT. A coroutine that fails ends the daemon, which systemd restarts."""
        stop, hangup = asyncio.Event(), asyncio.Event()
        on_stop(stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(coroutine, name=name) for name, coroutine in coroutines.items()]
            running += [
                group.create_task(self._announce(len(running)), name="announcer"),
                group.create_task(self._reload_when(hangup), name="reloader"),
            ]
            await stop.wait()
            self.manager.stopping("draining: closing segments, settling lines")
            settled = await self.gateway.drain(DRAIN_S)
            log_event("gateway.drained", {"settled": settled})
            for task in running:
                task.cancel()
        self.board.write()

    async def _announce(self, parts: int) -> None:
        """Notify the service manager once the daemon is ready, then of its state every `STATUS_EVERY_S`."""
        await self.gateway.awake.wait()
        await self.chargers.listening.wait()
        log_event("gateway.started", {"parts": parts})
        self.manager.ready(self.sentence())
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            self.manager.status(self.sentence())

    async def _reload_when(self, hangup: asyncio.Event) -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            self.manager.reloading()
            with contextlib.suppress(ReloadRefusedError):
                await self.reload()
            self.manager.ready(self.sentence())
