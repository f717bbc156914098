"""Receipts of the member's sessions: list, receipt with lines, CSV, and the recomputation of their blocks.

Decides who sees a receipt (its member only) and how many lines are recomputed at once. `ports.representative.LedgerView`
does the check; the page states its limits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.trade_terms import IMPORT, RETAIL
from edgegw.ports.receipts import LineStatus, Receipt, ReceiptLine, SessionsShown
from edgegw.ports.representative import (
    Checked,
    RefusedRequest,
    RepresentativeError,
    TradeShown,
)
from edgegw.web.application import for_members, page
from edgegw.web.csv_export import receipt_csv
from edgegw.web.driver.code_messages import check_text, holds, line_text, reason_text
from edgegw.web.formatting import csv_file, member, shown_to, visitor
from edgegw.web.pages import Pages, Word
from edgegw.web.site import Site

PAGE = 10
CHECKS_MAX = 50
TRADES_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A line of a receipt in words: why it was retail, why it is not paid, and its trade on the ledger."""

    line: ReceiptLine
    trade: TradeShown | None
    reason: str
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Result of recomputing the block of a line; `checked` is None if the ledger has no such trade."""

    line: ReceiptLine
    checked: Checked | None
    checks: Sequence[tuple[str, bool, str]] = ()
    holds: bool = False


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The list and the receipt."""
    receipts = _Receipts(pages)
    return [
        page("/receipts", for_members(pages, receipts.several)),
        page("/receipts/{session_id:path}", for_members(pages, receipts.single)),
    ]


class _Receipts:
    """Handlers of the list and of a receipt."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._site = pages.site

    async def several(self, request: Request) -> Response:
        found = await _sessions(self._site, request)
        receipts = [await _receipt(self._site, one.session_id) for one in found.sessions]
        return await self._pages.answer(
            request,
            "driver/receipts.html",
            receipts=[one for one in receipts if one is not None],
            older=found.bookmark,
            is_first="from" not in request.query_params,
            show=shown_to(request, self._site),
        )

    async def single(self, request: Request) -> Response:
        receipt = await _receipt(self._site, request.path_params["session_id"])
        if receipt is None:
            return self._pages.draw(request, "refused.html", status=404, code="EGW-3004")
        if receipt.session.member_id != member(request).member_id:
            return self._pages.draw(request, "refused.html", status=403, code="EGW-3005")
        word, show = self._pages.word(visitor(request).language), shown_to(request, self._site)
        if request.query_params.get("format") == "csv":
            return csv_file("receipt", receipt_csv(receipt))
        trades = await _trades(self._site, receipt)
        segments = [_segment(one, word, trades.get(one.trade_id)) for one in receipt.lines]
        wants_proof = request.query_params.get("check") == "1"
        return await self._pages.answer(
            request,
            "driver/receipt.html",
            receipt=receipt,
            segments=segments,
            fees_mtok=sum(
                one.trade.fee_mtok for one in segments if one.trade and one.line.direction == IMPORT
            ),
            proofs=await _proofs(self._site, receipt, word) if wants_proof else None,
            checks_max=CHECKS_MAX,
            show=show,
        )


async def _sessions(site: Site, request: Request) -> SessionsShown:
    if site.receipts is None:
        return SessionsShown(sessions=(), bookmark="")
    bookmark = request.query_params.get("from", "")[:200]
    return await site.receipts.sessions(member(request).member_id, bookmark=bookmark, size=PAGE)


async def _receipt(site: Site, session_id: str) -> Receipt | None:
    return None if site.receipts is None else await site.receipts.receipt(session_id)


async def _trades(site: Site, receipt: Receipt) -> Mapping[str, TradeShown]:
    """Query the trades of the first TRADES_MAX committed lines; empty if the ledger is unreachable."""
    ids = [one.trade_id for one in receipt.lines if one.status is LineStatus.COMMITTED]
    try:
        found = await asyncio.gather(*(site.ledger.trade(one) for one in ids[:TRADES_MAX]))
    except RepresentativeError:
        return {}
    return {one.trade_id: one for one in found if one is not None}


def _segment(line: ReceiptLine, word: Word, trade: TradeShown | None = None) -> Segment:
    unpaid = line.status in {LineStatus.REFUSED, LineStatus.UNTRADED}
    return Segment(
        line=line,
        trade=trade,
        reason=reason_text(line.reason, word) if line.kind == RETAIL else "",
        refusal=line_text(line.code, word) if unpaid else "",
    )


async def _proofs(site: Site, receipt: Receipt, word: Word) -> Sequence[Proof]:
    """Recompute the blocks of the first committed lines."""
    committed = [one for one in receipt.lines if one.status is LineStatus.COMMITTED][:CHECKS_MAX]
    found = []
    for line in committed:
        checked = await site.ledger.check(line.trade_id)
        if isinstance(checked, RefusedRequest):
            found.append(Proof(line=line, checked=None))
            continue
        checks = [(check_text(one.name, word), one.holds, one.detail) for one in checked.checks]
        found.append(Proof(line=line, checked=checked, checks=checks, holds=holds(checked)))
    return found
