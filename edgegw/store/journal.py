"""Store the station's state: an append-only, hash-chained list of facts, and the current state as rows.

Decides when data is durable: all waiting calls share one transaction and one fsync, and return after it. Never writes
after an error, because a failed fsync may have dropped pages, so that a later one proves nothing. One exception: a
full disk, once, after space was freed (`_write`).
Source: docs/reliability.md, SQLite; ports.Journal.
"""

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.error_codes import explained
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import (
    Backups,
    faults_of,
    give_to_owner_of,
    is_full,
    one,
    open_writer,
)
from edgegw.ports.gateway import Fact
from edgegw.store.hash_chain import GENESIS, broken_seq, link, require_chain
from edgegw.store.migrations import JOURNAL

_CHECKED_AT_START = 1000
_LAST_CHARACTER = chr(0x10FFFF)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
UNFINISHED = ".restoring"  # suffix of the marker of an unfinished restore: `station.db.restoring`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """The facts and rows of one call, and the future that completes with their commit."""

    facts: Sequence[tuple[str, str]]  # kind, body
    rows: Mapping[str, str | None]
    committed: asyncio.Future[None]


class SqliteJournal:
    """`ports.Journal` over one SQLite file. Calls that wait while a commit runs share the next one.

    One worker thread owns the only writing connection. A lock file prevents a second gateway from opening the journal.
    """

    def __init__(
        self, path: Path, *, backups_kept: int = 5, make_room: Callable[[], bool] = lambda: False
    ) -> None:
        """Open the file, migrate it after a backup, and check the newest facts' chain; raise JournalError.

        `make_room` is called in the journal's thread when the disk is full, and returns whether it freed space.
        """
        self._path = path
        self._make_room = make_room
        self._waiting: list[_Batch] = []
        self._writing = False
        self._fault: JournalError | None = None
        self._lock = lock_journal(path)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            self._db, self._seq, self._sha = self._worker.submit(self._open, backups_kept).result()
        except BaseException:
            self._worker.shutdown()
            os.close(self._lock)
            raise

    def _open(self, backups_kept: int) -> tuple[Database, int, bytes]:
        """Open the file in the worker; retry once after `make_room`, as each start would fail on a full disk."""
        try:
            return _open(self._path, backups_kept)
        except JournalError as fault:
            if not is_full(fault.__cause__) or not self._make_room():
                raise
            return _open(self._path, backups_kept)

    async def commit(self, facts: Sequence[Fact], rows: Mapping[str, str | None]) -> None:
        """Return when facts and rows are durable; a row of None is deleted.

        A caller that is cancelled must treat the outcome as unknown. Raises TypeError for a float in a fact (nothing
        is written), and JournalError if the file cannot be written, then for every later call too.
        """
        if self._fault is not None:
            raise self._fault
        if not facts and not rows:
            return
        loop = asyncio.get_running_loop()
        lines = [(fact.kind, canonical(fact.body)) for fact in facts]
        batch = _Batch(facts=lines, rows=dict(rows), committed=loop.create_future())
        self._waiting.append(batch)
        if not self._writing:
            self._write_waiting()
        await batch.committed

    async def prove(self) -> None:
        """Return once the worker is free; raise JournalError if an earlier write failed."""
        await asyncio.wrap_future(self._worker.submit(lambda: None))
        if self._fault is not None:
            raise self._fault

    def rows(self, prefix: str) -> Mapping[str, str]:
        """Return the committed state rows with a key prefix. Blocks; for use at start."""
        return self._worker.submit(rows_of, self._db, prefix).result()

    def close(self) -> None:
        """Finish the running commit, close the file and release the lock."""
        self._worker.submit(self._db.close)
        self._worker.shutdown()
        os.close(self._lock)

    def _write_waiting(self) -> None:
        batches, self._waiting = self._waiting, []
        self._writing = True
        written = asyncio.get_running_loop().run_in_executor(self._worker, self._write, batches)
        written.add_done_callback(partial(self._after_write, batches))

    def _after_write(self, batches: Sequence[_Batch], written: asyncio.Future[None]) -> None:
        """Complete the calls of this transaction on the event loop, then start the next one."""
        self._writing = False
        error = None if written.cancelled() else written.exception()
        if error is not None:
            self._fault = JournalError(f"{self._path}: {error}")
            self._fault.__cause__ = error
            batches, self._waiting = [*batches, *self._waiting], []
        for batch in batches:
            if batch.committed.done():  # its caller was cancelled
                continue
            if self._fault is None:
                batch.committed.set_result(None)
            else:
                batch.committed.set_exception(self._fault)
        if self._waiting:
            self._write_waiting()

    def _write(self, batches: Sequence[_Batch]) -> None:
        """Write all batches in one transaction in the worker; on a full disk retry once after `make_room`.

        SQLITE_FULL comes from a write that the file system rejected: the page was never in its cache, SQLite has
        rolled back the transaction and not called fsync, so it is safe to write the transaction again. After a failed
        fsync (EIO) it is not: Linux marks the dirty pages clean, so that the next fsync succeeds although they never
        reached the disk.
        """
        try:
            self._write_once(batches)
        except sqlite3.OperationalError as error:
            if not is_full(error) or not self._make_room():
                raise
            self._write_once(batches)

    def _write_once(self, batches: Sequence[_Batch]) -> None:
        """Write all batches in one transaction, in the order of the calls."""
        seq, sha = self._seq, self._sha
        facts: list[tuple[int, str, str, bytes, bytes]] = []
        rows: dict[str, str | None] = {}
        for batch in batches:
            for kind, body in batch.facts:
                seq, prev = seq + 1, sha
                sha = link(prev, seq, kind=kind, body=body)
                facts.append((seq, kind, body, prev, sha))
            rows.update(batch.rows)
        kept = [(key, body) for key, body in rows.items() if body is not None]
        gone = [(key,) for key, body in rows.items() if body is None]
        with self._db.atomic():
            run = self._db.conn.executemany
            run("INSERT INTO facts (seq, kind, body, prev, sha) VALUES (?, ?, ?, ?, ?)", facts)
            run("INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body", kept)
            run("DELETE FROM rows WHERE key = ?", gone)
        self._seq, self._sha = seq, sha


