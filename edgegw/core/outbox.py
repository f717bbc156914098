"""What the ledger's answers mean for the station: the head of each lane moves, and each ended submission has a reader.

`settlement` knows the life of one submission; this module knows which submissions there are and what waits for them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgegw.core import control, ending, sale, schedule, starting, trade
from edgegw.core import settlement as life
from edgegw.core.effects import Effect
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed
from edgegw.core.market import CHARGE, DISCHARGE, SliceState, key
from edgegw.core.settlement import State, Submission
from edgegw.core.state import Evse, HoldState, Line, Phase, SaleStage
from edgegw.core.turn import Turn
from edgegw.units import amount_mtok

TRADES_LANE = "trades"


def on_answer(turn: Turn, event: Endorsed | EndorseFailed | CommitKnown | CommitUnknown) -> None:
    """Move one submission on; whoever waits for its end hears of it."""
    submission = turn.submissions.get(event.submission_id)
    if submission is None:
        return
    moved, effects = MOVES[type(event)](submission, event)
    turn.emit(*effects)
    if moved.state is State.NEW and moved.attempt > submission.attempt:
        turn.log("submission.retried", function=moved.function, code=moved.code, attempt=moved.attempt)
    _store(turn, moved)


def _store(turn: Turn, submission: Submission) -> None:
    if submission.state not in life.ENDED:
        turn.submissions.put(submission.submission_id, submission)
        return
    turn.submissions.drop(submission.submission_id)
    turn.note(
        "submission",
        function=submission.function,
        subject=submission.subject,
        state=submission.state.value,
        code=submission.code,
        tx_id=submission.tx_id,
        block=submission.block,
    )
    if submission.state is State.REFUSED:
        turn.log(
            "submission.rejected",
            function=submission.function,
            subject=submission.subject,
            code=submission.code,
            detail=submission.detail,
        )
    READERS[submission.purpose](turn, submission)


def move_lanes(turn: Turn) -> None:
    """Start what stands at the head of its lane; a stale head ends and the next one moves up."""
    _gather_lines(turn)
    while True:
        waiting = [item for item in life.heads(turn.submissions.rows) if item.state is State.NEW]
        if not waiting:
            return
        ended = False
        for submission in waiting:
            moved, effects = life.start(submission, turn.now_ns)
            turn.emit(*effects)
            _store(turn, moved)
            ended = ended or moved.state in life.ENDED
        if not ended:
            return


def _gather_lines(turn: Turn) -> None:
    """One RecordTrades with all lines closed since the last one, as long as none is in flight."""
    if any(item.lane == TRADES_LANE for item in turn.submissions.values()):
        return
    ready = [
        line
        for line in turn.lines.values()
        if line.submission_id is None and turn.meters[line.meter_id].registered
    ]
    batch = sorted(ready, key=lambda line: line.number)[: turn.settings.lines_max]
    if not batch:
        return
    submission = turn.submit(
        "RecordTrades",
        {"lines": [_argument(line) for line in batch]},
        lane=TRADES_LANE,
        purpose="trades",
        subject=f"{len(batch)} lines",
    )
    for line in batch:
        turn.lines.put(line.trade_id, replace(line, submission_id=submission.submission_id))


def _argument(line: Line) -> dict[str, object]:
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


def _read_hold(turn: Turn, submission: Submission) -> None:
    hold = turn.holds.get(submission.subject)
    if hold is None:
        return
    evse = turn.evses[hold.evse_id]
    current = evse.session is not None and hold.hold_id in {
        evse.session.charge_hold_id,
        evse.session.sale_hold_id,
    }
    if submission.state is State.COMMITTED:
        total = _quantity(submission, "reserved")  # milli-token or gross Wh
        state = HoldState.CLOSING if hold.state is HoldState.CLOSING else HoldState.OPEN
        turn.holds.put(hold.hold_id, replace(hold, total=total, state=state))
        turn.log("hold.opened", evse_id=hold.evse_id, product=hold.product, total=total)
        if not current or state is HoldState.CLOSING:
            ending.close_hold(turn, hold.hold_id)
        elif hold.product == CHARGE:
            starting.begin_if_ready(turn, evse)
        else:
            sale.ready(turn, evse)
        return
    turn.holds.drop(hold.hold_id)
    turn.log("hold.refused", evse_id=hold.evse_id, product=hold.product, code=submission.code)
    if not current or hold.state is HoldState.CLOSING:
        return
    if hold.product != CHARGE:
        sale.close(turn, evse, stage=_stage_after(submission))
    elif evse.phase is Phase.STARTING:
        starting.hold_refused(turn, evse, code=submission.code)


def _quantity(submission: Submission, name: str) -> int:
    """A quantity of the record that the contract answered with."""
    value = (submission.result or {}).get(name)
    assert isinstance(value, str), f"{submission.function} tells its {name}"
    return int(value)


def _read_release(turn: Turn, submission: Submission) -> None:
    turn.holds.drop(submission.subject)


def _read_slice(turn: Turn, submission: Submission) -> None:
    item = turn.slices.get(submission.subject)
    if item is None:
        return
    if submission.state is not State.COMMITTED:
        turn.slices.drop(item.slice_id)
        return
    turn.slices.put(item.slice_id, replace(item, state=SliceState.OPEN))
    for evse in turn.evses.values():
        sale.consider(turn, evse)


def _read_return(turn: Turn, submission: Submission) -> None:
    turn.slices.drop(submission.subject)


def _read_price(turn: Turn, submission: Submission) -> None:
    if submission.state is State.COMMITTED and submission.result is not None:
        schedule.learn_price(turn, submission.result)


def _evse_of_session(turn: Turn, session_id: str) -> Evse | None:
    for evse in turn.evses.values():
        if evse.session is not None and evse.session.session_id == session_id:
            return evse
    return None


def _read_sweep(turn: Turn, submission: Submission) -> None:
    evse = _evse_of_session(turn, submission.subject)
    if evse is None or evse.session is None:
        return
    if submission.state is State.COMMITTED:
        # More credits may have come, or the page was full: ask again until none is left.
        if evse.session.sale is SaleStage.SWEEPING:
            sale.ask_balance(turn, evse_id=evse.evse_id, session=evse.session)
    else:
        sale.close(turn, evse, stage=SaleStage.NONE)


def _read_attest(turn: Turn, submission: Submission) -> None:
    evse = _evse_of_session(turn, submission.subject)
    if evse is None:
        return
    if submission.state is State.COMMITTED:
        sale.open_hold(turn, evse, attested_wh=_quantity(submission, "dischargeableWh"))
    else:
        sale.close(turn, evse, stage=_stage_after(submission))


def _stage_after(submission: Submission) -> SaleStage:
    """A sale that the contract refused is over for this session; one that found no time, or a busy account, is not."""
    refused = submission.state is State.REFUSED and submission.code != "ENERGY_BUSY"
    return SaleStage.OVER if refused else SaleStage.NONE


def _read_meter(turn: Turn, submission: Submission) -> None:
    meter_id, epoch = submission.subject.rsplit("/", 1)
    account = turn.meters.get(meter_id)
    if account is None or account.epoch != int(epoch):
        return
    # An epoch that was registered before, otherwise: the contract judges each line by its register (METER_OVERLAP).
    if submission.state is State.COMMITTED or submission.code == "ID_CONFLICT":
        turn.meters.put(meter_id, replace(account, registered=True))


def _read_trades(turn: Turn, submission: Submission) -> None:
    """Each line by itself: recorded, or refused with a code and then retail or untraded."""
    raw = (submission.result or {}).get("results")
    results = raw if isinstance(raw, list) else []
    by_id: dict[str, Mapping[str, object]] = {str(item["tradeId"]): item for item in results}
    for line in turn.lines.values():
        if line.submission_id != submission.submission_id:
            continue
        turn.lines.drop(line.trade_id)
        answer = by_id.get(line.trade_id, {"status": "REFUSED", "code": submission.code})
        if submission.state is State.COMMITTED and answer["status"] in {"RECORDED", "KNOWN"}:
            _record(turn, line, answer=answer, submission=submission)
        else:
            _line_refused(turn, line, str(answer.get("code", submission.code)))
    _after_lines(turn)


def _record(turn: Turn, line: Line, *, answer: Mapping[str, object], submission: Submission) -> None:
    tally = turn.tally
    reasons = dict(tally.retail_reasons)
    if line.reason is not None:
        reasons[line.reason] = reasons.get(line.reason, 0) + line.energy_wh
    imported = line.direction == trade.IMPORT
    turn.tally = replace(
        tally,
        trades=tally.trades + 1,
        market_wh=tally.market_wh + (line.energy_wh if imported and line.kind == "MARKET" else 0),
        retail_wh=tally.retail_wh + (line.energy_wh if imported and line.kind == "RETAIL" else 0),
        sold_wh=tally.sold_wh + (0 if imported else line.energy_wh),
        retail_reasons=reasons,
    )
    amount = answer.get("amount")
    amount_paid = int(amount) if isinstance(amount, str) else None
    if amount_paid is not None and line.kind == "RETAIL":
        # Where the ceiling was not known yet, the line was charged to our account at the hold's limit.
        hold = turn.holds[line.hold_id]
        turn.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost + amount_paid))
    _pay(turn, line, amount_paid or 0)
    turn.note(
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
        price_mtok_per_kwh=_price_of(turn, line),
        amount_mtok=amount_paid,
        evidence_hash=line.evidence_hash,
        tx_id=submission.tx_id,
        block=submission.block,
        status=str(answer["status"]),
    )
    turn.log(
        "trade.recorded",
        **_told(line),
        price_mtok_per_kwh=_price_of(turn, line),
        amount_mtok=amount_paid,
        reason=line.reason,
        block=submission.block,
    )


def _pay(turn: Turn, line: Line, amount: int) -> None:
    """The running sums of the line's session, while it is there."""
    one = turn.in_session(line.evse_id, line.session_id)
    if one is None:
        return
    if line.direction == trade.IMPORT:
        turn.put_session(line.evse_id, replace(one, paid_mtok=one.paid_mtok + amount))
    else:
        turn.put_session(line.evse_id, replace(one, earned_mtok=one.earned_mtok + amount))


