"""Run a whole gateway with real sockets, core, loop, journal and log; meters and ledger accept everything at once.

It has two chargers, A (EVSEs A1, A2) and B (B1), as in `core_bench`; the card TOKEN belongs to a member.
"""

import asyncio
import contextlib
import io
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.settings import ChargerSettings, ListenerSettings, ProfileStore, StationSettings
from edgegw.core import station
from edgegw.core.effects import EndorseSubmission, Query, SubmitEnvelope
from edgegw.core.events import CommitKnown, Endorsed, MembersChanged, QueryAnswered, RegisterRead
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Evse
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway
from edgegw.ops.logs import configure, log_event
from edgegw.store.journal import SqliteJournal
from edgegw.store.journal_reader import JournalReader
from tests.support.chargers_running import basic
from tests.support.chargers_station import NOW_NS, PASSWORD, password_hash
from tests.support.core_bench import RETAIL, settings
from tests.support.patience import PATIENCE_S

TOKEN = "04A1B2C3D4E5F6"


class FixedClock:
    """A clock that always returns NOW."""

    def now_ns(self) -> int:
        return NOW_NS

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / 1e9

    async def sleep_until(self, _at_ns: int, /) -> None:
        await asyncio.Event().wait()


class Willing:
    """Meters, ledger and representative that fulfil every request at once."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._at_ns = itertools.count(NOW_NS, 1_000_000)

    def request(self, meter_id: str) -> None:
        at_ns = next(self._at_ns)
        reading = RegisterRead(
            meter_id=meter_id, t0_ns=at_ns, t1_ns=at_ns, import_mwh=1_000_000, export_mwh=0, power_w=None,
            serial="7",
        )  # fmt: skip
        self._inbox.put(reading)

    def endorse(self, effect: EndorseSubmission) -> None:
        result = {"reserved": "40000000", "results": []}
        self._inbox.put(
            Endorsed(submission_id=effect.submission_id, tx_id="t", envelope_hex="00", result=result)
        )

    def submit(self, effect: SubmitEnvelope) -> None:
        self._inbox.put(
            CommitKnown(submission_id=effect.submission_id, tx_id=effect.tx_id, code="VALID", block=1)
        )

    def query(self, effect: Query) -> None:
        self._inbox.put(QueryAnswered(key=effect.key, result={"tokens": {"available": "5"}}))

    def report(self, product: str, interval: int, energy_wh: int) -> None:
        """Ignore the report."""


@dataclass
class Edge:
    """The running gateway, and what it has written."""

    chargers: Chargers
    gateway: Gateway
    journal: Path
    log: io.StringIO = field(default_factory=io.StringIO)

    def lines(self, *names: str) -> list[dict[str, Any]]:
        """Return the log's lines of these events."""
        found = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in found if line["event"] in names]

    def coded(self, code: str) -> list[dict[str, Any]]:
        """Return the log's lines with an error code."""
        return [
            line for line in map(json.loads, self.log.getvalue().splitlines()) if line.get("code") == code
        ]

    def frames(self) -> list[dict[str, Any]]:
        """Return the stored frames, oldest first."""
        return [dict(body) for _, body in JournalReader(self.journal).facts("frame")]

    def evse(self, evse_id: str) -> Evse:
        """Return an EVSE of the core's state."""
        return self.gateway.station.evses[evse_id]

    def dial(self, charger_id: str = "A", *, version: str = "1.6", **more: Any) -> connect:
        """Return a charger's connection, to be awaited or entered."""
        given: dict[str, Any] = {
            "subprotocols": [f"ocpp{version}"],
            "additional_headers": basic(charger_id),
            **more,
        }
        return connect(f"ws://127.0.0.1:{self.chargers.port}/ocpp/{charger_id}", **given)


async def answer_to(socket: ClientConnection, message_id: str | int) -> Any:
    """Return the answer to a CALL; accept the station's calls meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame = json.loads(await socket.recv())
            if frame[0] in {3, 4} and frame[1] == message_id:
                return frame
            if frame[0] == 2:
                await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))


async def call(socket: ClientConnection, action: str, payload: dict[str, Any]) -> Any:
    """Send a CALL and return its answer."""
    message_id = secrets.token_hex(4)
    await socket.send(json.dumps([2, message_id, action, payload]))
    return await answer_to(socket, message_id)


def chargers(hash_: str) -> Sequence[ChargerSettings]:
    """Return the chargers A and B."""
    return (
        ChargerSettings(charger_id="A", password_hash=hash_, evses={1: "A1", 2: "A2"}),
        ChargerSettings(charger_id="B", password_hash=hash_, evses={1: "B1"}),
    )


@contextlib.asynccontextmanager
async def whole_edge(
    folder: Path, *, profiles: ProfileStore | None = None, **listener: Any
) -> AsyncIterator[Edge]:
    """Run the gateway."""
    log = io.StringIO()
    configure("debug", "json", log)
    inbox, clock = Inbox(), FixedClock()
    numbers = itertools.count(1000)
    station_settings = StationSettings(
        listener=ListenerSettings(host="127.0.0.1", port=0, **listener),
        chargers=tuple(chargers(password_hash())),
        hash_token=lambda token: f"hash{sum(token.encode())}",
        fresh_transaction_id=lambda: next(numbers),
        fresh_message_id=lambda: secrets.token_hex(4),
        log=log_event,
        probe_timeout_s=1.0,
    )
    edge = Chargers(station_settings, inbox.put, clock, profiles=profiles)
    accounts = {
        f"M{name}": MeterAccount(meter_id=f"M{name}", meter_ref=f"r{name}", power_w_max=29_000, step_mwh=1)
        for name in ("A1", "A2", "B1")
    }
    journal = SqliteJournal(folder / "station.db")
    willing = Willing(inbox)
    adapters = Adapters(
        clock=clock, journal=journal, chargers=edge, meters=willing, ledger=willing, representative=willing,
        log=log_event, sign_evidence=lambda _: "00",
    )  # fmt: skip
    gateway = Gateway(station.new_station(settings(), accounts), adapters, inbox)
    inbox.put(MembersChanged(links={f"hash{sum(TOKEN.encode())}": RETAIL}))
    tasks = [asyncio.create_task(edge.run()), asyncio.create_task(gateway.run())]
    await edge.listening.wait()
    try:
        yield Edge(chargers=edge, gateway=gateway, journal=folder / "station.db", log=log)
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        journal.close()
        configure("info", "auto")


def assert_clean(edge: Edge) -> None:
    """Check that the log has no traceback, no internal fault and no secret."""
    text = edge.log.getvalue()
    assert "Traceback" not in text
    assert edge.lines("charger.failed", "gateway.failed") == []
    for secret in (PASSWORD, TOKEN, password_hash(), "argon2"):
        assert secret not in text
