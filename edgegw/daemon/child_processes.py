"""Hosts the daemon's child processes, the embedded peer and the sandbox's participants: starts, restarts and ends them.

Decides when a child is restarted and the pause before it. Knows of a child only that it writes a line to standard output
when it is ready.
"""

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from edgegw.common.errors import EdgegwError
from edgegw.ops.logs import log_event

READY_S = 30.0
AGAIN_S = 1.0
AGAIN_S_MAX = 60.0
END_S = 10.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Call in a child before exec: the kernel kills it when its parent ends, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class PeerFailedError(EdgegwError):
    """The embedded peer did not start."""

    hint = "run the peer alone to see its messages: edgegw peer --data DIR --listen HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildProcess:
    """A child process: `python -m ARGUMENTS`.

    `ready_s`: real seconds in which it must be ready; None: no limit. `lost` is called with its exit status, None where it
    could not be started.
    """

    arguments: tuple[str, ...]
    ready_s: float | None
    started: Callable[[], None]
    lost: Callable[[int | None], None]


@contextlib.asynccontextmanager
async def hosted_peer(data: Path, endpoint: str) -> AsyncIterator[None]:
    """Run a peer at `endpoint` for the duration of the context; raises PeerFailedError where it does not start."""
    peer = ChildProcess(
        arguments=("edgegw.peer", "--data", str(data), "--listen", endpoint),
        ready_s=READY_S,
        started=lambda: log_event("peer.started", {"endpoint": endpoint}),
        lost=lambda code: log_event("peer.lost", {"exit_status": code}, level="warning"),
    )
    process = await _spawn(peer)
    if not await _is_ready(peer, process):
        raise PeerFailedError(f"the embedded peer in {data} did not start at {endpoint}")
    async with _kept(peer, process):
        yield


@contextlib.asynccontextmanager
async def hosted_participants(settings: Path) -> AsyncIterator[None]:
    """Run the other organisations' roles for the duration of the context, without waiting until they are ready."""
    participants = ChildProcess(
        arguments=("edgegw.participants", "--config", str(settings)),
        ready_s=None,
        started=lambda: log_event("participants.started", {"settings": str(settings)}),
        lost=lambda code: log_event("participants.lost", {"exit_status": code}, level="warning"),
    )
    async with _kept(participants, None):
        yield


@contextlib.asynccontextmanager
async def _kept(child: ChildProcess, process: asyncio.subprocess.Process | None) -> AsyncIterator[None]:
    keeper = asyncio.create_task(_keep(child, process), name=f"keeper of {child.arguments[0]}")
    # Let the task begin before anything can cancel it: a task that never began does not end the process.
    await asyncio.sleep(0)
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper


async def _keep(child: ChildProcess, process: asyncio.subprocess.Process | None) -> None:
    """Restart the child until cancelled, with a pause that doubles while it does not become ready."""
    pause_s = AGAIN_S
    try:
        while True:
            if process is None:
                with contextlib.suppress(OSError):  # no memory or process left: retry as after an exit
                    process = await _spawn(child)
                if process is not None and await _is_ready(child, process):
                    pause_s = AGAIN_S
            child.lost(None if process is None else await _end_of(process))
            process = None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, AGAIN_S_MAX)
    finally:
        if process is not None:
            await _end(process)


async def _spawn(child: ChildProcess) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *child.arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


async def _is_ready(child: ChildProcess, process: asyncio.subprocess.Process) -> bool:
    """Return whether the child became ready in time; end it otherwise."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(child.ready_s):
            line = await process.stdout.readline()
            if not line:  # it exits by itself: a signal now could change its exit status
                await process.wait()
                return False
    except TimeoutError:
        await _end(process)
        return False
    child.started()
    return True


async def _end_of(process: asyncio.subprocess.Process) -> int:
    """Wait for the child's exit and return its status; discard the rest of its output."""
    assert process.stdout is not None
    while await process.stdout.read(1 << 16):
        pass
    return await process.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