def _told(line: Line) -> dict[str, object]:
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


def _price_of(turn: Turn, line: Line) -> int | None:
    """The price a recorded line had, as far as this station has seen the interval's record."""
    record = turn.prices.get(key(CHARGE if line.direction == trade.IMPORT else DISCHARGE, line.interval))
    if record is None:
        return None
    return record.price_mtok_per_kwh if line.kind == "MARKET" else record.ceiling_mtok_per_kwh


def _line_refused(turn: Turn, line: Line, code: str) -> None:
    """A refused market line is offered once more as retail; otherwise the energy stays untraded."""
    turn.log("trade.refused", **_told(line), code=code)
    again = line.kind == "MARKET" and line.direction == trade.IMPORT and line.accept_retail
    hold = turn.holds[line.hold_id]
    if again:
        reason = trade.retail_reason(turn, line.interval, hold)
        record = turn.prices.get(key(CHARGE, line.interval))
        ceiling = hold.limit_mtok_per_kwh if record is None else record.ceiling_mtok_per_kwh
        cost = amount_mtok(ceiling or hold.limit_mtok_per_kwh, line.energy_wh)
        if cost <= hold.left + line.cost:
            turn.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost + cost))
            retail = replace(line, kind="RETAIL", slice_id=None, reason=reason, cost=cost, submission_id=None)
            turn.lines.put(line.trade_id, retail)
            return
    turn.holds.put(hold.hold_id, replace(hold, used=hold.used - line.cost))
    turn.untraded(
        line.direction,
        f"REFUSED_{code}",
        line.energy_wh,
        meter_id=line.meter_id,
        epoch=line.epoch,
        start_wh=line.start_wh,
        interval=line.interval,
    )


