"""Composition root: builds adapters and gateway from the configuration and runs them in one TaskGroup.

Decides how the parts are connected, in which order they start and how they stop. The only module that may import all
packages. Exit status: 0 drained; 69 the journal or an adapter failed, and a restart may help; 78 the configuration, or a
file that it names, is invalid.
"""

import contextlib
import faulthandler
import os
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from edgegw.chargers.charger_port import Chargers
from edgegw.common.clock import StationClock
from edgegw.common.errors import AddressTakenError, ConfigError, EdgegwError, leaves
from edgegw.common.rate_limited_log import RateLimitedLog
from edgegw.common.sqlite import NewerSchemaError, faults_of
from edgegw.config.schema import Config
from edgegw.core.events import Event, StorageChanged, StorageLevel
from edgegw.core.state import Tally
from edgegw.daemon import wiring
from edgegw.daemon.child_processes import hosted_participants, hosted_peer
from edgegw.daemon.currency_exchange_factory import counter_of
from edgegw.daemon.pages import serve_pages
from edgegw.daemon.price_estimates import PriceEstimates
from edgegw.daemon.representative_link import RepresentativeLink, representation_of
from edgegw.daemon.running import Daemon
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway, restore
from edgegw.ledger.adapter import LedgerAdapter
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.client_factory import open_client
from edgegw.ledger.identity import Evidence, Signer, load_trust
from edgegw.ledger.renewal import RenewableSigner
from edgegw.ledger.view import ClientView
from edgegw.meters.meter_port import Meters
from edgegw.ops.control_socket import RunFolderError, serve_control
from edgegw.ops.health_server import Views, serve_health
from edgegw.ops.logs import configure, log_event
from edgegw.ops.loop_lag import LagProbe
from edgegw.ops.memory import keep_returning, return_memory
from edgegw.ops.metrics import CONTENT_TYPE, Metrics
from edgegw.ops.sd_notify import ServiceManager
from edgegw.ops.storage import StorageWatch, check_storage
from edgegw.ops.watchdog import Watchdog, interval_s
from edgegw.ports.representative import Representative
from edgegw.store.journal import SqliteJournal
from edgegw.store.receipts import JournalReceipts
from edgegw.store.security_profiles import CHARGERS_FILE, ChargerProfiles
from edgegw.telemetry.publisher import Publisher
from edgegw.telemetry.settings import publisher_settings

REPEATED = {"frame.quarantined": ("charger_id", "code"), "setpoint.refused": ("evse_id", "reason")}
"""Events that a device can cause with every message, and the fields that identify a repetition."""


def run(path: Path, config: Config) -> int:
    """Run the daemon of the configuration in `path` until SIGTERM or SIGINT."""
    return_memory()
    configure(config.log.level, config.log.format)
    faulthandler.enable()  # writes all stacks, also at SIGABRT, with which systemd's watchdog ends the process
    faults: list[BaseException] = []
    try:
        uvloop.run(_serve(path, config))
    except* (EdgegwError, OSError) as failed:  # OSError: a folder or socket that the system refuses
        faults = leaves(failed)
    return exit_status(faults)


def exit_status(faults: Sequence[BaseException]) -> int:
    """Log why the daemon ends and return its exit status.

    systemd does not restart after 78, so that only faults that no restart can repair have it.
    """
    if not faults:
        return 0
    if all(isinstance(fault, ConfigError | NewerSchemaError) for fault in faults):
        sys.stderr.write("".join(f"{fault}\n" for fault in faults))
        return 78
    for fault in faults:
        remedy = fault.hint if isinstance(fault, EdgegwError) else ""
        log_event("gateway.failed", {"reason": str(fault), "remedy": remedy}, level="error")
    return 69


