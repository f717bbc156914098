"""Begins sessions: decides who may start, and when energy may first flow.

A start is accepted once its first reading and its hold have come, and refused where they are late. A refused transaction
that still runs gets 0 W and is stopped.
Source: docs/ledger.md, Life of a session; OCPP 1.6 §5.11 and 2.1 use cases E01 to E05.
"""

from dataclasses import replace

from edgegw.core import control, driver_orders, evidence, session_end
from edgegw.core.answer_cache import keep_answer, start_answer, start_key
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
from edgegw.core.market import CHARGE
from edgegw.core.orders import Aim
from edgegw.core.state import Evse, HoldBook, HoldState, Phase, Session, with_sample
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Purpose

HOLD_WH_SPARE = 1_000  # beyond an order's energy: control ends a charge before its hold is used up
NO_TOKENS = frozenset({"ZERO_TOKENS", "INSUFFICIENT_TOKENS"})


def on_started(context: StepContext, evse: Evse, event: TransactionStarted) -> None:
    """Answer a repeated start, or begin a session and request its hold."""
    session = evse.session
    known = session is not None and session.start_key != ""
    if known and session is not None and session.transaction_id == event.transaction_id:
        _wait_or_repeat(context, evse, event)
        return
    if known:
        # The charger began a new transaction: the end message of the old one is lost.
        evse = session_end.end_session(context, evse, reason="NextStart")
    fresh = Session(
        session_id=f"{evse.evse_id}.{event.transaction_id}",
        transaction_id=event.transaction_id,
        start_key=start_key(event),
        started_ns=context.now_ns,
        baseline_wh=evidence.baseline_wh(event),
    )
    context.tally = replace(context.tally, sessions=context.tally.sessions + 1)
    fresh = with_sample(fresh, event.sample)
    evse = context.put_evse(replace(evse, phase=Phase.STARTING, session=fresh, setpoint=None))
    context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))
    if event.id_token_hash is None:
        # 2.x may start at plug-in; the idToken follows in an update. No energy flows until then.
        context.emit(AnswerCall(call=event.call, answer=start_answer(fresh, Status.ACCEPTED)))
        context.put_evse(replace(evse, session=replace(fresh, answered=True)))
        return
    identify(context, evse, event.id_token_hash, call=event.call)


def _wait_or_repeat(context: StepContext, evse: Evse, event: TransactionStarted) -> None:
    session = evse.session
    assert session is not None
    if session.answered:
        accepted = evse.phase is Phase.ACTIVE or session.terms is None
        status = Status.ACCEPTED if accepted else Status.BLOCKED
        context.emit(AnswerCall(call=event.call, answer=start_answer(session, status)))
    else:
        context.put_evse(
            replace(evse, session=replace(session, pending_calls=(*session.pending_calls, event.call)))
        )


def identify(context: StepContext, evse: Evse, id_token_hash: str, *, call: CallRef | None) -> None:
    """Find the order and the member of an idToken and request the charging hold; refuse an unknown idToken."""
    session = evse.session
    assert session is not None
    calls = session.pending_calls if call is None else (*session.pending_calls, call)
    session = replace(session, terms=context.members.get(id_token_hash), pending_calls=calls)
    order = driver_orders.asked_by(context, evse.evse_id, id_token_hash)
    if order is not None:
        session = driver_orders.take(context, evse, session, order=order)
    evse = context.put_evse(replace(evse, session=session))
    if session.terms is None:
        refuse_start(context, evse, code="UNKNOWN_TOKEN", status=Status.INVALID)
        return
    if context.draining or not context.admits:
        refuse_start(
            context, evse, code="DRAINING" if context.draining else "DISK_FULL", status=Status.BLOCKED
        )
        return
    open_charge_hold(context, evse)
    context.emit(answer_timer(context, evse, session))


def answer_timer(context: StepContext, evse: Evse, session: Session) -> StartTimer:
    """Return the timer that bounds how long a start waits for its answer."""
    key = StartAnswerDue(evse_id=evse.evse_id, session_id=session.session_id)
    return StartTimer(key=key, after_s=context.settings.start_answer_s)


def open_charge_hold(context: StepContext, evse: Evse) -> None:
    """Submit the hold of the most that this session may cost."""
    session = evse.session
    assert session is not None
    assert session.terms is not None
    limit = min(session.terms.price_mtok_per_kwh_max, context.settings.hold_limit_mtok_per_kwh)
    hold = HoldBook(
        hold_id=context.opaque_id("hold", session.session_id),
        evse_id=evse.evse_id,
        session_id=session.session_id,
        member_id=session.terms.member_id,
        product=CHARGE,
        limit_mtok_per_kwh=limit,
    )
    context.holds.put(hold.hold_id, hold)
    context.put_evse(replace(evse, session=replace(session, charge_hold_id=hold.hold_id)))
    context.submit(
        "Hold",
        {
            "holdId": hold.hold_id,
            "memberId": hold.member_id,
            "product": CHARGE,
            "maxWh": str(_most_wh(context, session)),
            "limitPrice": str(limit),
            "acceptRetail": session.terms.accept_retail,
        },
        lane=f"acc~{hold.member_id}",
        purpose=Purpose.HOLD,
        subject=hold.hold_id,
        expires_ns=context.now_ns + context.settings.start_expiry_ns,
    )


