"""How a session ends: what is answered, cut and given back.

A session that is over waits for one more reading of its meter, so that its last segment is whole; then its holds close.
Source: docs/ledger.md, Life of a session; OCPP 2.1 use cases E06 to E08.
"""

from dataclasses import replace

from edgegw.core import order_book, summary
from edgegw.core.effects import AnswerCall, ReadMeter
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.kept_answers import start_answer
from edgegw.core.metering import cut_at_last
from edgegw.core.state import Evse, HoldState, Phase, Session
from edgegw.core.trade import settle_segment
from edgegw.core.turn import Turn


def end_session(turn: Turn, evse: Evse, *, reason: str) -> Evse:
    """Take the session off the EVSE; `finish` follows with the next reading. `reason` is for people only."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=start_answer(session, Status.INVALID)))
    if session.pending_calls:
        turn.refuse("LEFT_EARLY", evse_id=evse.evse_id, session_id=session.session_id)
    if not session.answered:
        order_book.refuse(turn, session.order_id, code="LEFT_EARLY")
    order_book.end(turn, session.order_id)
    ended = replace(session, ended_ns=turn.now_ns, pending_calls=(), end_reason=reason)
    ending: Session | None = ended
    if not ended.began:
        # Nothing was measured for it; the session before it may still wait for its last reading.
        finish(turn, ended, evse_id=evse.evse_id)
        ending = evse.ending
    turn.emit(ReadMeter(meter_id=turn.settings.evses[evse.evse_id].meter_id))
    turn.plans.drop(evse.evse_id)
    return turn.put_evse(replace(evse, phase=Phase.VACANT, session=None, ending=ending, setpoint=None))


def cut_for(turn: Turn, evse: Evse, owner: Session | None) -> None:
    """End the open segment at the last reading, on `owner`'s account."""
    meter_id = turn.settings.evses[evse.evse_id].meter_id
    account, segment = cut_at_last(turn.meters[meter_id])
    turn.meters.put(meter_id, account)
    if segment is not None:
        settle_segment(turn, segment, evse=evse, session=owner)


def finish(turn: Turn, session: Session, *, evse_id: str) -> None:
    """The last reading of a session is in: its holds close, and one line tells what it was."""
    close_hold(turn, session.charge_hold_id)
    close_hold(turn, session.sale_hold_id)
    turn.note("session_finished", session_id=session.session_id)
    turn.log(
        "session.finished",
        evse_id=evse_id,
        session_id=session.session_id,
        **summary.fields_of(turn, session, evse_id),
    )


def close_hold(turn: Turn, hold_id: str | None) -> None:
    """No further lines will be drawn; it is released after its last one."""
    hold = None if hold_id is None else turn.holds.get(hold_id)
    if hold is not None and hold.state in {HoldState.REQUESTED, HoldState.OPEN}:
        if hold.state is HoldState.REQUESTED:
            _expire_request(turn, hold.hold_id)
        turn.holds.put(hold.hold_id, replace(hold, state=HoldState.CLOSING))


def _expire_request(turn: Turn, hold_id: str) -> None:
    """A hold nobody waits for is not asked for any more, unless it may already have left the station."""
    for submission in turn.submissions.values():
        if submission.purpose == "hold" and submission.subject == hold_id:
            turn.submissions.put(submission.submission_id, replace(submission, expires_ns=turn.now_ns))
