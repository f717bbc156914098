"""Serve meters over Modbus TCP for a benchmark: any unit is a meter of the same model, and counts up with each read.

It does as little as possible, so that the benchmark measures the client: no library, no checks. The words are those of the
simulator's `MeterModel`, computed once per state and then served from memory.
"""

import asyncio
import contextlib
import os
import signal
import struct
import sys
from functools import lru_cache
from typing import cast

import uvloop

from edgegw.common.bundled_files import configs
from firmware_sim.meter import MeterModel, Physics
from tests.bench.processes import say

STEPS = 64  # number of states, so that registers move and all words are cached
_HEADER = struct.Struct(">HHHBBHH")  # transaction, protocol, length, unit, function, address, count


class Meters(asyncio.Protocol):
    """One connection."""

    def __init__(self, model: MeterModel) -> None:
        self._model = model
        self._transport: asyncio.Transport | None = None
        self._waiting = b""
        self._words = lru_cache(maxsize=4096)(self._make_words)
        self._reads: dict[int, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is not a subclass

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        assert self._transport is not None
        data = self._waiting + data
        while len(data) >= _HEADER.size:
            transaction, _, _, unit, function, address, count = _HEADER.unpack_from(data)
            data = data[_HEADER.size :]
            reads = self._reads[unit] = self._reads.get(unit, 0) + 1
            words = self._words(function, address, count, reads // STEPS)
            head = struct.pack(">HHHBBB", transaction, 0, 3 + len(words), unit, function, len(words))
            self._transport.write(head + words)
        self._waiting = data

    def _make_words(self, function: int, address: int, count: int, step: int) -> bytes:
        now = Physics(1_000_000_000 + 10 * step, 0, 0)
        return struct.pack(f">{count}H", *self._model.words(function, address, count, now=now))


async def serve(profile: str) -> None:
    """Serve on a free port, and print it."""
    model = MeterModel(configs() / "meters" / f"{profile}.json", serial="10000001")
    server = await asyncio.get_running_loop().create_server(lambda: Meters(model), "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # there is no state to save
    uvloop.run(serve(sys.argv[1]))
