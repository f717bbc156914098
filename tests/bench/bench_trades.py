"""Measure trades per second, from the closing of segments until all their trades are committed on the embedded peer.

Measured: wall time in which the gateway's loop, core and journal, the ledger client and the peer in a separate process
settle one segment of each of 100 charging sessions, which end at the same instant, as at a quarter hour: lines with signed
evidence, one RecordTrades, endorsement by two organisations, a block, the commit event. Then the same with one session.
Beside it, in the same rounds: one ECDSA P-256 signature and one SQLite commit with synchronous=FULL, the minimum for a trade
that is signed and stored by itself.
Not measured: a Fabric network (docs/benchmarks.md has separate figures), market lines (all are retail).
The segments are closed by `DrainStarted`, which cuts all meters at their last reading, as a daemon's shutdown does.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.common.clock import StationClock
from edgegw.common.member_terms import MemberTerms
from edgegw.core.events import (
    CallRef,
    ChargerConnected,
    DrainStarted,
    MembersChanged,
    RegisterRead,
    TransactionStarted,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Phase, Settings
from edgegw.core.station import new_station
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway
from edgegw.ledger.adapter import LedgerAdapter
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.identity import Evidence, load_signer
from edgegw.store.journal import SqliteJournal
from tests.bench.figures import Figure
from tests.bench.ledger_world import GATEWAY, STATION, ZONE, LedgerWorld, peer_arguments, world_of
from tests.bench.processes import part
from tests.bench.rounds import compared, interleaved

EVSES, DRIVERS = 100, 10
STEP_MWH = 2_000  # a segment's energy: two steps of a meter are plausible after any duration
LOOK_S = 0.001
PARTS = 20


class Site:
    """Chargers, meters and representative; a request for a reading returns the registers that `moved` set."""

    def __init__(self, inbox: Inbox, clock: StationClock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._registers: dict[str, int] = {}

    def request(self, meter_id: str) -> None:
        """See ports.MeterPort."""
        now_ns = self._clock.now_ns()
        register_mwh = self._registers.setdefault(meter_id, 1_000_000)
        self._inbox.put(
            RegisterRead(
                meter_id=meter_id, t0_ns=now_ns, t1_ns=now_ns, import_mwh=register_mwh, export_mwh=0,
                power_w=None, serial="1",
            )
        )  # fmt: skip

    def moved(self, meter_id: str) -> None:
        """Advance a meter's register by a step, and emit the reading."""
        self._registers[meter_id] += STEP_MWH
        self.request(meter_id)

    def answer(self, _effect: object) -> None:
        """See ports.ChargerPort."""

    command = answer

    def report(self, *_arguments: object) -> None:
        """See ports.RepresentativePort."""


