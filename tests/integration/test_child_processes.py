"""Child processes are started again when they end, with growing delays while they never serve, and end with the daemon."""

import asyncio
import os

import pytest

from edgegw.daemon import child_processes
from edgegw.daemon.child_processes import ChildProcess, PeerFailedError, hosted_peer
from tests.support.patience import PATIENCE_S


def child(told: list[str], source: str, *, ready_s: float | None = None) -> ChildProcess:
    """`python -m timeit` runs one statement as a process."""
    return ChildProcess(
        arguments=("timeit", "-n1", "-r1", source),
        ready_s=ready_s,
        started=lambda: told.append("started"),
        lost=lambda code: told.append(f"lost {code}"),
    )


async def until(told: list[str], count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(told) < count:  # noqa: ASYNC110 - the list belongs to callbacks
            await asyncio.sleep(0.01)


async def test_a_child_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start is logged when the child serves, each end with its exit status."""
    monkeypatch.setattr(child_processes, "AGAIN_S", 0.01)
    told: list[str] = []
    async with child_processes._kept(child(told, "print(1)"), None):
        await until(told, 4)
    assert told[:4] == ["started", "lost 0", "started", "lost 0"]


async def test_a_child_that_never_serves_is_tried_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that never serves is started after growing delays, and never logged as started."""
    told: list[str] = []
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def no_sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        await sleep(0 if len(pauses) < 5 else 60)

    monkeypatch.setattr(child_processes, "AGAIN_S_MAX", 2.0)
    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    async with child_processes._kept(child(told, "raise ValueError"), None), asyncio.timeout(PATIENCE_S):
        while len(pauses) < 5:
            await sleep(0.01)
    assert told == ["lost 1"] * 4
    assert pauses == [0, 1.0, 2.0, 2.0, 2.0]


async def test_a_machine_without_room_for_a_child_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed start counts as an early end: it is logged and repeated."""
    told: list[str] = []
    spawn, refusals = child_processes._spawn, [BlockingIOError(11, "no process left")]

    async def sometimes(wanted: ChildProcess) -> asyncio.subprocess.Process:
        if refusals:
            raise refusals.pop()
        return await spawn(wanted)

    monkeypatch.setattr(child_processes, "AGAIN_S", 0.01)
    monkeypatch.setattr(child_processes, "_spawn", sometimes)
    async with child_processes._kept(child(told, "print(1)"), None):
        await until(told, 3)
    assert told[:3] == ["lost None", "started", "lost 0"]


async def test_a_hosted_child_ends_with_its_host() -> None:
    """A running child is ended with its context; one that is silent too long is ended and logged as lost."""
    told: list[str] = []
    source = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    kept = child(told, source)
    process = await child_processes._spawn(kept)
    assert await child_processes._is_ready(kept, process)
    async with child_processes._kept(kept, process):
        os.kill(process.pid, 0)
    assert process.returncode is not None
    silent = child(told, "import time; time.sleep(60)", ready_s=0.2)
    process = await child_processes._spawn(silent)
    assert not await child_processes._is_ready(silent, process)
    assert process.returncode is not None
    assert told == ["started"]


async def test_a_peer_that_cannot_start_is_a_fault(tmp_path: object) -> None:
    """The daemon does not run beside a peer that never came up."""
    with pytest.raises(PeerFailedError, match="did not start"):
        async with hosted_peer(tmp_path, "no address"):  # type: ignore[arg-type]  # pytest's own path
            pass
