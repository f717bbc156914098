"""Run one of three servers for the same chargers in a separate process: `gateway DIR`, `package` or `echo`.

Each prints its port. `gateway` is the daemon's path from a charger's frame to the answer: listener, schema check, core, group
commit on disk (WAL, synchronous=FULL), answer after the commit. Ledger and meters answer at once from memory, so that only
the OCPP side is measured. `package` is the server of the `ocpp` package's documentation: routing, `@on` handlers, default
validation. `echo` sends each frame back.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import ocpp.v16.call_result
import ocpp.v21.call_result
import ocpp.v201.call_result
import uvloop
from ocpp.routing import on
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.settings import ChargerSettings, ListenerSettings, StationSettings
from edgegw.common.clock import StationClock
from edgegw.common.member_terms import MemberTerms
from edgegw.core.effects import EndorseSubmission, Query, SubmitEnvelope
from edgegw.core.events import (
    CommitKnown,
    Endorsed,
    Event,
    MembersChanged,
    QueryAnswered,
    RegisterRead,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings
from edgegw.core.station import new_station
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway
from edgegw.ops.logs import configure, log_event
from edgegw.store.journal import SqliteJournal
from tests.bench.ocpp_load import PASSWORD
from tests.bench.ocpp_messages import SINCE, TOKEN, VERSIONS
from tests.bench.processes import say

CHARGERS = 20  # of each version


class Ledger:
    """ports.LedgerPort that commits everything at once."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit

    def endorse(self, effect: EndorseSubmission) -> None:
        """See ports.LedgerPort."""
        result: dict[str, Any] = {"reserved": "40000000"}
        self._emit(
            Endorsed(
                submission_id=effect.submission_id,
                tx_id=effect.submission_id,
                envelope_hex="00",
                result=result,
            )
        )

    def submit(self, effect: SubmitEnvelope) -> None:
        """See ports.LedgerPort."""
        self._emit(CommitKnown(submission_id=effect.submission_id, tx_id=effect.tx_id, code="VALID", block=1))

    def query(self, effect: Query) -> None:
        """See ports.LedgerPort."""
        self._emit(QueryAnswered(key=effect.key, result=None))


class Meters:
    """ports.MeterPort with constant registers."""

    def __init__(self, emit: Callable[[Event], None], clock: StationClock) -> None:
        self._emit = emit
        self._clock = clock

    def request(self, meter_id: str) -> None:
        """See ports.MeterPort."""
        now_ns = self._clock.now_ns()
        self._emit(
            RegisterRead(
                meter_id=meter_id, t0_ns=now_ns, t1_ns=now_ns, import_mwh=1_000_000, export_mwh=0, power_w=0,
                serial="1",
            )
        )  # fmt: skip

    def report(self, product: str, interval: int, energy_wh: int) -> None:
        """See ports.RepresentativePort."""


def _names() -> list[str]:
    return [f"{version}-{number}" for version in VERSIONS for number in range(CHARGERS)]


def _settings() -> Settings:
    evses = {
        name: EvseSettings(evse_id=name, charger_id=f"CP-{name}", meter_id=f"M-{name}", rated_w=11_000)
        for name in _names()
    }
    return Settings(
        station_id="bench", zone="Z", gateway_id="gateway1", evses=evses, nonce_key=b"bench",
        meter_evse={evse.meter_id: name for name, evse in evses.items()}, start_answer_s=60,
    )  # fmt: skip


def _edge() -> StationSettings:
    password_hash = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    numbers = iter(range(1, 1_000_000))
    return StationSettings(
        listener=ListenerSettings(host="127.0.0.1", port=0),
        chargers=tuple(
            ChargerSettings(charger_id=f"CP-{name}", password_hash=password_hash, evses={1: name})
            for name in _names()
        ),
        hash_token=lambda token: f"hash of {token}",
        fresh_transaction_id=lambda: next(numbers),
        fresh_message_id=lambda: f"own-{next(numbers)}",
        log=log_event,
    )


