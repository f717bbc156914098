"""Start, signal and end a network's processes, recorded in files so that another command can end them.

A process is identified by its pid and start time, so that a reused pid is not mistaken for it. A process that does not
end on SIGTERM is killed. `pids/<name>.json` exists while the process is believed to run; each process has its own log.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegw.daemon.child_processes import die_with_parent
from edgegw.devnet.programs import DevnetError

END_S = 10.0
_LOG_LINES = 5
_OURS: dict[int, "subprocess.Popen[bytes]"] = {}  # children of this process, which must reap them


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes recorded below a folder; with `tied`, processes it starts are killed when this process ends."""

    folder: Path
    tied: bool = False

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, cwd: Path) -> None:
        """Start a process in its own session; raise DevnetError if one of that name is running."""
        if self.pid(name) is not None:
            raise DevnetError(f"{name} is already running")
        for place in (self._pids, self.log(name).parent, cwd):
            place.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the network's own programs
                tuple(command),
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent if self.tied else None,  # noqa: PLW1509 - one prctl, no lock taken
            )
        _OURS[process.pid] = process
        said = {"pid": process.pid, "started": _started(process.pid)}
        (self._pids / f"{name}.json").write_text(json.dumps(said) + "\n", encoding="ascii")

    @property
    def names(self) -> list[str]:
        """The names of processes started and not yet ended, in start order."""
        files = sorted(self._pids.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [path.stem for path in files]

    @property
    def _pids(self) -> Path:
        return self.folder / "pids"

    def log(self, name: str) -> Path:
        """Return the file that receives a process's output."""
        return self.folder / "logs" / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """Return the pid of a process, or None if it is not running."""
        try:
            said = json.loads((self._pids / f"{name}.json").read_text(encoding="ascii"))
            pid = int(said["pid"])
            started = said["started"]
        except (OSError, ValueError, KeyError):
            return None
        child = _OURS.get(pid)
        if child is not None and child.poll() is not None:
            return None
        return pid if started is not None and _started(pid) == started else None

    def failure(self, name: str) -> DevnetError:
        """Return the exception for a process that ended early, with the end of its log."""
        try:
            lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return DevnetError("\n".join((f"{name} ended early:", *lines[-_LOG_LINES:])))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process if it is running."""
        with self._held(name) as descriptor:
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, number)

    def end(self, names: Sequence[str], *, timeout_s: float = END_S) -> None:
        """End these processes: SIGTERM to all, SIGKILL after `timeout_s` to the rest; then remove their files."""
        for name in names:
            self.signal(name, signal.SIGTERM)
        for name in names:
            if not self._gone(name, timeout_s):
                self.signal(name, signal.SIGKILL)
                self._gone(name, timeout_s)
            self.forget(name)

    def forget(self, name: str) -> None:
        """Reap a process that has ended, and remove its file."""
        file = self._pids / f"{name}.json"
        try:
            pid = int(json.loads(file.read_text(encoding="ascii"))["pid"])
        except (OSError, ValueError, KeyError):
            pid = 0
        child = _OURS.pop(pid, None)
        if child is not None:
            child.wait(END_S)
        file.unlink(missing_ok=True)

    def _gone(self, name: str, timeout_s: float) -> bool:
        with self._held(name) as descriptor:
            return descriptor is None or bool(select.select([descriptor], [], [], timeout_s)[0])

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[int | None]:
        """Yield a pidfd, which a reused pid cannot replace, or None if the process is not running."""
        pid = self.pid(name)
        try:
            descriptor = None if pid is None else os.pidfd_open(pid)
        except ProcessLookupError:
            descriptor = None
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _started(pid: int) -> int | None:
    """Return a process's start time in ticks since boot; None if it does not exist or is a zombie (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
