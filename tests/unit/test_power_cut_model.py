"""The power cut model loses only what a disk may lose, and its check of the books finds faults."""

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.core.state import Station, TradeLine
from edgegw.core.station import new_station
from edgegw.core.submission import Envelope, Open, Prepared
from tests.support.core_bench import Bench, settings
from tests.support.cut_disk import Disk, Event, events_of, strace
from tests.support.power_cut import book_faults

HOME = Path("/data")
DB = "station.db"


def disk(**before: bytes) -> Disk:
    return Disk(HOME, {DB: b"old", **before})


def take(model: Disk, call: str, name: str, **more: Any) -> None:
    model.take(Event(call=call, path=f"{HOME}/{name}".rstrip("/"), **more))


def images(model: Disk, mode: str, name: str) -> set[bytes | None]:
    return {model.image(mode, random.Random(seed)).get(name) for seed in range(60)}


def test_only_a_sync_makes_a_write_sure() -> None:
    """Unsynced bytes may be there or not; synced ones are; and a later write leaves them as they were."""
    model = disk()
    take(model, "pwrite64", DB, content=b"new", offset=0)
    assert images(model, "nothing", DB) == {b"old"}
    assert images(model, "everything", DB) == {b"new"}
    assert images(model, "random", DB) == {b"old", b"new"}
    take(model, "sync", DB)
    take(model, "ftruncate", DB, offset=1)
    take(model, "pwrite64", DB, content=b"x", offset=4)
    assert images(model, "nothing", DB) == {b"new"}
    assert images(model, "everything", DB) == {b"n\0\0\0x"}
    assert images(model, "random", DB) == {b"new", b"n", b"new\0x", b"n\0\0\0x"}


def test_a_torn_write_tears_at_sectors() -> None:
    """A torn write has whole old and new sectors."""
    model = disk()
    take(model, "pwrite64", DB, content=b"a" * 1024, offset=0)
    take(model, "sync", DB)
    take(model, "pwrite64", DB, content=b"b" * 1024, offset=0)
    a, b = b"a" * 512, b"b" * 512
    assert images(model, "torn", DB) == {a + a, a + b, b + a, b + b}


def test_a_name_is_sure_after_its_folders_sync() -> None:
    """Made, moved and removed names may be forgotten until then; a sync of the file itself is not enough."""
    model = disk()
    take(model, "openat", "station.db-wal")
    take(model, "write", "station.db-wal", content=b"log")
    take(model, "sync", "station.db-wal")
    assert images(model, "nothing", "station.db-wal") == {None}
    assert images(model, "torn", "station.db-wal") == {None, b"log"}
    take(model, "sync", "")
    assert images(model, "nothing", "station.db-wal") == {b"log"}
    take(model, "unlink", "station.db-wal")
    assert images(model, "nothing", "station.db-wal") == {b"log"}
    assert images(model, "everything", "station.db-wal") == {None}
    take(model, "sync", "")
    take(model, "rename", DB, target=f"{HOME}/backups/station.db")
    for mode, places in (("nothing", (b"old", None)), ("everything", (None, b"old"))):
        image = model.image(mode, random.Random(1))
        assert (image.get(DB), image.get("backups/station.db")) == places
    take(model, "sync", "")
    assert images(model, "nothing", DB) == {b"old"}, "the other folder is not synced yet"
    take(model, "sync", "backups")
    assert images(model, "nothing", DB) == {None}


def test_what_is_no_journal_is_not_looked_at() -> None:
    """The memory map of the log, the lock and other programs' files are left out; a file that is emptied is not."""
    model = disk()
    for name in ("station.db-shm", "station.db.lock", "status.json", "../elsewhere"):
        assert not model.take(Event(call="openat", path=f"{HOME}/{name}"))
    assert model.take(Event(call="openat", path=f"{HOME}/{DB}", empties=True))
    assert images(model, "random", DB) == {b"old", b""}


