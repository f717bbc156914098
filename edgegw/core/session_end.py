"""Ends sessions: answers waiting calls, cuts the meter's segment, closes holds.

An ended session waits for one more reading of its meter, which completes its last segment; then its holds close.
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
    """Take the session off the EVSE; `finish` follows at the next reading. `reason` is for display only."""
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
        # No reading belongs to it; the previous session may still wait for its last reading.
        finish(context, ended, evse_id=evse.evse_id)
        ending = evse.ending
    context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))
    context.plans.drop(evse.evse_id)
    return context.put_evse(replace(evse, phase=Phase.VACANT, session=None, ending=ending, setpoint=None))


def cut_for(context: StepContext, evse: Evse, owner: Session | None) -> None:
    """End the open segment at the last reading, and settle it for session `owner`."""
    meter_id = context.settings.evses[evse.evse_id].meter_id
    account, segment = cut_at_last(context.meters[meter_id])
    context.meters.put(meter_id, account)
    if segment is not None:
        settle_segment(context, segment, evse=evse, session=owner)


def finish(context: StepContext, session: Session, *, evse_id: str) -> None:
    """Close the holds of a session after its last reading, and log its summary."""
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
    """Let a hold be released after its last line; no further lines draw on it."""
    hold = None if hold_id is None else context.holds.get(hold_id)
    if hold is not None and hold.state in {HoldState.REQUESTED, HoldState.OPEN}:
        if hold.state is HoldState.REQUESTED:
            _expire_request(context, hold.hold_id)
        context.holds.put(hold.hold_id, replace(hold, state=HoldState.CLOSING))


def _expire_request(context: StepContext, hold_id: str) -> None:
    """Expire the request of a hold that is not needed any more, unless it may have left the station."""
    for submission in context.submissions.values():
        if submission.purpose is Purpose.HOLD and submission.subject == hold_id:
            context.submissions.put(submission.submission_id, replace(submission, expires_ns=context.now_ns))
