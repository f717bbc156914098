"""Opens, migrates, verifies and backs up SQLite files: durable on commit, numbered schema versions, newer files refused.

Decides pragmas, schema version and ownership of a file, and how a verified copy is made. Never knows the content, and
never deletes a file that it did not create; it removes only the oldest backups.
Source: SQLite documentation (WAL, PRAGMA synchronous, VACUUM INTO); a WAL commit at FULL is one fsync.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.error_codes import explained
from edgegw.common.errors import JournalError
from edgegw.common.private_files import create_private

BACKUPS = "backups"  # folder beside the file
_ROOM_BYTES = 1 << 20  # remains free after a backup
_SYNCHRONOUS_FULL = 2
_PRAGMAS = (
    ("wal_autocheckpoint", "256"),
    ("journal_size_limit", "4194304"),
    ("foreign_keys", "ON"),
    ("trusted_schema", "OFF"),
    ("cell_size_check", "ON"),
    ("mmap_size", "0"),
    ("cache_size", "-512"),  # KiB: few pages are ever touched again
    ("busy_timeout", "5000"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The schema of a file: its SQLite application id, and the scripts that migrate it to each version, in order."""

    name: str
    application_id: int
    migrations: Sequence[str]

    @property
    def version(self) -> int:
        """The version that this program reads and writes."""
        return len(self.migrations)


def _nothing_more(_db: Database) -> None:
    """Check nothing beyond SQLite's own structure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """How many backups of a file are kept, and a check of their content beyond SQLite's own; it raises JournalError."""

    kept: int = 5
    verify: Callable[[Database], None] = _nothing_more


class NewerSchemaError(JournalError):
    """A later edgegw wrote the file: a restart cannot help."""


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Convert every sqlite3.Error and OSError inside the block to a JournalError that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{path}: {error}") from error


def open_writer(path: Path, schema: Schema, *, backups: Backups | None = None) -> Database:
    """Open or create the file for writing and migrate it to `schema`; a file of an older version is backed up first.

    The connection belongs to the calling thread. A new file has mode 0600.
    Raises JournalError: not a file of this schema, newer than this program, not writable, or no space for the backup.
    """
    with faults_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        create_private(path)
        db = _wrap(sqlite3.connect(path, isolation_level=None))
        try:
            version = _check_owner(db, path, schema)
            _make_durable(db, path)
            if 0 < version < schema.version:
                back_up(path, schema, backups or Backups())
            _migrate(db, schema)
        except BaseException:
            db.close()
            raise
    return db


def open_reader(path: Path, schema: Schema, *, older: bool = False) -> Database:
    """Open an existing file read-only, beside its writer; the connection never writes, checkpoints or migrates.

    `older` accepts a file of an older version.
    Raises JournalError: absent, not a file of this schema, newer than this program, or older where not accepted.
    """
    if not path.exists():
        raise JournalError(f"{path}: there is no {schema.name} here")
    with faults_of(path):
        db = _connect_to_read(path)
        try:
            db.execute("PRAGMA query_only=ON")
            if _check_owner(db, path, schema) < schema.version and not older:
                raise JournalError(
                    f"{path}: schema is older than this edgegw's; start edgegw once to migrate it"
                )
        except BaseException:
            db.close()
            raise
    return db


