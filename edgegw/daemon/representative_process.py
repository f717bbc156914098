"""Runs the representative as a process of its own: store, ledger client, server for stations, members' pages.

Decides the order of opening, and that SIGTERM and SIGINT end it. `representative` decides what it does, and
`representative_pages` which pages it serves.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.common.clock import StationClock
from edgegw.common.rate_limited_log import RateLimitedLog
from edgegw.common.stop_signals import on_stop
from edgegw.config.schema import ExchangeConfig, LedgerPlace, read_secret
from edgegw.daemon.currency_exchange_factory import counter_of
from edgegw.daemon.representative_pages import KINDS, serve_members
from edgegw.ledger import LedgerClient
from edgegw.ledger.client_factory import open_client
from edgegw.ledger.identity import load_trust
from edgegw.ledger.renewal import RenewableSigner
from edgegw.ledger.request_signing import Callers
from edgegw.ledger.view import ClientView
from edgegw.ops.logs import configure, log_event
from edgegw.ops.sd_notify import ServiceManager
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.ledger_role import RepresentativeRole
from edgegw.representative.posting_schedule import NEVER_S, Schedule
from edgegw.representative.server import LinkBoard, Listening, RepresentativeServer, served
from edgegw.representative.service import RepresentativeService
from edgegw.representative.settings import RepresentativeSettings
from edgegw.representative.standing_offers import OfferBook

MARKETS = frozenset({"PRODUCER", "INDUSTRY"})
"""The kinds of members that make standing offers by hand."""

Run = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """`port`: the port of the server for stations. `runs`: the coroutines to run until the end, by name."""

    port: int
    runs: Mapping[str, Run]


async def serve(settings: RepresentativeSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises ConfigError, AddressTakenError, RepresentativeError (its store), JournalError (the store of the exchange).
    """
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    on_stop(stop.set)
    manager = ServiceManager(os.environ)
    async with contextlib.AsyncExitStack() as stack:
        opened = await _opened(settings, stack)
        log_event("office.listening", {"host": settings.listen.host, "port": opened.port})
        manager.ready(f"serving stations at port {opened.port}")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run, name=name) for name, run in opened.runs.items()]
            try:
                await stop.wait()
            finally:
                manager.stopping("ending")
            for task in tasks:
                task.cancel()
    log_event("office.stopped", {})


def _warn_seldom() -> Callable[[str, Mapping[str, object]], None]:
    """Return a log function for refused requests, which a client repeats: one line a minute for each address and reason."""
    seldom = RateLimitedLog(time.monotonic)

    def log(name: str, fields: Mapping[str, object]) -> None:
        if count := seldom.due((name, *fields.values())):
            log_event(name, {**fields, "count": count}, level="warning")

    return log


async def _opened(settings: RepresentativeSettings, stack: contextlib.AsyncExitStack) -> _Opened:
    """Open everything that serves, in order."""
    clock = StationClock.from_environment(os.environ)
    place, members = settings.ledger, settings.representative
    signer = _signer(place.identity)
    msp_id = signer.identity.msp_id
    key = read_secret(members.key_file)
    ledger = await stack.enter_async_context(open_client(place, signer=signer))
    counter = await _counter(settings.exchange, place, clock, stack=stack)
    kind = KINDS.get(msp_id)
    book = OfferBook(ledger=ledger, zone=members.zone) if kind in MARKETS else None
    service = RepresentativeService(
        members.store,
        key,
        ledger,
        now_ns=clock.now_ns,
        kinds=() if kind is None else (kind,),
        counter=counter,
        book=book,
    )
    stack.push_async_callback(service.close)
    await service.state()  # a store that cannot be opened fails here, not at the first request
    schedule = Schedule(clock=clock, cutoff_s=place.cutoff_s, end_s=NEVER_S)
    representative = RepresentativeRole(ledger, zone=members.zone, schedule=schedule)
    port = await _listening(settings, service, representative, msp_id=msp_id, clock=clock, stack=stack)
    view = ClientView(ledger, load_trust(place.trust_file), zone=members.zone)
    pages = serve_members(settings, service, view, clock=clock, key=key, msp_id=msp_id, book=book)
    stack.callback(pages.close)
    runs = {"loads": representative.run(), **pages.runs()}
    return _Opened(port=port, runs=runs if counter is None else {**runs, "exchange": counter.run()})


def _signer(identity: Path) -> RenewableSigner:
    """Return an identity that may be renewed while it is used."""
    return RenewableSigner(
        identity,
        renewed=lambda fields: log_event("identity.renewed", fields),
        rejected=lambda fields: log_event("identity.rejected", fields, level="error"),
    )


async def _counter(
    config: ExchangeConfig | None,
    place: LedgerPlace,
    clock: StationClock,
    *,
    stack: contextlib.AsyncExitStack,
) -> CurrencyExchange | None:
    """Return the currency exchange, with a ledger client of its own, or None where none is configured."""
    if config is None:
        return None
    client: LedgerClient = await stack.enter_async_context(
        open_client(place, signer=_signer(config.identity))
    )
    counter = counter_of(config, client, clock)
    stack.callback(counter.close)
    return counter


async def _listening(
    settings: RepresentativeSettings,
    service: RepresentativeService,
    representative: RepresentativeRole,
    *,
    msp_id: str,
    clock: StationClock,
    stack: contextlib.AsyncExitStack,
) -> int:
    """Open the server for stations and return its port."""
    listen = settings.listen
    server = RepresentativeServer(
        service,
        LinkBoard(service),
        Callers(load_trust(settings.ledger.trust_file), msp_id, settings.representative.gateways),
        report=lambda product, interval, energy_wh, gateway_id: representative.report(
            product, interval, energy_wh, gateway_id=gateway_id
        ),
        now_ns=clock.now_ns,
        log=_warn_seldom(),
    )
    listening = Listening(
        host=listen.host, port=listen.port, certificate=listen.certificate, key_file=listen.key_file
    )
    return await stack.enter_async_context(served(server.app, listening))