def canonical(body: Mapping[str, object]) -> str:
    """Return a fact's body as ASCII JSON, keys sorted, no spaces; raise TypeError for a float or non-JSON value."""
    _refuse_float(body)
    return _ENCODER.encode(body)


def rows_of(db: Database, prefix: str) -> Mapping[str, str]:
    """Return the committed rows whose key starts with `prefix`, by key."""
    found = db.execute(
        "SELECT key, body FROM rows WHERE key >= ? AND key < ? ORDER BY key",
        (prefix, prefix + _LAST_CHARACTER),
    )
    return dict(found.fetchall())


def _refuse_float(value: object) -> None:
    if isinstance(value, float):
        raise TypeError(f"a fact holds integers only, not {value}")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_float(key)
            _refuse_float(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_float(item)


def _open(path: Path, backups_kept: int) -> tuple[Database, int, bytes]:
    """Open the journal in the worker; return the connection and the newest fact's seq and hash."""
    if path.with_name(path.name + UNFINISHED).exists():
        raise JournalError(explained("EGW-5005", str(path)))
    db = open_writer(path, JOURNAL, backups=Backups(kept=backups_kept, verify=require_chain))
    with faults_of(path):
        head = one(db, "SELECT seq, sha FROM facts ORDER BY seq DESC LIMIT 1")
        if head is None:
            return db, 0, GENESIS
        seq, sha = head
        assert isinstance(seq, int)
        assert isinstance(sha, bytes)
        broken = broken_seq(db, after_seq=max(0, seq - _CHECKED_AT_START))
    if broken is not None:
        db.close()
        raise JournalError(
            f"{path}: fact {broken} was altered; edgegw db list, then: edgegw db restore FILE (the old file is kept)"
        )
    return db, seq, sha


def lock_journal(journal: Path) -> int:
    """Lock the journal and return the lock file's descriptor; the kernel releases the lock with the process."""
    path = journal.with_name(journal.name + ".lock")
    with faults_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        give_to_owner_of(path.parent, path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise JournalError(explained("EGW-5003", str(path))) from error
    return descriptor
