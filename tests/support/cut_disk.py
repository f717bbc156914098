"""Model what a disk may hold after a power cut at any system call of an strace.

Only what POSIX guarantees is assumed: writes since a file's last sync may be there or not, in any mixture, and torn at
512-byte sectors; a name that was created, renamed or removed since its folder's last sync may or may not have changed.
SQLite's shared-memory file is left out, because it is rebuilt at each opening. Source: docs/data.md, Durability.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
MODES = ("nothing", "everything", "random", "torn")
CALLS = (
    "openat,pwrite64,pwritev,write,writev,sendto,sendmsg,ftruncate,fsync,fdatasync,unlink,unlinkat,"
    "rename,renameat,renameat2,close"
)
WRITES = {"pwrite64", "pwritev", "write", "writev", "sendto", "sendmsg"}
_SYNCS = {"fsync", "fdatasync"}
_LINE = re.compile(r"(\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)")
_FILE = re.compile(r"^\d+<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


def strace(trace: Path, *command: str) -> list[str]:
    """Return the command line that runs a command under strace, with all its threads and children."""
    return [
        "strace", "-f", "-qq", "-y", "-xx", "-s", "1000000", "--seccomp-bpf", "-o", str(trace),
        "-e", f"trace={CALLS}", "-e", "signal=none", *command,
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One system call at the time at which it counts: a write or send when it begins, a sync when it ends."""

    call: str
    path: str
    content: bytes = b""
    offset: int = 0
    target: str = ""  # of a rename
    empties: bool = False  # an open that truncates


def events_of(trace: Path) -> Iterator[Event]:
    """Yield the events of a trace, in their order."""
    begun: dict[str, tuple[str, str]] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            thread, name, rest = match[1], match["name"], match["rest"]
            if match["resumed"] is not None:
                name, before = begun.pop(thread, ("", ""))
                if name in _SYNCS and "= 0" in rest:
                    yield from _event(name, before)
            elif rest.endswith("<unfinished ...>"):
                begun[thread] = name, rest
                if name not in _SYNCS:
                    yield from _event(name, rest)
            elif " = -1 " not in rest:
                yield from _event(name, rest)


def _event(name: str, rest: str) -> Iterator[Event]:
    """Yield the event of a traced call, if it concerns a file or socket."""
    if name == "close":
        return
    file = _FILE.match(rest)
    if file is None:
        texts = [_plain(found[1]).decode() for found in _TEXT.finditer(rest)]
        assert name in {"openat", "unlink", "unlinkat", "rename", "renameat", "renameat2"}, (name, rest[:200])
        if name != "openat" or "O_CREAT" in rest:
            target = texts[1] if name.startswith("rename") else ""
            yield Event(call=name, path=texts[0], target=target, empties="O_TRUNC" in rest)
        return
    path = _plain(file[1]).decode()
    if name in WRITES:
        content = b"".join(_plain(found[1]) for found in _TEXT.finditer(rest, file.end()))
        numbers = re.findall(r", (\d+)", rest)
        offset = int(numbers[1]) if name == "pwrite64" else 0
        assert name != "pwrite64" or int(numbers[0]) == len(content), "strace cut a write short"
        yield Event(call=name, path=path, content=content, offset=offset)
    elif name == "ftruncate":
        yield Event(call=name, path=path, offset=int(re.findall(r"\d+", rest[file.end() :])[0]))
    elif name in _SYNCS:
        yield Event(call="sync", path=path)


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()


@dataclass
class Inode:
    """A file's content: as of its last sync, and the writes since."""

    sure: bytes = b""
    pending: list[Event] = field(default_factory=list)

    def sync(self) -> None:
        """Make all writes durable."""
        self.sure = self.image("everything", random.Random(0))
        self.pending.clear()

    def image(self, mode: str, chance: random.Random) -> bytes:
        """Return a content that the file may have after a power cut now."""
        content = bytearray(self.sure)
        for event in self.pending:
            if mode == "nothing" or (mode == "random" and chance.random() < 0.5):
                continue
            if event.call == "ftruncate":
                if mode != "torn" or chance.random() < 0.5:
                    _resize(content, event.offset)
                continue
            for start in range(0, len(event.content), SECTOR):
                if mode != "torn" or chance.random() < 0.5:
                    _put(content, event.offset + start, event.content[start : start + SECTOR])
        return bytes(content)


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _put(content: bytearray, offset: int, piece: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(piece)] = piece


