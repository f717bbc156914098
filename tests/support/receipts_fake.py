"""Fake the receipt book in memory, and provide a receipt with every kind of line, for tests of pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.ports.receipts import (
    LineStatus,
    MeterSpan,
    Receipt,
    ReceiptLine,
    SessionShown,
    SessionsShown,
)
from edgegw.ports.representative import TradeShown
from edgegw.store.receipts import SIZE_MOST
from tests.support.representative_fake import NOW_S
from tests.support.web_site import FakeLedger


@dataclass
class FakeBook:
    """receipts.ReceiptBook in memory, checked by tests/conformance/test_receipt_laws.py; `proofs` are evidence by trade."""

    kept: dict[str, Receipt] = field(default_factory=dict)
    proofs: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def add(self, receipt: Receipt) -> None:
        self.kept[receipt.session.session_id] = receipt

    def end(self, session_id: str, at_ns: int) -> None:
        receipt = self.kept[session_id]
        self.kept[session_id] = replace(receipt, session=replace(receipt.session, ended_ns=at_ns))

    async def sessions(self, member_id: str, *, bookmark: str = "", size: int = 20) -> SessionsShown:
        is_place = bookmark.isascii() and bookmark.isdecimal() and len(bookmark) < 19
        before = int(bookmark) if is_place else len(self.kept)
        own = [
            (place, one.session)
            for place, one in enumerate(self.kept.values())
            if one.session.member_id == member_id and place < before
        ][::-1]
        page = own[: min(max(size, 1), SIZE_MOST)]
        more = str(page[-1][0]) if len(own) > len(page) else ""
        return SessionsShown(sessions=[session for _, session in page], bookmark=more)

    async def receipt(self, session_id: str) -> Receipt | None:
        return self.kept.get(session_id)

    async def evidence(self, trade_id: str) -> Mapping[str, object] | None:
        return self.proofs.get(trade_id)


def receipt_of(member_id: str, ledger: FakeLedger, session_id: str = "BAY-1.77") -> Receipt:
    """Return a receipt with energy bought on the market and at retail, sold, refused, untraded, and still waiting."""
    first = (NOW_S - 7200) // INTERVAL_S * INTERVAL_S
    market = ReceiptLine(
        status=LineStatus.COMMITTED,
        direction="import",
        interval=first,
        start_wh=1_204_000,
        end_wh=1_206_345,
        kind="MARKET",
        trade_id="m1:1:import:1204000",
        price_mtok_per_kwh=125_000,
        amount_mtok=293_125,
        tx_id="ab" * 32,
        block=41,
    )
    retail = replace(
        market,
        interval=first + 900,
        start_wh=1_206_345,
        end_wh=1_207_000,
        kind="RETAIL",
        reason="NO_SLICE",
        price_mtok_per_kwh=186_000,
        amount_mtok=121_830,
        trade_id="m1:1:import:1206345",
    )
    sold = replace(
        market,
        direction="export",
        interval=first + 1800,
        start_wh=88_000,
        end_wh=93_000,
        price_mtok_per_kwh=165_000,
        amount_mtok=825_000,
        trade_id="m1:1:export:88000",
        block=None,
    )
    unpaid = ReceiptLine(
        status=LineStatus.REFUSED,
        direction="import",
        interval=first + 2700,
        start_wh=1_207_000,
        end_wh=1_207_100,
        code="EXCEEDS_HOLD",
    )
    lines = (
        market,
        retail,
        sold,
        unpaid,
        replace(unpaid, status=LineStatus.UNTRADED, code="NO_HOLD", start_wh=1_207_100, end_wh=1_207_120),
        replace(
            retail, status=LineStatus.WAITING, price_mtok_per_kwh=None, amount_mtok=None, tx_id="", block=None
        ),
    )
    for line in (market, retail, sold):
        ledger.trades[line.trade_id] = _trade(line, member_id)
    return Receipt(
        session=SessionShown(
            session_id=session_id,
            evse_id="BAY-1",
            member_id=member_id,
            started_ns=first * SECOND_NS,
            ended_ns=NOW_S * SECOND_NS,
        ),
        meters=(
            MeterSpan(
                meter_id="M-BAY-1",
                epoch=1,
                import_start_wh=1_204_000,
                import_end_wh=1_207_120,
                export_start_wh=88_000,
                export_end_wh=93_000,
            ),
        ),
        lines=lines,
    )


def _trade(line: ReceiptLine, member_id: str) -> TradeShown:
    buys = line.direction == "import"
    return TradeShown(
        trade_id=line.trade_id,
        kind=line.kind,
        product="CHARGE" if buys else "DISCHARGE",
        interval=line.interval,
        buyer=member_id if buys else "industry",
        seller="solar" if buys else member_id,
        start_wh=line.start_wh,
        end_wh=line.end_wh,
        price_mtok_per_kwh=line.price_mtok_per_kwh or 0,
        amount_mtok=line.amount_mtok or 0,
        fee_mtok=2_345 if line.kind == "MARKET" and buys else 0,
        evidence_hash="0" * 64,
        tx_id=line.tx_id,
        at_ns=NOW_S * SECOND_NS,
        block=line.block or 43,
        reason=line.reason or None,
    )
