"""The representative as a process of its own: its store, its client of the ledger, and the door for its stations.

Decides the order of opening, and that SIGTERM and SIGINT end it. Everything it does is decided in `participants`.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping

from edgegw.clock import StationClock
from edgegw.config import read_secret
from edgegw.ledger.caller import Callers
from edgegw.ledger.identity import load_trust
from edgegw.ledger.opening import open_client
from edgegw.ledger.renewal import RenewableSigner
from edgegw.office import Kind
from edgegw.ops.logs import configure, log_event
from edgegw.ops.notify import ServiceManager
from edgegw.participants.office import LocalOffice
from edgegw.participants.office_server import LinkBoard, Listening, OfficeServer, served
from edgegw.participants.office_settings import OfficeSettings
from edgegw.participants.representative import Representative
from edgegw.participants.schedule import NEVER_S, Schedule
from edgegw.seldom import Seldom

KINDS: dict[str, tuple[Kind, ...]] = {
    "EVUserMSP": ("EV",),
    "ProducerMSP": ("PRODUCER",),
    "IndustryMSP": ("INDUSTRY",),
}


async def serve(settings: OfficeSettings) -> None:
    """Serve until told to end. Raises ConfigError, OfficeError (the store), AddressTakenError."""
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    manager = ServiceManager(os.environ)
    async with contextlib.AsyncExitStack() as stack:
        port, representative = await _opened(settings, stack)
        log_event("office.listening", {"host": settings.listen.host, "port": port})
        manager.ready(f"serving stations at port {port}")
        posting = asyncio.create_task(representative.run(), name="loads")
        told = asyncio.create_task(stop.wait(), name="told to end")
        await asyncio.wait((posting, told), return_when=asyncio.FIRST_COMPLETED)
        manager.stopping("ending")
        if posting.done():
            posting.result()
        for task in (posting, told):
            task.cancel()
        await asyncio.gather(posting, told, return_exceptions=True)
    log_event("office.stopped", {})


def _warn_seldom() -> Callable[[str, Mapping[str, object]], None]:
    """Who is not heard asks again and again: one line a minute for each address and reason."""
    seldom = Seldom(time.monotonic)

    def log(name: str, fields: Mapping[str, object]) -> None:
        if count := seldom.due((name, *fields.values())):
            log_event(name, {**fields, "count": count}, level="warning")

    return log


async def _opened(settings: OfficeSettings, stack: contextlib.AsyncExitStack) -> tuple[int, Representative]:
    """Everything that serves, in order; gives the port, and who posts the loads."""
    clock = StationClock.from_environment(os.environ)
    place, members, listen = settings.ledger, settings.representative, settings.listen
    signer = RenewableSigner(
        place.identity,
        renewed=lambda fields: log_event("identity.renewed", fields),
        rejected=lambda fields: log_event("identity.rejected", fields, level="error"),
    )
    msp_id = signer.identity.msp_id
    ledger = await stack.enter_async_context(open_client(place, signer=signer))
    office = LocalOffice(
        members.store,
        read_secret(members.key_file),
        ledger,
        now_ns=clock.now_ns,
        kinds=KINDS.get(msp_id, ()),
    )
    stack.push_async_callback(office.close)
    await office.state()  # a store that cannot be used is known now, not at the first question
    schedule = Schedule(clock=clock, cutoff_s=place.cutoff_s, end_s=NEVER_S)
    representative = Representative(ledger, zone=members.zone, schedule=schedule)
    server = OfficeServer(
        office,
        LinkBoard(office),
        Callers(load_trust(place.trust_file), msp_id, members.gateways),
        report=lambda product, interval, energy_wh, gateway_id: representative.report(
            product, interval, energy_wh, gateway_id=gateway_id
        ),
        now_ns=clock.now_ns,
        log=_warn_seldom(),
    )
    listening = Listening(
        host=listen.host, port=listen.port, certificate=listen.certificate, key_file=listen.key_file
    )
    port = await stack.enter_async_context(served(server.app, listening))
    return port, representative
