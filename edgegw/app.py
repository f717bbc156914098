"""Composition root: configuration -> adapters -> gateway -> one TaskGroup. The only module that imports everything.

Decides how the parts are wired, in which order they start and how they stop. Exit status: 0 drained, 69 the journal or
an adapter failed, 78 the configuration cannot be used.
"""

import asyncio
import contextlib
import hmac
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from edgegw import status
from edgegw.chargers.port import Chargers
from edgegw.chargers.settings import ChargerSettings, ListenerSettings, StationSettings
from edgegw.clock import StationClock
from edgegw.config import Config, MeterConfig, read_secret
from edgegw.core.events import MembersChanged
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings
from edgegw.core.station import new_station
from edgegw.errors import ConfigError, EdgegwError, JournalError
from edgegw.gateway import Adapters, Gateway, restore
from edgegw.hosted_peer import hosted_peer
from edgegw.inbox import Inbox
from edgegw.ledger.adapter import LedgerAdapter
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.identity import Evidence, load_signer, load_trust
from edgegw.meters.port import BUS_REAL_S, Meters, MeterSettings
from edgegw.meters.profile import named_profile
from edgegw.ops.lag import LagProbe
from edgegw.ops.logs import configure, log_event
from edgegw.participants.members import MemberReader
from edgegw.participants.representative import Representative
from edgegw.participants.schedule import Schedule
from edgegw.ports import RepresentativePort
from edgegw.pseudonyms import hash_token
from edgegw.store.journal import SqliteJournal
from edgegw.units import SECOND_NS

DRAIN_S = 20.0
MEMBERS_EVERY_S = 1.0
FAR_END_S = 10**11


def run(config: Config) -> int:
    """Run the daemon until SIGTERM or SIGINT."""
    configure(config.log.level, config.log.format)
    status_code = 0
    try:
        uvloop.run(_serve(config))
    except* ConfigError as refused:
        sys.stderr.write("".join(f"{fault}\n" for fault in leaves(refused)))
        status_code = 78
    except* EdgegwError as failed:
        for fault in leaves(failed):
            log_event("gateway.failed", {"reason": str(fault)}, level="error")
        status_code = 69
    return status_code


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The faults inside a group, however deep."""
    found: list[BaseException] = []
    for fault in group.exceptions:
        found += leaves(fault) if isinstance(fault, BaseExceptionGroup) else [fault]
    return found


async def _serve(config: Config) -> None:
    clock = StationClock.from_environment(os.environ)
    secret = read_secret(config.station.key_file)
    inbox = Inbox()
    place = config.ledger
    async with contextlib.AsyncExitStack() as stack:
        journal = SqliteJournal(config.journal_path)
        stack.callback(journal.close)
        if config.peer is not None:
            await stack.enter_async_context(hosted_peer(config.peer.data_dir, place.endpoint))
        signer = load_signer(place.identity)
        roots = load_trust(place.trust_file)

        async def client_for(identity: Path) -> LedgerClient:
            return await stack.enter_async_context(
                LedgerClient(
                    place.endpoint,
                    load_signer(identity),
                    roots,
                    channel=place.channel,
                    chaincode=place.chaincode,
                )
            )

        restored = restore(
            new_station(station_settings(config, clock, secret), accounts(config, secret)), journal.rows
        )
        ledger = LedgerAdapter(await client_for(place.identity), inbox.put)
        chargers = Chargers(charger_settings(config), inbox.put, clock)
        meters = Meters(meter_settings(config.meters), clock, inbox.put)
        speaker: RepresentativePort = _Silent()
        tasks: list[tuple[str, Any]] = []
        if config.representative is not None:
            representative = Representative(
                await client_for(config.representative.identity),
                zone=config.station.zone,
                schedule=Schedule(clock=clock, cutoff_s=place.cutoff_s, end_s=FAR_END_S),
            )
            speaker = representative
            tasks += [
                ("representative", representative.run()),
                ("members", _watch_members(config.representative.store, inbox)),
            ]
        adapters = Adapters(
            clock=clock,
            journal=journal,
            chargers=chargers,
            meters=meters,
            ledger=ledger,
            representative=speaker,
            log=log_event,
            sign_evidence=lambda text: signer.sign(
                Evidence(message=text.encode("utf-8", "surrogatepass"))
            ).hex(),
        )
        gateway = Gateway(restored, adapters, inbox)
        lag = LagProbe(clock)
        board = status.Board(config.station.data_dir / "status.json", clock=clock, lag=lag)
        tasks += [
            ("gateway", gateway.run()),
            ("meters", meters.run()),
            ("ledger", ledger.run(from_block=max(0, restored.tally["all"].event_block))),
            ("chargers", chargers.run()),
            ("lag probe", lag.run()),
            ("status", board.run(lambda: gateway.station, meters.counts)),
        ]
        await _run_until_told(gateway, tasks)
        board.write(gateway.station, meters.counts())


async def _run_until_told(gateway: Gateway, coroutines: Sequence[tuple[str, Any]]) -> None:
    """Run everything; on a signal drain first. A part that fails takes the daemon down, to be started again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(coroutine, name=name) for name, coroutine in coroutines]
        log_event("gateway.started", {"parts": len(running)})
        await stop.wait()
        settled = await gateway.drain(DRAIN_S)
        log_event("gateway.drained", {"settled": settled})
        for task in running:
            task.cancel()


