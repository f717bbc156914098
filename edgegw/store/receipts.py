"""Build receipts from the station's journal (`ports.receipts.ReceiptBook`), in threads beside the running gateway.

Decides which facts and rows belong to a session, and stops reading once every Wh of it is accounted for, so that a long
journal is not read to its end. Never writes. Facts: `session_started`, `session_finished`, `segment`, `trade`,
`untraded`, `disputed`, `evidence`; rows: lines not yet on the ledger.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database

from edgegw.common.sqlite import faults_of, open_reader
from edgegw.ports.receipts import (
    LineStatus,
    MeterSpan,
    Receipt,
    ReceiptLine,
    SessionShown,
    SessionsShown,
)
from edgegw.store.journal import rows_of
from edgegw.store.migrations import JOURNAL

T = TypeVar("T")
AT_ONCE = 2  # concurrent reading threads
SIZE_MOST = 100
_LINES = "lines/"
_REFUSED = "REFUSED_"
# A session's first segment may close seconds before its start, which waits for its hold; fewer facts lie between them.
_BEFORE_START = 20_000
_SAME_STEP = 100  # facts
_BY_SESSION = "json_extract(body, '$.session_id') = ?"


class JournalReceipts:
    """A `ReceiptBook` over a journal's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = asyncio.Semaphore(AT_ONCE)

    async def sessions(self, member_id: str, *, bookmark: str = "", size: int = 20) -> SessionsShown:
        """See ReceiptBook."""
        before = int(bookmark) if bookmark.isascii() and bookmark.isdecimal() and len(bookmark) < 19 else None
        return await self._read(lambda db: _sessions(db, member_id, before=before, size=size))

    async def receipt(self, session_id: str) -> Receipt | None:
        """See ReceiptBook."""
        return await self._read(lambda db: _receipt(db, session_id))

    async def evidence(self, trade_id: str) -> Mapping[str, object] | None:
        """See ReceiptBook. For an unknown trade it reads all evidence facts, so call it for known trades only."""
        return await self._read(lambda db: _evidence(db, trade_id))

    async def _read(self, ask: Callable[[Database], T]) -> T:
        async with self._places:
            return await asyncio.to_thread(self._in_thread, ask)

    def _in_thread(self, ask: Callable[[Database], T]) -> T:
        """Run one query on its own connection and snapshot, both short, so that the log can be checkpointed."""
        with closing(open_reader(self._path, JOURNAL)) as db, faults_of(self._path):
            db.execute("BEGIN")
            return ask(db)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    seq: int
    body: Mapping[str, Any]


def _facts(
    db: Database,
    kind: str,
    condition: str,
    *values: object,
    span: tuple[int, int | None] = (0, None),
    newest_first: bool = False,
) -> Iterator[_Fact]:
    """Yield the facts of a kind that meet an SQL condition, within a range of seq, lazily."""
    first, last = span
    order = "DESC" if newest_first else "ASC"
    text = f"SELECT seq, body FROM facts WHERE kind = ? AND seq >= ? AND seq <= ? AND {condition} ORDER BY seq {order}"  # noqa: S608 - constant SQL text
    most = 2**62 if last is None else last
    for seq, body in db.execute(text, (kind, first, most, *values)):
        yield _Fact(seq=seq, body=json.loads(body))


def _sessions(db: Database, member_id: str, *, before: int | None, size: int) -> SessionsShown:
    size = min(max(size, 1), SIZE_MOST)
    last = None if before is None else before - 1
    condition = "json_extract(body, '$.member_id') = ?"
    found: list[_Fact] = []
    if _speakable(member_id):
        for fact in _facts(db, "session_started", condition, member_id, span=(0, last), newest_first=True):
            found.append(fact)
            if len(found) > size:
                break
    page = found[:size]
    return SessionsShown(
        sessions=[_session(db, fact) for fact in page],
        bookmark=str(page[-1].seq) if len(found) > size else "",
    )


def _session(db: Database, started: _Fact) -> SessionShown:
    finished = _finished(db, started)
    return SessionShown(
        session_id=started.body["session_id"],
        evse_id=started.body["evse_id"],
        member_id=started.body.get("member_id", ""),
        started_ns=started.body["at_ns"],
        ended_ns=None if finished is None else finished.body["at_ns"],
    )


def _finished(db: Database, started: _Fact) -> _Fact | None:
    session_id = started.body["session_id"]
    return next(_facts(db, "session_finished", _BY_SESSION, session_id, span=(started.seq, None)), None)


def _receipt(db: Database, session_id: str) -> Receipt | None:
    if not _speakable(session_id):
        return None
    started = next(_facts(db, "session_started", _BY_SESSION, session_id, newest_first=True), None)
    if started is None:
        return None
    finished = _finished(db, started)
    last = None if finished is None else finished.seq
    first = max(0, started.seq - _BEFORE_START)
    segments = list(_facts(db, "segment", _BY_SESSION, session_id, span=(first, last)))
    disputed = next(_facts(db, "disputed", _BY_SESSION, session_id, span=(first, last)), None)
    lines = _lines(db, session_id, segments)
    return Receipt(
        session=_session(db, started),
        meters=tuple(_spans(segments)),
        lines=tuple(sorted(lines, key=lambda line: (line.interval, line.direction, line.start_wh))),
        disputed=disputed is not None,
    )


