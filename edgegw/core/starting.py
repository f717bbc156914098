"""How a session begins: who may start, and when energy may first flow.

A start is answered when its first reading and its hold are there, or refused when they are late. One that runs all the
same is at 0 W and asked to stop.
Source: docs/ledger.md, Life of a session; OCPP 1.6 §5.11 and 2.1 use cases E01 to E05.
"""

from dataclasses import replace

from edgegw.core import control, ending, evidence, order_book
from edgegw.core.correlation import CallRef, StartAnswerDue
from edgegw.core.effects import (
    AllowEnergyTransfer,
    AnswerCall,
    ReadMeter,
    StartTimer,
    StopRemotely,
)
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.events import TransactionStarted
from edgegw.core.kept_answers import keep_answer, start_answer, start_key
from edgegw.core.market import CHARGE
from edgegw.core.orders import Aim
from edgegw.core.state import Evse, HoldBook, HoldState, Phase, Session, with_sample
from edgegw.core.turn import Turn

HOLD_WH_SPARE = 1_000  # above an order's energy: control ends a charge before its hold is used up
NO_TOKENS = frozenset({"ZERO_TOKENS", "INSUFFICIENT_TOKENS"})


def on_started(turn: Turn, evse: Evse, event: TransactionStarted) -> None:
    """Answer a repeat, adopt a running transaction, or begin a session and ask for its hold."""
    session = evse.session
    known = session is not None and session.start_key != ""
    if known and session is not None and session.transaction_id == event.transaction_id:
        _wait_or_repeat(turn, evse, event)
        return
    if known:
        # The charger went on to a new transaction: the end of the old one was lost on the way.
        evse = ending.end_session(turn, evse, reason="NextStart")
    fresh = Session(
        session_id=f"{evse.evse_id}.{event.transaction_id}",
        transaction_id=event.transaction_id,
        start_key=start_key(event),
        started_ns=turn.now_ns,
        baseline_wh=evidence.baseline_wh(event),
    )
    turn.tally = replace(turn.tally, sessions=turn.tally.sessions + 1)
    fresh = with_sample(fresh, event.sample)
    evse = turn.put_evse(replace(evse, phase=Phase.STARTING, session=fresh, setpoint=None))
    turn.emit(ReadMeter(meter_id=turn.settings.evses[evse.evse_id].meter_id))
    if event.id_token_hash is None:
        # 2.x may start on plug-in; the idToken follows in an update. Nothing flows until then.
        turn.emit(AnswerCall(call=event.call, answer=start_answer(fresh, Status.ACCEPTED)))
        turn.put_evse(replace(evse, session=replace(fresh, answered=True)))
        return
    identify(turn, evse, event.id_token_hash, call=event.call)


def _wait_or_repeat(turn: Turn, evse: Evse, event: TransactionStarted) -> None:
    session = evse.session
    assert session is not None
    if session.answered:
        accepted = evse.phase is Phase.ACTIVE or session.terms is None
        status = Status.ACCEPTED if accepted else Status.BLOCKED
        turn.emit(AnswerCall(call=event.call, answer=start_answer(session, status)))
    else:
        turn.put_evse(
            replace(evse, session=replace(session, pending_calls=(*session.pending_calls, event.call)))
        )


def identify(turn: Turn, evse: Evse, id_token_hash: str, *, call: CallRef | None) -> None:
    """Find the order or the member behind an idToken and open the charging hold; an unknown one is refused at once."""
    session = evse.session
    assert session is not None
    calls = session.pending_calls if call is None else (*session.pending_calls, call)
    session = replace(session, terms=turn.members.get(id_token_hash), pending_calls=calls)
    order = order_book.asked_by(turn, evse.evse_id, id_token_hash)
    if order is not None:
        session = order_book.take(turn, evse, session, order=order)
    evse = turn.put_evse(replace(evse, session=session))
    if session.terms is None:
        refuse_start(turn, evse, code="UNKNOWN_TOKEN", status=Status.INVALID)
        return
    if turn.draining or not turn.admits:
        refuse_start(turn, evse, code="DRAINING" if turn.draining else "DISK_FULL", status=Status.BLOCKED)
        return
    open_charge_hold(turn, evse)
    turn.emit(answer_timer(turn, evse, session))


def answer_timer(turn: Turn, evse: Evse, session: Session) -> StartTimer:
    """The timer that bounds how long a start waits for its answer."""
    key = StartAnswerDue(evse_id=evse.evse_id, session_id=session.session_id)
    return StartTimer(key=key, after_s=turn.settings.start_answer_s)


def open_charge_hold(turn: Turn, evse: Evse) -> None:
    """Ask the ledger to hold what this session may cost at most."""
    session = evse.session
    assert session is not None
    assert session.terms is not None
    limit = min(session.terms.price_mtok_per_kwh_max, turn.settings.hold_limit_mtok_per_kwh)
    hold = HoldBook(
        hold_id=turn.opaque_id("hold", session.session_id),
        evse_id=evse.evse_id,
        session_id=session.session_id,
        member_id=session.terms.member_id,
        product=CHARGE,
        limit_mtok_per_kwh=limit,
    )
    turn.holds.put(hold.hold_id, hold)
    turn.put_evse(replace(evse, session=replace(session, charge_hold_id=hold.hold_id)))
    turn.submit(
        "Hold",
        {
            "holdId": hold.hold_id,
            "memberId": hold.member_id,
            "product": CHARGE,
            "maxWh": str(_most_wh(turn, session)),
            "limitPrice": str(limit),
            "acceptRetail": session.terms.accept_retail,
        },
        lane=f"acc~{hold.member_id}",
        purpose="hold",
        subject=hold.hold_id,
        expires_ns=turn.now_ns + turn.settings.start_expiry_ns,
    )


