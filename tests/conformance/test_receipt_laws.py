"""What pages rely on of `ports.receipts.ReceiptBook`, checked on the fake and on a station's journal."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from edgegw.ports.gateway import Fact
from edgegw.ports.receipts import Receipt, ReceiptBook, SessionShown
from edgegw.store.journal import SqliteJournal
from edgegw.store.receipts import JournalReceipts
from tests.support.receipts_fake import FakeBook


class Shelf(Protocol):
    """A receipt book, and how a test adds to it."""

    @property
    def book(self) -> ReceiptBook:
        """What is asked."""

    async def begin(self, session_id: str, member_id: str = "ann", *, at_ns: int = 1) -> None:
        """A session starts."""

    async def end(self, session_id: str, *, at_ns: int) -> None:
        """It ends."""

    async def prove(self, trade_id: str, evidence: dict[str, object]) -> None:
        """The station signs its evidence of a trade."""


class Faked:
    """The fake."""

    def __init__(self) -> None:
        self.book = FakeBook()

    async def begin(self, session_id: str, member_id: str = "ann", *, at_ns: int = 1) -> None:
        session = SessionShown(session_id=session_id, evse_id="E1", member_id=member_id, started_ns=at_ns)
        self.book.add(Receipt(session=session, meters=(), lines=()))

    async def end(self, session_id: str, *, at_ns: int) -> None:
        self.book.end(session_id, at_ns)

    async def prove(self, trade_id: str, evidence: dict[str, object]) -> None:
        self.book.proofs[trade_id] = {"trade_id": trade_id, **evidence}


class Journalled:
    """A journal of the station's."""

    def __init__(self, path: Path) -> None:
        self.journal = SqliteJournal(path)
        self.book = JournalReceipts(path)

    async def _note(self, kind: str, **body: object) -> None:
        await self.journal.commit([Fact(kind=kind, body=body)], {})

    async def begin(self, session_id: str, member_id: str = "ann", *, at_ns: int = 1) -> None:
        await self._note(
            "session_started", at_ns=at_ns, session_id=session_id, evse_id="E1", member_id=member_id
        )

    async def end(self, session_id: str, *, at_ns: int) -> None:
        await self._note("session_finished", at_ns=at_ns, session_id=session_id)

    async def prove(self, trade_id: str, evidence: dict[str, object]) -> None:
        await self._note("evidence", trade_id=trade_id, **evidence)


@pytest.fixture(params=["fake", "journal"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    if request.param == "fake":
        yield Faked()
    else:
        found = Journalled(tmp_path / "station.db")
        yield found
        found.journal.close()


async def listed(shelf: Shelf, *, bookmark: str = "", size: int = 20) -> tuple[Sequence[str], str]:
    page = await shelf.book.sessions("ann", bookmark=bookmark, size=size)
    return [session.session_id for session in page.sessions], page.bookmark


async def test_sessions_come_page_by_page(shelf: Shelf) -> None:
    """A member's sessions come once each, newest first; an invalid bookmark starts at the beginning."""
    for n in range(9):
        await shelf.begin(f"S{n}", "ann" if n % 2 else "bob", at_ns=n)
    await shelf.end("S7", at_ns=99)
    seen, bookmark = [], ""
    for _ in range(3):
        page = await shelf.book.sessions("ann", bookmark=bookmark, size=2)
        seen += [(session.session_id, session.ended_ns) for session in page.sessions]
        bookmark = page.bookmark
        if not bookmark:
            break
    assert seen == [("S7", 99), ("S5", None), ("S3", None), ("S1", None)]
    for strange in ("x", "-1", "9" * 40, "²"):
        assert len((await listed(shelf, bookmark=strange))[0]) == 4
    assert list((await shelf.book.sessions("eve")).sessions) == []
    assert list((await shelf.book.sessions("\ud800")).sessions) == []


async def test_a_page_goes_on_where_it_stopped(shelf: Shelf) -> None:
    """A page continues where the last one ended, and no session comes twice, although a session began meanwhile."""
    for n in range(4):
        await shelf.begin(f"S{n}", at_ns=n)
    first, bookmark = await listed(shelf, size=2)
    await shelf.begin("S4", at_ns=4)
    rest, end = await listed(shelf, bookmark=bookmark, size=2)
    assert (first, rest, end) == (["S3", "S2"], ["S1", "S0"], "")


async def test_a_page_has_bounds(shelf: Shelf) -> None:
    """A page has at least one session and at most a hundred."""
    for n in range(101):
        await shelf.begin(f"S{n}", at_ns=n)
    for size, shown in ((0, 1), (-5, 1), (1000, 100)):
        sessions, bookmark = await listed(shelf, size=size)
        assert (len(sessions), bool(bookmark)) == (shown, True)


async def test_a_receipt_is_of_its_session(shelf: Shelf) -> None:
    """A receipt is found by its session for any caller; without readings it has no lines; it is settled after the session's end."""
    await shelf.begin("S1", at_ns=7)
    await shelf.begin("S2", "bob")
    receipt = await shelf.book.receipt("S1")
    assert receipt == Receipt(
        session=SessionShown(session_id="S1", evse_id="E1", member_id="ann", started_ns=7),
        meters=(),
        lines=(),
    )
    assert not receipt.settled
    await shelf.end("S1", at_ns=9)
    receipt = await shelf.book.receipt("S1")
    assert receipt is not None
    assert (receipt.session.ended_ns, receipt.settled) == (9, True)
    other = await shelf.book.receipt("S2")
    assert other is not None
    assert (other.session.member_id, other.session.ended_ns) == ("bob", None)


async def test_evidence_is_of_its_trade(shelf: Shelf) -> None:
    """The evidence of a trade is exactly what the station signed."""
    await shelf.prove("T1", {"evidence": {"tradeId": "T1"}, "signature": "30"})
    fact = await shelf.book.evidence("T1")
    assert fact is not None
    assert (fact["evidence"], fact["signature"]) == ({"tradeId": "T1"}, "30")
    assert await shelf.book.evidence("T2") is None


async def test_what_is_not_there_is_none(shelf: Shelf) -> None:
    """An unknown session, another spelling, half a character, a quotation."""
    await shelf.begin("S1")
    for session_id in ("S0", "s1", "", "\ud800", "S1' OR 1"):
        assert await shelf.book.receipt(session_id) is None
        assert await shelf.book.evidence(session_id) is None