def _most_wh(context: StepContext, session: Session) -> int:
    """Return the most that a session may charge: an order's energy and some spare, else the configured `hold_wh`."""
    order = driver_orders.of_session(context, session)
    if order is None or order.aim is Aim.WORK or (order.aim is Aim.CHARGE and order.energy_wh is None):
        return context.settings.hold_wh
    energy_wh = order.energy_wh if order.aim is Aim.CHARGE else order.terms.battery_wh
    if order.aim is Aim.SELL and order.soc_bp_wanted is None:
        energy_wh = 0  # nothing is charged back; the spare covers the car's electronics
    return min(context.settings.hold_wh, (energy_wh or 0) + HOLD_WH_SPARE)


def refuse_start(context: StepContext, evse: Evse, *, code: str, status: Status) -> None:
    """Answer every waiting start with a refusal; keep the transaction at 0 W and stop it."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        context.emit(AnswerCall(call=call, answer=start_answer(session, status)))
    context.refuse(code, evse_id=evse.evse_id, session_id=session.session_id)
    context.log("session.refused", evse_id=evse.evse_id, session_id=session.session_id, code=code)
    session_end.close_hold(context, session.charge_hold_id)
    driver_orders.refuse(context, session.order_id, code=code)
    refused = replace(session, pending_calls=(), answered=True, charge_hold_id=None)
    keep_answer(context, session.start_key, status=status, transaction_id=session.transaction_id)
    evse = context.put_evse(replace(evse, phase=Phase.STOPPING, session=refused))
    context.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=session.transaction_id))
    control.replan(context, evse)


def hold_refused(context: StepContext, evse: Evse, *, code: str) -> None:
    """Refuse a start without a hold, except for a selling order of a driver without tokens."""
    session = evse.session
    assert session is not None
    order = driver_orders.of_session(context, session)
    if order is None or order.aim is not Aim.SELL or code not in NO_TOKENS:
        refuse_start(context, evse, code=code, status=Status.BLOCKED)
        return
    without = replace(session, charge_hold_id=None, holds_nothing=True)
    begin_if_ready(context, context.put_evse(replace(evse, session=without)))


def begin_if_ready(context: StepContext, evse: Evse) -> None:
    """Let energy flow once the first reading and the hold have come."""
    session = evse.session
    if evse.phase is not Phase.STARTING or session is None or not session.began:
        return
    hold = None if session.charge_hold_id is None else context.holds.get(session.charge_hold_id)
    if not session.holds_nothing and (hold is None or hold.state is not HoldState.OPEN):
        return
    for call in session.pending_calls:
        context.emit(AnswerCall(call=call, answer=start_answer(session, Status.ACCEPTED)))
    keep_answer(context, session.start_key, status=Status.ACCEPTED, transaction_id=session.transaction_id)
    begun = replace(session, pending_calls=(), answered=True)
    evse = context.put_evse(replace(evse, phase=Phase.ACTIVE, session=begun))
    allow_discharge(context, evse, session)
    assert session.terms is not None
    context.note(
        "session_started",
        evse_id=evse.evse_id,
        session_id=session.session_id,
        member_id=session.terms.member_id,
    )
    context.log("session.started", evse_id=evse.evse_id, session_id=session.session_id)
    control.replan(context, evse)


def allow_discharge(context: StepContext, evse: Evse, session: Session) -> None:
    """Allow the charger to discharge in the transaction of a driver who sells."""
    assert session.terms is not None
    if session.terms.sells and context.settings.evses[evse.evse_id].discharge_w > 0:
        context.emit(
            AllowEnergyTransfer(
                evse_id=evse.evse_id, transaction_id=session.transaction_id, bidirectional=True
            )
        )


def adopt_unknown(context: StepContext, evse: Evse, transaction_id: str) -> None:
    """Adopt a transaction that this station does not know, at 0 W, and stop it."""
    unknown = Session(
        session_id=f"{evse.evse_id}.{transaction_id}",
        transaction_id=transaction_id,
        start_key="",
        started_ns=context.now_ns,
        answered=True,
    )
    evse = context.put_evse(replace(evse, phase=Phase.STOPPING, session=unknown, setpoint=None))
    context.tally = replace(context.tally, sessions=context.tally.sessions + 1)
    context.refuse("UNKNOWN_TRANSACTION", evse_id=evse.evse_id, session_id=unknown.session_id)
    context.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=transaction_id))
    control.replan(context, evse)


def on_answer_late(context: StepContext, evse: Evse, session_id: str) -> None:
    """Refuse a start whose hold or first reading has not come in time."""
    session = evse.session
    assert session is not None
    if session.session_id != session_id:
        return
    code = "METER_TIMEOUT" if not session.began else "LEDGER_TIMEOUT"
    refuse_start(context, evse, code=code, status=Status.BLOCKED)
