"""What the ledger's answers mean for the station: each lane moves on, and each ended submission has a reader.

`core.submission` is the life of one submission; this module knows which submissions exist and what waits for each.
Lines of trades are gathered and read in `core.trade_lines`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from edgegw.core import sale, schedule, session, session_end, trade_lines
from edgegw.core import submission as life
from edgegw.core.effects import Effect
from edgegw.core.events import CommitKnown, CommitUnknown, Endorsed, EndorseFailed
from edgegw.core.internal_events import (
    ChargeHoldOpened,
    ChargeHoldRefused,
    EnergyAttested,
    PreparationFailed,
    SaleHoldOpened,
    SweepCommitted,
)
from edgegw.core.market import CHARGE, SliceState
from edgegw.core.state import Evse, HoldState
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


def on_answer(context: StepContext, event: Endorsed | EndorseFailed | CommitKnown | CommitUnknown) -> None:
    """Move one submission on, and read its end where it has one."""
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
    trade_lines.gather_lines(context)
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
    Purpose.TRADES: trade_lines.read_trades,
}
