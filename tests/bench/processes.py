"""Start the child processes of a benchmark, exchange JSON lines with them, and measure their CPU time and memory.

Linux only: it uses the CPU clock of another process, and /proc.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
END_S = 20.0


@dataclass(slots=True)
class Part:
    """A running process, which prints JSON lines on standard output."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def cpu_s(self) -> float:
        """Return user and system time of all its threads so far (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss_bytes(self) -> int:
        """Return its resident memory now, including shared pages (RSS)."""
        return _rollup(self.pid, "Rss")

    def own_bytes(self) -> int:
        """Return its resident memory that no other process maps (USS)."""
        return _rollup(self.pid, "Private_Clean") + _rollup(self.pid, "Private_Dirty")

    def ask(self, **question: object) -> dict[str, Any]:
        """Send a line and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """Return its next JSON line. Raise RuntimeError if it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended early with {self.process.wait(END_S)}")
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> int:
        """End it with SIGTERM, or SIGKILL after a timeout; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                return self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait(END_S)


@contextlib.contextmanager
def part(
    *arguments: str, environment: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[Part]:
    """Run `python -m ARGUMENTS` until the end of the block; standard error goes to `log` or is inherited."""
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("ab")) if log else None
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        started = Part(process)
        try:
            yield started
        finally:
            started.end()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def say(**answer: object) -> None:
    """Print a JSON line for the parent process."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _rollup(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    row = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(row.split()[1]) * 1024
