"""Memory goes back to the kernel: what a thread needed for a moment does not stay resident."""

import asyncio
import contextlib
import ctypes
import json
import subprocess
import sys

import pytest

from edgegw.ops import memory
from tests.support.patience import PATIENCE_S

HASHED = """
import json, threading
from edgegw.common.passwords import hash_password
from edgegw.ops.memory import return_memory
return_memory()
def resident_kib():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))
hash_password("first")
before = resident_kib()
for _ in range(4):
    thread = threading.Thread(target=hash_password, args=("x",))
    thread.start()
    thread.join()
print(json.dumps(resident_kib() - before))
"""


def test_hashing_a_password_leaves_nothing_behind() -> None:
    """Each of four threads needed 19 MiB for its hash; together they keep less than a quarter of one."""
    said = subprocess.run(
        [sys.executable, "-c", HASHED], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert json.loads(said.stdout) < 4 * 1024


async def test_free_pages_are_returned_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trimmer trims soon after the start and then at its period, until it is cancelled."""
    trimmed = asyncio.Event()
    pads: list[int] = []

    class Library:
        def malloc_trim(self, pad: int) -> int:
            pads.append(pad)
            if len(pads) == 3:
                loop.call_soon_threadsafe(trimmed.set)
            return 1

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library())
    monkeypatch.setattr(memory, "FIRST_S", 0.0)
    monkeypatch.setattr(memory, "EVERY_S", 0.0)
    task = asyncio.create_task(memory.keep_returning())
    async with asyncio.timeout(PATIENCE_S):
        await trimmed.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert set(pads) == {0}


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mallopt nothing is changed."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory.return_memory()
