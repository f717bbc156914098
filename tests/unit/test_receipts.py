"""Receipts from a journal of the real core: every Wh of a session once, with the place of each of its lines."""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.errors import JournalError
from edgegw.ports.gateway import Fact
from edgegw.ports.receipts import LineStatus, MeterSpan, Receipt, ReceiptBook
from edgegw.store.journal import SqliteJournal
from edgegw.store.receipts import JournalReceipts
from tests.support.journal_days import JournalledUniverse, market_day, offline_day


def written(universe: JournalledUniverse, path: Path) -> JournalReceipts:
    """The universe's commits in a journal."""

    async def write() -> None:
        journal = SqliteJournal(path)
        for facts, rows in universe.commits:
            await journal.commit(facts, rows)
        journal.close()

    asyncio.run(write())
    return JournalReceipts(path)


def facts_of(universe: JournalledUniverse, kind: str) -> list[dict[str, Any]]:
    return [dict(fact.body) for facts, _ in universe.commits for fact in facts if fact.kind == kind]


async def all_of(book: ReceiptBook, member_ids: set[str]) -> list[Receipt]:
    found = []
    for member_id in member_ids:
        for session in (await book.sessions(member_id)).sessions:
            receipt = await book.receipt(session.session_id)
            assert receipt is not None
            assert receipt.session == session
            assert session.member_id == member_id
            found.append(receipt)
    return found


@pytest.fixture(scope="module", params=[1, 2, 5])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    universe = market_day(request.param)
    return universe, written(universe, tmp_path_factory.mktemp("day") / "station.db")


async def test_every_trade_stands_on_one_receipt(day: tuple[JournalledUniverse, JournalReceipts]) -> None:
    """Every trade is on one receipt, with its price, amount, transaction and block; its member and evidence are found."""
    universe, book = day
    started = facts_of(universe, "session_started")
    trades = facts_of(universe, "trade")
    receipts = await all_of(book, {body["member_id"] for body in started})
    assert len(receipts) == len(started) > 1
    lines = [
        (receipt.session.session_id, line)
        for receipt in receipts
        for line in receipt.lines
        if line.status is LineStatus.COMMITTED
    ]
    assert len(trades) > 3
    assert sorted((session_id, line.trade_id) for session_id, line in lines) == sorted(
        (body["session_id"], body["trade_id"]) for body in trades
    )
    assert any(line.price_mtok_per_kwh is not None for _, line in lines)
    by_id = {body["trade_id"]: body for body in trades}
    for _, line in lines:
        body = by_id[line.trade_id]
        if line.price_mtok_per_kwh is None:  # no price's record ever told this station the ceiling
            assert line.reason == "PRICE_NOT_FIXED"
        else:
            assert line.amount_mtok == (line.price_mtok_per_kwh * line.energy_wh + 500) // 1000
        assert (line.tx_id, line.block, line.reason) == (body["tx_id"], body["block"], body["reason"] or "")
        fact = await book.evidence(line.trade_id)
        assert fact is not None
        assert "signature" in fact


async def test_every_wh_of_a_session_is_on_its_receipt(
    day: tuple[JournalledUniverse, JournalReceipts],
) -> None:
    """Registers at the end less those at the start are the lines, in each direction; nothing overlaps."""
    universe, book = day
    moved: Counter[str] = Counter()
    for receipt in await all_of(book, {body["member_id"] for body in facts_of(universe, "session_started")}):
        assert receipt.settled
        for direction in ("import", "export"):
            lines = [line for line in receipt.lines if line.direction == direction]
            energy_wh = sum(
                getattr(span, f"{direction}_end_wh") - getattr(span, f"{direction}_start_wh")
                for span in receipt.meters
            )
            assert sum(line.energy_wh for line in lines) == energy_wh
            assert all(one.end_wh <= other.start_wh for one, other in pairwise(lines))
            moved[direction] += energy_wh
        committed = [line for line in receipt.lines if line.status is LineStatus.COMMITTED]
        assert receipt.bought_wh + receipt.sold_wh == sum(line.energy_wh for line in committed)
        assert receipt.paid_mtok + receipt.earned_mtok == sum(line.amount_mtok or 0 for line in committed)
    assert moved["import"] > 0


def test_lines_on_their_way_wait(tmp_path: Path) -> None:
    """While no peer answers nothing is committed and the session continues; the receipt shows every Wh as waiting."""
    universe = offline_day(sample_s=None, hours=2)
    book = written(universe, tmp_path / "station.db")

    async def look() -> list[Receipt]:
        sessions = [evse.session for evse in universe.station.evses.values() if evse.session is not None]
        found = [await book.receipt(session.session_id) for session in sessions]
        return [one for one in found if one is not None]

    started = facts_of(universe, "session_started")
    receipts = asyncio.run(look())
    assert len(receipts) == len(started)
    for receipt in receipts:
        assert {line.status for line in receipt.lines} <= {LineStatus.WAITING}
        assert not receipt.settled


# --- by hand ------------------------------------------------------------------------------------------------------


def fact(name: str, at_ns: int = 0, /, **body: Any) -> Fact:
    return Fact(kind=name, body={"at_ns": at_ns, **body})


def started(session_id: str, member_id: str = "ann", at_ns: int = 1) -> Fact:
    return fact("session_started", at_ns, session_id=session_id, evse_id="E1", member_id=member_id)


