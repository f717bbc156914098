"""Store raw blocks, transaction outcomes and the world state in SQLite, one commit per block.

A commit is on disk when it returns (WAL, synchronous FULL). One connection, used by one thread.
Source: docs/reliability.md, SQLite.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgegw.common.private_files import create_private
from edgegw.fabric.rwset import Version

FILE_NAME = "chain.sqlite3"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE block (number INTEGER PRIMARY KEY, raw BLOB NOT NULL) STRICT;
CREATE TABLE tx (tx_id TEXT PRIMARY KEY, block INTEGER NOT NULL, code INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL, policy BLOB, block INTEGER NOT NULL,
    tx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """A key after a block; a value of None is a deletion."""

    key: str
    value: bytes | None
    policy: bytes | None
    version: Version


class StoreError(Exception):
    """This program cannot use the file."""


class Reader:
    """Reads a peer's file through one connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def block(self, number: int) -> bytes | None:
        """Return a raw block, or None if it does not exist yet."""
        row = self._db.execute("SELECT raw FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else row[0]

    def blocks(self) -> Iterator[bytes]:
        """Yield the raw blocks from the first one on."""
        for (raw,) in self._db.execute("SELECT raw FROM block ORDER BY number"):
            yield raw

    def height(self) -> int:
        """Return the number of blocks."""
        count: int = self._db.execute("SELECT count(*) FROM block").fetchone()[0]
        return count

    def outcomes(self) -> Iterator[tuple[str, int, int]]:
        """Yield (tx id, block, code) of every transaction id's first occurrence."""
        yield from self._db.execute("SELECT tx_id, block, code FROM tx")

    def state(self) -> Iterator[StateRow]:
        """Yield the world state in the order of the keys."""
        for key, value, policy, block, tx in self._db.execute(
            "SELECT key, value, policy, block, tx FROM state ORDER BY key"
        ):
            yield StateRow(key=key, value=value, policy=policy, version=Version(block, tx))


class Store(Reader):
    """The peer's own read-write connection. Call it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, accessible to its owner only; raise StoreError for another schema version."""
        create_private(path)
        super().__init__(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
        mode = self._db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        assert mode == "wal", mode
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA trusted_schema=OFF")
        self._db.execute("PRAGMA journal_size_limit=4194304")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}; COMMIT;")
        elif version != _SCHEMA_VERSION:
            self._db.close()
            raise StoreError(f"{path}: schema version {version}, this program supports {_SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def append(
        self, number: int, raw: bytes, *, outcomes: Iterable[tuple[str, int]], state: Iterable[StateRow]
    ) -> None:
        """Write a block with its outcomes (tx id, code) and state atomically; an id's first outcome is kept."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute("INSERT INTO block VALUES (?, ?)", (number, raw))
            self._db.executemany(
                "INSERT OR IGNORE INTO tx VALUES (?, ?, ?)",
                [(tx_id, number, code) for tx_id, code in outcomes],
            )
            for row in state:
                if row.value is None:
                    self._db.execute("DELETE FROM state WHERE key = ?", (row.key,))
                else:
                    self._db.execute(
                        "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
                        (row.key, row.value, row.policy, *row.version),
                    )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise


@contextmanager
def snapshot(path: Path) -> Iterator[Reader]:
    """Open a read-only snapshot of a peer's file, even while the peer runs. Raises sqlite3.Error."""
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    ) as db:
        db.execute("BEGIN")
        yield Reader(db)