def test_a_trace_becomes_events(tmp_path: Path) -> None:
    """A sync counts from its end, a write from its beginning, a call that failed not at all."""
    hexed = "".join(f"\\x{byte:02x}" for byte in b"/data/station.db")
    trace = tmp_path / "trace"
    trace.write_text(
        f'1 pwrite64(3<{hexed}>, "\\x61\\x62", 2, 4096 <unfinished ...>\n'
        f"2 fdatasync(3<{hexed}> <unfinished ...>\n"
        "1 <... pwrite64 resumed>) = 2\n"
        f'3 openat(AT_FDCWD<\\x2f>, "{hexed}", O_RDONLY) = 3\n'
        f'3 unlink("{hexed}") = -1 ENOENT (No such file or directory)\n'
        "4 close(3<socket:[7]>) = 0\n"
        "2 <... fdatasync resumed>) = 0\n"
        '5 sendmsg(9<\\x73\\x6f>, {msg_iov=[{iov_base="\\x5b", iov_len=1}, {iov_base="\\x33", iov_len=1}]}, 0) = 2\n'
        f"6 ftruncate(3<{hexed}>, 17) = 0\n"
    )
    assert [(event.call, event.path, event.content, event.offset) for event in events_of(trace)] == [
        ("pwrite64", "/data/station.db", b"ab", 4096),
        ("sync", "/data/station.db", b"", 0),
        ("sendmsg", "so", b"[3", 0),
        ("ftruncate", "/data/station.db", b"", 17),
    ]
    assert strace(trace, "true")[-1] == "true"


def test_a_write_that_the_trace_cut_short_is_noticed(tmp_path: Path) -> None:
    """An incomplete trace must not pass for a complete one."""
    (tmp_path / "trace").write_text('1 pwrite64(3<\\x2f>, "\\x61"..., 2, 0) = 2\n')
    with pytest.raises(AssertionError, match="short"):
        list(events_of(tmp_path / "trace"))


# --- the books --------------------------------------------------------------------------------------------------------

EPOCH = ("epoch", {"meter_id": "MA1", "epoch": 1, "import_mwh": 1_000_000, "export_mwh": 0})
SEGMENT = (
    "segment",
    {"meter_id": "MA1", "epoch": 1, "import_mwh": [1_000_000, 1_005_000], "export_mwh": [0, 0]},
)
UNTRADED = ("untraded", {"meter_id": "MA1", "epoch": 1, "direction": "import", "energy_wh": 2})
TRADE = ("trade", {"trade_id": "RA1:1:import:1000", "start_wh": 1000, "end_wh": 1003})


def station(*, trades: int = 1, **tables: Any) -> Station:
    bench = Bench()
    made = new_station(settings(), {"MA1": bench.station.meters["MA1"]})
    meter = replace(made.meters["MA1"], cut=None)
    tally = {"all": replace(made.tally["all"], trades=trades)}
    return replace(made, meters={"MA1": meter}, tally=tally, **tables)


def test_books_that_agree_have_no_fault() -> None:
    """Five Wh counted: three traded, two not."""
    assert list(book_faults(station(), [EPOCH, SEGMENT, TRADE, UNTRADED])) == []


def test_every_missing_piece_is_found() -> None:
    """A fact without its row or a row without its fact is named."""
    assert "5 Wh counted, 3 booked" in next(book_faults(station(), [EPOCH, SEGMENT, TRADE]))
    assert "0 Wh counted, 5 booked" in next(book_faults(station(), [EPOCH, TRADE, UNTRADED]))
    assert "begins at 1000000, not at None" in next(book_faults(station(), [SEGMENT, TRADE, UNTRADED]))
    assert "0 trades counted, 1 noted" in next(
        book_faults(station(trades=0), [EPOCH, SEGMENT, TRADE, UNTRADED])
    )
    bench = Bench()
    bench.active()
    bench.go(300)
    bench.end()
    bench.read("MA1", 1_005)
    (line,) = bench.station.lines.values()
    assert isinstance(line, TradeLine)
    lines = {line.trade_id: line}
    orphan = station(trades=0, lines=lines)
    found = list(book_faults(orphan, [EPOCH, SEGMENT]))
    assert any("a submission that is not there" in fault for fault in found)
    assert any("a hold that is not there" in fault for fault in found)
    sent = {key: item for key, item in bench.station.submissions.items() if item.function == "RecordTrades"}
    torn = station(trades=0, submissions={"1": _prepared(next(iter(sent.values())))})
    assert "may have left without being kept" in next(book_faults(torn, []))


def _prepared(item: Open) -> Prepared:
    """The same payload with an envelope that was torn away."""
    payload = {field.name: getattr(item, field.name) for field in fields(item)}
    return Prepared(**payload, envelope=Envelope(tx_id="", envelope_hex="", result={}))


def test_a_cut_that_no_segment_ends_at_is_found() -> None:
    """The meter's row is ahead of its facts, or behind."""
    bench = Bench()
    found = list(book_faults(bench.station, []))
    assert any("MA1 is cut at 1000000" in fault for fault in found)