def _after_lines(turn: Turn) -> None:
    for evse in turn.evses.values():
        sale.go_on(turn, evse)
        current = turn.evses[evse.evse_id]
        if current.session is not None and current.session.sale is SaleStage.READY:
            control.replan(turn, current)


def release_holds(turn: Turn) -> None:
    """Release every closing hold whose last line is settled."""
    closing = [hold for hold in turn.holds.values() if hold.state is HoldState.CLOSING]
    if not closing:
        return
    drawn = {line.hold_id for line in turn.lines.values()}
    for hold in closing:
        asked = any(
            item.purpose == "hold" and item.subject == hold.hold_id for item in turn.submissions.values()
        )
        cut = turn.meters[turn.settings.evses[hold.evse_id].meter_id].cut
        uncut = cut is None or cut.at_ns < hold.release_after_ns
        if hold.hold_id in drawn or asked or uncut:
            continue
        turn.holds.put(hold.hold_id, replace(hold, state=HoldState.RELEASING))
        turn.submit(
            "Release",
            {"holdId": hold.hold_id},
            lane=f"acc~{hold.member_id}",
            purpose="release",
            subject=hold.hold_id,
        )


MOVES: Mapping[type, Callable[[Submission, Any], tuple[Submission, list[Effect]]]] = {
    Endorsed: life.on_endorsed,
    EndorseFailed: life.on_endorse_failed,
    CommitKnown: life.on_commit_known,
    CommitUnknown: life.on_commit_unknown,
}
READERS: Mapping[str, Callable[[Turn, Submission], None]] = {
    "hold": _read_hold,
    "release": _read_release,
    "slice": _read_slice,
    "return": _read_return,
    "price": _read_price,
    "sweep": _read_sweep,
    "attest": _read_attest,
    "meter": _read_meter,
    "trades": _read_trades,
}