async def gateway(folder: Path) -> None:
    """Serve as the daemon does, until cancelled."""
    configure("warning", "json")
    clock, inbox = StationClock(), Inbox()
    journal = SqliteJournal(folder / "station.db")
    settings = _settings()
    accounts = {
        meter_id: MeterAccount(meter_id=meter_id, meter_ref=f"R{meter_id}", power_w_max=22_000)
        for meter_id in settings.meter_evse
    }
    chargers = Chargers(_edge(), inbox.put, clock)
    meters = Meters(inbox.put, clock)
    adapters = Adapters(
        clock=clock, journal=journal, chargers=chargers, meters=meters, ledger=Ledger(inbox.put),
        representative=meters, log=log_event, sign_evidence=lambda _text: "",
    )  # fmt: skip
    daemon = Gateway(new_station(settings, accounts), adapters, inbox)
    inbox.put(MembersChanged(links={f"hash of {TOKEN}": MemberTerms(member_id="driver")}))
    async with asyncio.TaskGroup() as group:
        group.create_task(daemon.run())
        group.create_task(chargers.run())
        await chargers.listening.wait()
        say(port=chargers.port)


class Charger16(ocpp.v16.ChargePoint):  # type: ignore[misc]  # the library has no types
    """A 1.6 server, as in the package's documentation."""

    @on("BootNotification")  # type: ignore[untyped-decorator]  # same
    def boot(self, **_told: Any) -> Any:
        """Accept."""
        return ocpp.v16.call_result.BootNotification(current_time=SINCE, interval=300, status="Accepted")

    @on("StartTransaction")  # type: ignore[untyped-decorator]  # same
    def begin(self, **_told: Any) -> Any:
        """Accept."""
        return ocpp.v16.call_result.StartTransaction(transaction_id=1, id_tag_info={"status": "Accepted"})

    @on("MeterValues")  # type: ignore[untyped-decorator]  # same
    def values(self, **_told: Any) -> Any:
        """Answer."""
        return ocpp.v16.call_result.MeterValues()


def _charger2(package: Any) -> type:
    results = package.call_result

    class Charger2(package.ChargePoint):  # type: ignore[misc]  # the library has no types
        """A 2.x server, as in the package's documentation."""

        @on("BootNotification")  # type: ignore[untyped-decorator]  # same
        def boot(self, **_told: Any) -> Any:
            """Accept."""
            return results.BootNotification(current_time=SINCE, interval=300, status="Accepted")

        @on("TransactionEvent")  # type: ignore[untyped-decorator]  # same
        def event(self, **_told: Any) -> Any:
            """Answer."""
            return results.TransactionEvent()

    return Charger2


async def package() -> None:
    """Serve as in the package's documentation, until cancelled."""
    classes = {
        "ocpp1.6": Charger16, "ocpp2.0.1": _charger2(ocpp.v201), "ocpp2.1": _charger2(ocpp.v21)
    }  # fmt: skip

    async def on_connect(connection: ServerConnection) -> None:
        assert connection.request is not None
        charger_id = connection.request.path.rpartition("/")[2]
        await classes[str(connection.subprotocol)](charger_id, connection).start()

    await _serve(on_connect)


async def echo() -> None:
    """Send every message back, until cancelled."""

    async def on_connect(connection: ServerConnection) -> None:
        async for frame in connection:
            await connection.send(frame)

    await _serve(on_connect)


async def _serve(on_connect: Callable[[ServerConnection], Any]) -> None:
    offered = [Subprotocol(name) for name in VERSIONS.values()]
    async with serve(on_connect, "127.0.0.1", 0, subprotocols=offered) as server:
        say(port=next(iter(server.sockets)).getsockname()[1])
        await asyncio.Event().wait()


def main(kind: str, *folder: str) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # there is no state to save
    if kind == "gateway":
        uvloop.run(gateway(Path(folder[0])))
    elif kind == "package":
        asyncio.run(package())
    else:
        uvloop.run(echo())


if __name__ == "__main__":
    main(*sys.argv[1:])
