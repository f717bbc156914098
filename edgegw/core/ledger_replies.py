"""What the ledger's answers mean for the station: the head of each lane moves, and each ended submission has a reader.

`settlement` knows the life of one submission; this module knows which submissions there are and what waits for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from edgegw.common.trade_terms import IMPORT, MARKET, RETAIL
from edgegw.common.units import amount_mtok
from edgegw.core import control, line_allocation, sale, schedule, session, session_end
from edgegw.core import submission as life
from edgegw.core.effects import Effect
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed
from edgegw.core.internal_events import (
    ChargeHoldOpened,
    ChargeHoldRefused,
    EnergyAttested,
    LinesSettled,
    PreparationFailed,
    SaleHoldOpened,
    SweepCommitted,
)
from edgegw.core.market import CHARGE, DISCHARGE, SliceState, key
from edgegw.core.state import Evse, HoldState, SaleStage, TradeLine
from edgegw.core.step_context import StepContext
from edgegw.core.submission import (
    Committed,
    Ended,
    Expired,
    New,
    Open,
    Purpose,
    Refused,
    Submission,
)

TRADES_LANE = "trades"


def on_answer(context: StepContext, event: Endorsed | EndorseFailed | CommitKnown | CommitUnknown) -> None:
    """Move one submission on; whoever waits for its end hears of it."""
    submission = context.submissions.get(event.submission_id)
    if submission is None:
        return
    moved, effects = MOVES[type(event)](submission, event)
    context.emit(*effects)
    if isinstance(moved, New) and moved.attempt > submission.attempt:
        context.log("submission.retried", function=moved.function, code=moved.code, attempt=moved.attempt)
    _store(context, moved)


def _store(context: StepContext, submission: Submission) -> None:
    if not isinstance(submission, Ended):
        context.submissions.put(submission.submission_id, submission)
        return
    context.submissions.drop(submission.submission_id)
    _note_end(context, submission)
    READERS[submission.purpose](context, submission)


def _note_end(context: StepContext, submission: Ended) -> None:
    tx_id, block = "", -1
    match submission:
        case Committed():
            tx_id, block = submission.envelope.tx_id, submission.block
        case Refused():
            tx_id = "" if submission.envelope is None else submission.envelope.tx_id
        case Expired():
            pass
        case _:
            assert_never(submission)
    context.note(
        "submission",
        function=submission.function,
        subject=submission.subject,
        state=submission.state.value,
        code=submission.code,
        tx_id=tx_id,
        block=block,
    )
    if isinstance(submission, Refused):
        context.log(
            "submission.rejected",
            function=submission.function,
            subject=submission.subject,
            code=submission.code,
            detail=submission.detail,
        )


def move_lanes(context: StepContext) -> None:
    """Start what stands at the head of its lane; a stale head ends and the next one moves up."""
    _gather_lines(context)
    while True:
        waiting = [item for item in life.heads(context.submissions.rows) if isinstance(item, New)]
        if not waiting:
            return
        ended = False
        for submission in waiting:
            moved, effects = life.start(submission, context.now_ns)
            context.emit(*effects)
            _store(context, moved)
            ended = ended or isinstance(moved, Expired)
        if not ended:
            return


def _gather_lines(context: StepContext) -> None:
    """One RecordTrades with all lines closed since the last one, as long as none is in flight."""
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


# --- readers of ended submissions -----------------------------------------------------------------------------------


def _read_hold(context: StepContext, submission: Ended) -> None:
    hold = context.holds.get(submission.subject)
    if hold is None:
        return
    evse = context.evses[hold.evse_id]
    current = evse.session is not None and hold.hold_id in {
        evse.session.charge_hold_id,
        evse.session.sale_hold_id,
    }
    if isinstance(submission, Committed):
        total = _quantity(submission, "reserved")  # milli-token or gross Wh
        state = HoldState.CLOSING if hold.state is HoldState.CLOSING else HoldState.OPEN
        context.holds.put(hold.hold_id, replace(hold, total=total, state=state))
        context.log("hold.opened", evse_id=hold.evse_id, product=hold.product, total=total)
        if not current or state is HoldState.CLOSING:
            session_end.close_hold(context, hold.hold_id)
        elif hold.product == CHARGE:
            session.move(context, evse, ChargeHoldOpened())
        else:
            sale.move(context, evse, SaleHoldOpened())
        return
    context.holds.drop(hold.hold_id)
    context.log("hold.refused", evse_id=hold.evse_id, product=hold.product, code=submission.code)
    if not current or hold.state is HoldState.CLOSING:
        return
    if hold.product != CHARGE:
        sale.move(context, evse, PreparationFailed(over=_is_over(submission)))
    else:
        session.move(context, evse, ChargeHoldRefused(code=submission.code))


def _quantity(submission: Committed, name: str) -> int:
    """A quantity of the record that the contract answered with."""
    value = submission.envelope.result.get(name)
    assert isinstance(value, str), f"{submission.function} tells its {name}"
    return int(value)


def _read_release(context: StepContext, submission: Ended) -> None:
    context.holds.drop(submission.subject)


def _read_slice(context: StepContext, submission: Ended) -> None:
    item = context.slices.get(submission.subject)
    if item is None:
        return
    if not isinstance(submission, Committed):
        context.slices.drop(item.slice_id)
        return
    context.slices.put(item.slice_id, replace(item, state=SliceState.OPEN))
    for evse in context.evses.values():
        sale.consider(context, evse)


def _read_return(context: StepContext, submission: Ended) -> None:
    context.slices.drop(submission.subject)


def _read_price(context: StepContext, submission: Ended) -> None:
    if isinstance(submission, Committed):
        schedule.learn_price(context, submission.envelope.result)


def _evse_of_session(context: StepContext, session_id: str) -> Evse | None:
    for evse in context.evses.values():
        if evse.session is not None and evse.session.session_id == session_id:
            return evse
    return None


def _read_sweep(context: StepContext, submission: Ended) -> None:
    evse = _evse_of_session(context, submission.subject)
    if evse is None:
        return
    if isinstance(submission, Committed):
        sale.move(context, evse, SweepCommitted())
    else:
        sale.move(context, evse, PreparationFailed(over=False))


def _read_attest(context: StepContext, submission: Ended) -> None:
    evse = _evse_of_session(context, submission.subject)
    if evse is None:
        return
    if isinstance(submission, Committed):
        sale.move(context, evse, EnergyAttested(attested_wh=_quantity(submission, "dischargeableWh")))
    else:
        sale.move(context, evse, PreparationFailed(over=_is_over(submission)))


def _is_over(submission: Ended) -> bool:
    """A sale that the contract refused is over for this session; one that found no time, or a busy account, is not."""
    return isinstance(submission, Refused) and submission.code != "ENERGY_BUSY"


def _read_meter(context: StepContext, submission: Ended) -> None:
    meter_id, epoch = submission.subject.rsplit("/", 1)
    account = context.meters.get(meter_id)
    if account is None or account.epoch != int(epoch):
        return
    # An epoch that was registered before, otherwise: the contract judges each line by its register (METER_OVERLAP).
    if isinstance(submission, Committed) or submission.code == "ID_CONFLICT":
        context.meters.put(meter_id, replace(account, registered=True))


def _read_trades(context: StepContext, submission: Ended) -> None:
    """Each line by itself: recorded, or refused with a code and then retail or untraded."""
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


def release_holds(context: StepContext) -> None:
    """Release every closing hold whose last line is settled."""
    closing = [hold for hold in context.holds.values() if hold.state is HoldState.CLOSING]
    if not closing:
        return
    drawn = {line.hold_id for line in context.lines.values()}
    for hold in closing:
        asked = any(
            item.purpose is Purpose.HOLD and item.subject == hold.hold_id
            for item in context.submissions.values()
        )
        cut = context.meters[context.settings.evses[hold.evse_id].meter_id].cut
        uncut = cut is None or cut.at_ns < hold.release_after_ns
        if hold.hold_id in drawn or asked or uncut:
            continue
        context.holds.put(hold.hold_id, replace(hold, state=HoldState.RELEASING))
        context.submit(
            "Release",
            {"holdId": hold.hold_id},
            lane=f"acc~{hold.member_id}",
            purpose=Purpose.RELEASE,
            subject=hold.hold_id,
        )


MOVES: Mapping[type, Callable[[Open, Any], tuple[Submission, list[Effect]]]] = {
    Endorsed: life.on_endorsed,
    EndorseFailed: life.on_endorse_failed,
    CommitKnown: life.on_commit_known,
    CommitUnknown: life.on_commit_unknown,
}
READERS: Mapping[Purpose, Callable[[StepContext, Ended], None]] = {
    Purpose.HOLD: _read_hold,
    Purpose.RELEASE: _read_release,
    Purpose.SLICE: _read_slice,
    Purpose.RETURN: _read_return,
    Purpose.PRICE: _read_price,
    Purpose.SWEEP: _read_sweep,
    Purpose.ATTEST: _read_attest,
    Purpose.METER: _read_meter,
    Purpose.TRADES: _read_trades,
}
