"""Check every state in which a power cut may leave a recorded daemon's journal, at each write and sync."""

import hashlib
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.common.clock import StationClock
from edgegw.common.errors import EdgegwError
from edgegw.common.sqlite import open_reader
from edgegw.core.state import Station
from edgegw.core.station import new_station
from edgegw.core.submission import InDoubt, Prepared
from edgegw.daemon.wiring import accounts, station_settings
from edgegw.gateway.loop import restore
from edgegw.store.hash_chain import require_chain
from edgegw.store.journal import SqliteJournal
from edgegw.store.migrations import JOURNAL
from tests.support.cut_disk import MODES, WRITES, Disk, events_of
from tests.support.recorded_station import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Survived:
    """The contents of an image, and its inconsistencies."""

    messages: frozenset[str]
    transactions: frozenset[str]
    facts: int
    faults: tuple[str, ...]


class Inspector:
    """Opens images as the daemon does and reads them; equal images are read once."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        config = recording.config
        settings = station_settings(config, StationClock(), b"0" * 32)
        self._fresh = new_station(settings, accounts(config, b"0" * 32))
        self._folder = folder
        self._known: dict[bytes, Survived] = {}

    @property
    def images(self) -> int:
        """The number of different images so far."""
        return len(self._known)

    def look(self, image: Mapping[str, bytes]) -> Survived:
        """Return the contents of an image."""
        digest = hashlib.sha256()
        for name, content in image.items():
            digest.update(f"{name}:{len(content)}:".encode() + content)
        key = digest.digest()
        if key not in self._known:
            self._known[key] = self._read(image)
        return self._known[key]

    def _read(self, image: Mapping[str, bytes]) -> Survived:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, content in image.items():
            (self._folder / name).write_bytes(content)
        path = self._folder / "station.db"
        try:
            journal = SqliteJournal(path)
            try:
                station = restore(self._fresh, journal.rows)
            finally:
                journal.close()
            with closing(open_reader(path, JOURNAL)) as db:
                require_chain(db)
                facts = [
                    (kind, json.loads(body))
                    for kind, body in db.execute("SELECT kind, body FROM facts ORDER BY seq")
                ]
        except (EdgegwError, sqlite3.Error) as error:
            return Survived(messages=frozenset(), transactions=frozenset(), facts=0, faults=(str(error),))
        return Survived(
            messages=frozenset(json.loads(body["text"])[1] for kind, body in facts if kind == "frame"),
            transactions=frozenset(answer.transaction_id for answer in station.answers.values()),
            facts=len(facts),
            faults=tuple(book_faults(station, facts)),
        )


def book_faults(station: Station, facts: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    """Yield what is inconsistent: registers must be traded + untraded + open lines, and each line has its submission."""
    meter_of = {account.meter_ref: account.meter_id for account in station.meters.values()}
    counted: Counter[tuple[str, int, str]] = Counter()
    booked: Counter[tuple[str, int, str]] = Counter()
    edges: dict[tuple[str, int, str], int] = {}
    trades = 0
    for kind, body in facts:
        if kind == "epoch":
            for direction in ("import", "export"):
                edges[body["meter_id"], body["epoch"], direction] = body[f"{direction}_mwh"]
        elif kind == "segment":
            for direction in ("import", "export"):
                where = body["meter_id"], body["epoch"], direction
                first, last = body[f"{direction}_mwh"]
                if edges.get(where) != first:
                    yield f"a segment of {where} begins at {first}, not at {edges.get(where)}"
                edges[where] = last
                counted[where] += last // 1000 - first // 1000
        elif kind == "trade":
            trades += 1
            reference, epoch, direction, _ = body["trade_id"].split(":")
            booked[meter_of[reference], int(epoch), direction] += body["end_wh"] - body["start_wh"]
        elif kind == "untraded":
            booked[body["meter_id"], body["epoch"], body["direction"]] += body["energy_wh"]
    for line in station.lines.values():
        booked[line.meter_id, line.epoch, line.direction] += line.energy_wh
        if line.submission_id is not None and line.submission_id not in station.submissions:
            yield f"{line.trade_id} waits for a submission that is not there"
        if line.hold_id not in station.holds:
            yield f"{line.trade_id} draws on a hold that is not there"
    yield from (f"{where}: {counted[where]} Wh counted, {booked[where]} booked" for where in {*counted, *booked}
                if counted[where] != booked[where])  # fmt: skip
    for account in station.meters.values():
        known = edges.get((account.meter_id, account.epoch, "import"))
        if account.cut is not None and account.cut.import_mwh != known:
            yield f"{account.meter_id} is cut at {account.cut.import_mwh}, its segments end at {known}"
    if station.tally["all"].trades != trades:
        yield f"{station.tally['all'].trades} trades counted, {trades} noted"
    for item in station.submissions.values():
        if isinstance(item, Prepared | InDoubt) and not (item.envelope.tx_id and item.envelope.envelope_hex):
            yield f"submission {item.submission_id} may have left without being kept"


# --- the replay -----------------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """The results of all cuts of one recording."""

    points: int = 0
    syncs: int = 0
    cuts: int = 0
    images: int = 0
    answered: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unanswered: int = 0  # images with a message that was not answered yet: a repeat must find it
    in_file: int = 0  # writes to the main file, by checkpoints of the log


def cut_everywhere(recording: Recording, folder: Path, *, seeds: tuple[int, ...] = (1,)) -> Verdict:
    """Cut at every write and sync of a recording, in every mode; compare what was answered with what is left."""
    verdict, inspector = Verdict(), Inspector(recording, folder)
    disk = Disk(recording.folder, recording.before)
    chances = [random.Random(seed) for seed in seeds]
    needles = {message_id: f'[3,"{message_id}"'.encode() for message_id in recording.billing}
    for event in events_of(recording.trace):
        if "socket" in event.path and event.call in WRITES:
            left = {key for key, needle in needles.items() if needle in event.content}
            if left:
                verdict.answered |= left
                _cut(
                    verdict,
                    inspector,
                    disk,
                    recording=recording,
                    chances=chances,
                    where=f"answer {sorted(left)}",
                )
        elif disk.take(event):
            verdict.points += 1
            verdict.syncs += event.call == "sync"
            verdict.in_file += event.call == "pwrite64" and event.path.endswith("station.db")
            where = f"{event.call} {event.path.rpartition('/')[2]} #{verdict.points}"
            _cut(verdict, inspector, disk, recording=recording, chances=chances, where=where)
    verdict.images = inspector.images
    return verdict


def _cut(
    verdict: Verdict,
    inspector: Inspector,
    disk: Disk,
    *,
    recording: Recording,
    chances: list[random.Random],
    where: str,
) -> None:
    transactions = {recording.transactions[key] for key in verdict.answered & set(recording.transactions)}
    for mode in MODES:
        for chance in chances if mode in {"random", "torn"} else chances[:1]:
            verdict.cuts += 1
            found = inspector.look(disk.image(mode, chance))
            verdict.broken += [f"{where}, {mode}: {fault}" for fault in found.faults]
            gone = (verdict.answered - found.messages) | (transactions - found.transactions)
            if gone:
                verdict.lost.append(f"{where}, {mode}: {sorted(gone)}")
            verdict.unanswered += bool((found.messages & set(recording.billing)) - verdict.answered)
