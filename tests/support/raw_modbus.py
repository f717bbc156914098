"""A Modbus TCP server that answers what a test makes of the request, byte by byte."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = Callable[[bytes], Awaitable[bytes | None]]


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[int]:
    """A TCP server that answers each Modbus TCP request with the given bytes; None closes the connection."""
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                reply = await answer(await reader.readexactly(12))
                if reply is None:
                    break
                writer.write(reply)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def answer_frame(
    request: bytes, registers: list[int], *, fc: int | None = None, unit: int | None = None
) -> bytes:
    """A Modbus TCP answer to `request` with any registers, function code and unit."""
    data = struct.pack(f">B{len(registers)}H", 2 * len(registers), *registers)
    head = bytes([request[6] if unit is None else unit, request[7] if fc is None else fc])
    return request[:4] + struct.pack(">H", len(head + data)) + head + data