class _Silent:
    """Stands in where no representative runs beside the gateway: reports go nowhere."""

    def report(self, product: str, interval: int, energy_wh: int) -> None:
        """See ports.RepresentativePort."""


def meter_settings(meters: Sequence[MeterConfig]) -> tuple[MeterSettings, ...]:
    """What the Modbus edge is told of the configuration."""
    return tuple(
        MeterSettings(
            meter_id=meter.id,
            profile=named_profile(meter.profile),
            host=meter.host,
            port=meter.port,
            unit_id=meter.unit,
            poll_s=meter.poll_s,
            swapped=meter.swapped,
        )
        for meter in meters
    )


def station_settings(config: Config, clock: StationClock, secret: bytes) -> Settings:
    """What the core is told of the configuration."""
    evses = {
        evse.id: EvseSettings(
            evse_id=evse.id,
            charger_id=charger.id,
            meter_id=evse.meter,
            rated_w=evse.rated_w,
            discharge_w=evse.discharge_w if charger.dialect != "none" or charger.version == "2.1" else 0,
            standby_w=evse.standby_w,
        )
        for charger in config.chargers
        for evse in charger.evses
    }
    return Settings(
        station_id=config.station.id,
        zone=config.station.zone,
        gateway_id=config.ledger.gateway_id,
        evses=evses,
        meter_evse={evse.meter_id: evse.evse_id for evse in evses.values()},
        nonce_key=hmac.digest(secret, b"nonce", "sha256"),
        start_answer_s=config.session.start_answer_s,
        start_expiry_ns=config.session.start_expiry_s * SECOND_NS,
        hold_wh=config.session.hold_wh,
        hold_limit_mtok_per_kwh=config.session.price_mtok_per_kwh_max,
        site_w_max=config.station.site_w_max,
        guard_ns=max(config.sale.guard_s * SECOND_NS, round(1.5 * BUS_REAL_S * clock.speed) * SECOND_NS),
        cutoff_ns=config.ledger.cutoff_s * SECOND_NS,
        report_lead_ns=max(config.sale.report_lead_s, round(0.7 * clock.speed)) * SECOND_NS,
        stale_ns=max(config.settlement.stale_meter_s, 2 * clock.speed) * SECOND_NS,
        lines_max=config.settlement.lines_per_submission,
    )


def accounts(config: Config, secret: bytes) -> Mapping[str, MeterAccount]:
    """One fresh account a meter; its reference on the ledger is an HMAC, so that no meter is named in clear."""
    rated = {
        evse.meter: evse.rated_w + evse.discharge_w for charger in config.chargers for evse in charger.evses
    }
    return {
        meter.id: MeterAccount(
            meter_id=meter.id,
            meter_ref=hmac.digest(secret, f"meter:{meter.id}".encode(), "sha256").hex()[:32],
            power_w_max=rated.get(meter.id, 400_000),
            step_mwh=named_profile(meter.profile).import_.lsb_mwh,
        )
        for meter in config.meters
    }


def charger_settings(config: Config) -> StationSettings:
    """What the OCPP edge is told of the configuration."""
    key = read_secret(config.representative.key_file) if config.representative is not None else b""
    return StationSettings(
        listener=ListenerSettings(
            host=config.ocpp.host, port=config.ocpp.port, default_version=config.ocpp.default_version
        ),
        chargers=tuple(
            ChargerSettings(
                charger_id=charger.id,
                password_hash=charger.password_hash,
                evses={evse.number: evse.id for evse in charger.evses},
                dialect=charger.dialect,
                version=charger.version,
            )
            for charger in config.chargers
        ),
        hash_token=lambda token: hash_token(key, token),
        fresh_transaction_id=lambda: 1 + secrets.randbelow(2**31 - 2),
        fresh_message_id=lambda: secrets.token_hex(8),
        sample_interval_s=config.ocpp.sample_interval_s,
        log=log_event,
    )


async def _watch_members(store: Path, inbox: Inbox) -> None:
    """Tell the core whenever the representative's links change."""
    reader = MemberReader(store)
    seen = -1
    try:
        while True:
            with contextlib.suppress(JournalError):  # the file is being made: what is known stays known
                version = reader.version()
                if version != seen:
                    inbox.put(MembersChanged(links=reader.links()))
                    seen = version
            await asyncio.sleep(MEMBERS_EVERY_S)
    finally:
        reader.close()
