"""Copies of the journal: made beside the gateway, verified, put back without ever leaving a half; `edgegw db`."""

import asyncio
import itertools
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import backups_of
from edgegw.core.state import Restore, Station
from edgegw.core.station import new_station
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import encode_row
from edgegw.ports.gateway import Fact
from edgegw.store import backups
from edgegw.store.hash_chain import verify_chain
from edgegw.store.journal import SqliteJournal
from edgegw.store.journal_reader import JournalReader
from edgegw.store.replacement import REPLACED
from tests.support.core_bench import settings
from tests.support.journal_days import JournalledUniverse

CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"

[ledger]
gateway_id = "gateway1"
identity = "crypto/EVUserMSP/gateway1"
trust_file = "crypto/trust.json"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    (tmp_path / "var").mkdir()
    return path


@pytest.fixture
def path(config: Path) -> Path:
    """A journal with five facts and a row of its own."""
    write(config.parent / "var" / "station.db", 5)
    return config.parent / "var" / "station.db"


def write(path: Path, count: int) -> None:
    async def commit() -> None:
        journal = SqliteJournal(path)
        for number in range(count):
            await journal.commit([Fact(kind="n", body={"at_ns": number, "n": number})], {"seen": str(number)})
        journal.close()

    asyncio.run(commit())


def numbers(path: Path) -> list[object]:
    return [body["n"] for _, body in JournalReader(path).facts("n")]


@contextmanager
def running(path: Path) -> Iterator[SqliteJournal]:
    """As long as the block lasts, a gateway has the journal open."""
    journal = SqliteJournal(path)
    try:
        yield journal
    finally:
        journal.close()


def run(config: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["db", *arguments, "--config", str(config)], input=answer)


async def test_a_backup_beside_the_gateway_is_whole_and_writes_nothing(path: Path) -> None:
    """A backup while the gateway commits has a consistent prefix of its facts, and writes nothing to the journal's files."""
    journal = SqliteJournal(path)
    await journal.commit([Fact(kind="n", body={"n": 5})], {"seen": "5"})
    files = [path, path.with_name("station.db-wal")]
    before = [file.read_bytes() for file in files]
    made = await asyncio.to_thread(backups.make_backup, path, kept=3)
    assert [file.read_bytes() for file in files] == before
    assert numbers(made) == [0, 1, 2, 3, 4, 5], "what stands only in the log is part of it"
    assert verify_chain(made) is None

    async def commit_on() -> None:
        for number in range(6, 60):
            await journal.commit([Fact(kind="n", body={"n": number})], {"seen": str(number)})

    task = asyncio.create_task(commit_on())
    while not task.done():
        made = await asyncio.to_thread(backups.make_backup, path, kept=3)
        found = numbers(made)
        assert found == list(range(len(found)))
        assert JournalReader(made).rows("seen") == {"seen": str(len(found) - 1)}, (
            "rows and facts of one commit"
        )
    await task
    journal.close()
    assert verify_chain(path) is None
    assert len(backups_of(path)) == 3


def test_restore_keeps_what_it_replaces_and_asks_to_reconcile(path: Path) -> None:
    """After a restore the journal is the backup, with a note for the gateway; the old files are kept aside."""
    made = backups.make_backup(path, kept=3)
    write(path, 3)
    newest = numbers(path)
    aside = backups.put_back(path, made)
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert verify_chain(path) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert aside is not None
    assert numbers(aside / path.name) == newest
    assert not list(path.parent.glob(".*")), "nothing half is left"
    with running(path) as journal:
        note = json.loads(journal.rows("restores/")["restores/journal"])
        assert note["source"] == made.name


def test_a_log_that_was_left_is_never_applied_to_the_restored_file(path: Path) -> None:
    """A dead gateway's log holds commits of the old file: it moves aside with it."""
    made = backups.make_backup(path, kept=3)
    with running(path) as journal:
        asyncio.run(journal.commit([Fact(kind="n", body={"n": 99})], {}))
        left = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    for name, content in left.items():
        path.with_name(name).write_bytes(content)
    aside = backups.put_back(path, made)
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert aside is not None
    assert numbers(aside / path.name) == [0, 1, 2, 3, 4, 99]


def test_the_restored_journal_becomes_the_gateways_state(tmp_path: Path) -> None:
    """A real day's journal, copied and put back: the gateway's restore() accepts its rows, and they ask to reconcile."""
    universe = JournalledUniverse(3)
    universe.add_driver("ann")
    universe.plug_in("E0", "ann", wanted_wh=5_000)
    universe.run_until(15)
    path = tmp_path / "station.db"

    async def commit() -> None:
        journal = SqliteJournal(path)
        for facts, rows in universe.commits:
            await journal.commit(facts, rows)
        journal.close()

    asyncio.run(commit())
    backups.put_back(path, backups.make_backup(path, kept=3))
    with running(path) as journal:
        station = restore(universe.fresh, journal.rows)
    assert isinstance(station, Station)
    assert station.evses["E0"].session == universe.station.evses["E0"].session
    assert {key: row.source for key, row in station.restores.items()} == {"journal": backups_of(path)[0].name}
    assert backups.RESTORE_ROW.startswith("restores/")
    assert encode_row(Restore(source="x", at_ns=1)) == '{"at_ns":1,"source":"x"}'
    assert new_station(settings(), {}).restores == {}


def test_a_restore_beside_the_gateway_is_refused(path: Path, config: Path) -> None:
    """EGW-5003 and not a byte changed while the gateway holds the lock."""
    made = backups.make_backup(path, kept=3)
    with running(path):
        answer = run(config, "restore", "--yes", str(made))
    assert answer.exit_code == 75
    assert "EGW-5003" in answer.stderr
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert not (path.parent / REPLACED).exists()


