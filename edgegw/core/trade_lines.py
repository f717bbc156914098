"""Trade lines on their way to the ledger: gathered into one RecordTrades, and read back line by line.

Decides which lines one submission carries, and what becomes of a refused one. Never decides what a line is worth: that
is `core.line_allocation` before, and the contract after.
Source: docs/ledger.md, Trades.
"""

from collections.abc import Mapping
from dataclasses import replace

from edgegw.common.trade_terms import IMPORT, MARKET, RETAIL
from edgegw.common.units import amount_mtok
from edgegw.core import control, line_allocation, sale
from edgegw.core.internal_events import LinesSettled
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.core.state import SaleStage, TradeLine
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Committed, Ended, Expired, Purpose

TRADES_LANE = "trades"


def gather_lines(context: StepContext) -> None:
    """Submit one RecordTrades with all lines closed since the last one, unless one is in flight."""
    if any(item.lane == TRADES_LANE for item in context.submissions.values()):
        return
    ready = [
        line
        for line in context.lines.values()
        if line.submission_id is None and context.meters[line.meter_id].registered
    ]
    batch = sorted(ready, key=lambda line: line.number)[: context.settings.lines_max]
    if not batch:
        return
    submission = context.submit(
        "RecordTrades",
        {"lines": [_argument(line) for line in batch]},
        lane=TRADES_LANE,
        purpose=Purpose.TRADES,
        subject=f"{len(batch)} lines",
    )
    for line in batch:
        context.lines.put(line.trade_id, replace(line, submission_id=submission.submission_id))


def _argument(line: TradeLine) -> dict[str, object]:
    argument: dict[str, object] = {
        "tradeId": line.trade_id,
        "meterRef": line.meter_ref,
        "epoch": line.epoch,
        "direction": line.direction,
        "startWh": str(line.start_wh),
        "endWh": str(line.end_wh),
        "interval": line.interval,
        "kind": line.kind,
        "holdId": line.hold_id,
        "evidenceHash": line.evidence_hash,
    }
    if line.slice_id is not None:
        argument["sliceId"] = line.slice_id
    if line.reason is not None:
        argument["reason"] = line.reason
    return argument


def read_trades(context: StepContext, submission: Ended) -> None:
    """Settle each line by itself: recorded, or refused with a code and then offered as retail or booked as untraded."""
    envelope = None if isinstance(submission, Expired) else submission.envelope
    raw = None if envelope is None else envelope.result.get("results")
    results = raw if isinstance(raw, list) else []
    by_id: dict[str, Mapping[str, object]] = {str(item["tradeId"]): item for item in results}
    for line in context.lines.values():
        if line.submission_id != submission.submission_id:
            continue
        context.lines.drop(line.trade_id)
        answer = by_id.get(line.trade_id, {"status": "REFUSED", "code": submission.code})
        if isinstance(submission, Committed) and answer["status"] in {"RECORDED", "KNOWN"}:
            _record(context, line, answer=answer, submission=submission)
        else:
            _line_refused(context, line, str(answer.get("code", submission.code)))
    _after_lines(context)


def _record(
    context: StepContext, line: TradeLine, *, answer: Mapping[str, object], submission: Committed
) -> None:
    tally = context.tally
    reasons = dict(tally.retail_reasons)
    if line.reason is not None:
        reasons[line.reason] = reasons.get(line.reason, 0) + line.energy_wh
    imported = line.direction == IMPORT
    context.tally = replace(
        tally,
        trades=tally.trades + 1,
        market_wh=tally.market_wh + (line.energy_wh if imported and line.kind == MARKET else 0),
        retail_wh=tally.retail_wh + (line.energy_wh if imported and line.kind == RETAIL else 0),
        sold_wh=tally.sold_wh + (0 if imported else line.energy_wh),
        retail_reasons=reasons,
    )
    amount = answer.get("amount")
    amount_paid = int(amount) if isinstance(amount, str) else None
    if amount_paid is not None and line.kind == RETAIL:
        # Where the ceiling was not known yet, the line was charged to our account at the hold's limit.
        hold = context.holds[line.hold_id]
        context.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost + amount_paid))
    _pay(context, line, amount_paid or 0)
    context.note(
        "trade",
        trade_id=line.trade_id,
        evse_id=line.evse_id,
        session_id=line.session_id,
        direction=line.direction,
        kind=line.kind,
        reason=line.reason,
        interval=line.interval,
        start_wh=line.start_wh,
        end_wh=line.end_wh,
        price_mtok_per_kwh=_price_of(context, line),
        amount_mtok=amount_paid,
        evidence_hash=line.evidence_hash,
        tx_id=submission.envelope.tx_id,
        block=submission.block,
        status=str(answer["status"]),
    )
    context.log(
        "trade.recorded",
        **_told(line),
        price_mtok_per_kwh=_price_of(context, line),
        amount_mtok=amount_paid,
        reason=line.reason,
        block=submission.block,
    )


def _pay(context: StepContext, line: TradeLine, amount: int) -> None:
    """The running sums of the line's session, while it is there."""
    one = context.in_session(line.evse_id, line.session_id)
    if one is None:
        return
    if line.direction == IMPORT:
        context.put_session(line.evse_id, replace(one, paid_mtok=one.paid_mtok + amount))
    else:
        context.put_session(line.evse_id, replace(one, earned_mtok=one.earned_mtok + amount))


def _told(line: TradeLine) -> dict[str, object]:
    """What a log line says of a trade."""
    return {
        "trade_id": line.trade_id,
        "evse_id": line.evse_id,
        "session_id": line.session_id,
        "direction": line.direction,
        "kind": line.kind,
        "interval": line.interval,
        "energy_wh": line.energy_wh,
    }


def _price_of(context: StepContext, line: TradeLine) -> int | None:
    """The price a recorded line had, as far as this station has seen the interval's record."""
    record = context.prices.get(key(CHARGE if line.direction == IMPORT else DISCHARGE, line.interval))
    if record is None:
        return None
    return record.price_mtok_per_kwh if line.kind == MARKET else record.ceiling_mtok_per_kwh


def _line_refused(context: StepContext, line: TradeLine, code: str) -> None:
    """A refused market line is offered once more as retail; otherwise the energy stays untraded."""
    context.log("trade.refused", **_told(line), code=code)
    again = line.kind == MARKET and line.direction == IMPORT and line.accept_retail
    hold = context.holds[line.hold_id]
    if again:
        reason = line_allocation.retail_reason(context, line.interval, hold)
        record = context.prices.get(key(CHARGE, line.interval))
        ceiling = hold.limit_mtok_per_kwh if record is None else record.ceiling_mtok_per_kwh
        cost = amount_mtok(ceiling or hold.limit_mtok_per_kwh, line.energy_wh)
        if cost <= hold.left + line.cost:
            context.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost + cost))
            retail = replace(line, kind=RETAIL, slice_id=None, reason=reason, cost=cost, submission_id=None)
            context.lines.put(line.trade_id, retail)
            return
    context.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost))
    context.untraded(
        line.direction,
        f"REFUSED_{code}",
        line.energy_wh,
        meter_id=line.meter_id,
        epoch=line.epoch,
        start_wh=line.start_wh,
        interval=line.interval,
    )


def _after_lines(context: StepContext) -> None:
    for evse in context.evses.values():
        sale.move(context, evse, LinesSettled())
        current = context.evses[evse.evse_id]
        if current.session is not None and current.session.sale is SaleStage.READY:
            control.replan(context, current)
