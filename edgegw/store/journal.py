"""The station's memory: an append-only, hash-chained list of facts, and the present state as rows.

Decides when something is durable: one transaction for all that waited, one fsync, and only then do the callers go on.
Never decides what is worth remembering, and never writes on after an error (a failed fsync may have dropped the pages,
so a second one proves nothing), with one exception: a full disk, once, after room was made (`_write`).
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
UNFINISHED = ".restoring"  # of a restore that has begun and is not done: `station.db.restoring`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """What one caller wants committed, and the future that tells it so."""

    facts: Sequence[tuple[str, str]]  # kind, body
    rows: Mapping[str, str | None]
    committed: asyncio.Future[None]


class SqliteJournal:
    """ports.Journal over one SQLite file. Facts and rows that wait while a commit runs share the next one.

    One worker thread owns the only writing connection. A lock file keeps a second gateway out.
    """

    def __init__(
        self, path: Path, *, backups_kept: int = 5, make_room: Callable[[], bool] = lambda: False
    ) -> None:
        """Open the file, migrate it after a backup, and check the newest facts' chain; raises JournalError.

        `make_room`, called on the journal's own thread when the disk is full, tells whether it freed some.
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
        """On the worker; on a full disk once more, where room can be made: or each start would fail as the last one."""
        try:
            return _open(self._path, backups_kept)
        except JournalError as fault:
            if not is_full(fault.__cause__) or not self._make_room():
                raise
            return _open(self._path, backups_kept)

    async def commit(self, facts: Sequence[Fact], rows: Mapping[str, str | None]) -> None:
        """Return when facts and rows are durable.

        A caller cancelled meanwhile must take the outcome as unknown. Raises TypeError for a float in a fact (nothing
        is written), JournalError when the file cannot be written, now and for every later call.
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
        """Return once the worker is free; raises JournalError when nothing can be written any more."""
        await asyncio.wrap_future(self._worker.submit(lambda: None))
        if self._fault is not None:
            raise self._fault

    def rows(self, prefix: str) -> Mapping[str, str]:
        """State rows by key prefix, as last committed. Blocks: meant for the start."""
        return self._worker.submit(rows_of, self._db, prefix).result()

    def close(self) -> None:
        """Finish the running commit, close the file, let go of the lock."""
        self._worker.submit(self._db.close)
        self._worker.shutdown()
        os.close(self._lock)

    def _write_waiting(self) -> None:
        batches, self._waiting = self._waiting, []
        self._writing = True
        written = asyncio.get_running_loop().run_in_executor(self._worker, self._write, batches)
        written.add_done_callback(partial(self._after_write, batches))

    def _after_write(self, batches: Sequence[_Batch], written: asyncio.Future[None]) -> None:
        """On the loop: tell the callers of this transaction, then start the next one."""
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
        """On the worker: all batches in one transaction; on a full disk once more, where room can be made.

        SQLITE_FULL comes from a write that the file system did not take: the page never was in its cache, SQLite has
        rolled the transaction back, and no sync was asked for, so the same transaction may be written anew. After a
        failed *sync* (EIO) it may not: Linux drops the dirty pages and marks them clean, so that the next sync
        succeeds although they never reached the disk.
        """
        try:
            self._write_once(batches)
        except sqlite3.OperationalError as error:
            if not is_full(error) or not self._make_room():
                raise
            self._write_once(batches)

    def _write_once(self, batches: Sequence[_Batch]) -> None:
        """All batches in one transaction, in the order they came."""
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
    """A fact's body as ASCII JSON, keys sorted, no spaces. Raises TypeError for a float or what JSON cannot hold."""
    _refuse_float(body)
    return _ENCODER.encode(body)


def rows_of(db: Database, prefix: str) -> Mapping[str, str]:
    """Committed rows whose key starts with `prefix`, by key."""
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
    """On the worker: the connection, and the chain's newest seq and hash."""
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
    """Descriptor of the journal's lock file; the lock ends with the process, however it ends."""
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
