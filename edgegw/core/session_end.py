"""How a session ends: what is answered, cut and given back.

A session that is over waits for one more reading of its meter, so that its last segment is whole; then its holds close.
Source: docs/ledger.md, Life of a session; OCPP 2.1 use cases E06 to E08.
"""

from dataclasses import replace

from edgegw.core import driver_orders, session_summary
from edgegw.core.answer_cache import start_answer
from edgegw.core.effects import AnswerCall, ReadMeter
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.line_allocation import settle_segment
from edgegw.core.metering import cut_at_last
from edgegw.core.state import Evse, HoldState, Phase, Session
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Purpose


def end_session(context: StepContext, evse: Evse, *, reason: str) -> Evse:
    """Take the session off the EVSE; `finish` follows with the next reading. `reason` is for people only."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        context.emit(AnswerCall(call=call, answer=start_answer(session, Status.INVALID)))
    if session.pending_calls:
        context.refuse("LEFT_EARLY", evse_id=evse.evse_id, session_id=session.session_id)
    if not session.answered:
        driver_orders.refuse(context, session.order_id, code="LEFT_EARLY")
    driver_orders.end(context, session.order_id)
    ended = replace(session, ended_ns=context.now_ns, pending_calls=(), end_reason=reason)
    ending: Session | None = ended
    if not ended.began:
        # Nothing was measured for it; the session before it may still wait for its last reading.
        finish(context, ended, evse_id=evse.evse_id)
        ending = evse.ending
    context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))
    context.plans.drop(evse.evse_id)
    return context.put_evse(replace(evse, phase=Phase.VACANT, session=None, ending=ending, setpoint=None))


def cut_for(context: StepContext, evse: Evse, owner: Session | None) -> None:
    """End the open segment at the last reading, on `owner`'s account."""
    meter_id = context.settings.evses[evse.evse_id].meter_id
    account, segment = cut_at_last(context.meters[meter_id])
    context.meters.put(meter_id, account)
    if segment is not None:
        settle_segment(context, segment, evse=evse, session=owner)


def finish(context: StepContext, session: Session, *, evse_id: str) -> None:
    """The last reading of a session is in: its holds close, and one line tells what it was."""
    close_hold(context, session.charge_hold_id)
    close_hold(context, session.sale_hold_id)
    context.note("session_finished", session_id=session.session_id)
    context.log(
        "session.finished",
        evse_id=evse_id,
        session_id=session.session_id,
        **session_summary.fields_of(context, session, evse_id),
    )


def close_hold(context: StepContext, hold_id: str | None) -> None:
    """No further lines will be drawn; it is released after its last one."""
    hold = None if hold_id is None else context.holds.get(hold_id)
    if hold is not None and hold.state in {HoldState.REQUESTED, HoldState.OPEN}:
        if hold.state is HoldState.REQUESTED:
            _expire_request(context, hold.hold_id)
        context.holds.put(hold.hold_id, replace(hold, state=HoldState.CLOSING))


def _expire_request(context: StepContext, hold_id: str) -> None:
    """A hold nobody waits for is not asked for any more, unless it may already have left the station."""
    for submission in context.submissions.values():
        if submission.purpose is Purpose.HOLD and submission.subject == hold_id:
            context.submissions.put(submission.submission_id, replace(submission, expires_ns=context.now_ns))
