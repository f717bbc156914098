"""How full the disk is and what that stops; the ballast; whether the promised days fit. Full disks for real: integration."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from edgegw.config.schema import load
from edgegw.core.events import Event, StorageChanged, StorageLevel
from edgegw.ops import storage
from edgegw.ops.storage import (
    Ballast,
    FreeSpace,
    StorageWatch,
    check_storage,
    level_of,
    worst_case,
)
from tests.support.journal_days import count, offline_day, size_of
from tests.support.patience import PATIENCE_S

GB = 1_000_000_000
CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"
[ledger]
gateway_id = "gateway1"
identity = "crypto"
trust_file = "trust.json"
[ocpp]
sample_interval_s = 60
[storage]
offline_days = 7
"""
EVSE = """\
[[chargers]]
id = "C{n}"
password_hash = "$argon2id$x"
[[chargers.evses]]
number = 1
id = "E{n}"
meter = "M{n}"
rated_w = 11000
[[meters]]
id = "M{n}"
profile = "eastron-sdm630"
"""


def level(
    free_permille: int, *, before: StorageLevel = StorageLevel.OK, missing_bytes: int = 0
) -> StorageLevel:
    room = FreeSpace(total=GB, free=free_permille * GB // 1000)
    return level_of(room, missing_bytes=missing_bytes, before=before)


@pytest.mark.parametrize(
    ("free_permille", "expected"),
    [
        (1000, "OK"), (200, "OK"), (199, "WARN"), (100, "WARN"), (99, "NO_TELEMETRY"), (50, "NO_TELEMETRY"),
        (49, "NO_SESSIONS"), (20, "NO_SESSIONS"), (19, "BALLAST_RELEASED"), (0, "BALLAST_RELEASED"),
    ],
)  # fmt: skip
def test_the_marks(free_permille: int, expected: str) -> None:
    """20, 10, 5 and 2 percent free."""
    assert level(free_permille).name == expected


def test_a_level_is_left_a_point_above_its_mark() -> None:
    """A share that trembles around a mark changes the level once."""
    seen, before = [], StorageLevel.OK
    for free_permille in (51, 49, 51, 49, 59, 60, 51, 109, 110):
        before = level(free_permille, before=before)
        seen.append(before.name)
    assert seen == [
        "NO_TELEMETRY", "NO_SESSIONS", "NO_SESSIONS", "NO_SESSIONS", "NO_SESSIONS", "NO_TELEMETRY", "NO_TELEMETRY",
        "NO_TELEMETRY", "WARN",
    ]  # fmt: skip


def test_a_missing_ballast_counts_as_used() -> None:
    """Releasing it does not make the disk look emptier, so that it is not made and released in turn."""
    assert (
        level(118, missing_bytes=100_000_000, before=StorageLevel.BALLAST_RELEASED)
        is StorageLevel.BALLAST_RELEASED
    )
    assert (
        level(131, missing_bytes=100_000_000, before=StorageLevel.BALLAST_RELEASED)
        is StorageLevel.NO_SESSIONS
    )


def test_a_large_disk_is_not_short_at_five_percent() -> None:
    """On a file system beyond 8 GiB the marks are shares of 8 GiB: 40 GB free of a terabyte are enough."""
    assert (
        level_of(FreeSpace(total=1000 * GB, free=40 * GB), missing_bytes=0, before=StorageLevel.OK)
        is StorageLevel.OK
    )
    tight = level_of(FreeSpace(total=1000 * GB, free=GB // 3), missing_bytes=0, before=StorageLevel.OK)
    assert tight is StorageLevel.NO_SESSIONS


def test_the_ballast_is_real_blocks(tmp_path: Path) -> None:
    """The ballast is a private file with real blocks; a sparse file does not count."""
    ballast = Ballast(tmp_path / "ballast", 1 << 20)
    assert ballast.missing_bytes == 1 << 20
    assert not ballast.release(), "there is nothing to give"
    assert ballast.make()
    assert ballast.missing_bytes == 0
    assert (tmp_path / "ballast").stat().st_mode & 0o777 == 0o600
    assert ballast.release()
    assert ballast.missing_bytes == 1 << 20
    os.truncate(tmp_path / "ballast", 1 << 20)
    assert ballast.missing_bytes == 1 << 20
    assert ballast.make()
    assert ballast.missing_bytes == 0
    assert storage.BALLAST_BYTES >= 3 * storage.WAL_BYTES_MAX


class Told:
    """What a watch says, and a disk that is as full as a test wants it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[Event] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.room = FreeSpace(total=GB, free=GB // 2)
        monkeypatch.setattr(storage, "room_of", lambda _: self.room)
        self.watch = StorageWatch(
            folder, self.events.append, self.log, ballast=Ballast(folder / "b", 1 << 20)
        )

    def log(self, name: str, fields: Any, *, level: str = "info") -> None:
        self.lines.append((level, {"name": name, **fields}))

    def look(self, free_permille: int) -> list[str]:
        """Return the levels that a check of a disk with this free space reports."""
        self.room = FreeSpace(total=GB, free=free_permille * GB // 1000)
        before = len(self.events)
        self.watch.tell(self.watch.look())
        return [event.level.name for event in self.events[before:] if isinstance(event, StorageChanged)]


def test_a_place_where_nothing_can_be_opened_has_no_room(tmp_path: Path) -> None:
    """No inode left, or a file system that turned read-only: no ballast, and no fault that would end the daemon."""
    (tmp_path / "ballast").mkdir()  # as impossible to open for writing
    assert Ballast(tmp_path / "ballast", 1 << 20).make() is False


def test_the_watch_tells_changes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One event and one line a change: with code and remedy while short, a warning where it got worse; the ballast follows."""
    told = Told(tmp_path, monkeypatch)
    assert told.look(500) == []
    assert told.watch.ballast.missing_bytes == 0, "made at the first look"
    assert told.look(150) == ["WARN"]
    assert told.look(150) == []
    assert told.look(40) == ["NO_SESSIONS"]
    assert told.look(10) == ["BALLAST_RELEASED"]
    assert told.watch.ballast.missing_bytes == 1 << 20
    assert told.look(40) == ["NO_SESSIONS"]
    assert told.watch.ballast.missing_bytes == 0, "made again"
    assert told.look(900) == ["OK"]
    assert [line for line, _ in told.lines] == ["warning", "warning", "warning", "info", "info"]
    assert told.lines[0][1] == {
        "name": "storage.level_changed", "storage_level": "WARN", "free_bytes": 150_000_000, "free_percent": 15,
        "code": "EGW-5001", "remedy": "free disk space; telemetry stops at 10 % free, new sessions at 5 %",
    }  # fmt: skip
    assert "code" not in told.lines[-1][1]


def test_a_ballast_that_cannot_be_made_means_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the ballast cannot be created, nothing of it is left, and new sessions are refused."""
    told = Told(tmp_path, monkeypatch)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert told.look(500) == ["BALLAST_RELEASED"]
    assert told.watch.ballast.missing_bytes == 1 << 20


async def test_the_watch_runs_until_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after look, on a thread of its own; events come on the loop."""
    told = Told(tmp_path, monkeypatch)
    told.room = FreeSpace(total=GB, free=GB // 25)
    monkeypatch.setattr(storage, "LOOK_S", 0.0)
    queue: asyncio.Queue[Event] = asyncio.Queue()
    watch = StorageWatch(tmp_path, queue.put_nowait, told.log, ballast=told.watch.ballast)
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PATIENCE_S):
        assert await queue.get() == StorageChanged(level=StorageLevel.NO_SESSIONS)
        told.room = FreeSpace(total=GB, free=GB)
        assert await queue.get() == StorageChanged(level=StorageLevel.OK)
    task.cancel()


# --- the promise of offline_days --------------------------------------------------------------------------------------


def test_bytes_a_trade_are_not_below_what_is_measured(tmp_path: Path) -> None:
    """The real core and journal through hours without a peer: a trade and a stored sample take no more than the constants say.

    They are not far above either, or the constants no longer tell what they stand for.
    """
    bare, sampled = offline_day(sample_s=None, hours=6), offline_day(sample_s=60, hours=6)
    trades = len(bare.station.lines)
    assert trades == 2 * 6 * 4, "one line a quarter hour and EVSE"
    grown = size_of(bare, tmp_path / "bare")
    trade_bytes = grown / trades
    sample_bytes = (size_of(sampled, tmp_path / "sampled") - grown) / count(sampled, "frame")
    assert 0.8 * storage.TRADE_BYTES < trade_bytes <= storage.TRADE_BYTES
    assert 0.8 * storage.SAMPLE_BYTES < sample_bytes <= storage.SAMPLE_BYTES


def config_of(folder: Path, evses: int, **changes: str) -> Any:
    text = CONFIG + "".join(EVSE.format(n=number) for number in range(evses))
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "edgegw.toml").write_text(text)
    return load(folder / "edgegw.toml")


def test_the_promise_counts_days_evses_and_samples(tmp_path: Path) -> None:
    """96 trades a day for each EVSE; the more often chargers send samples, the more a trade takes."""
    assert str(worst_case(config_of(tmp_path, 20))) == "7 days x 1,920 trades x 18.9 kB needs 254 MB"
    often = config_of(tmp_path, 20, **{"sample_interval_s = 60": "sample_interval_s = 10"})
    assert str(worst_case(often)) == "7 days x 1,920 trades x 101.4 kB needs 1,363 MB"
    rarely = config_of(tmp_path, 20, **{"sample_interval_s = 60": "sample_interval_s = 900", "= 7": "= 14"})
    assert str(worst_case(rarely)) == "14 days x 1,920 trades x 3.5 kB needs 94 MB"


def test_a_promise_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal gives the figures of both sides and what to do; where the data folder is still to be made, its parent's disk counts."""
    small = FreeSpace(total=100_000_000, free=36_000_000)
    monkeypatch.setattr(storage, "room_of", lambda _: small)
    ballast = storage.BALLAST_BYTES
    config = config_of(tmp_path, 20)
    has = (36_000_000 - ballast - 10_000_000) // 1_000_000
    (fault,) = check_storage(config)
    assert fault == (
        "EGW-4001 the disk is too small for storage.offline_days: 7 days x 1,920 trades x 18.9 kB needs 254 MB; "
        f"{tmp_path}/var has {has} MB; use a larger disk, or reduce storage.offline_days"
    )
    small = FreeSpace(total=GB, free=GB)
    assert check_storage(config) == []
    assert check_storage(config_of(tmp_path, 20, **{"= 7": "= 14"})) == []
    small = FreeSpace(total=100_000_000, free=0)
    assert "has 0 MB" in check_storage(config)[0]
