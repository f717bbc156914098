"""The journal as commands read it, beside the running gateway. Never writes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.sqlite import faults_of, open_reader
from edgegw.store.journal import rows_of
from edgegw.store.migrations import JOURNAL


class JournalReader:
    """Rows and facts of a journal, as last committed; every read is short, so that the log can be checkpointed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, prefix: str) -> Mapping[str, str]:
        """State rows by key prefix; raises JournalError."""
        with self._open() as db:
            return rows_of(db, prefix)

    def facts(self, kind: str) -> list[tuple[int, Mapping[str, object]]]:
        """Facts of one kind with their seq, oldest first; raises JournalError."""
        with self._open() as db:
            found = db.execute("SELECT seq, body FROM facts WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        return [(seq, json.loads(body)) for seq, body in found]

    def last(self, kind: str, count: int) -> list[Mapping[str, object]]:
        """The newest facts of one kind, newest first; raises JournalError."""
        with self._open() as db:
            found = db.execute(
                "SELECT body FROM facts WHERE kind = ? ORDER BY seq DESC LIMIT ?", (kind, count)
            ).fetchall()
        return [json.loads(body) for (body,) in found]

    def counts(self) -> Mapping[str, int]:
        """How many facts there are of each kind; raises JournalError."""
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