@dataclass
class Change:
    """Names that change together, and the folders whose sync makes that durable."""

    names: dict[str, Inode | None]
    folders: set[str]


class Disk:
    """The files below a folder: durable names (relative to it) with their inodes, and pending changes.

    Files whose names begin otherwise than `ours` stay as they were.
    """

    def __init__(
        self, folder: Path, before: Mapping[str, bytes], *, ours: tuple[str, ...] = ("station",)
    ) -> None:
        self._folder = f"{folder}/"
        self._beginnings = ours
        self._sure = {name: Inode(sure=content) for name, content in before.items()}
        self._names = dict(self._sure)
        self._changes: list[Change] = []

    def take(self, event: Event) -> bool:
        """Apply an event; return False if it changes no file of the journal."""
        if event.call == "sync" and self._sync_folder(f"{event.path}/".removeprefix(self._folder)):
            return True
        name = event.path.removeprefix(self._folder)
        if name == event.path or not self._ours(name):
            return False
        assert event.call not in {"renameat", "renameat2", "unlinkat", "pwritev", "writev"}, event.call
        inode = self._names.get(name)
        if event.call == "openat":
            if inode is None:
                self._change({name: Inode()})
            elif event.empties:
                inode.pending.append(Event(call="ftruncate", path=event.path))
            return inode is None or event.empties
        if event.call == "unlink":
            self._change({name: None})
        elif event.call == "rename":
            self._change({name: None, event.target.removeprefix(self._folder): inode})
        elif event.call == "sync":
            assert inode is not None, event.path
            inode.sync()
        else:
            assert inode is not None, event.path
            if event.call == "write":
                length = len(inode.image("everything", random.Random(0)))
                event = Event(call="write", path=event.path, content=event.content, offset=length)
            inode.pending.append(event)
        return True

    def _ours(self, name: str) -> bool:
        last = name.rpartition("/")[2].lstrip(".")
        return last.startswith(self._beginnings) and not last.endswith(("-shm", ".lock"))

    def _change(self, names: dict[str, Inode | None]) -> None:
        for name, inode in names.items():
            if inode is None:
                self._names.pop(name, None)
            else:
                self._names[name] = inode
        self._changes.append(Change(names, {name.rpartition("/")[0] for name in names}))

    def _sync_folder(self, path: str) -> bool:
        """Make a folder's names durable; return False if it is not a folder or has no pending change."""
        folder = path.strip("/")
        known = {name.rpartition("/")[0] for name in (*self._names, *self._sure)}
        if folder not in known and folder:
            return False
        waiting = [change for change in self._changes if folder in change.folders]
        for change in waiting:
            change.folders.discard(folder)
            if not change.folders:
                self._changes.remove(change)
                _apply(self._sure, change)
        return bool(waiting)

    def image(self, mode: str, chance: random.Random) -> dict[str, bytes]:
        """Return all files as they may be after a power cut now.

        `mode` "random": a prefix of the pending changes of names, as on a journalling file system; "torn": any subset of
        them, which is all that POSIX guarantees.
        """
        taken = self._changes
        if mode in {"nothing", "random"}:
            taken = taken[: 0 if mode == "nothing" else chance.randint(0, len(taken))]
        elif mode == "torn":
            taken = [change for change in taken if chance.random() < 0.5]
        names = dict(self._sure)
        for change in taken:
            _apply(names, change)
        return {name: inode.image(mode, chance) for name, inode in sorted(names.items())}


def _apply(names: dict[str, Inode], change: Change) -> None:
    for name, inode in change.names.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode
