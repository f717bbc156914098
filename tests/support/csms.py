"""A CSMS for the simulated charger: it records every CALL and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ocpp.messages import Call, CallResult, _validate_payload
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.support.patience import PATIENCE_S

Payload = dict[str, Any]
Answer = Callable[[str, Payload], Payload | None]
NOW = "2019-06-10T12:00:00Z"


ANSWERS: dict[str, Payload] = {
    "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
    "Heartbeat": {"currentTime": NOW},
    "Authorize": {"idTagInfo": {"status": "Accepted"}, "idTokenInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
    "NotifyEVChargingNeeds": {"status": "Accepted"},
}


def default_answer(action: str, payload: Payload) -> Payload | None:
    """Accept everything."""
    if action == "TransactionEvent" and payload["eventType"] == "Started":
        return {"idTokenInfo": {"status": "Accepted"}}
    return dict(ANSWERS.get(action, {}))


@dataclass
class Csms:
    """Records what the server saw as (action, payload); an `answer` of None sends none."""

    version: str
    answer: Answer = default_answer
    calls: list[tuple[str, Payload]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[str | None] = field(default_factory=list)
    port: int = 0
    socket: ServerConnection | None = None
    results: dict[str, asyncio.Future[Payload]] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def of(self, action: str) -> list[Payload]:
        return [payload for name, payload in self.calls if name == action]

    def events(self, kind: str) -> list[Payload]:
        return [each for each in self.of("TransactionEvent") if each["eventType"] == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(condition)

    async def ask(self, action: str, payload: Payload) -> Payload:
        call = Call(f"srv-{len(self.results)}", action, payload)
        _validate_payload(call, self.version)
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self.results[call.unique_id] = future
        assert self.socket is not None
        await self.socket.send(call.to_json())
        return await asyncio.wait_for(future, PATIENCE_S)

    async def handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.socket = socket
        self.paths.append(socket.request.path)
        self.headers.append(socket.request.headers.get("Authorization"))
        with suppress(ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                if message[0] == 2:
                    await self._answer(socket, message)
                else:
                    found = message[2] if message[0] == 3 else {"error": message[2]}
                    self.results[message[1]].set_result(found)

    async def _answer(self, socket: ServerConnection, message: list[Any]) -> None:
        _, unique_id, action, payload = message
        _validate_payload(Call(unique_id, action, payload), self.version)
        self.calls.append((action, payload))
        self.ids.append(unique_id)
        answer = self.answer(action, payload)
        if answer is not None:
            if action == "Authorize":
                name = "idTagInfo" if self.version == "1.6" else "idTokenInfo"
                answer = {
                    key: value for key, value in answer.items() if key in {name, "allowedEnergyTransfer"}
                }
            result = CallResult(unique_id, answer)
            result.action = action
            _validate_payload(result, self.version)
            await socket.send(result.to_json())
        async with self.news:
            self.news.notify_all()


@asynccontextmanager
async def csms(version: str, answer: Answer = default_answer) -> AsyncIterator[Csms]:
    """Serve on a free port of the loopback."""
    double = Csms(version, answer)
    async with serve(double.handle, "127.0.0.1", 0, subprotocols=[f"ocpp{version}"]) as server:  # type: ignore[list-item]  # a NewType of str
        double.port = next(iter(server.sockets)).getsockname()[1]
        yield double


VERSIONS = ("1.6", "2.0.1", "2.1")
START = "2019-06-10T12:00:00Z"
SPEED = 1200
PASSWORD = "0123456789abcdef"  # a test's own
