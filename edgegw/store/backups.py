"""Examine, back up and restore the journal.

Decides the order in which files are moved, so that at any time either the old or the new journal is complete in its
place, or the gateway refuses to start. Never deletes what it replaces, and never writes to a file in use.
Source: docs/data.md, Backups and migrations, Restore.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgegw.common.sqlite import (
    Backups,
    back_up,
    check,
    copy_durably,
    faults_of,
    give_to_owner_of,
    one,
    open_reader,
    pragma,
    sync_folder,
)
from edgegw.store.hash_chain import broken_seq, require_chain
from edgegw.store.journal import UNFINISHED, lock_journal
from edgegw.store.migrations import JOURNAL

REPLACED = "replaced"
RESTORE_ROW = "restores/journal"  # `core.state.Restore`; the first step after the restore removes it
_LOG_SUFFIXES = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The content of a journal or of a copy; `broken_seq` is the first altered fact, or None."""

    size_bytes: int
    schema_version: int
    facts: int
    last_fact_ns: int | None
    broken_seq: int | None


def examine(path: Path) -> Examined:
    """Read a whole journal of this or an older schema, even while it is in use; raise JournalError."""
    with closing(open_reader(path, JOURNAL, older=True)) as db, faults_of(path):
        version = pragma(db, "user_version")
        last = one(db, "SELECT seq, body FROM facts ORDER BY seq DESC LIMIT 1")
        broken = broken_seq(db)
    assert isinstance(version, int)
    seq, body = last or (0, "{}")
    assert isinstance(seq, int)
    assert isinstance(body, str)
    return Examined(
        size_bytes=sum(file.stat().st_size for file in _files(path)),
        schema_version=version,
        facts=seq,
        last_fact_ns=json.loads(body).get("at_ns"),
        broken_seq=broken,
    )


def make_backup(path: Path, *, kept: int) -> Path:
    """Make a verified copy in `backups/` beside a running gateway, and keep the newest `kept`; raise JournalError."""
    return back_up(path, JOURNAL, Backups(kept=kept, verify=require_chain))


def require_sound(path: Path) -> None:
    """Raise JournalError if a copy has a newer schema, is damaged, or its hash chain is broken."""
    check(path, JOURNAL, require_chain)


def put_back(path: Path, source: Path) -> Path | None:
    """Replace the journal by a copy of `source`, and record in it that the gateway must reconcile first.

    Returns the folder with the replaced files, or None if there were none. Raises JournalError if the gateway runs
    (EGW-5003) or the source is not sound; the journal is then unchanged.
    """
    with _locked(path):
        require_sound(source)
        fresh = path.with_name(f".{path.name}.new")
        copy_durably(source, fresh, schema=JOURNAL, verify=require_chain)
        with faults_of(fresh):
            give_to_owner_of(path.parent, fresh)
            _note_restore(fresh, source)
        marker = path.with_name(path.name + UNFINISHED)
        with faults_of(path):
            # From here on the gateway does not start until all files are in place: a journal must never be opened
            # without its own write-ahead log, or with another journal's.
            aside = _aside(path, marker)
            marker.touch(mode=0o600)
            marker.write_text(aside.name, encoding="ascii")
            _sync_all(fresh, marker, folder=path.parent)
            kept = _set_aside(path, aside)
            fresh.rename(path)
            sync_folder(path.parent)
            marker.unlink()
            sync_folder(path.parent)
    return aside if kept else None


def _note_restore(fresh: Path, source: Path) -> None:
    row = json.dumps({"source": source.name, "at_ns": time.time_ns()}, separators=(",", ":"))
    with closing(sqlite3.connect(fresh)) as db, db:
        db.execute(
            "INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            (RESTORE_ROW, row),
        )


def _aside(path: Path, marker: Path) -> Path:
    """Return the folder for replaced files: that of an interrupted restore, which may hold the log, or a new one."""
    folder = path.parent / REPLACED
    begun = marker.read_text(encoding="ascii") if marker.exists() else ""
    if begun and not (folder / begun / path.name).exists():
        return folder / begun
    return folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def _set_aside(path: Path, aside: Path) -> bool:
    """Move the journal and its log into `aside`, the journal last; return False if there is none."""
    present = _files(path)
    if not present:
        return False
    aside.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (aside.parent, aside):
        give_to_owner_of(path.parent, folder)
    for file in reversed(present):
        file.rename(aside / file.name)
    for folder in (aside, aside.parent, path.parent):
        sync_folder(folder)
    return True


def _files(path: Path) -> list[Path]:
    names = [path, *(path.with_name(path.name + suffix) for suffix in _LOG_SUFFIXES)]
    return [name for name in names if name.exists()]


def _sync_all(*files: Path, folder: Path) -> None:
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_folder(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = lock_journal(path)
    try:
        yield
    finally:
        os.close(lock)
