"""The journal: durable when it says so, one transaction for all that waited, no float, no silent change."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgegw.common.errors import JournalError
from edgegw.common.sqlite import Schema, open_reader, open_writer, pragma
from edgegw.ports.gateway import Fact, Journal
from edgegw.store.hash_chain import verify_chain
from edgegw.store.journal import SqliteJournal, _Batch
from edgegw.store.journal_reader import JournalReader

KILLS = 20


def fact(number: int) -> Fact:
    return Fact(kind="metering.closed", body={"n": number, "text": 'ü "\u0000\ud800'})


async def write_facts(path: Path, count: int) -> None:
    journal = SqliteJournal(path)
    for number in range(1, count + 1):
        await journal.commit([fact(number)], {f"line/{number}": "{}"})
    journal.close()


async def test_rows_and_facts_survive_a_restart(tmp_path: Path) -> None:
    """After reopening, committed rows and facts are there: the last value counts, None deletes."""
    path = tmp_path / "data" / "station.db"
    journal: Journal = SqliteJournal(path)
    await journal.commit([fact(1)], {"line/1": "a", "line/2": "b", "lines": "x", "state": "s"})
    await journal.commit([], {"line/1": None, "line/2": "c"})
    assert isinstance(journal, SqliteJournal)
    journal.close()
    again = SqliteJournal(path)
    assert again.rows("line/") == {"line/2": "c"}
    assert again.rows("") == {"line/2": "c", "lines": "x", "state": "s"}
    await again.commit([fact(2)], {})
    again.close()
    reader = JournalReader(path)
    assert [(seq, body["n"]) for seq, body in reader.facts("metering.closed")] == [(1, 1), (2, 2)]
    assert verify_chain(path) is None


async def test_all_that_waited_share_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits queued while one runs go into the next one transaction, in their order, and each resolves after it."""
    journal = SqliteJournal(tmp_path / "station.db")
    sizes: list[int] = []
    write = journal._write

    def count_and_write(batches: Sequence[_Batch]) -> None:
        sizes.append(len(batches))
        write(batches)

    monkeypatch.setattr(journal, "_write", count_and_write)

    async def commit(number: int) -> None:
        await journal.commit([fact(number)], {"last": str(number)})
        held = await asyncio.to_thread(JournalReader(tmp_path / "station.db").facts, "metering.closed")
        assert number in [body["n"] for _, body in held]

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(commit(number))
    assert sizes == [1, 19]
    assert journal.rows("last") == {"last": "19"}
    journal.close()


async def test_a_cancelled_caller_does_not_harm_the_others(tmp_path: Path) -> None:
    """Cancelling one waiting commit leaves the others' commits and the journal as they were."""
    journal = SqliteJournal(tmp_path / "station.db")
    tasks = [asyncio.create_task(journal.commit([fact(n)], {})) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[0] is None
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert outcomes[2] is None
    await journal.commit([fact(3)], {})
    journal.close()
    assert verify_chain(tmp_path / "station.db") is None


@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), float("inf"), [{"deep": 1e3}], object()])
async def test_floats_are_refused_before_anything_is_written(tmp_path: Path, value: object) -> None:
    """A fact with a float raises TypeError at its caller and leaves the journal usable."""
    journal = SqliteJournal(tmp_path / "station.db")
    with pytest.raises(TypeError):
        await journal.commit([Fact(kind="x", body={"wh": value})], {"key": "row"})
    assert journal.rows("") == {}
    await journal.commit([fact(1)], {"key": "row"})
    assert journal.rows("") == {"key": "row"}
    journal.close()


