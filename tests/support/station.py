"""Run `edgegw` commands and the daemon as separate processes, as on an installed station, and read the daemon's log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.background import in_background
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


async def edgegw(*arguments: str, status: int = 0) -> Any:
    """Run a command, check its exit status, and return what it prints, as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.cli", *arguments, "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == status, errors.decode()
    return json.loads(out) if out else errors.decode()


@dataclass
class Daemon:
    """A running `edgegw run` and its log so far."""

    process: asyncio.subprocess.Process
    log: list[Mapping[str, Any]] = field(default_factory=list)

    async def listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            said = json.loads(line) if line.startswith(b"{") else {"event": "", "text": line.decode()}
            self.log.append(said)

    async def says(self, event: str, count: int = 1) -> list[Mapping[str, Any]]:
        async with asyncio.timeout(PATIENCE_S):
            while len(found := [one for one in self.log if one["event"] == event]) < count:
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def daemon(config: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Daemon]:
    """Run the daemon as a background job; at the end SIGINT shuts it down and its exit status must be 0."""
    process = await asyncio.create_subprocess_exec(
        *in_background(sys.executable, "-m", "edgegw.cli", "run", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
    )
    running = Daemon(process)
    listening = asyncio.create_task(running.listen())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0, running.log
        await listening