def _most_wh(turn: Turn, session: Session) -> int:
    """What a session may charge at most: an order's energy with some to spare, else as much as is held of anybody."""
    order = order_book.of_session(turn, session)
    if order is None or order.aim is Aim.WORK or (order.aim is Aim.CHARGE and order.energy_wh is None):
        return turn.settings.hold_wh
    energy_wh = order.energy_wh if order.aim is Aim.CHARGE else order.terms.battery_wh
    if order.aim is Aim.SELL and order.soc_bp_wanted is None:
        energy_wh = 0  # nothing is charged back: what the car's electronics draw
    return min(turn.settings.hold_wh, (energy_wh or 0) + HOLD_WH_SPARE)


def refuse_start(turn: Turn, evse: Evse, *, code: str, status: Status) -> None:
    """Answer every waiting start with a refusal; what runs all the same stays at 0 W and is stopped."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=start_answer(session, status)))
    turn.refuse(code, evse_id=evse.evse_id, session_id=session.session_id)
    turn.log("session.refused", evse_id=evse.evse_id, session_id=session.session_id, code=code)
    ending.close_hold(turn, session.charge_hold_id)
    order_book.refuse(turn, session.order_id, code=code)
    refused = replace(session, pending_calls=(), answered=True, charge_hold_id=None)
    keep_answer(turn, session.start_key, status=status, transaction_id=session.transaction_id)
    evse = turn.put_evse(replace(evse, phase=Phase.STOPPING, session=refused))
    turn.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=session.transaction_id))
    control.replan(turn, evse)


def hold_refused(turn: Turn, evse: Evse, *, code: str) -> None:
    """Without a hold nobody charges; a driver who came to sell, and has no tokens, sells all the same."""
    session = evse.session
    assert session is not None
    order = order_book.of_session(turn, session)
    if order is None or order.aim is not Aim.SELL or code not in NO_TOKENS:
        refuse_start(turn, evse, code=code, status=Status.BLOCKED)
        return
    without = replace(session, charge_hold_id=None, holds_nothing=True)
    begin_if_ready(turn, turn.put_evse(replace(evse, session=without)))


def begin_if_ready(turn: Turn, evse: Evse) -> None:
    """Let energy flow once the first reading and the hold are there."""
    session = evse.session
    if evse.phase is not Phase.STARTING or session is None or not session.began:
        return
    hold = None if session.charge_hold_id is None else turn.holds.get(session.charge_hold_id)
    if not session.holds_nothing and (hold is None or hold.state is not HoldState.OPEN):
        return
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=start_answer(session, Status.ACCEPTED)))
    keep_answer(turn, session.start_key, status=Status.ACCEPTED, transaction_id=session.transaction_id)
    begun = replace(session, pending_calls=(), answered=True)
    evse = turn.put_evse(replace(evse, phase=Phase.ACTIVE, session=begun))
    allow_discharge(turn, evse, session)
    assert session.terms is not None
    turn.note(
        "session_started",
        evse_id=evse.evse_id,
        session_id=session.session_id,
        member_id=session.terms.member_id,
    )
    turn.log("session.started", evse_id=evse.evse_id, session_id=session.session_id)
    control.replan(turn, evse)


def allow_discharge(turn: Turn, evse: Evse, session: Session) -> None:
    """A charger of a driver who sells is told that this transaction may discharge."""
    assert session.terms is not None
    if session.terms.sells and turn.settings.evses[evse.evse_id].discharge_w > 0:
        turn.emit(
            AllowEnergyTransfer(
                evse_id=evse.evse_id, transaction_id=session.transaction_id, bidirectional=True
            )
        )


def adopt_unknown(turn: Turn, evse: Evse, transaction_id: str) -> None:
    """A transaction runs that this station knows nothing of: 0 W, and it is asked to stop."""
    stranger = Session(
        session_id=f"{evse.evse_id}.{transaction_id}",
        transaction_id=transaction_id,
        start_key="",
        started_ns=turn.now_ns,
        answered=True,
    )
    evse = turn.put_evse(replace(evse, phase=Phase.STOPPING, session=stranger, setpoint=None))
    turn.tally = replace(turn.tally, sessions=turn.tally.sessions + 1)
    turn.refuse("UNKNOWN_TRANSACTION", evse_id=evse.evse_id, session_id=stranger.session_id)
    turn.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=transaction_id))
    control.replan(turn, evse)


def on_answer_late(turn: Turn, evse: Evse, session_id: str) -> None:
    """A start is answered within a bounded time: without hold or reading it is refused."""
    session = evse.session
    if evse.phase is not Phase.STARTING or session is None or session.session_id != session_id:
        return
    code = "METER_TIMEOUT" if not session.began else "LEDGER_TIMEOUT"
    refuse_start(turn, evse, code=code, status=Status.BLOCKED)