async def test_after_a_fault_nothing_is_written_any_more(tmp_path: Path) -> None:
    """An SQLite error reaches every waiting caller as JournalError and is never retried."""
    journal = SqliteJournal(tmp_path / "station.db")
    await journal.commit([fact(1)], {})
    journal._worker.submit(journal._db.execute, "PRAGMA query_only=ON").result()
    outcomes = await asyncio.gather(
        *(journal.commit([fact(n)], {"k": "v"}) for n in range(2, 5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [JournalError] * 3
    journal._worker.submit(journal._db.execute, "PRAGMA query_only=OFF").result()
    with pytest.raises(JournalError, match="readonly"):
        await journal.commit([fact(5)], {})
    journal.close()
    assert len(JournalReader(tmp_path / "station.db").facts("metering.closed")) == 1


def test_the_chain_shows_any_flipped_byte(tmp_path: Path) -> None:
    """One changed byte in a body, kind or hash, a dropped or a moved fact: verify_chain names its seq."""
    path = tmp_path / "station.db"
    asyncio.run(write_facts(path, 12))
    assert verify_chain(path) is None
    db = sqlite3.connect(path, isolation_level=None)
    rng = random.Random(7)
    for seq in range(1, 13):
        kind, body, prev, sha = db.execute(
            "SELECT kind, body, prev, sha FROM facts WHERE seq = ?", (seq,)
        ).fetchone()
        for column, value in (("kind", kind), ("body", body), ("prev", prev), ("sha", sha)):
            flipped = bytearray(value.encode() if isinstance(value, str) else value)
            flipped[rng.randrange(len(flipped))] ^= 1
            wrong = bytes(flipped).decode() if isinstance(value, str) else bytes(flipped)
            db.execute(f"UPDATE facts SET {column} = ? WHERE seq = ?", (wrong, seq))
            assert verify_chain(path) == seq, column
            db.execute(f"UPDATE facts SET {column} = ? WHERE seq = ?", (value, seq))
    assert verify_chain(path) is None
    db.execute("UPDATE facts SET seq = 100 WHERE seq = 5")
    assert verify_chain(path) == 5
    db.execute("DELETE FROM facts WHERE seq = 100")
    assert verify_chain(path) == 5
    db.close()
    with pytest.raises(JournalError, match="fact 5 was altered"):
        SqliteJournal(path)


def test_one_gateway_at_a_time(tmp_path: Path) -> None:
    """A second journal on the same file is refused while the first one lives."""
    journal = SqliteJournal(tmp_path / "station.db")
    with pytest.raises(JournalError, match="another edgegw"):
        SqliteJournal(tmp_path / "station.db")
    journal.close()
    SqliteJournal(tmp_path / "station.db").close()


def test_a_new_file_is_durable_strict_and_private(tmp_path: Path) -> None:
    """WAL, synchronous=FULL, STRICT tables, owner-only mode."""
    journal = SqliteJournal(tmp_path / "station.db")
    ask = journal._worker.submit
    assert ask(pragma, journal._db, "journal_mode").result() == "wal"
    assert ask(pragma, journal._db, "synchronous").result() == 2
    strict = ask(
        journal._db.execute, "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"
    ).result()
    assert {name for name, is_strict in ask(strict.fetchall).result() if is_strict} == {"facts", "rows"}
    assert (tmp_path / "station.db").stat().st_mode & 0o777 == 0o600
    journal.close()


def test_a_newer_or_foreign_file_is_refused(tmp_path: Path) -> None:
    """A file of a newer edgegw, or of another program, is left alone with a clear message."""
    first = Schema(name="book", application_id=77, migrations=("CREATE TABLE a (x INTEGER) STRICT;",))
    second = Schema(
        name="book", application_id=77, migrations=(*first.migrations, "CREATE TABLE b (x INTEGER) STRICT;")
    )
    path = tmp_path / "book.db"
    open_writer(path, first).close()
    with pytest.raises(JournalError, match="older"):
        open_reader(path, second)
    db = open_writer(path, second)
    assert {"a", "b"} <= set(db.table_names())
    db.close()
    for opener in (open_writer, open_reader):
        with pytest.raises(JournalError, match="schema 2 is newer than this edgegw's 1"):
            opener(path, first)
        with pytest.raises(JournalError, match="not a pamphlet"):
            opener(path, Schema(name="pamphlet", application_id=78, migrations=second.migrations))
    with pytest.raises(JournalError, match="there is no book"):
        open_reader(tmp_path / "absent.db", first)
    (tmp_path / "text.db").write_text("not a database, but long enough to be taken for one" * 10)
    with pytest.raises(JournalError, match="not a database"):
        open_writer(tmp_path / "text.db", first)


def test_a_failed_migration_leaves_the_old_version(tmp_path: Path) -> None:
    """A migration is one transaction: tables and version change together or not at all."""
    good = Schema(name="book", application_id=77, migrations=("CREATE TABLE a (x INTEGER) STRICT;",))
    bad = Schema(
        name="book",
        application_id=77,
        migrations=(*good.migrations, "CREATE TABLE b (x INTEGER); CREATE TABLE a (y);"),
    )
    open_writer(tmp_path / "book.db", good).close()
    with pytest.raises(JournalError):
        open_writer(tmp_path / "book.db", bad)
    db = open_writer(tmp_path / "book.db", good)
    assert (pragma(db, "user_version"), db.table_names()) == (1, ["a"])
    db.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """The commands' connection refuses every write."""
    schema = Schema(name="book", application_id=77, migrations=("CREATE TABLE a (x INTEGER) STRICT;",))
    open_writer(tmp_path / "book.db", schema).close()
    db = open_reader(tmp_path / "book.db", schema)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("INSERT INTO a VALUES (1)")
    db.close()


WRITER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from edgegw.ports.gateway import Fact
    from edgegw.store.journal import SqliteJournal

    async def main():
        journal = SqliteJournal(Path(sys.argv[1]))
        number = int(journal.rows("last").get("last", "0"))
        async def commit(n):
            await journal.commit([Fact(kind="n", body={"n": n})], {"last": str(n), f"line/{n}": str(n)})
            sys.stdout.write(f"{n}\\n")
            sys.stdout.flush()
        while True:
            await asyncio.gather(*(commit(number + i) for i in range(1, 4)))
            number += 3

    asyncio.run(main())
""")


def test_kill_storm_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Kill -9 at random moments: every acknowledged fact is there once, in order, its row with it, chain unbroken."""
    path = tmp_path / "station.db"
    rng = random.Random(11)
    for _ in range(KILLS):
        acknowledged = run_and_kill(path, after_lines=rng.randrange(1, 40))
        numbers = [body["n"] for _, body in JournalReader(path).facts("n")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert set(acknowledged) <= set(numbers)
        rows = dict(JournalReader(path).rows(""))
        assert rows.pop("last") == str(len(numbers))
        assert rows == {f"line/{n}": str(n) for n in numbers}
        assert verify_chain(path) is None


def run_and_kill(path: Path, *, after_lines: int) -> list[int]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.curdir},
    )
    assert writer.stdout is not None
    with writer.stdout as output:
        lines = [output.readline() for _ in range(after_lines)]
        writer.send_signal(signal.SIGKILL)
        lines += output.readlines()
    assert writer.wait() == -signal.SIGKILL
    return [int(line) for line in lines if line.endswith(b"\n")]
