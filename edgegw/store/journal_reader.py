"""Read the journal for commands while the gateway may be running. Never writes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.sqlite import faults_of, open_reader
from edgegw.store.journal import rows_of
from edgegw.store.migrations import JOURNAL


class JournalReader:
    """Reads committed rows and facts; every read is short, so that the write-ahead log can be checkpointed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, prefix: str) -> Mapping[str, str]:
        """Return the state rows with a key prefix; raise JournalError."""
        with self._open() as db:
            return rows_of(db, prefix)

    def facts(self, kind: str) -> list[tuple[int, Mapping[str, object]]]:
        """Return the facts of one kind with their seq, oldest first; raise JournalError."""
        with self._open() as db:
            found = db.execute("SELECT seq, body FROM facts WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        return [(seq, json.loads(body)) for seq, body in found]

    def last(self, kind: str, count: int) -> list[Mapping[str, object]]:
        """Return the newest `count` facts of one kind, newest first; raise JournalError."""
        with self._open() as db:
            found = db.execute(
                "SELECT body FROM facts WHERE kind = ? ORDER BY seq DESC LIMIT ?", (kind, count)
            ).fetchall()
        return [json.loads(body) for (body,) in found]

    def counts(self) -> Mapping[str, int]:
        """Return the number of facts of each kind; raise JournalError."""
        with self._open() as db:
            return dict(db.execute("SELECT kind, count(*) FROM facts GROUP BY kind ORDER BY kind").fetchall())

    @contextmanager
    def _open(self) -> Iterator[Database]:
        db = open_reader(self._path, JOURNAL)
        try:
            with faults_of(self._path):
                yield db
        finally:
            db.close()