def segment(session_id: str | None, first_wh: int, last_wh: int, **changes: Any) -> Fact:
    made = {
        "meter_id": "M1",
        "epoch": 0,
        "interval": 900,
        "import_mwh": [first_wh * 1000, last_wh * 1000 + 900],
        "export_mwh": [0, 0],
        "session_id": session_id,
    }
    return fact("segment", **{**made, **changes})


def untraded(start_wh: int, energy_wh: int, code: str, **changes: Any) -> Fact:
    made = {"meter_id": "M1", "epoch": 0, "interval": 900, "direction": "import"}
    return fact("untraded", **{**made, "start_wh": start_wh, "energy_wh": energy_wh, "code": code, **changes})


def trade(session_id: str, start_wh: int, end_wh: int, status: str = "RECORDED") -> Fact:
    return fact(
        "trade",
        session_id=session_id,
        trade_id=f"R1:0:import:{start_wh}",
        direction="import",
        interval=900,
        start_wh=start_wh,
        end_wh=end_wh,
        kind="RETAIL",
        reason="NO_SLICE",
        amount_mtok=end_wh - start_wh,
        tx_id="tx",
        block=7,
        status=status,
    )


async def journal_of(
    path: Path, facts: list[Fact], rows: dict[str, str | None] | None = None
) -> JournalReceipts:
    journal = SqliteJournal(path)
    await journal.commit(facts, rows or {})
    journal.close()
    return JournalReceipts(path)


async def test_what_the_ledger_refused_is_on_the_receipt(tmp_path: Path) -> None:
    """Energy that the ledger refused is on its session's receipt, although its fact comes later; another's is not."""
    book = await journal_of(
        tmp_path / "s.db",
        [
            started("S1"),
            segment("S1", 100, 200),
            untraded(180, 20, "PRICE_LIMIT"),
            fact("session_finished", 5, session_id="S1"),
            segment(None, 200, 210),
            untraded(200, 10, "STANDBY"),
            started("S2", "bob"),
            segment("S2", 210, 300),
            trade("S1", 100, 150),
            untraded(210, 90, "REFUSED_METER_OVERLAP"),
            *(fact("frame", text=str(n)) for n in range(200)),
            untraded(150, 30, "REFUSED_HOLD_EXPIRED", epoch=1),
            untraded(150, 30, "REFUSED_HOLD_EXPIRED"),
        ],
    )
    receipt = await book.receipt("S1")
    assert receipt is not None
    assert [(line.status.value, line.start_wh, line.energy_wh, line.code) for line in receipt.lines] == [
        ("COMMITTED", 100, 50, ""),
        ("REFUSED", 150, 30, "HOLD_EXPIRED"),
        ("UNTRADED", 180, 20, "PRICE_LIMIT"),
    ]
    assert (receipt.session.ended_ns, receipt.bought_wh, receipt.paid_mtok) == (5, 50, 50)
    other = await book.receipt("S2")
    assert other is not None
    assert [line.code for line in other.lines] == ["METER_OVERLAP"]
    assert (other.session.ended_ns, other.session.member_id, other.settled) == (None, "bob", False)


async def test_a_trade_that_the_ledger_knew_names_no_block(tmp_path: Path) -> None:
    """For a trade that the ledger already had, this station knows no block; the ledger does."""
    facts = [started("S1"), segment("S1", 0, 10), trade("S1", 0, 10, status="KNOWN")]
    receipt = await (await journal_of(tmp_path / "s.db", facts)).receipt("S1")
    assert receipt is not None
    (line,) = receipt.lines
    assert (line.status, line.block, line.tx_id, line.price_mtok_per_kwh) == (
        LineStatus.COMMITTED,
        None,
        "",
        None,
    )


async def test_a_meter_that_was_exchanged_has_two_spans(tmp_path: Path) -> None:
    """Registers of two epochs are never subtracted from each other; a disputed session says so."""
    facts = [
        segment("S1", 100, 120),  # closed while the start still waited for its hold
        started("S1"),
        segment("S1", 120, 150, interval=1800),
        fact("disputed", session_id="S1"),
        segment("S1", 3, 9, epoch=1, interval=1800),
        fact("session_finished", 9, session_id="S1"),
    ]
    receipt = await (await journal_of(tmp_path / "s.db", facts)).receipt("S1")
    assert receipt is not None
    none = {"export_start_wh": 0, "export_end_wh": 0}
    assert receipt.meters == (
        MeterSpan(meter_id="M1", epoch=0, import_start_wh=100, import_end_wh=150, **none),
        MeterSpan(meter_id="M1", epoch=1, import_start_wh=3, import_end_wh=9, **none),
    )
    assert receipt.disputed
    assert receipt.lines == ()


async def test_a_session_that_never_began_has_no_receipt(tmp_path: Path) -> None:
    """An unknown session has no receipt, and a missing journal is a fault, not an empty book."""
    book = await journal_of(tmp_path / "s.db", [fact("session_finished", session_id="S0")])
    assert await book.receipt("S0") is None
    with pytest.raises(JournalError):
        await JournalReceipts(tmp_path / "none.db").receipt("S1")


async def test_reading_stops_where_all_is_accounted_for(tmp_path: Path) -> None:
    """Reading stops when all energy is accounted for, so that a receipt's cost does not grow with the journal."""
    facts = [started("S1"), segment("S1", 0, 10), trade("S1", 0, 10), trade("S1", 20, 30)]
    receipt = await (await journal_of(tmp_path / "s.db", facts)).receipt("S1")
    assert receipt is not None
    assert [line.start_wh for line in receipt.lines] == [0]
