"""Watch disk space, restrict storing as it runs out, and keep a ballast file as a reserve for running sessions.

Decides the level by the free share of the journal's file system (of at most 8 GiB, because 5 % of a terabyte is no
shortage), counted as if the ballast existed. Below 20 % it warns, below 10 % only billing data is stored, below 5 % no
session starts, below 2 % the ballast is released for the journal. A running session is never stopped.
Also decides whether `storage.offline_days` of a configuration fits on the disk.
Source: docs/data.md, A disk that fills up; constants state how they were measured.
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
BACK_BP = 100  # hysteresis: a level ends one percentage point above its mark
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
# Without a peer there is no price, slice or new hold, so that each quarter hour of an EVSE gives one retail line.
TRADES_A_DAY = 96
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpace:
    """Size of a file system and space available to this process, in bytes."""

    total: int
    free: int

    @property
    def watched(self) -> int:
        """The number of bytes of which the marks are shares."""
        return min(self.total, WATCHED_BYTES_MAX)


def room_of(folder: Path) -> FreeSpace:
    """Return the space of a folder's file system, without the blocks reserved for root."""
    place = os.statvfs(folder)
    return FreeSpace(total=place.f_blocks * place.f_frsize, free=place.f_bavail * place.f_frsize)


class Ballast:
    """A file of allocated blocks as a space reserve: created when there is enough space, emptied for the journal.

    Used by the watch and by the journal's own thread.
    """

    def __init__(self, path: Path, size_bytes: int = BALLAST_BYTES) -> None:
        self.size_bytes = size_bytes
        self._path = path
        self._one_at_a_time = threading.Lock()

    @property
    def missing_bytes(self) -> int:
        """The bytes of the ballast that are not allocated; holes of a sparse file count as missing."""
        try:
            held = self._path.stat().st_blocks * 512
        except FileNotFoundError:
            held = 0
        return max(0, self.size_bytes - held)

    def make(self) -> bool:
        """Allocate the ballast; return False, and allocate nothing, if there is not enough space."""
        with self._one_at_a_time:
            try:
                descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError:  # no free inode, or a file system remounted read-only
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
        """Free the ballast's blocks; return False if it has none. The fsync makes them usable at once on ext4."""
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
    """Return the level; `missing_bytes` of ballast count as used, `before` is the previous level (hysteresis)."""
    share_bp = (room.free - missing_bytes) * 10_000 // max(1, room.watched)
    for mark_bp, level in MARKS_BP:
        if share_bp < mark_bp + (BACK_BP if before >= level else 0):
            return level
    return StorageLevel.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The space that `storage.offline_days` needs, for trades and for the samples that chargers send."""

    days: int
    trades_a_day: int
    trade_bytes: int  # including its share of the samples

    @property
    def bytes(self) -> int:
        """The total in bytes."""
        return self.days * self.trades_a_day * self.trade_bytes

    def __str__(self) -> str:
        """Return the computation as text."""
        each = f"{self.trade_bytes / 1000:.1f} kB"
        return f"{self.days} days x {self.trades_a_day:,} trades x {each} needs {_megabytes(self.bytes)}"


def worst_case(config: Config) -> Promise:
    """Return the most that a station writes in `storage.offline_days` without a peer."""
    evses = sum(len(charger.evses) for charger in config.chargers)
    samples = -(-_DAY_S // TRADES_A_DAY // config.ocpp.sample_interval_s)
    return Promise(
        days=config.storage.offline_days,
        trades_a_day=TRADES_A_DAY * evses,
        trade_bytes=TRADE_BYTES + samples * SAMPLE_BYTES,
    )


def room_above_marks(folder: Path) -> int:
    """Return the bytes that can be written before storing is restricted, with the ballast in place."""
    room = room_of(folder)
    mark = room.watched * next(bp for bp, level in MARKS_BP if level is StorageLevel.NO_TELEMETRY) // 10_000
    return room.free - Ballast(folder / BALLAST).missing_bytes - mark


def check_storage(config: Config) -> list[str]:
    """Return the faults of the disk for this configuration as lines for ConfigError; empty if there are none."""
    folder = config.station.data_dir
    promise, has = worst_case(config), max(0, room_above_marks(existing(folder)))
    if promise.bytes <= has:
        return []
    return [explained("EGW-4001", f"{promise}; {folder} has {_megabytes(has)}")]


def existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return folder if folder.is_dir() else existing(folder.parent)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


class Log(Protocol):
    """The signature of `ops.logs.log_event`."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Write one event."""


class StorageWatch:
    """Checks the disk, emits changes of the level to the core, and keeps the ballast."""

    def __init__(self, folder: Path, emit: Emit, log: Log, *, ballast: Ballast | None = None) -> None:
        self.ballast = ballast or Ballast(folder / BALLAST)
        self.level = StorageLevel.OK
        self.room = room_of(folder)
        self._folder = folder
        self._emit = emit
        self.log = log

    async def run(self) -> None:
        """Check every `LOOK_S` seconds until cancelled."""
        while True:
            self.tell(await asyncio.to_thread(self.look))
            await asyncio.sleep(LOOK_S)

    def look(self) -> StorageLevel:
        """Create or release the ballast and return the current level. Blocks; may run in any thread."""
        self.room = room_of(self._folder)
        level = level_of(self.room, missing_bytes=self.ballast.missing_bytes, before=self.level)
        if level is StorageLevel.BALLAST_RELEASED:
            self.ballast.release()
        elif self.ballast.missing_bytes and not self.ballast.make():
            level = StorageLevel.BALLAST_RELEASED
        return level

    def tell(self, level: StorageLevel) -> None:
        """Log a change of the level and emit it to the core; call on the event loop."""
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
