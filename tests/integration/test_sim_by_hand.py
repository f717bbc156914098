"""`firmware-sim charger` as a person runs it to try a gateway."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.background import in_background
from tests.support.patience import PATIENCE_S


@asynccontextmanager
async def by_hand(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`firmware-sim charger`, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *in_background(sys.executable, "-m", "firmware_sim", "charger", "--id", "CP-1", *arguments),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_whoever_plays_a_charger_is_told_what_keeps_it_out() -> None:
    """A refused connection says why, once, and Ctrl-C ends the command, also as a background job; a meter's port that is taken ends the command without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with asyncio.timeout(PATIENCE_S), by_hand("--csms", "http://127.0.0.1:1/ocpp") as process:
            assert process.stderr is not None
            told = (await process.stderr.readline()).decode()
            assert told.startswith("CP-1: http://127.0.0.1:1/ocpp/CP-1: ")
            assert "scheme isn't ws or wss" in told
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
        meter = ("--meter-profile", "abb-b23", "--meter-port", port)
        async with asyncio.timeout(PATIENCE_S), by_hand("--csms", "ws://127.0.0.1:1/ocpp", *meter) as process:
            _, errors = await process.communicate()
    assert process.returncode == 1
    assert f"127.0.0.1:{port}: is the port in use?" in errors.decode()
    assert "Traceback" not in errors.decode()
