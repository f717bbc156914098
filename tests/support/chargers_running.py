"""Run the OCPP listener with a core that accepts everything, and connect chargers to it, for integration tests."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.settings import ChargerSettings
from edgegw.core.effects import (
    Acknowledge,
    Answer,
    AnswerCall,
    AuthorizeAnswer,
    IdTokenStatus,
    StartAnswer,
)
from edgegw.core.events import (
    AuthorizeRequested,
    Event,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from tests.support.chargers_station import (
    PASSWORD,
    StillClock,
    charger_settings,
    station_settings,
)
from tests.support.patience import PATIENCE_S

Waiting = AuthorizeRequested | TransactionStarted | TransactionUpdated | TransactionEnded


@dataclass
class Station:
    """A running listener and a core that accepts every request, or with `is_mute` answers none."""

    events: list[Event] = field(default_factory=list)
    is_mute: bool = False
    chargers: Chargers = field(init=False)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.grown.set()
        if isinstance(event, Waiting) and not self.is_mute:
            self.chargers.answer(AnswerCall(call=event.call, answer=willing(event)))

    def of(self, kind: type[Event]) -> list[Any]:
        """Return all events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, kind: type[Event], count: int = 1) -> Any:
        """Wait for the `count`-th event of a kind and return it."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.of(kind)) < count:
                self.grown.clear()
                await self.grown.wait()
        return self.of(kind)[count - 1]


def willing(event: Waiting) -> Answer:
    """Return the answer that accepts an event."""
    match event:
        case AuthorizeRequested():
            return AuthorizeAnswer(status=IdTokenStatus.ACCEPTED, bidirectional=True)
        case TransactionStarted():
            return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id)
        case _:
            return Acknowledge()


@contextlib.asynccontextmanager
async def running(*chargers: ChargerSettings, **more: Any) -> AsyncIterator[Station]:
    """Run a station on a free port; its chargers are CP1 and "CP|2" unless others are given."""
    profiles = more.pop("profiles", None)
    given: dict[str, Any] = {"call_timeout_s": 10.0, "probe_timeout_s": 1.0, **more}
    station = Station()
    both = (charger_settings("CP1"), charger_settings("CP|2", evses={1: "evse-9"}))
    settings = station_settings(*(chargers or both), **given)
    station.chargers = Chargers(settings, station.emit, StillClock(), profiles=profiles)
    task = asyncio.create_task(station.chargers.run())
    await station.chargers.listening.wait()
    try:
        yield station
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    """Return the header of Basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def dial(
    station: Station,
    charger_id: str = "CP1",
    *,
    user: str | None = None,
    password: str | None = PASSWORD,
    offered: Sequence[str] | None = ("ocpp1.6",),
    **more: Any,
) -> connect:
    """Return a charger's connection, to be awaited or entered."""
    headers = {} if password is None else basic(user or charger_id, password)
    url = f"ws://127.0.0.1:{station.chargers.port}/ocpp/{charger_id.replace('|', '%7C')}"
    return connect(url, additional_headers=headers, subprotocols=offered, **more)  # type: ignore[arg-type]  # plain texts


async def heartbeat(socket: ClientConnection) -> Any:
    """Send a Heartbeat and return its answer; skip CALLs of the station that come before it."""
    await socket.send('[2,"h","Heartbeat",{}]')
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame = json.loads(await socket.recv())
            if frame[0] == 3:
                return frame
