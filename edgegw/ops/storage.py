"""How full the disk is, what stops when, and the ballast that keeps a running trade going on a full one.

Decides the watermarks, by the free share of the journal's file system (of 8 GiB of it, where it is larger: 5 % of a
terabyte is not a shortage), as if the ballast were in place. Below 20 % it says so, below 10 % nothing is stored that
does not bill, below 5 % no new session begins, below 2 % the ballast gives its room to the journal. A running session
is never stopped. Decides, too, whether a configuration's promise (`storage.offline_days`) fits on the disk at all.
Source: docs/data.md, A disk that fills up; a constant says how it was measured.
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgegw.common.error_codes import REMEDIES, explained
from edgegw.config.schema import Config
from edgegw.core.events import StorageChanged, StorageLevel
from edgegw.ports.gateway import Emit

LOOK_S = 5.0  # real
BALLAST = "ballast"
WAL_BYTES_MAX = 4 << 20  # the journal's journal_size_limit
BALLAST_BYTES = max(16 << 20, 3 * WAL_BYTES_MAX)
WATCHED_BYTES_MAX = 8 << 30
BACK_BP = 100  # a level is left only one percentage point above its mark, so that it does not flutter
MARKS_BP = (
    (200, StorageLevel.BALLAST_RELEASED),
    (500, StorageLevel.NO_SESSIONS),
    (1000, StorageLevel.NO_TELEMETRY),
    (2000, StorageLevel.WARN),
)
_CODE = "EGW-5001"

# Measured by tests/unit/test_storage.py (the real core and journal through a day without a peer, each EVSE charging all
# the time): 2,069 to 2,219 bytes of journal for a trade, 1,047 to 1,055 for a stored sample message of 676 bytes.
TRADE_BYTES = 2_400
SAMPLE_BYTES = 1_100
# Without a peer there is neither price nor slice nor a new hold: a quarter hour of an EVSE is one retail line.
TRADES_A_DAY = 96
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpace:
    """What a file system holds and has left for us, in bytes."""

    total: int
    free: int

    @property
    def watched(self) -> int:
        """What the marks are shares of."""
        return min(self.total, WATCHED_BYTES_MAX)


def room_of(folder: Path) -> FreeSpace:
    """The file system of a folder, as one without root's reserve sees it."""
    place = os.statvfs(folder)
    return FreeSpace(total=place.f_blocks * place.f_frsize, free=place.f_bavail * place.f_frsize)


class Ballast:
    """A file of real blocks that stands for room: made when there is enough, emptied when the journal needs it.

    Used by the watch on the loop and by the journal's own thread.
    """

    def __init__(self, path: Path, size_bytes: int = BALLAST_BYTES) -> None:
        self.size_bytes = size_bytes
        self._path = path
        self._one_at_a_time = threading.Lock()

    @property
    def missing_bytes(self) -> int:
        """How much of it is not there; a file without blocks (a hole) counts as missing."""
        try:
            held = self._path.stat().st_blocks * 512
        except FileNotFoundError:
            held = 0
        return max(0, self.size_bytes - held)

    def make(self) -> bool:
        """Take the room; False, and nothing kept, where there is not enough of it."""
        with self._one_at_a_time:
            try:
                descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError:  # no inode left, or a file system that turned read-only
                return False
            try:
                os.posix_fallocate(descriptor, 0, self.size_bytes)
            except OSError:
                os.ftruncate(descriptor, 0)
                return False
            finally:
                os.close(descriptor)
            return True

    def release(self) -> bool:
        """Give the room back; False where there was none to give. The sync makes the blocks usable at once (ext4)."""
        with self._one_at_a_time:
            if self.missing_bytes >= self.size_bytes:
                return False
            with suppress(OSError):
                descriptor = os.open(self._path, os.O_RDWR)
                try:
                    os.ftruncate(descriptor, 0)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                return True
            return False