def back_up(path: Path, schema: Schema, backups: Backups) -> Path:
    """Write a verified copy of the last committed state into `backups/` beside the file; return its path.

    May run beside the writer. Deletes the oldest copies above `backups.kept`. Raises JournalError where there is no
    space or the copy fails its check: then the copy is removed and no older one is deleted.
    """
    folder = path.parent / BACKUPS
    with faults_of(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        give_to_owner_of(path, folder)
        sync_folder(path.parent)
    require_room([path], folder)
    with closing(open_reader(path, schema, older=True)) as db:
        version = pragma(db, "user_version")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = folder / f"{path.stem}-v{version}-{stamp}{path.suffix}"
    try:
        copy_durably(path, target, schema=schema, verify=backups.verify)
    except JournalError as fault:
        if is_full(fault.__cause__):
            raise JournalError(explained("EGW-5004", str(folder))) from fault
        raise
    with faults_of(folder):
        for old in backups_of(path)[backups.kept :]:
            old.unlink()
        sync_folder(folder)
    return target


def backups_of(path: Path) -> list[Path]:
    """Return the file's backups, newest first."""
    return sorted(
        (path.parent / BACKUPS).glob(f"{path.stem}-v*-*Z{path.suffix}"),
        key=lambda found: found.stem.rsplit("-", 1)[1],
        reverse=True,
    )


def copy_durably(
    source: Path, target: Path, *, schema: Schema, verify: Callable[[Database], None] = _nothing_more
) -> None:
    """Copy the committed state of `source` to `target`: complete, verified and synced, or not at all.

    The source is only read (a `mode=ro` connection neither writes nor checkpoints); the copy includes its WAL.
    """
    part = target.with_name(f".{target.name}.part")
    with faults_of(source):
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            with closing(_connect_to_read(source)) as db:
                _check_owner(db, source, schema)
                db.execute("VACUUM INTO ?", (str(part),))  # accepts an empty file; _sync follows
            check(part, schema, verify)
            give_to_owner_of(source, part)
            _sync(part)
            part.rename(target)
            sync_folder(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def check(path: Path, schema: Schema, verify: Callable[[Database], None] = _nothing_more) -> None:
    """Check a whole file of this or an older version; raises JournalError where it is damaged or `verify` fails."""
    with closing(open_reader(path, schema, older=True)) as db, faults_of(path):
        answer = one(db, "PRAGMA quick_check(1)")
        if answer != ("ok",):
            raise JournalError(f"{path}: damaged: {answer}")
        verify(db)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that its names are durable."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_to_owner_of(model: Path, path: Path) -> None:
    """Give `path` the owner of `model`, where root creates a file for the service."""
    owner = model.stat()
    if os.geteuid() == 0 and path.stat().st_uid != owner.st_uid:
        os.chown(path, owner.st_uid, owner.st_gid)


def require_room(paths: Sequence[Path], folder: Path) -> None:
    """Raise JournalError (EGW-5004) where copies of these databases do not fit into the folder."""
    needed = _ROOM_BYTES
    for path in paths:
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                needed += path.with_name(path.name + suffix).stat().st_size
    with faults_of(folder):
        place = os.statvfs(folder)
    free = place.f_bavail * place.f_frsize
    if free < needed:
        detail = f"{' and '.join(map(str, paths))} needs {needed / 1e6:.1f} MB in {folder}, which has {free / 1e6:.1f} MB"
        raise JournalError(explained("EGW-5004", detail))


def is_full(error: BaseException | None) -> bool:
    """Return whether an error means a full disk: no space for a page, or for the WAL index (`-shm`)."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)  # absent where Python raised it
        return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _connect_to_read(path: Path) -> Database:
    db = _wrap(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None))
    db.execute("PRAGMA busy_timeout=5000")
    return db


def _wrap(connection: sqlite3.Connection) -> Database:
    return Database(connection, execute_plugins=False)


def _check_owner(db: Database, path: Path, schema: Schema) -> int:
    """Return the file's schema version; raises JournalError for a file of another program or a newer version."""
    version, application_id = (pragma(db, name) for name in ("user_version", "application_id"))
    assert isinstance(version, int)
    fresh = version == 0 and application_id == 0 and not db.table_names()
    if not fresh and application_id != schema.application_id:
        raise JournalError(f"{path}: is a database, but not a {schema.name}")
    if version > schema.version:
        detail = f"{path}: schema {version} is newer than this edgegw's {schema.version}"
        raise NewerSchemaError(explained("EGW-5002", detail))
    return version


def _make_durable(db: Database, path: Path) -> None:
    """Set the pragmas; read back the two on which durability depends, since a file system may refuse WAL."""
    db.execute("PRAGMA page_size=4096")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    for name, value in _PRAGMAS:
        db.execute(f"PRAGMA {name}={value}")
    if (pragma(db, "journal_mode"), pragma(db, "synchronous")) != ("wal", _SYNCHRONOUS_FULL):
        raise JournalError(f"{path}: this file system does not give WAL with synchronous=FULL")


def _migrate(db: Database, schema: Schema) -> None:
    """Run the missing scripts, each in a transaction of its own, so that a file always has exactly one version."""
    while _step(db, schema):
        pass


def _step(db: Database, schema: Schema) -> bool:
    """Run the next script and set its version in one transaction; return False where none is left.

    The version is read inside the transaction: another process may migrate the same file.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        version = pragma(db, "user_version")
        assert isinstance(version, int)
        if version < schema.version:
            db.executescript(schema.migrations[version])
            db.execute(f"PRAGMA application_id={schema.application_id}")
            db.execute(f"PRAGMA user_version={version + 1}")
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise
    return version < schema.version


def pragma(db: Database, name: str) -> object:
    """Return the current value of a pragma."""
    row: Sequence[object] = db.execute(f"PRAGMA {name}").fetchone()
    return row[0]


def one(db: Database, sql: str, parameters: Sequence[object] = ()) -> tuple[object, ...] | None:
    """Return the first row of a query, or None."""
    row: tuple[object, ...] | None = db.execute(sql, parameters).fetchone()
    return row