async def _serve(path: Path, config: Config) -> None:
    clock = StationClock.from_environment(os.environ)
    manager = ServiceManager(os.environ)
    fresh = wiring.fresh_station(config, clock)
    inbox = Inbox()
    place = config.ledger
    async with contextlib.AsyncExitStack() as stack:
        publisher = publisher_for(config, clock)
        storage = _storage(config, inbox, publisher)
        journal = SqliteJournal(
            config.journal_path, backups_kept=config.storage.backups_kept, make_room=storage.ballast.release
        )
        stack.callback(journal.close)
        _hold_promise(config, journal)
        if config.peer is not None:
            await stack.enter_async_context(hosted_peer(config.peer.data_dir, place.endpoint))
        if config.sandbox is not None:
            await stack.enter_async_context(hosted_participants(config.sandbox.participants))
        identities = _identities(config)
        signer = identities["gateway"]
        connect = partial(_client_for, stack, config)
        client = await connect(signer)
        ledger = LedgerAdapter(client, inbox.put)
        profiles = ChargerProfiles(config.station.data_dir / CHARGERS_FILE)
        clients = {name: await connect(one) for name, one in identities.items() if name != "gateway"}
        representation = _represented(config, clock, inbox, signer=signer, clients=clients, stack=stack)
        edge = wiring.charger_settings(config, representation.hash_token)
        chargers = Chargers(edge, inbox.put, clock, profiles=profiles)
        meters = Meters(wiring.meter_settings(config), clock, inbox.put)
        adapters = Adapters(
            clock=clock,
            journal=journal,
            chargers=chargers,
            meters=meters,
            ledger=ledger,
            representative=representation.port,
            log=gateway_log(publisher),
            sign_evidence=partial(_sign_evidence, signer),
        )
        gateway = Gateway(restore(fresh, journal.rows), adapters, inbox)
        gateway.adopt(fresh)  # the restored state has the settings of the previous run
        daemon = Daemon(
            path=path,
            config=config,
            clock=clock,
            manager=manager,
            journal=journal,
            inbox=inbox,
            gateway=gateway,
            chargers=chargers,
            profiles=profiles,
            meters=meters,
            publisher=publisher,
            storage=storage,
            lag=LagProbe(clock),
            hash_token=representation.hash_token,
            identities=tuple(identities.values()),
        )
        await _watched(daemon, stack)
        await daemon.run(
            {
                "gateway": gateway.run(),
                "meters": meters.run(),
                "ledger": _followed(ledger, gateway.station.tally["all"]),
                "chargers": chargers.run(),
                **_duties(daemon),
                **representation.duties(),
                **_pages(daemon, representation.representative, client, stack=stack),
            }
        )


def _represented(
    config: Config,
    clock: StationClock,
    inbox: Inbox,
    *,
    signer: Signer,
    clients: Mapping[str, LedgerClient],
    stack: contextlib.AsyncExitStack,
) -> RepresentativeLink:
    """Return the link to the drivers' representative, with the currency exchange where one is configured."""
    counter = None
    if config.exchange is not None:
        counter = counter_of(config.exchange, clients["exchange"], clock)
        stack.callback(counter.close)
    ledger = clients.get("representative")
    representation = representation_of(config, clock, inbox, signer=signer, ledger=ledger, counter=counter)
    stack.push_async_callback(representation.close)
    return representation


def _pages(
    daemon: Daemon, service: Representative | None, client: LedgerClient, *, stack: contextlib.AsyncExitStack
) -> Mapping[str, Coroutine[Any, Any, None]]:
    """Return the coroutines of the pages and of the price estimates; none without a representative."""
    if service is None:
        return {}
    place = daemon.config.ledger
    receipts = JournalReceipts(daemon.config.journal_path)
    view = ClientView(
        client, load_trust(place.trust_file), zone=daemon.config.station.zone, evidence_of=receipts.evidence
    )
    pages = serve_pages(daemon, service, view, receipts=receipts)
    stack.callback(pages.close)
    return {**pages.runs(), "estimates": PriceEstimates(view, daemon.clock, daemon.inbox.put).run()}


def _sign_evidence(signer: Signer, text: str) -> str:
    return signer.sign(Evidence(message=text.encode("utf-8", "surrogatepass"))).hex()


def _followed(ledger: LedgerAdapter, tally: Tally) -> Coroutine[Any, Any, None]:
    """Return the coroutine that follows the ledger's events after the last one in the journal."""
    return ledger.run(from_block=max(0, tally.event_block), after_tx_id=tally.event_tx)


def _hold_promise(config: Config, journal: SqliteJournal) -> None:
    """Raise ConfigError where the disk is too small for storage.offline_days; only log it while trades are waiting."""
    faults = check_storage(config)
    if not faults:
        return
    if not journal.rows("lines/"):
        raise ConfigError(tuple(faults))
    log_event("storage.promise_broken", {"reason": "; ".join(faults)}, level="warning")