def _spans(segments: Sequence[_Fact]) -> Iterator[MeterSpan]:
    """Yield first and last registers by meter and epoch in time order, joining segments of the same epoch."""
    for (meter_id, epoch), group in groupby(
        segments, lambda fact: (fact.body["meter_id"], fact.body["epoch"])
    ):
        bodies = [fact.body for fact in group]
        yield MeterSpan(
            meter_id=meter_id,
            epoch=epoch,
            import_start_wh=bodies[0]["import_mwh"][0] // 1000,
            import_end_wh=bodies[-1]["import_mwh"][1] // 1000,
            export_start_wh=bodies[0]["export_mwh"][0] // 1000,
            export_end_wh=bodies[-1]["export_mwh"][1] // 1000,
        )


def _lines(db: Database, session_id: str, segments: Sequence[_Fact]) -> list[ReceiptLine]:
    """Return all lines of a session; stop reading once the energy of all its segments is accounted for."""
    if not segments:
        return []
    left_wh = sum(last - start for fact in segments for _, start, last in _moved(fact))
    rows = [json.loads(text) for text in rows_of(db, _LINES).values()]
    lines = [_waiting(row) for row in rows if row["session_id"] == session_id]
    beside = [fact for segment in segments for fact in _beside(db, segment)]
    lines += [_untraded(fact.body) for fact in beside]
    left_wh -= sum(line.energy_wh for line in lines)
    later = _later(db, session_id, segments, known={fact.seq for fact in beside})
    while left_wh > 0 and (line := next(later, None)) is not None:
        lines.append(line)
        left_wh -= line.energy_wh
    return lines


def _later(
    db: Database, session_id: str, segments: Sequence[_Fact], *, known: set[int]
) -> Iterator[ReceiptLine]:
    """Yield the lines sent to the ledger: first the recorded ones, then the refused ones."""
    span = (segments[0].seq, None)
    for fact in _facts(db, "trade", _BY_SESSION, session_id, span=span):
        yield _traded(fact.body)
    refused = "json_extract(body, '$.code') LIKE ?"
    for fact in _facts(db, "untraded", refused, f"{_REFUSED}%", span=span):
        if fact.seq not in known and any(_within(fact, segment) for segment in segments):
            yield _untraded(fact.body)


def _beside(db: Database, segment: _Fact) -> Iterator[_Fact]:
    """Yield the facts of energy not sent to the ledger, which follow the segment's fact in the same step."""
    for fact in _facts(db, "untraded", "1", span=(segment.seq, segment.seq + _SAME_STEP)):
        if _within(fact, segment):
            yield fact


def _within(untraded: _Fact, segment: _Fact) -> bool:
    one, other = untraded.body, segment.body
    if any(one[name] != other[name] for name in ("meter_id", "epoch", "interval")):
        return False
    return any(
        direction == one["direction"] and start_wh <= one["start_wh"] < end_wh
        for direction, start_wh, end_wh in _moved(segment)
    )


def _moved(segment: _Fact) -> Iterator[tuple[str, int, int]]:
    """Yield direction, first and last whole Wh of a segment."""
    for direction in ("import", "export"):
        start_mwh, end_mwh = segment.body[f"{direction}_mwh"]
        yield direction, start_mwh // 1000, end_mwh // 1000


def _waiting(row: Mapping[str, Any]) -> ReceiptLine:
    return ReceiptLine(
        status=LineStatus.WAITING,
        direction=row["direction"],
        interval=row["interval"],
        start_wh=row["start_wh"],
        end_wh=row["end_wh"],
        kind=row["kind"],
        trade_id=row["trade_id"],
        reason=row["reason"] or "",
    )


def _traded(body: Mapping[str, Any]) -> ReceiptLine:
    """Return a recorded line; without its block if the ledger already knew it, as it is then in an earlier one."""
    first = body["status"] != "KNOWN"
    return ReceiptLine(
        status=LineStatus.COMMITTED,
        direction=body["direction"],
        interval=body["interval"],
        start_wh=body["start_wh"],
        end_wh=body["end_wh"],
        kind=body["kind"],
        trade_id=body["trade_id"],
        price_mtok_per_kwh=body.get("price_mtok_per_kwh"),
        amount_mtok=body["amount_mtok"],
        reason=body["reason"] or "",
        tx_id=body["tx_id"] if first else "",
        block=body["block"] if first else None,
    )


def _untraded(body: Mapping[str, Any]) -> ReceiptLine:
    code = str(body["code"])
    return ReceiptLine(
        status=LineStatus.REFUSED if code.startswith(_REFUSED) else LineStatus.UNTRADED,
        direction=body["direction"],
        interval=body["interval"],
        start_wh=body["start_wh"],
        end_wh=body["start_wh"] + body["energy_wh"],
        code=code.removeprefix(_REFUSED),
    )


def _evidence(db: Database, trade_id: str) -> Mapping[str, object] | None:
    if not _speakable(trade_id):
        return None
    condition = "json_extract(body, '$.trade_id') = ?"
    found = next(_facts(db, "evidence", condition, trade_id, newest_first=True), None)
    return None if found is None else found.body


def _speakable(text: str) -> bool:
    """Return whether the text can be an SQLite parameter, which a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