def test_an_altered_or_foreign_backup_is_not_put_back(path: Path, config: Path, tmp_path: Path) -> None:
    """A copy is verified before anything moves: chain, structure, whose file it is."""
    made = backups.make_backup(path, kept=3)
    with closing(sqlite3.connect(made)) as db, db:
        db.execute("UPDATE facts SET body = '{}' WHERE seq = 2")
    answer = run(config, "restore", "--yes", str(made))
    assert (answer.exit_code, "fact 2 was altered" in answer.stderr) == (75, True)
    (tmp_path / "text.db").write_text("no database, but long enough to be taken for one" * 20)
    assert run(config, "restore", "--yes", str(tmp_path / "text.db")).exit_code == 75
    listed = run(config, "list", "--json")
    assert listed.exit_code == 1
    assert [row["verified"] for row in json.loads(listed.stdout)] == [False]
    assert numbers(path) == [0, 1, 2, 3, 4]


def test_a_restore_that_is_cut_short_is_never_half(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at each of its file system calls: the old journal, or the new one, or EGW-5005 until it is done again."""
    made = backups.make_backup(path, kept=3)
    write(path, 2)
    with running(path) as journal:  # its log stays behind, as after a power cut
        asyncio.run(journal.commit([Fact(kind="n", body={"n": 99})], {}))
        left = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    old, refused = numbers(path), 0
    for cut in itertools.count(1):
        home = path.parent / f"cut{cut}"
        home.mkdir()
        for name, content in left.items():
            (home / name).write_bytes(content)
        if not put_back_until(home / path.name, made, cut, monkeypatch):
            break
        if (home / "station.db.restoring").exists():
            refused += 1
            with pytest.raises(JournalError, match="EGW-5005"):
                SqliteJournal(home / path.name)
        else:
            assert numbers(home / path.name) in (old, [0, 1, 2, 3, 4])
        backups.put_back(home / path.name, made)
        assert numbers(home / path.name) == [0, 1, 2, 3, 4]
        aside = [numbers(found) for found in (home / REPLACED).glob("*/station.db")]
        assert old in aside, "the old journal is kept, whole, however often it took"
    assert cut > 12
    assert 3 < refused < cut


def put_back_until(path: Path, made: Path, cut: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Restore, but for the power going at the `cut`-th call that changes or syncs something; False where it got through."""
    calls = itertools.count(1)

    def cut_in(wrapped: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            if next(calls) == cut:
                raise PowerCutError
            return wrapped(*arguments, **more)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut_in(os.fsync))
        for name in ("rename", "unlink", "touch", "mkdir"):
            patched.setattr(Path, name, cut_in(getattr(Path, name)))
        try:
            backups.put_back(path, made)
        except PowerCutError:
            return True
    return False


class PowerCutError(BaseException):
    """Nothing runs any more."""


def test_restore_asks_first(path: Path, config: Path) -> None:
    """Without --yes a restore asks first; "no" changes nothing, "yes" names the next step."""
    made = backups.make_backup(path, kept=3)
    refused = run(config, "restore", str(made), answer="n\n")
    assert (refused.exit_code, "nothing changed" in refused.stderr) == (1, True)
    assert "1970-01-01T00:00:00Z" in refused.stderr
    done = run(config, "restore", str(made), "--json", answer="y\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["next"] == "systemctl start edgegw"
    assert run(config, "restore", "--yes", str(config.parent / "absent.db")).exit_code == 2


def test_status_tells_all_and_changes_nothing(path: Path, config: Path) -> None:
    """Size, schema, facts, chain, backups, disk and the promise, beside the running gateway; 1 where the chain is broken."""
    made = run(config, "backup", "--journal-only", "--json")
    assert (made.exit_code, json.loads(made.stdout)["facts"]) == (0, 5)
    with running(path):
        answer = run(config, "status", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert (found["facts"], found["schema_version"], found["chain_verified"]) == (5, 1, True)
    assert found["last_fact_at"] == "1970-01-01T00:00:00Z"
    assert [backup["schema_version"] for backup in found["backups"]] == [1]
    assert found["offline_days"] == {
        "fits": True,
        "needed_bytes": 0,
        "promise": "7 days x 0 trades x 18.9 kB needs 0 MB",
    }
    assert found["storage_level"] == "OK"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE facts SET body = '{}' WHERE seq = 2")
    answer = run(config, "status", "--json")
    assert (answer.exit_code, json.loads(answer.stdout)["chain_verified"]) == (1, False)


def test_an_empty_journal_has_no_last_fact(config: Path) -> None:
    """A journal of no facts is whole; a missing one is said to be missing."""
    path = config.parent / "var" / "station.db"
    absent = run(config, "status")
    assert (absent.exit_code, "there is no station journal here" in absent.stderr) == (75, True)
    SqliteJournal(path).close()
    assert backups.examine(path).last_fact_ns is None
    assert backups.put_back(path.with_name("fresh.db"), path) is None, "nothing was there to keep"
    assert run(config, "status").exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own files for another user")
def test_what_root_makes_belongs_to_the_service(path: Path) -> None:
    """`sudo edgegw db backup` and `restore` leave nothing that the service's own user could not read or write."""
    for file in (path.parent, *path.parent.iterdir()):
        os.chown(file, 12_345, 12_345)
    made = backups.make_backup(path, kept=3)
    aside = backups.put_back(path, made)
    assert aside is not None
    for file in (made, made.parent, path, aside, aside.parent, path.with_name("station.db.lock")):
        assert file.stat().st_uid == 12_345, file
