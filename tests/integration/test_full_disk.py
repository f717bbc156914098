"""A disk that fills up, for real: a small tmpfs, the real core and journal, a filler beside them.

Telemetry stops first, new sessions next, and a running session's commits go through to its end on the ballast's room.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.common import sqlite
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import backups_of
from edgegw.config.schema import load
from edgegw.core.events import Event, StorageChanged, StorageLevel
from edgegw.core.state import Phase
from edgegw.core.step_context import StepOutcome
from edgegw.gateway.row_codec import encode_row
from edgegw.ops.storage import BALLAST_BYTES, Ballast, StorageWatch, check_storage, room_of
from edgegw.ports.gateway import Fact
from edgegw.store import backups
from edgegw.store.hash_chain import verify_chain
from edgegw.store.journal import SqliteJournal
from edgegw.store.journal_reader import JournalReader
from tests.support.core_bench import Bench
from tests.unit.test_migrations import KEEP, LATER, OLD, content, write_journal
from tests.unit.test_storage import CONFIG, EVSE

MIB = 1 << 20
SIZE_MIB = 64


def mounted(folder: Path, size: str) -> str:
    """Mount a tmpfs; why it cannot be, in one line."""
    if os.geteuid() != 0:
        return "only root can mount the small file system that this test fills"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, check=False
    )
    return "" if done.returncode == 0 else f"mount is not allowed here: {done.stderr.decode().strip()}"


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 64 MiB, or of the size that the test sets."""
    folder = tmp_path / "disk"
    folder.mkdir()
    why_not = mounted(folder, getattr(request, "param", f"{SIZE_MIB}m"))
    if why_not:
        pytest.skip(why_not)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Filler:
    """Another program's files."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"

    def grow(self, count: int) -> None:
        """Take so many bytes more, or all that is left."""
        with self._path.open("ab") as file:
            try:
                os.posix_fallocate(file.fileno(), file.tell(), count)
            except OSError:
                self._rest(file.fileno())

    def leave(self, count: int) -> None:
        """Take all but so many bytes."""
        self.grow(room_of(self._path.parent).free - count)

    @staticmethod
    def _rest(descriptor: int) -> None:
        try:
            while True:
                os.write(descriptor, bytes(512))
        except OSError:
            return

    def clear(self) -> None:
        """Give everything back."""
        self._path.unlink()


class Station(Bench):
    """The bench's station whose every step is committed by the real journal."""

    def __init__(self, folder: Path, *, ballast: bool = True) -> None:
        self._steps: list[StepOutcome] = []
        self.levels: list[StorageLevel] = []
        self.rescued = 0
        self.watch = StorageWatch(folder, self._told, lambda *_, **__: None)
        self.journal = SqliteJournal(
            folder / "station.db", make_room=self._make_room if ballast else lambda: False
        )
        super().__init__()

    def _make_room(self) -> bool:
        self.rescued += 1
        return self.watch.ballast.release()

    def _told(self, event: Event) -> None:
        assert isinstance(event, StorageChanged)
        self.levels.append(event.level)
        self.send(event)

    def _keep(self, outcome: StepOutcome) -> StepOutcome:
        self._steps.append(outcome)
        return super()._keep(outcome)

    async def settle_steps(self) -> None:
        """Commit what was decided since, a transaction a step."""
        steps, self._steps = self._steps, []
        for step in steps:
            facts = [Fact(kind=note.kind, body=note.body) for note in step.facts]
            rows = {key: None if row is None else encode_row(row) for key, row in step.changes.items()}
            await self.journal.commit(facts, rows)

    def look(self) -> None:
        """What the watch does every five seconds."""
        self.watch.tell(self.watch.look())


def frames(path: Path) -> int:
    return len(JournalReader(path).facts("frame"))


