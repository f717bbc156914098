"""Replaces files of the station, one or several at once, so that a power cut leaves old or new files, or a gateway that waits.

Decides the order in which names change. A marker beside the journal keeps the gateway from starting until all names are
in place. Never deletes what it replaces, and never replaces a database that a process has open.
Source: docs/data.md, Restore; SQLite file format, 1.5 The Lock-Byte Page (a WAL connection holds a shared lock on it).
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgegw.common.error_codes import explained
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import faults_of, give_to_owner_of, sync_folder
from edgegw.common.whole_files import WholeFile, write_whole
from edgegw.store.journal import UNFINISHED, lock_journal

REPLACED = "replaced"
_LOG_SUFFIXES = ("-wal", "-shm", "-journal")
_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """`fresh` is complete, in the folder of `target`, and takes its name."""

    target: Path
    fresh: Path


@contextmanager
def stopped(journal: Path, databases: Sequence[Path] = ()) -> Iterator[None]:
    """Hold the journal's lock and the databases' locks; raises JournalError (EGW-5003) where a process uses one of them.

    This process must have none of the databases open: closing a descriptor drops the locks of a process.
    """
    with ExitStack() as held:
        held.callback(os.close, lock_journal(journal))
        for path in databases:
            _fold_log(path)
        for path in databases:
            held.enter_context(_unused(path))
        yield


def replace_all(journal: Path, replacements: Sequence[Replacement]) -> list[Path]:
    """Set aside each target with its log and put the new file in its place; gives the folders with what was there.

    The caller holds `stopped`. Raises JournalError; once names change, the gateway refuses to start (EGW-5005) until
    a repetition succeeds.
    """
    marker = journal.with_name(journal.name + UNFINISHED)
    folders: list[Path] = []
    with faults_of(journal):
        begun = marker.read_text(encoding="ascii").split() if marker.exists() else []
        begun.append(datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ"))
        try:
            for one in replacements:
                give_to_owner_of(journal.parent, one.fresh)
                _sync(one.fresh)
                sync_folder(one.fresh.parent)
            # From here on the gateway does not start until all names are in place: a database without its own log, or
            # with another one's, must never be opened.
            write_whole(WholeFile(path=marker, content="\n".join(begun).encode()))
        except BaseException:
            for one in replacements:
                one.fresh.unlink(missing_ok=True)
            raise
        for one in replacements:
            aside = _aside(one.target, begun)
            if _set_aside(one.target, aside, owner=journal.parent):
                folders.append(aside)
            one.fresh.rename(one.target)
            sync_folder(one.target.parent)
        marker.unlink()
        sync_folder(journal.parent)
    return list(dict.fromkeys(folders))


def fresh_path(target: Path) -> Path:
    """Where the new file of a target is written."""
    return target.with_name(f".{target.name}.new")


def files_of(path: Path) -> list[Path]:
    """A database's file and its log, those that exist."""
    names = [path, *(path.with_name(path.name + suffix) for suffix in _LOG_SUFFIXES)]
    return [name for name in names if name.exists()]


def _aside(target: Path, begun: Sequence[str]) -> Path:
    """Where the target goes; the folder of an interrupted restore, where its log lies there already without it."""
    folder = target.parent / REPLACED
    for name in begun:
        moved = files_of(folder / name / target.name)
        if moved and folder / name / target.name not in moved:
            return folder / name
    return folder / begun[-1]


def _set_aside(target: Path, aside: Path, *, owner: Path) -> bool:
    """Move the file and its log into a folder, the file itself last; False where there is none."""
    present = files_of(target)
    if not present:
        return False
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (aside.parent, aside):
        give_to_owner_of(owner, folder)
    for file in reversed(present):
        file.rename(aside / file.name)
    for folder in (aside, aside.parent, target.parent):
        sync_folder(folder)
    return True


def _fold_log(path: Path) -> None:
    """Bring the log of a database that nobody uses into its file, so that one rename sets both aside.

    A damaged file moves with its log as it is.
    """
    if path.exists() and len(files_of(path)) > 1:
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


@contextmanager
def _unused(path: Path) -> Iterator[None]:
    """Hold the bytes that each connection to a WAL database holds shared."""
    with faults_of(path):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            descriptor = None
    if descriptor is None:
        yield
        return
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_BYTES, _SHARED_FIRST)
        except (BlockingIOError, PermissionError) as error:
            raise JournalError(explained("EGW-5003", str(path))) from error
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
