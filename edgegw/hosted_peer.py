"""The embedded peer as a child process of the daemon: started first, started again when it dies, ended with us.

Decides nothing about the ledger. Its own folder holds its blocks and keys; only its ready line is read.
"""

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from edgegw.errors import EdgegwError
from edgegw.ops.logs import log_event

READY_S = 30.0
AGAIN_S = 1.0
END_S = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In a child before exec: the kernel kills it when we die, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class PeerFailedError(EdgegwError):
    """The peer did not come up."""

    hint = "try: edgegw peer --data DIR --listen HOST:PORT"


@contextlib.asynccontextmanager
async def hosted_peer(data: Path, endpoint: str) -> AsyncIterator[None]:
    """A peer at `endpoint` for as long as the context lasts; raises PeerFailedError when it does not start."""
    process = await _start(data, endpoint)
    keeper = asyncio.create_task(_keep(process, data, endpoint), name="peer keeper")
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def _start(data: Path, endpoint: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edgegw.peer", "--data", str(data), "--listen", endpoint,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        await _end(process)
        raise PeerFailedError(f"the embedded peer in {data} did not start at {endpoint}")
    log_event("peer.started", {"endpoint": endpoint})
    return process


async def _keep(process: asyncio.subprocess.Process, data: Path, endpoint: str) -> None:
    """Start it again for as long as we live."""
    try:
        while True:
            code = await process.wait()
            log_event("peer.lost", {"exit_status": code}, level="warning")
            await asyncio.sleep(AGAIN_S)
            with contextlib.suppress(PeerFailedError):
                process = await _start(data, endpoint)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