async def test_a_full_disk_never_stops_a_running_trade(disk: Path) -> None:
    """Sample after sample while the disk fills to its last byte: levels in order, no commit fails, the trade is on the ledger.

    The disk is full before the watch looks, so that it is the journal itself that needs the ballast.
    """
    station, filler = Station(disk), Filler(disk)
    path = disk / "station.db"
    station.look()
    assert room_of(disk).free < SIZE_MIB * MIB - BALLAST_BYTES, "the ballast is not there"
    station.active()
    await station.settle_steps()
    stored = {}
    while not station.levels or station.levels[-1] < StorageLevel.NO_SESSIONS:
        filler.grow(MIB // 4)
        station.look()
        station.update(soc_bp=5_000)
        await station.settle_steps()
        stored[station.station.storage] = frames(path)
    assert station.levels == [StorageLevel.WARN, StorageLevel.NO_TELEMETRY, StorageLevel.NO_SESSIONS]
    assert stored[StorageLevel.WARN] > stored[StorageLevel.OK], (
        "a sample is still stored below the first mark"
    )
    assert stored[StorageLevel.NO_SESSIONS] == stored[StorageLevel.NO_TELEMETRY] == stored[StorageLevel.WARN]
    station.start(evse_id="B1", transaction_id="t2", call=station.call("B"), business_key="other")
    assert station.evse("B1").phase is Phase.STOPPING
    assert station.station.tally["all"].refused == {"DISK_FULL": 1}
    await station.settle_steps()

    filler.grow(SIZE_MIB * MIB)
    assert room_of(disk).free == 0
    for minute in range(2, 300):
        station.go(minute * 4)
        station.read("MA1", 1_000 + minute)
        station.update(id_token_hash="ret", soc_bp=5_000 + minute)
        await station.settle_steps()
    assert station.rescued == 1, "the journal never met the full disk"
    assert station.evse().phase is Phase.ACTIVE
    station.end()
    station.now_ns += 10**9
    station.read("MA1", 1_400)
    station.settle()
    await station.settle_steps()
    station.look()
    assert station.levels[3:] == [StorageLevel.BALLAST_RELEASED]
    station.journal.close()
    assert verify_chain(path) is None
    assert len(JournalReader(path).facts("trade")) == station.station.tally["all"].trades >= 1
    assert "DISK_FULL" in [body["code"] for _, body in JournalReader(path).facts("refused")]

    filler.clear()
    station.look()
    assert station.levels[4:] == [StorageLevel.OK]
    assert station.watch.ballast.missing_bytes == 0, "made again where there is room"


async def test_without_a_ballast_a_full_disk_is_a_fault(disk: Path) -> None:
    """Nothing to give: JournalError for this commit and all later ones, and what was committed before is whole."""
    station, filler = Station(disk, ballast=False), Filler(disk)
    await station.settle_steps()
    filler.grow(SIZE_MIB * MIB)
    with pytest.raises(JournalError, match="full"):
        await write_on(station.journal)
    with pytest.raises(JournalError, match="full"):
        await station.journal.commit([], {"n": "x"})
    filler.clear()
    station.journal.close()
    assert verify_chain(disk / "station.db") is None
    numbers = [body["n"] for _, body in JournalReader(disk / "station.db").facts("n")]
    assert numbers == list(range(len(numbers)))


async def test_the_second_full_disk_is_a_fault_until_the_ballast_is_back(disk: Path) -> None:
    """Room is made once; the same transaction is tried once more, and not for ever; the ballast's room is really of use."""
    station, filler = Station(disk), Filler(disk)
    station.look()
    filler.grow(SIZE_MIB * MIB)
    with pytest.raises(JournalError, match="full"):
        await write_on(station.journal, text="x" * 20_000)
    assert station.rescued == 2, "the first time there was room to make"
    station.journal.close()
    written = len(JournalReader(disk / "station.db").facts("n"))
    assert written * 20_000 > BALLAST_BYTES // 3


async def write_on(journal: SqliteJournal, text: str = "") -> None:
    """Facts until the journal refuses."""
    for number in range(10_000):
        await journal.commit([Fact(kind="n", body={"n": number, "text": text})], {"n": str(number)})


async def test_a_gateway_starts_on_a_full_disk(disk: Path) -> None:
    """Killed on a full disk it comes up again on the ballast's room: no loop of crashes."""
    path = disk / "station.db"
    await write_journal(path)
    ballast = Ballast(disk / "ballast")
    assert ballast.make()
    Filler(disk).grow(SIZE_MIB * MIB)
    with pytest.raises(JournalError, match=r"I/O error|full"):
        SqliteJournal(path)
    journal = SqliteJournal(path, make_room=ballast.release)
    await journal.commit([Fact(kind="n", body={"n": 99})], {})
    journal.close()
    assert verify_chain(path) is None


async def test_no_room_for_a_backup_leaves_everything_as_it_was(disk: Path) -> None:
    """A migration on a full disk is refused with EGW-5004, `db backup` too; no part of a copy is left."""
    path = disk / "station.db"
    await write_journal(path)
    Filler(disk).leave(MIB // 4)
    before = path.read_bytes()
    for attempt in (
        lambda: sqlite.open_writer(path, LATER, backups=KEEP),
        lambda: backups.make_backup(path, kept=3),
    ):
        with pytest.raises(JournalError, match="EGW-5004"):
            attempt()
    assert path.read_bytes() == before
    assert content(path) == OLD
    assert backups_of(path) == []


async def test_a_disk_that_fills_during_the_copy_is_the_same(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fills between the check and the copy, the copy's error is reported as EGW-5004, too."""
    path = disk / "station.db"
    await write_journal(path)
    Filler(disk).leave(MIB // 20)
    monkeypatch.setattr(sqlite, "require_room", lambda *_: None)
    with pytest.raises(JournalError, match=r"EGW-5004 .*/backups"):
        backups.make_backup(path, kept=3)
    assert [file.name for file in (disk / "backups").iterdir()] == []


def test_a_read_only_file_system_is_a_fault_at_the_start(disk: Path) -> None:
    """A file system that was remounted read-only: JournalError that names the file, not an empty journal."""
    path = disk / "station.db"
    asyncio.run(write_journal(path))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(JournalError, match=r"station\.db"):
        SqliteJournal(path)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert content(path) == OLD


@pytest.mark.parametrize("disk", ["34m"], indirect=True)
def test_a_promise_that_the_disk_cannot_hold_is_refused(disk: Path, tmp_path: Path) -> None:
    """On a small disk a promise that does not fit is refused with EGW-4001, days, trades and bytes; fewer days are accepted."""

    def faults(days: int) -> list[str]:
        text = CONFIG.replace('"var"', f'"{disk}"').replace("= 7", f"= {days}")
        (tmp_path / "edgegw.toml").write_text(text + "".join(EVSE.format(n=number) for number in range(2)))
        return check_storage(load(tmp_path / "edgegw.toml"))

    (fault,) = faults(7)
    assert (
        f"EGW-4001 the disk is too small for storage.offline_days: 7 days x 192 trades x 18.9 kB needs 25 MB; {disk} has 15 MB"
        in fault
    )
    assert faults(4) == []