def level_of(room: FreeSpace, *, missing_bytes: int, before: StorageLevel) -> StorageLevel:
    """The level of a file system on which `missing_bytes` of ballast are still to find room."""
    share_bp = (room.free - missing_bytes) * 10_000 // max(1, room.watched)
    for mark_bp, level in MARKS_BP:
        if share_bp < mark_bp + (BACK_BP if before >= level else 0):
            return level
    return StorageLevel.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What `storage.offline_days` asks of the disk: trades, and the samples that chargers send meanwhile."""

    days: int
    trades_a_day: int
    trade_bytes: int  # with its share of the samples

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.days * self.trades_a_day * self.trade_bytes

    def __str__(self) -> str:
        """For people."""
        each = f"{self.trade_bytes / 1000:.1f} kB"
        return f"{self.days} days x {self.trades_a_day:,} trades x {each} needs {_megabytes(self.bytes)}"


def worst_case(config: Config) -> Promise:
    """The most that a configuration's station writes in its promised days without a peer."""
    evses = sum(len(charger.evses) for charger in config.chargers)
    samples = -(-_DAY_S // TRADES_A_DAY // config.ocpp.sample_interval_s)
    return Promise(
        days=config.storage.offline_days,
        trades_a_day=TRADES_A_DAY * evses,
        trade_bytes=TRADE_BYTES + samples * SAMPLE_BYTES,
    )


def room_above_marks(folder: Path) -> int:
    """Bytes that may be written before anything stops, with the ballast in place."""
    room = room_of(folder)
    mark = room.watched * next(bp for bp, level in MARKS_BP if level is StorageLevel.NO_TELEMETRY) // 10_000
    return room.free - Ballast(folder / BALLAST).missing_bytes - mark


def check_storage(config: Config) -> list[str]:
    """What is wrong with the disk for this configuration, as lines for ConfigError; empty when all fits."""
    folder = config.station.data_dir
    promise, has = worst_case(config), max(0, room_above_marks(existing(folder)))
    if promise.bytes <= has:
        return []
    return [explained("EGW-4001", f"{promise}; {folder} has {_megabytes(has)}")]


def existing(folder: Path) -> Path:
    """The folder itself, or the one in which it will be made."""
    return folder if folder.is_dir() else existing(folder.parent)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


class Log(Protocol):
    """ops.logs.log_event."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Write one line."""


class StorageWatch:
    """Looks at the disk, tells the core when the level changes, keeps the ballast."""

    def __init__(self, folder: Path, emit: Emit, log: Log, *, ballast: Ballast | None = None) -> None:
        self.ballast = ballast or Ballast(folder / BALLAST)
        self.level = StorageLevel.OK
        self.room = room_of(folder)
        self._folder = folder
        self._emit = emit
        self.log = log

    async def run(self) -> None:
        """Look every five seconds until cancelled."""
        while True:
            self.tell(await asyncio.to_thread(self.look))
            await asyncio.sleep(LOOK_S)

    def look(self) -> StorageLevel:
        """The level now; makes or releases the ballast. Blocks, and may run on any thread."""
        self.room = room_of(self._folder)
        level = level_of(self.room, missing_bytes=self.ballast.missing_bytes, before=self.level)
        if level is StorageLevel.BALLAST_RELEASED:
            self.ballast.release()
        elif self.ballast.missing_bytes and not self.ballast.make():
            level = StorageLevel.BALLAST_RELEASED
        return level

    def tell(self, level: StorageLevel) -> None:
        """Log a change and let the core know; on the loop."""
        if level is self.level:
            return
        fields: dict[str, object] = {
            "storage_level": level.name,
            "free_bytes": self.room.free,
            "free_percent": self.room.free * 100 // max(1, self.room.total),
        }
        worse = level > self.level
        if level is not StorageLevel.OK:
            fields |= {"code": _CODE, "remedy": REMEDIES[_CODE].remedy}
        self.level = level
        self.log("storage.level_changed", fields, level="warning" if worse else "info")
        self._emit(StorageChanged(level=level))
