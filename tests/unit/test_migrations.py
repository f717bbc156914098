"""A file with an older schema: backed up first, migrated a step at a time, and at every instant old or new, never half."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.common import sqlite
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import (
    Backups,
    NewerSchemaError,
    backups_of,
    open_reader,
    open_writer,
    pragma,
)
from edgegw.ports.gateway import Fact
from edgegw.store.hash_chain import require_chain, verify_chain
from edgegw.store.journal import SqliteJournal
from edgegw.store.migrations import JOURNAL

# A later edgegw's journal: two more steps, of which the first rewrites rows and the second adds a table.
LATER = replace(
    JOURNAL,
    migrations=(
        *JOURNAL.migrations,
        "ALTER TABLE rows ADD COLUMN note TEXT; UPDATE rows SET note = key;",
        "CREATE TABLE extra (x INTEGER PRIMARY KEY) STRICT; INSERT INTO extra VALUES (7);",
    ),
)
BROKEN = replace(
    JOURNAL,
    migrations=(*LATER.migrations[:2], "CREATE TABLE extra (x INTEGER); CREATE TABLE facts (y INTEGER);"),
)
KEEP = Backups(kept=3, verify=require_chain)
FACTS = 12


async def write_journal(path: Path) -> None:
    journal = SqliteJournal(path)
    for number in range(1, FACTS + 1):
        await journal.commit([Fact(kind="n", body={"n": number})], {f"line/{number}": str(number)})
    journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of this version, with twelve facts and rows."""
    asyncio.run(write_journal(tmp_path / "station.db"))
    return tmp_path / "station.db"


def content(path: Path) -> tuple[int, int, int, list[str]]:
    """Version, facts, rows and columns of `rows`, read without migrating anything."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return (
            db.execute("PRAGMA user_version").fetchone()[0],
            db.execute("SELECT count(*) FROM facts").fetchone()[0],
            db.execute("SELECT count(*) FROM rows").fetchone()[0],
            [row[1] for row in db.execute("PRAGMA table_info(rows)")],
        )


OLD, NEW = (1, FACTS, FACTS, ["key", "body"]), (3, FACTS, FACTS, ["key", "body", "note"])
BETWEEN = (2, FACTS, FACTS, ["key", "body", "note"])


def test_a_migration_begins_with_a_verified_backup(path: Path) -> None:
    """Opening an older file leaves one private copy of it as it was, chain whole, and then has the new schema."""
    open_writer(path, LATER, backups=KEEP).close()
    assert content(path) == NEW
    (backup,) = backups_of(path)
    assert backup.name.startswith("station-v1-")
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.parent.stat().st_mode & 0o777 == 0o700
    assert content(backup) == OLD
    assert verify_chain(backup) is None
    assert [file.name for file in backup.parent.iterdir()] == [backup.name], "no log and no part is left"
    open_writer(path, LATER, backups=KEEP).close()
    assert backups_of(path) == [backup], "nothing to migrate, nothing to back up"


def test_a_new_file_needs_no_backup(tmp_path: Path) -> None:
    """There is nothing to keep of a file that is just being made."""
    open_writer(tmp_path / "new.db", LATER, backups=KEEP).close()
    assert backups_of(tmp_path / "new.db") == []


def test_the_oldest_backups_give_way(path: Path) -> None:
    """`kept` copies stay, the newest; a file that is no backup of this one is never touched."""
    made = [sqlite.back_up(path, JOURNAL, KEEP)]
    other = made[0].with_name("other-v1-20200101T000000000000Z.db")
    other.write_bytes(b"another's")
    made += [sqlite.back_up(path, JOURNAL, KEEP) for _ in range(4)]
    assert backups_of(path) == made[:1:-1]
    assert other.exists()


def test_a_migration_that_fails_halfway_leaves_whole_steps(path: Path) -> None:
    """A script whose second statement fails has no effect; the file is at the version before, and has its backup."""
    with pytest.raises(JournalError, match="already exists"):
        open_writer(path, BROKEN, backups=KEEP)
    assert content(path) == BETWEEN
    with closing(sqlite3.connect(path)) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchall()
    (backup,) = backups_of(path)
    assert content(backup) == OLD


def test_without_room_for_the_backup_nothing_is_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EGW-5004 with figures and what to do; the file stays at its version, no copy is begun."""
    before = path.read_bytes()
    real = os.statvfs(path.parent)
    fields = list(real)
    fields[4] = 3  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    with pytest.raises(
        JournalError, match=r"EGW-5004 .* needs 1\.\d MB in .*/backups, which has 0\.0 MB; free disk space"
    ):
        open_writer(path, LATER, backups=KEEP)
    assert path.read_bytes() == before
    assert list((path.parent / "backups").iterdir()) == []


def test_a_damaged_file_is_not_migrated(path: Path) -> None:
    """A chain that does not hold is found in the copy: no backup counts, nothing is migrated, older copies stay."""
    kept = sqlite.back_up(path, JOURNAL, KEEP)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE facts SET body = '{}' WHERE seq = 5")
    with pytest.raises(JournalError, match="fact 5 was altered"):
        open_writer(path, LATER, backups=KEEP)
    assert content(path) == OLD
    assert list(kept.parent.iterdir()) == [kept]


def test_a_newer_file_is_refused_with_what_to_do(path: Path) -> None:
    """EGW-5002 names both versions and the two ways out, for the daemon and for readers; the file is not touched."""
    open_writer(path, LATER, backups=KEEP).close()
    before = path.read_bytes()
    for opener in (lambda: SqliteJournal(path), lambda: open_reader(path, JOURNAL)):
        with pytest.raises(NewerSchemaError) as refused:
            opener()
        assert "EGW-5002" in str(refused.value)
        assert "schema 3 is newer than this edgegw's 1" in str(refused.value)
        assert "install the version that wrote it, or run edgegw db restore" in str(refused.value)
    assert path.read_bytes() == before


MIGRATE = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from edgegw.common import sqlite as database
    from tests.unit.test_migrations import KEEP, LATER

    point, number = sys.argv[2], int(sys.argv[3])
    seen = 0

    def die_at(name, wrapped):
        def step(*arguments, **more):
            global seen
            result = wrapped(*arguments, **more)
            if point == name:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result
        return step

    for name in ("_step", "_sync", "check", "back_up", "sync_folder"):
        setattr(database, name, die_at(name, getattr(database, name)))
    database.Database.executescript = die_at("executescript", database.Database.executescript)
    database.open_writer(Path(sys.argv[1]), LATER, backups=KEEP).close()
""")
# Around the backup; in each step between its script and its commit; after each step.
POINTS = (
    *(("check", 1), ("_sync", 1), ("sync_folder", 1), ("back_up", 1)),
    *(("executescript", 1), ("executescript", 2), ("_step", 1), ("_step", 2)),
)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_a_killed_migration_is_old_or_new(path: Path, point: tuple[str, int]) -> None:
    """Kill -9 anywhere in it: every fact is there at one whole version; the next start finishes, and a copy of version 1 exists."""
    killed = subprocess.run(
        [sys.executable, "-c", MIGRATE, str(path), point[0], str(point[1])],
        env={**os.environ, "PYTHONPATH": os.curdir},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert content(path) in (OLD, BETWEEN, NEW)
    assert verify_chain_of_any(path)
    open_writer(path, LATER, backups=KEEP).close()
    assert content(path) == NEW
    assert OLD in [content(backup) for backup in backups_of(path)]


def verify_chain_of_any(path: Path) -> bool:
    with closing(open_reader(path, LATER, older=True)) as db:
        require_chain(db)
        return bool(pragma(db, "user_version"))
