"""Run the chargers of a benchmark in a separate process; each has one CALL outstanding, as the standard requires.

Commands are JSON lines on standard input: `{"open": {"name", "port", "version", "first", "count", "start", "beats_s"}}` opens
connections, and starts a transaction on each or lets it send heartbeats; `{"run": {"name", "messages"}}` sends that many
samples over them and prints the wall seconds; `{"pace": {"messages", "every_s"}}` sends that many samples over each
connection with a transaction, one every `every_s`, and prints how long each answer took.
Every CALL of the server is accepted. The server may echo: then the returned frame is the answer.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect

from tests.bench import ocpp_messages
from tests.bench.processes import say

PASSWORD = "a long password"


@dataclass
class Charger:
    """One connection with one running transaction."""

    version: str
    socket: ClientConnection
    transaction: str
    prepared: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    beating: asyncio.Task[None] | None = None

    async def call(self, text: str) -> Any:
        """Send a CALL and return its answer, or its echo."""
        await self.socket.send(text)
        while True:
            answer = await self.socket.recv()
            assert isinstance(answer, str)
            if not answer.startswith("[2,") or answer == text:
                return answer
            await self._accept(answer)

    async def _accept(self, text: str) -> None:
        _, message_id, action, payload = json.loads(text)
        result: dict[str, Any] = {"status": "Accepted"}
        if action == "SetVariables":
            result = {
                "setVariableResult": [
                    {
                        "attributeStatus": "Accepted",
                        "component": item["component"],
                        "variable": item["variable"],
                    }
                    for item in payload["setVariableData"]
                ]
            }
        await self.socket.send(json.dumps([3, message_id, result]))

    def prepare(self, count: int) -> None:
        """Build the messages before the timing starts."""
        self.prepared = [
            ocpp_messages.sample(self.version, self.transaction, next(self.numbers)) for _ in range(count)
        ]

    async def beat(self, every_s: float) -> None:
        """Act as an idle charger: send a Heartbeat every `every_s`, and answer every CALL of the server."""
        for number in itertools.count():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    while True:
                        frame = await self.socket.recv()
                        if isinstance(frame, str) and frame.startswith("[2,"):
                            await self._accept(frame)
            await self.socket.send(ocpp_messages.call(f"beat{number}", "Heartbeat", {}))

    async def send_paced(self, every_s: float) -> list[float]:
        """Send the prepared messages, one every `every_s`; return the milliseconds of each answer."""
        taken: list[float] = []
        beat = time.perf_counter()
        for text in self.prepared:
            began = time.perf_counter()
            answer = await self.call(text)
            taken.append(1000 * (time.perf_counter() - began))
            assert answer.startswith("[3,"), answer
            beat += every_s
            await asyncio.sleep(max(0.0, beat - time.perf_counter()))
        return taken

    async def send_prepared(self) -> None:
        """Send the prepared messages one after the other."""
        for text in self.prepared:
            answer = await self.call(text)
            assert answer.startswith("[3,") or answer == text, answer


async def open_charger(port: int, version: str, number: int, *, start: bool) -> Charger:
    """Connect without compression, boot, and with `start` begin a transaction."""
    charger_id = f"CP-{version}-{number}"
    credentials = base64.b64encode(f"{charger_id}:{PASSWORD}".encode()).decode()
    socket = await connect(
        f"ws://127.0.0.1:{port}/ocpp/{charger_id}",
        additional_headers={"Authorization": f"Basic {credentials}"},
        subprotocols=[ocpp_messages.VERSIONS[version]],  # type: ignore[list-item]  # plain texts
        compression=None,
        ping_interval=None,
        open_timeout=60,
    )
    charger = Charger(version, socket, f"{number + 1}")
    await charger.call(ocpp_messages.boot(version))
    if not start:
        return charger
    answer = json.loads(await charger.call(ocpp_messages.start(version, charger.transaction)))
    if version == "1.6" and answer[0] == 3:
        charger.transaction = str(answer[2]["transactionId"])
    return charger


async def serve() -> None:
    """Execute the commands on standard input, one at a time."""
    groups: dict[str, list[Charger]] = {}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        question = json.loads(line)
        if "open" in question:
            order = question["open"]
            groups[order["name"]] = [
                await open_charger(order["port"], order["version"], number, start=order["start"])
                for number in range(order.get("first", 0), order.get("first", 0) + order["count"])
            ]
            for charger in groups[order["name"]] if order.get("beats_s") else ():
                charger.beating = asyncio.create_task(charger.beat(order["beats_s"]))
            say(opened=order["count"])
        elif "pace" in question:
            order = question["pace"]
            chargers = [one for group in groups.values() for one in group]
            for charger in chargers:
                charger.prepare(order["messages"])
            began = time.perf_counter()
            taken = await asyncio.gather(*(charger.send_paced(order["every_s"]) for charger in chargers))
            wall_s = time.perf_counter() - began
            say(wall_s=wall_s, latencies_ms=[one for each in taken for one in each])
        else:
            order = question["run"]
            chargers = groups[order["name"]]
            each = order["messages"] // len(chargers)
            for charger in chargers:
                charger.prepare(each)
            began = time.perf_counter()
            await asyncio.gather(*(charger.send_prepared() for charger in chargers))
            say(messages=each * len(chargers), wall_s=time.perf_counter() - began)


if __name__ == "__main__":
    uvloop.run(serve())
