"""Proxy connections to a peer, so that a test can interrupt them; two proxies of one ledger act as two peers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Door:
    """A TCP proxy. `shut` resets and refuses connections, as a killed process does; `hang` stops passing bytes."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.endpoint = ""
        self.connections = 0

    async def open(self) -> None:
        """Listen, after a `shut` at the same address as before."""
        port = int(self.endpoint.rpartition(":")[2] or 0)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def shut(self) -> None:
        """Reset open connections and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._passing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang(self) -> None:
        """Keep connections open, but pass nothing any more."""
        self._passing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            there, thither = await asyncio.open_connection(self._host, self._port)
            self._writers.add(thither)
            await asyncio.gather(self._pass(reader, thither), self._pass(there, writer))
        except OSError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                await self._passing.wait()
                sink.write(piece)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def doors(target: str, count: int = 2) -> AsyncIterator[list[Door]]:
    """Open `count` proxies to one peer."""
    made = [Door(target) for _ in range(count)]
    for door in made:
        await door.open()
    try:
        yield made
    finally:
        for door in made:
            await door.shut()
