"""Serve several meters at one Modbus TCP address; each can misbehave frame by frame."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from firmware_sim.meter import MeterModel, Physics

METERS = Path(__file__).parents[2] / "configs" / "meters"
Twist = Callable[
    [bytes, bytes], bytes | None
]  # (request, correct answer) -> the frame to send instead; None closes the connection


def frame(request: bytes, body: bytes, *, unit: int | None = None) -> bytes:
    """Return a Modbus TCP answer to `request` with any function code, data and unit."""
    head = bytes([request[6] if unit is None else unit])
    return request[:4] + struct.pack(">H", 1 + len(body)) + head + body


def refusal(request: bytes, code: int) -> bytes:
    """Return a Modbus exception response."""
    return frame(request, bytes([request[7] | 0x80, code]))


def registers(request: bytes, words: list[int]) -> bytes:
    """Return a correct answer with these words."""
    return frame(request, struct.pack(f">BB{len(words)}H", request[7], 2 * len(words), *words))


@dataclass
class BusMeter:
    """One unit: its model, the energy that has flowed, and how it distorts its answers."""

    model: MeterModel
    now: Physics = field(default_factory=lambda: Physics(1_000_000_000, 2_000_000, 0))
    twist: Twist | None = None
    reads: int = 0
    functions: set[int] = field(default_factory=set)

    def flow(self, import_mwh: int) -> None:
        """Add import energy."""
        self.now = self.now._replace(import_mwh=self.now.import_mwh + import_mwh)


@dataclass
class BusServer:
    """A bound port and its meters; requests to other units get no answer, as on a real bus."""

    meters: dict[int, BusMeter]
    port: int = 0

    def answer(self, request: bytes) -> bytes | None:
        """Return the frame to send; empty for no answer, None to close the connection."""
        meter = self.meters.get(request[6])
        if meter is None:
            return b""
        meter.reads += 1
        function_code, address, count = struct.unpack(">BHH", request[7:12])
        meter.functions.add(function_code)
        spans = meter.model.spans.get(function_code, [])
        there = any(start <= address and address + count <= start + length for start, length in spans)
        if not there:
            right = refusal(request, 2)
        else:
            right = registers(request, meter.model.words(function_code, address, count, now=meter.now))
        return right if meter.twist is None else meter.twist(request, right)


@asynccontextmanager
async def serve_bus(**profiles: str) -> AsyncIterator[BusServer]:
    """Serve units 1, 2, … with these profiles on a free port of loopback; their serial numbers count from 1001."""
    made = {
        unit: BusMeter(MeterModel(METERS / f"{name}.json", serial=str(1000 + unit)))
        for unit, name in enumerate(profiles.values(), 1)
    }
    bus = BusServer(made)
    writers: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (reply := bus.answer(await reader.readexactly(12))) is not None:
                writer.write(reply)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    bus.port = server.sockets[0].getsockname()[1]
    try:
        yield bus
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
