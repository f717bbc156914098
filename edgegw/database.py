"""SQLite files as edgegw keeps them: durable on commit, strict, migrated by number, refused when newer.

Decides pragmas, schema version and ownership of a file. Never knows what is stored in it.
Source: SQLite documentation (WAL, PRAGMA synchronous); a WAL commit at FULL is one fsync.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from edgegw.errors import JournalError

_SYNCHRONOUS_FULL = 2
_PRAGMAS = (
    ("wal_autocheckpoint", "256"),
    ("journal_size_limit", "4194304"),
    ("foreign_keys", "ON"),
    ("trusted_schema", "OFF"),
    ("cell_size_check", "ON"),
    ("mmap_size", "0"),
    ("busy_timeout", "5000"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a file must be: its SQLite application id, and the script that leads to each version, in order."""

    name: str
    application_id: int
    migrations: Sequence[str]

    @property
    def version(self) -> int:
        """The version this program writes and reads."""
        return len(self.migrations)


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Turn every SQLite error inside the block into a JournalError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{path}: {error}") from error


def open_writer(path: Path, schema: Schema) -> Database:
    """Open or create the file for writing and bring it to `schema`.

    The connection belongs to the calling thread. A new file is readable by its owner only.
    Raises JournalError: not our file, newer than this program, or not writable.
    """
    with faults_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = _wrap(sqlite3.connect(path, isolation_level=None))
        try:
            _check_owner(db, path, schema)
            _make_durable(db, path)
            _migrate(db, schema)
        except BaseException:
            db.close()
            raise
    return db


def open_reader(path: Path, schema: Schema) -> Database:
    """Open an existing file for short reads beside its writer; it cannot write, checkpoint or migrate.

    Raises JournalError: absent, not our file, or of another version than this program.
    """
    if not path.exists():
        raise JournalError(f"{path}: there is no {schema.name} here")
    with faults_of(path):
        db = _wrap(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None))
        try:
            db.execute("PRAGMA query_only=ON")
            db.execute("PRAGMA busy_timeout=5000")
            if _check_owner(db, path, schema) < schema.version:
                raise JournalError(
                    f"{path}: schema is older than this edgegw's; start edgegw once to migrate it"
                )
        except BaseException:
            db.close()
            raise
    return db


def _wrap(connection: sqlite3.Connection) -> Database:
    return Database(connection, execute_plugins=False)


def _check_owner(db: Database, path: Path, schema: Schema) -> int:
    """The file's schema version; raises JournalError when it is not ours to open."""
    version, application_id = (pragma(db, name) for name in ("user_version", "application_id"))
    assert isinstance(version, int)
    fresh = version == 0 and application_id == 0 and not db.table_names()
    if not fresh and application_id != schema.application_id:
        raise JournalError(f"{path}: is a database, but not a {schema.name}")
    if version > schema.version:
        raise JournalError(
            f"{path}: schema {version} is newer than this edgegw's {schema.version}; install the edgegw that wrote it"
        )
    return version


def _make_durable(db: Database, path: Path) -> None:
    """Set the pragmas; read back the two on which every promise rests (builds differ in their defaults)."""
    db.execute("PRAGMA page_size=4096")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    for name, value in _PRAGMAS:
        db.execute(f"PRAGMA {name}={value}")
    if (pragma(db, "journal_mode"), pragma(db, "synchronous")) != ("wal", _SYNCHRONOUS_FULL):
        raise JournalError(f"{path}: this file system does not give WAL with synchronous=FULL")


def _migrate(db: Database, schema: Schema) -> None:
    version = pragma(db, "user_version")
    assert isinstance(version, int)
    for number, script in enumerate(schema.migrations[version:], start=version + 1):
        with db.atomic():
            db.executescript(script)
            db.execute(f"PRAGMA application_id={schema.application_id}")
            db.execute(f"PRAGMA user_version={number}")


def pragma(db: Database, name: str) -> object:
    """The present value of a pragma."""
    row: Sequence[object] = db.execute(f"PRAGMA {name}").fetchone()
    return row[0]


def one(db: Database, sql: str, parameters: Sequence[object] = ()) -> tuple[object, ...] | None:
    """First row of a query."""
    row: tuple[object, ...] | None = db.execute(sql, parameters).fetchone()
    return row
