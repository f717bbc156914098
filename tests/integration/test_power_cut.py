"""Power cuts: the real daemon's writes and syncs, replayed up to each of them, with whatever a disk may make of the rest."""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.common.errors import JournalError
from edgegw.common.sqlite import open_reader, pragma
from edgegw.ports.gateway import Fact
from edgegw.store import backups
from edgegw.store.bundles import make_bundle, put_back_bundle
from edgegw.store.hash_chain import require_chain
from edgegw.store.journal import SqliteJournal
from edgegw.store.journal_reader import JournalReader
from tests.support.cut_disk import MODES, Disk, Event, events_of, strace
from tests.support.power_cut import cut_everywhere
from tests.support.recorded_station import around, missing
from tests.support.station_stores import Home, names
from tests.unit.test_migrations import KEEP, LATER
from tests.unit.test_store_backups import numbers

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "strace traces")
DRAWS = 8  # at each point of a command, which are few
KINDS = {
    "frame",
    "epoch",
    "segment",
    "evidence",
    "trade",
    "untraded",
    "submission",
    "session_started",
    "session_finished",
}


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Path]:
    """A folder for images, in memory where there is a file system in memory: they are looked at, not kept."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder) / "image"


async def play_and_cut(folder: Path, images: Path, *, rounds: int, seeds: tuple[int, ...]) -> None:
    async with around(folder) as world:
        durable = await world.record("edgegw.cli", "full", rounds=rounds)
        written = JournalReader(durable.folder / "station.db")
        assert {kind for kind in KINDS if written.facts(kind)} == KINDS
        relaxed = await world.record("tests.support.normal_daemon", "normal")
    verdict = cut_everywhere(durable, images, seeds=seeds)
    print(
        f"\nFULL: {verdict.points} points, {verdict.syncs} syncs, {verdict.cuts} cuts, {verdict.images} images"
    )
    assert len(verdict.answered) == len(durable.billing) == 7 * rounds, "an answer is missing in the trace"
    assert verdict.lost == []
    assert verdict.broken == []
    assert verdict.points > 200 * rounds
    assert verdict.syncs > 15 * rounds
    assert verdict.in_file > 20, "the log was never taken over into the file"
    assert verdict.unanswered > 0, "a commit that was not answered yet survives, too: its repeat is known"
    control = cut_everywhere(relaxed, images, seeds=seeds)
    print(f"NORMAL: {control.points} points, {control.cuts} cuts, {len(control.lost)} with losses")
    assert len(control.answered) == len(relaxed.billing)
    assert len(control.lost) > control.cuts // 10, "a test that cannot fail proves nothing"
    assert control.broken == [], "NORMAL loses commits, whole ones"


async def test_no_answered_message_is_lost_at_any_point(tmp_path: Path, images: Path) -> None:
    """At each write, sync and answer the journal opens, chain and books hold, and every message answered before is in it.

    Of what was not synced there is nothing, all, a random part, or torn sectors. With synchronous=NORMAL the same fails.
    """
    await play_and_cut(tmp_path, images, rounds=2, seeds=(1,))


@pytest.mark.soak
async def test_no_answered_message_is_lost_in_more_sessions(tmp_path: Path, images: Path) -> None:
    """The long form: more sessions, three random and three torn images at each point."""
    await play_and_cut(tmp_path, images, rounds=5, seeds=(1, 2, 3))


# --- migration and restore ------------------------------------------------------------------------------------------


def write_journal(path: Path, count: int) -> None:
    async def write() -> None:
        journal = SqliteJournal(path)
        for number in range(count):
            await journal.commit([Fact(kind="n", body={"n": number})], {f"line/{number}": "x"})
        journal.close()

    asyncio.run(write())


def record(folder: Path, *command: str, named: str = "station*") -> tuple[Mapping[str, bytes], list[Event]]:
    """What stood in the folder, and what a command did to it."""
    before = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob(named))
        if file.is_file()
    }
    trace = folder.parent / "command.strace"
    subprocess.run(
        strace(trace, sys.executable, *command),
        check=True,
        env={**os.environ, "PYTHONPATH": os.curdir},
        stdout=subprocess.DEVNULL,
    )
    return before, list(events_of(trace))


def cut_each(
    home: Path,
    before: Mapping[str, bytes],
    events: list[Event],
    look: Callable[[Path], str],
    *,
    draws: int = DRAWS,
    ours: tuple[str, ...] = ("station",),
) -> Counter[str]:
    """How often each outcome is seen, over all points and modes."""
    disk = Disk(home, before, ours=ours)
    seen: Counter[str] = Counter()
    known: dict[object, str] = {}
    chance = random.Random(3)
    for event in events:
        if not disk.take(event):
            continue
        for mode in (*MODES[:2], *MODES[2:] * draws):
            image = disk.image(mode, chance)
            key = tuple(image.items())
            if key not in known:
                place = home.parent / f"image{len(known)}"
                for name, content in image.items():
                    (place / name).parent.mkdir(parents=True, exist_ok=True)
                    (place / name).write_bytes(content)
                known[key] = look(place)
            seen[known[key]] += 1
    return seen


def test_a_migration_is_old_or_new_after_any_cut(tmp_path: Path) -> None:
    """After a cut at any point of a migration all facts are at one version, and from version 2 on the backup is there."""
    home = tmp_path / "data"
    write_journal(home / "station.db", 6)
    before, events = record(
        home,
        "-c",
        "import sys; from pathlib import Path; from edgegw.common import sqlite as database; from tests.unit.test_migrations import KEEP, LATER;"
        "database.open_writer(Path(sys.argv[1]), LATER, backups=KEEP).close()",
        str(home / "station.db"),
    )  # fmt: skip

    def look(place: Path) -> str:
        with closing(open_reader(place / "station.db", LATER, older=True)) as db:
            require_chain(db)
            version = pragma(db, "user_version")
            assert db.execute("SELECT count(*) FROM facts").fetchone() == (6,)
            columns = len(db.execute("PRAGMA table_info(rows)").fetchall())
            assert (version, columns) in {(1, 2), (2, 3), (3, 3)}
        for backup in (place / "backups").glob("station-v1-*"):
            with closing(open_reader(backup, LATER, older=True)) as db:
                KEEP.verify(db)
                assert db.execute("SELECT count(*) FROM facts").fetchone() == (6,)
            break
        else:
            assert version == 1, "migrated without a backup"
        return f"version {version}"

    seen = cut_each(home, before, events, look)
    assert set(seen) == {"version 1", "version 2", "version 3"}, seen


def test_a_restore_is_old_or_new_after_any_cut(tmp_path: Path) -> None:
    """At each point of a restore: the old journal whole, the restored one with its note, or a gateway that refuses to start.

    What was there is in the image in one place or the other, whole.
    """
    home = tmp_path / "data"
    write_journal(home / "station.db", 4)
    made = backups.make_backup(home / "station.db", kept=3)
    write_journal(home / "station.db", 3)
    before, events = record(
        home,
        "-c",
        "import sys; from pathlib import Path; from edgegw.store import backups as copies;"
        "copies.put_back(Path(sys.argv[1]), Path(sys.argv[2]))",
        str(home / "station.db"),
        str(made),
    )  # fmt: skip

    def look(place: Path) -> str:
        old = [place / "station.db", *place.glob("replaced/*/station.db")]
        counts = [len(JournalReader(path).facts("n")) for path in old if path.exists()]
        assert 7 in counts, "what was replaced is gone"
        if (place / "station.db.restoring").exists():
            with pytest.raises(JournalError, match="EGW-5005"):
                SqliteJournal(place / "station.db")
            return "refuses"
        journal = SqliteJournal(place / "station.db")
        noted = journal.rows("restores/")
        journal.close()
        assert len(JournalReader(place / "station.db").facts("n")) == (4 if noted else 7)
        return "restored" if noted else "as it was"

    seen = cut_each(home, before, events, look)
    assert set(seen) == {"as it was", "refuses", "restored"}, seen


def test_a_restore_of_all_stores_is_old_or_new_after_any_cut(images: Path) -> None:
    """At each point of `edgegw db restore BUNDLE`: all stores old, or all new, or a gateway that refuses to start.

    Then the same restore, repeated, makes all new. The journal that was there is in the image, whole.
    """
    folder = images.parent / "station"
    folder.mkdir()
    home = Home(folder)
    home.fill(1)
    wanted = home.state()
    bundle = make_bundle(home.stores, kept=3).relative_to(folder)
    home.fill(2)
    newest = home.state() | {"names": ["Ann 1", "Ann 2", "Ann 3"]}
    home.leave_log(3)
    before, events = record(
        folder,
        *("-m", "edgegw.cli", "db", "restore", "--yes", str(folder / bundle)),
        *("--config", str(home.config)),
        named="*",
    )

    def look(place: Path) -> str:
        image = Home(place)
        facts = [len(numbers(path)) for path in place.glob("var/**/station.db") if "backups" not in str(path)]
        assert newest["facts"] in facts, "what was replaced is gone"
        kept = [path for path in place.glob("var/**/members.db") if "backups" not in str(path)]
        assert "Ann 3" in set().union(*map(names, kept)), "a member that was only in the log is gone"
        if not (place / "var" / "station.db.restoring").exists():
            assert image.state() in (wanted, newest)
            return "restored" if image.state() == wanted else "as it was"
        with pytest.raises(JournalError, match="EGW-5005"):
            SqliteJournal(place / "var" / "station.db")
        put_back_bundle(place / bundle, image.stores)
        assert image.state() == wanted
        return "refuses"

    ours = ("station", "members", "exchange", "chargers", "operator")
    seen = cut_each(folder, before, events, look, draws=3, ours=ours)
    assert set(seen) == {"as it was", "refuses", "restored"}, seen


async def test_a_restored_daemon_trades_on(tmp_path: Path) -> None:
    """Backup, a session more, restore, start: the daemon reconciles, and what it trades then the real contract records.

    The trades of the lost session stay on the ledger; no trade's id comes twice.
    """
    async with around(tmp_path) as world:
        path = world.places.station / "station.db"
        await world.record("edgegw.cli", "before")
        made = backups.make_backup(path, kept=3)
        await world.record("edgegw.cli", "lost")
        lost = trades(path)
        backups.put_back(path, made)
        await world.record("edgegw.cli", "after")
    facts = JournalReader(path)
    (note,) = [body for _, body in facts.facts("restored")]
    assert note["source"] == made.name
    after = trades(path)
    assert after[: len(trades(made))] == trades(made)
    fresh = after[len(trades(made)) :]
    assert len(fresh) >= 2, "both EVSEs traded again"
    assert not {trade["trade_id"] for trade in fresh} & {trade["trade_id"] for trade in lost}
    assert {trade["status"] for trade in fresh} == {"RECORDED"}
    assert [
        body["code"] for _, body in facts.facts("untraded") if str(body["code"]).startswith("REFUSED")
    ] == []


def trades(path: Path) -> list[Mapping[str, object]]:
    return [body for _, body in JournalReader(path).facts("trade")]