class Bench:
    """A gateway with running sessions and a real peer."""

    def __init__(self, client: LedgerClient, world: LedgerWorld, folder: Path) -> None:
        self._inbox = Inbox()
        clock = StationClock()
        self._site = Site(self._inbox, clock)
        self._journal = SqliteJournal(folder / "station.db")
        self._ledger = LedgerAdapter(client, self._inbox.put)
        signer = load_signer(world.data / "crypto" / "EVUserMSP" / GATEWAY)
        adapters = Adapters(
            clock=clock, journal=self._journal, chargers=self._site, meters=self._site, ledger=self._ledger,
            representative=self._site, log=_silent,
            sign_evidence=lambda text: signer.sign(Evidence(message=text.encode())).hex(),
        )  # fmt: skip
        self.gateway = Gateway(new_station(_settings(), _accounts()), adapters, self._inbox)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, drivers: list[str]) -> None:
        """Start all sessions and wait until energy may flow."""
        self._tasks = [
            asyncio.create_task(self.gateway.run()),
            asyncio.create_task(self._ledger.run(from_block=0)),
        ]
        terms = {name: MemberTerms(member_id=name) for name in drivers}
        self._inbox.put(MembersChanged(links=terms))
        for name, driver in zip(_names(), itertools.cycle(drivers), strict=False):
            self._inbox.put(ChargerConnected(charger_id=name, version="2.1"))
            call = CallRef(charger_id=name, connection=1, message_id="start")
            self._inbox.put(
                TransactionStarted(
                    call=call, business_key="start", frame="[2]", evse_id=name, transaction_id="t",
                    id_token_hash=driver, at_ns=time.time_ns(),
                )
            )  # fmt: skip
        await self._until(
            lambda: all(evse.phase is Phase.ACTIVE for evse in self.gateway.station.evses.values())
        )

    async def settle(self, count: int) -> float:
        """Settle one segment of each of `count` sessions, and return the trades per second."""
        for name in _names()[:count]:
            self._site.moved(f"M-{name}")
        await self._until(lambda: not len(self._inbox))
        before = self.gateway.station.tally["all"].trades
        began = time.perf_counter()
        self._inbox.put(DrainStarted())
        await self._until(lambda: self.gateway.station.tally["all"].trades == before + count)
        return count / (time.perf_counter() - began)

    async def close(self) -> None:
        """Stop the loops and close the journal."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._journal.close()

    async def _until(self, reached: Any) -> None:
        async with asyncio.timeout(20):
            while not reached():
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(LOOK_S)


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure a batch and a single trade, beside their parts."""
    data = folder / "peer"
    rounds = 1 if short else 9
    with contextlib.ExitStack() as stack:
        world = world_of(stack.enter_context(part(*peer_arguments(data))), data)
        loop = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        client = loop.run(_client(stack, loop, world))
        bench = Bench(client, world, folder)
        loop.run(bench.open(loop.run(world.found(DRIVERS))))
        parts = Parts(folder / "parts.db")
        found = interleaved(
            {
                "batch": lambda: loop.run(bench.settle(EVSES)),
                "parts": parts.rate,
                "single": lambda: loop.run(bench.settle(1)),
            },
            rounds,
        )
        loop.run(bench.close())
        parts.close()
    figures = []
    for name in ("batch", "single"):
        value, baseline = compared(found[name], found["parts"])
        figures.append(Figure(name=f"trades.{name}", value=value, unit="trades/s", baseline=baseline))
    return figures


async def _client(stack: contextlib.ExitStack, loop: asyncio.Runner, world: LedgerWorld) -> LedgerClient:
    manager = world.client(f"EVUserMSP/{GATEWAY}")
    client = await manager.__aenter__()
    stack.callback(lambda: loop.run(manager.__aexit__(None, None, None)))
    return client


class Parts:
    """A signature and a durable commit, by themselves."""

    def __init__(self, path: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE trade (body TEXT)")

    def rate(self) -> float:
        """Return how many pairs of both are done per second."""
        began = time.perf_counter()
        for number in range(PARTS):
            signature = self._key.sign(b"x" * 600, ec.ECDSA(hashes.SHA256()))
            self._db.execute("INSERT INTO trade VALUES (?)", (f"{number}" + signature.hex() * 4,))
        return PARTS / (time.perf_counter() - began)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _names() -> list[str]:
    return [f"E{number}" for number in range(EVSES)]


def _settings() -> Settings:
    evses = {
        name: EvseSettings(evse_id=name, charger_id=name, meter_id=f"M-{name}", rated_w=400_000)
        for name in _names()
    }
    return Settings(
        station_id=STATION, zone=ZONE, gateway_id=GATEWAY, evses=evses, nonce_key=b"bench",
        meter_evse={evse.meter_id: name for name, evse in evses.items()}, start_answer_s=60,
    )  # fmt: skip


def _accounts() -> dict[str, MeterAccount]:
    return {
        f"M-{name}": MeterAccount(meter_id=f"M-{name}", meter_ref=f"ref-{name}", power_w_max=400_000)
        for name in _names()
    }


def _silent(_name: str, _fields: Mapping[str, object]) -> None:
    """Log nothing."""