def _storage(config: Config, inbox: Inbox, publisher: Publisher | None) -> StorageWatch:
    """Return the watch of the disk after its first check; raises JournalError where the data folder cannot be created."""

    def emit(event: Event) -> None:
        inbox.put(event)
        if publisher is not None and isinstance(event, StorageChanged):
            publisher.paused = event.level >= StorageLevel.NO_TELEMETRY

    with faults_of(config.station.data_dir):
        config.station.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    watch = StorageWatch(config.station.data_dir, emit, log_event)
    watch.tell(watch.look())
    return watch


async def _watched(daemon: Daemon, stack: contextlib.AsyncExitStack) -> None:
    """Open the control socket and the health server.

    A failure of either is logged and does not end the daemon: charging does not depend on them.
    """
    try:
        await stack.enter_async_context(serve_control(daemon.config.run_dir, daemon.commands()))
    except RunFolderError as fault:
        log_event("control.failed", {"reason": str(fault), "remedy": fault.hint}, level="error")
    metrics = Metrics(lambda: daemon.board.signs, daemon.counts)
    health = daemon.config.health
    views = Views(
        alive=daemon.board.alive,
        ready=daemon.ready,
        status=daemon.board.present,
        metrics=metrics.render,
        metrics_type=CONTENT_TYPE,
    )
    try:
        port = stack.enter_context(serve_health(health.host, health.port, views))
    except AddressTakenError as fault:
        log_event("health.failed", {"reason": str(fault), "remedy": fault.hint}, level="error")
    else:
        log_event("health.listening", {"host": health.host, "port": port})


def _duties(daemon: Daemon) -> dict[str, Coroutine[Any, Any, None]]:
    """Return the daemon's background coroutines: lag probe, memory, storage, status, watchdog, MQTT."""
    publisher = daemon.publisher
    watchdog = Watchdog(
        daemon.manager,
        {"core": daemon.gateway.prove, "journal": daemon.journal.prove, "meters": daemon.prove_meters},
    )
    daemon.watchdog = watchdog
    return {
        "lag probe": daemon.lag.run(),
        "memory": keep_returning(),
        "storage": daemon.storage.run(),
        "status": daemon.board.run(),
        "watchdog": watchdog.run(interval_s(daemon.manager)),
        **({} if publisher is None else {"mqtt": publisher.run(lambda: daemon.gateway.station)}),
    }


async def _client_for(stack: contextlib.AsyncExitStack, config: Config, signer: Signer) -> LedgerClient:
    return await stack.enter_async_context(open_client(config.ledger, signer=signer))


def _identities(config: Config) -> Mapping[str, RenewableSigner]:
    """Return the gateway's identity, and those of the representative and the exchange desk where they are in this process."""
    folders = {"gateway": config.ledger.identity}
    if config.exchange is not None:
        folders["exchange"] = config.exchange.identity
    if config.own_representative is not None:
        folders["representative"] = config.own_representative.identity
    return {name: _identity(folder) for name, folder in folders.items()}


def _identity(folder: Path) -> RenewableSigner:
    """Return the identity in a folder, which may be renewed while it is used; raises ConfigError where it is invalid."""
    return RenewableSigner(
        folder,
        renewed=lambda fields: log_event("identity.renewed", fields),
        rejected=lambda fields: log_event("identity.rejected", fields, level="error"),
    )


def publisher_for(config: Config, clock: StationClock) -> Publisher | None:
    """Return the MQTT publisher, or None where no broker is configured; raises ConfigError."""
    if config.mqtt is None:
        return None
    return Publisher(publisher_settings(config, config.mqtt), clock=clock, log=log_event)


def gateway_log(publisher: Publisher | None) -> Callable[[str, Mapping[str, object]], None]:
    """Return the gateway's log function. Events in `REPEATED` are logged once a minute; the publisher receives every event."""
    seldom = RateLimitedLog(time.monotonic)

    def log(name: str, fields: Mapping[str, object]) -> None:
        if publisher is not None:
            publisher.note(name, fields)
        if name not in REPEATED:
            log_event(name, fields)
        elif count := seldom.due((name, *(fields.get(key) for key in REPEATED[name]))):
            log_event(name, {**fields, "count": count})

    return log
