"""Connects the station to its organisation's representative: in this process, over a network, or none.

Decides which representative the drivers' pages use, how cards are hashed, and where the core's card links come from.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.common.clock import StationClock
from edgegw.common.errors import JournalError
from edgegw.common.pseudonyms import hash_token
from edgegw.common.trade_terms import Product
from edgegw.config.schema import (
    Config,
    OwnRepresentative,
    RepresentativeConfig,
    read_secret,
)
from edgegw.core.events import MembersChanged
from edgegw.gateway.inbox import Inbox
from edgegw.ledger.identity import Signer
from edgegw.ops.logs import log_event
from edgegw.ports.gateway import LoadReportPort
from edgegw.ports.representative import Representative
from edgegw.representative.client import RepresentativeClient, ServerConnection
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.ledger_role import RepresentativeRole
from edgegw.representative.members import MemberReader
from edgegw.representative.posting_schedule import NEVER_S, Schedule
from edgegw.representative.service import RepresentativeService
from edgegw.representative.station_client import StationClient

MEMBERS_EVERY_S = 1.0
LINKS_FILE = "cards.json"
Duties = Mapping[str, Coroutine[Any, Any, None]]


async def _nothing() -> None:
    """Close nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentativeLink:
    """A station's link. `representative`: None where there is none. `duties`: coroutines to run beside the gateway."""

    port: LoadReportPort
    hash_token: Callable[[str], str]
    representative: Representative | None = None
    duties: Callable[[], Duties] = field(default=dict)
    close: Callable[[], Awaitable[None]] = field(default=_nothing)


def representation_of(
    config: Config,
    clock: StationClock,
    inbox: Inbox,
    *,
    signer: Signer,
    ledger: LedgerPort | None,
    counter: CurrencyExchange | None = None,
) -> RepresentativeLink:
    """Return the configured link; raises ConfigError.

    `signer` signs requests to a remote representative. `ledger` and `counter` are the ledger client and the currency
    exchange of a representative in this process.
    """
    own = config.own_representative
    if own is not None and ledger is not None:
        return _beside(config, own, clock, inbox=inbox, ledger=ledger, counter=counter)
    if config.representative is not None and config.representative.url is not None:
        return _elsewhere(config, config.representative, clock, inbox=inbox, signer=signer)
    return RepresentativeLink(port=_Silent(), hash_token=lambda token: hash_token(b"", token))


def _beside(
    config: Config,
    own: OwnRepresentative,
    clock: StationClock,
    *,
    inbox: Inbox,
    ledger: LedgerPort,
    counter: CurrencyExchange | None,
) -> RepresentativeLink:
    key = read_secret(own.key_file)
    schedule = Schedule(clock=clock, cutoff_s=config.ledger.cutoff_s, end_s=NEVER_S)
    representative = RepresentativeRole(ledger, zone=config.station.zone, schedule=schedule)
    service = RepresentativeService(own.store, key, ledger, now_ns=clock.now_ns, counter=counter)
    return RepresentativeLink(
        port=representative,
        hash_token=lambda token: hash_token(key, token),
        representative=service,
        duties=lambda: {
            "representative": representative.run(),
            "members": _watch_members(own.store, inbox),
            **({} if counter is None else {"exchange": counter.run()}),
        },
        close=service.close,
    )


def _elsewhere(
    config: Config, place: RepresentativeConfig, clock: StationClock, *, inbox: Inbox, signer: Signer
) -> RepresentativeLink:
    service = RepresentativeClient(ServerConnection(str(place.url), signer, ca_file=place.ca_file))
    station = StationClient(
        service,
        cache=config.station.data_dir / LINKS_FILE,
        now_ns=clock.now_ns,
        learned=lambda links: inbox.put(MembersChanged(links=links)),
        log=log_event,
    )
    return RepresentativeLink(
        port=station,
        hash_token=station.hash_token,
        representative=service,
        duties=lambda: {"representative": station.run()},
    )


class _Silent:
    """A `LoadReportPort` for a station without a representative: discards reports."""

    def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """See LoadReportPort."""


async def _watch_members(store: Path, inbox: Inbox) -> None:
    """Pass the card links to the core whenever they change in the representative's store."""
    reader = MemberReader(store)
    seen = -1
    try:
        while True:
            with contextlib.suppress(JournalError):  # the file is being created: keep the known links
                version = reader.version()
                if version != seen:
                    inbox.put(MembersChanged(links=reader.links()))
                    seen = version
            await asyncio.sleep(MEMBERS_EVERY_S)
    finally:
        reader.close()
