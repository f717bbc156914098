"""Start the demo's child processes, read their messages and end them.

No child outlives its parent, however the parent ends. Each has a log file; its standard output is read as JSON lines.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.common.errors import EdgegwError
from edgegw.daemon.child_processes import die_with_parent

END_S = 10.0
_LINE_BYTES_MAX = 1 << 24


class ChildFailedError(EdgegwError):
    """A child ended by itself or did not send an awaited message in time; its log has the reason."""


@dataclass(slots=True, eq=False)
class Child:
    """A running process of the demo."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def say(self, key: str, timeout_s: float) -> dict[str, Any]:
        """Return the next JSON line of its output that has `key`. Raise ChildFailedError after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._next_with(key)
        except TimeoutError:
            raise ChildFailedError(f"{self.name} did not get to {key!r} in {timeout_s:.0f} s") from None

    async def _next_with(self, key: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict) and key in message:
                    return message
        raise self.failure()

    def failure(self) -> ChildFailedError:
        """Return the exception for its early end, with the last lines of its log."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            return ChildFailedError(f"{self.name} ended early:\n" + "\n".join(lines))
        return ChildFailedError(f"{self.name} ended early")

    def check(self) -> None:
        """Raise ChildFailedError if it has ended."""
        if self.process.returncode is not None:
            raise self.failure()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self, timeout_s: float = END_S) -> int:
        """End it with SIGTERM, after `timeout_s` with SIGKILL to its group; return its exit status."""
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(timeout_s):
                    return await self.process.wait()
            except TimeoutError:
                pass
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.process.pid, signal.SIGKILL)
        return await self.process.wait()


class ChildProcesses:
    """Starts children, and ends those that still run, the last one first."""

    def __init__(self, logs: Path) -> None:
        self.children: list[Child] = []
        self._logs = logs

    async def start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        heard: bool = True,
    ) -> Child:
        """Start `python -m ARGUMENTS` in its own session, so that Ctrl-C reaches only the parent.

        With `heard` False, standard output goes to its log and cannot be read with `Child.say`.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if heard else errors,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=die_with_parent,
                limit=_LINE_BYTES_MAX,
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    async def end_all(self) -> None:
        """End the children that still run: first the last started, which depends on the others, then these together."""
        if self.children:
            await self.children[-1].end()
        await asyncio.gather(*(child.end() for child in self.children[:-1]))


@asynccontextmanager
async def nursery(logs: Path) -> AsyncIterator[ChildProcesses]:
    """Yield a ChildProcesses whose children end with the block."""
    children = ChildProcesses(logs)
    try:
        yield children
    finally:
        await asyncio.shield(children.end_all())
