"""From plug-in to unplug: who may start, when energy may flow, and what an end leaves to do.

A start is answered when its first reading and its hold are there, or refused when they are late. A boot ends nothing.
A repeat of a billing message gets the answer once given. `TRANSITIONS` lists every pair of phase and event that is
lawful; another pair is a device's disorder and is quarantined.
Source: LEDGER.md "Life of a session"; OCPP 1.6 §5.11 and 2.1 use cases E01 to E17; HOUSE.md "State machines".
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgegw.canonical import sha256_hex
from edgegw.core import control, evidence, sale, summary
from edgegw.core.effects import (
    Acknowledge,
    AllowEnergyTransfer,
    AnswerCall,
    ReadMeter,
    StartAnswer,
    StartTimer,
    StopRemotely,
)
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.events import (
    CallRef,
    ChargerSample,
    ChargingState,
    ChargingStateChanged,
    ConnectorStatus,
    ConnectorStatusChanged,
    EvNeedsReported,
    SetpointAnswered,
    TimerFired,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.market import CHARGE
from edgegw.core.metering import cut_at_last
from edgegw.core.state import Evse, HoldBook, HoldState, KeptAnswer, Phase, SaleStage, Session
from edgegw.core.trade import settle_segment
from edgegw.core.turn import Turn

Step = Callable[[Turn, Evse, Any], None]
SETPOINTS_AGAIN = 3  # refused in a row; after that the next tick tries


def start_key(event: TransactionStarted) -> str:
    """Key of a start among the kept answers."""
    return _answer_key(event.call.charger_id, event.business_key)


def ended_key(charger_id: str, transaction_id: str) -> str:
    """Key under which the end of a transaction is remembered."""
    return _answer_key(charger_id, f"ended:{transaction_id}")


def keep_answer(turn: Turn, key: str, *, status: Status, transaction_id: str) -> None:
    """Remember what a billing message was answered, for its repeats."""
    turn.answers.put(key, KeptAnswer(status=status, transaction_id=transaction_id, at_ns=turn.now_ns))


def _answer_key(charger_id: str, key: str) -> str:
    """Hashed, because a start's key holds the idTag in clear and a device may put anything into its texts."""
    return f"{charger_id}/{sha256_hex(key)[:32]}"


# --- starting -----------------------------------------------------------------------------------------------------


def on_started(turn: Turn, evse: Evse, event: TransactionStarted) -> None:
    """Answer a repeat, adopt a running transaction, or begin a session and ask for its hold."""
    session = evse.session
    known = session is not None and session.start_key != ""
    if known and session is not None and session.transaction_id == event.transaction_id:
        _wait_or_repeat(turn, evse, event)
        return
    if known:
        # The charger went on to a new transaction: the end of the old one was lost on the way.
        evse = end_session(turn, evse, reason="NextStart")
    fresh = Session(
        session_id=f"{evse.evse_id}.{event.transaction_id}",
        transaction_id=event.transaction_id,
        start_key=start_key(event),
        started_ns=turn.now_ns,
        baseline_wh=evidence.baseline_wh(event),
    )
    turn.tally = replace(turn.tally, sessions=turn.tally.sessions + 1)
    fresh = _with_sample(fresh, event.sample)
    evse = turn.put_evse(replace(evse, phase=Phase.STARTING, session=fresh, setpoint=None))
    turn.emit(ReadMeter(meter_id=turn.settings.evses[evse.evse_id].meter_id))
    if event.id_token_hash is None:
        # 2.x may start on plug-in; the idToken follows in an update. Nothing flows until then.
        turn.emit(AnswerCall(call=event.call, answer=_start_answer(fresh, Status.ACCEPTED)))
        turn.put_evse(replace(evse, session=replace(fresh, answered=True)))
        return
    _identify(turn, evse, event.id_token_hash, call=event.call)


def _wait_or_repeat(turn: Turn, evse: Evse, event: TransactionStarted) -> None:
    session = evse.session
    assert session is not None
    if session.answered:
        accepted = evse.phase is Phase.ACTIVE or session.terms is None
        status = Status.ACCEPTED if accepted else Status.BLOCKED
        turn.emit(AnswerCall(call=event.call, answer=_start_answer(session, status)))
    else:
        turn.put_evse(
            replace(evse, session=replace(session, pending_calls=(*session.pending_calls, event.call)))
        )


def _identify(turn: Turn, evse: Evse, id_token_hash: str, *, call: CallRef | None) -> None:
    """Find the member behind an idToken and open the charging hold; an unknown one is refused at once."""
    session = evse.session
    assert session is not None
    calls = session.pending_calls if call is None else (*session.pending_calls, call)
    terms = turn.members.get(id_token_hash)
    evse = turn.put_evse(replace(evse, session=replace(session, terms=terms, pending_calls=calls)))
    if terms is None:
        refuse_start(turn, evse, code="UNKNOWN_TOKEN", status=Status.INVALID)
        return
    if turn.draining or not turn.admits:
        refuse_start(turn, evse, code="DRAINING" if turn.draining else "DISK_FULL", status=Status.BLOCKED)
        return
    open_charge_hold(turn, evse)
    turn.emit(
        StartTimer(name=f"answer/{evse.evse_id}/{session.session_id}", after_s=turn.settings.start_answer_s)
    )


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
            "maxWh": str(turn.settings.hold_wh),
            "limitPrice": str(limit),
            "acceptRetail": session.terms.accept_retail,
        },
        lane=f"acc~{hold.member_id}",
        purpose="hold",
        subject=hold.hold_id,
        expires_ns=turn.now_ns + turn.settings.start_expiry_ns,
    )


def refuse_start(turn: Turn, evse: Evse, *, code: str, status: Status) -> None:
    """Answer every waiting start with a refusal; what runs all the same stays at 0 W and is stopped."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=_start_answer(session, status)))
    turn.refuse(code, evse_id=evse.evse_id, session_id=session.session_id)
    turn.log("session.refused", evse_id=evse.evse_id, session_id=session.session_id, code=code)
    close_hold(turn, session.charge_hold_id)
    refused = replace(session, pending_calls=(), answered=True, charge_hold_id=None)
    keep_answer(turn, session.start_key, status=status, transaction_id=session.transaction_id)
    evse = turn.put_evse(replace(evse, phase=Phase.STOPPING, session=refused))
    turn.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=session.transaction_id))
    control.replan(turn, evse)


def begin_if_ready(turn: Turn, evse: Evse) -> None:
    """Let energy flow once the first reading and the hold are there."""
    session = evse.session
    if evse.phase is not Phase.STARTING or session is None or not session.began:
        return
    hold = None if session.charge_hold_id is None else turn.holds.get(session.charge_hold_id)
    if hold is None or hold.state is not HoldState.OPEN:
        return
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=_start_answer(session, Status.ACCEPTED)))
    keep_answer(turn, session.start_key, status=Status.ACCEPTED, transaction_id=session.transaction_id)
    begun = replace(session, pending_calls=(), answered=True)
    evse = turn.put_evse(replace(evse, phase=Phase.ACTIVE, session=begun))
    allow_discharge(turn, evse, session)
    turn.note(
        "session_started", evse_id=evse.evse_id, session_id=session.session_id, member_id=hold.member_id
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


def on_answer_late(turn: Turn, evse: Evse, event: TimerFired) -> None:
    """A start is answered within a bounded time: without hold or reading it is refused."""
    session = evse.session
    assert session is not None
    if not event.name.endswith(f"/{session.session_id}"):
        return
    code = "METER_TIMEOUT" if not session.began else "LEDGER_TIMEOUT"
    refuse_start(turn, evse, code=code, status=Status.BLOCKED)


# --- running ------------------------------------------------------------------------------------------------------


def on_updated(turn: Turn, evse: Evse, event: TransactionUpdated) -> None:
    """Acknowledge, and learn state of charge and charging state; queued old events drive nothing."""
    turn.emit(AnswerCall(call=event.call, answer=Acknowledge()))
    session = evse.session
    if session is None or event.transaction_id not in {None, session.transaction_id}:
        return
    if event.id_token_hash is not None and session.terms is None and evse.phase is Phase.STARTING:
        _identify(turn, evse, event.id_token_hash, call=None)
        evse = turn.evses[evse.evse_id]
        session = evse.session or session
    if event.offline:
        return
    session = evidence.weigh(turn, session, event.samples)
    for sample in event.samples:
        session = _with_sample(session, sample)
    if event.charging_state is not None:
        session = _with_charging_state(session, event.charging_state)
    if session is not evse.session:  # most updates say nothing new: no row to write
        turn.put_evse(replace(evse, session=session))


def on_charging_state(turn: Turn, evse: Evse, event: ChargingStateChanged) -> None:
    """1.6 tells by connector status whether the car still takes power."""
    if evse.session is not None:
        turn.put_evse(replace(evse, session=_with_charging_state(evse.session, event.charging_state)))


def on_needs(turn: Turn, evse: Evse, event: EvNeedsReported) -> None:
    """What the car can do, where the charger tells."""
    assert evse.session is not None
    session = replace(
        evse.session,
        charge_power_w_max=event.charge_power_w_max,
        discharge_power_w_max=event.discharge_power_w_max if event.bidirectional else 0,
        departure_ns=event.departure_ns,
    )
    turn.put_evse(replace(evse, session=session))


def on_setpoint_answered(turn: Turn, evse: Evse, event: SetpointAnswered) -> None:
    """Remember whether the charger took the setpoint; one it refused is planned anew soon."""
    setpoint = evse.setpoint
    if setpoint is None or setpoint.setpoint_id != event.setpoint_id:
        return
    if event.accepted:
        accepted = replace(setpoint, accepted=True)
        turn.put_evse(replace(evse, setpoint=accepted, setpoints_refused=0))
        return
    turn.log("setpoint.refused", evse_id=evse.evse_id, power_w=setpoint.power_w, reason=event.reason)
    refused = evse.setpoints_refused + 1
    evse = turn.put_evse(replace(evse, setpoint=None, setpoints_refused=refused))
    if setpoint.power_w < 0:
        sale.close(turn, evse, stage=SaleStage.OVER)
    elif refused <= SETPOINTS_AGAIN:
        # A charger that has just read our answer to its start may not know its transaction yet.
        turn.emit(StartTimer(name=f"setpoint/{evse.evse_id}/{event.setpoint_id}", after_s=1))


def on_setpoint_again(turn: Turn, evse: Evse) -> None:
    """Plan anew a second after a refused setpoint."""
    if evse.setpoint is None:
        control.replan(turn, evse)


def _with_sample(session: Session, sample: ChargerSample | None) -> Session:
    if sample is None or sample.soc_bp is None or sample.soc_bp == session.soc_bp:
        return session
    return replace(session, soc_bp=sample.soc_bp)


def _with_charging_state(session: Session, state: ChargingState) -> Session:
    satisfied = session.satisfied or state is ChargingState.SUSPENDED_EV
    if state is session.charging_state and satisfied == session.satisfied:
        return session
    return replace(session, charging_state=state, satisfied=satisfied)


# --- ending -------------------------------------------------------------------------------------------------------


def on_ended(turn: Turn, evse: Evse, event: TransactionEnded) -> None:
    """Acknowledge; the session is over, its last segment waits for one more reading."""
    turn.emit(AnswerCall(call=event.call, answer=Acknowledge()))
    assert evse.session is not None
    weighed = evidence.weigh(turn, evse.session, event.samples)
    end_session(turn, turn.put_evse(replace(evse, session=weighed)), reason=event.reason)


def on_status(turn: Turn, evse: Evse, event: ConnectorStatusChanged) -> None:
    """A plug pulled out ends a session whose end message was lost; an older status means nothing."""
    session = evse.session
    if session is None or event.status is not ConnectorStatus.AVAILABLE:
        return
    if event.at_ns > session.started_ns + turn.settings.guard_ns:
        end_session(turn, evse, reason="Unplugged")


def end_session(turn: Turn, evse: Evse, *, reason: str) -> Evse:
    """Take the session off the EVSE; `finish` follows with the next reading. `reason` is for people only."""
    session = evse.session
    assert session is not None
    for call in session.pending_calls:
        turn.emit(AnswerCall(call=call, answer=_start_answer(session, Status.INVALID)))
    if session.pending_calls:
        turn.refuse("LEFT_EARLY", evse_id=evse.evse_id, session_id=session.session_id)
    ended = replace(session, ended_ns=turn.now_ns, pending_calls=(), end_reason=reason)
    ending: Session | None = ended
    if not ended.began:
        # Nothing was measured for it; the session before it may still wait for its last reading.
        _finish(turn, ended, evse_id=evse.evse_id)
        ending = evse.ending
    turn.emit(ReadMeter(meter_id=turn.settings.evses[evse.evse_id].meter_id))
    return turn.put_evse(replace(evse, phase=Phase.VACANT, session=None, ending=ending, setpoint=None))


def on_reading(turn: Turn, evse: Evse, t0_ns: int) -> None:
    """A reading was accepted: cut where a session ends, begins, or prepares its sale."""
    ending = evse.ending
    if ending is not None and ending.ended_ns is not None and t0_ns >= ending.ended_ns:
        cut_for(turn, evse, ending)
        _finish(turn, ending, evse_id=evse.evse_id)
        evse = turn.put_evse(replace(turn.evses[evse.evse_id], ending=None))
    session = evse.session
    if session is None or evse.ending is not None:
        return
    if not session.began and t0_ns >= session.started_ns:
        cut_for(turn, evse, None)
        evse = turn.put_evse(replace(turn.evses[evse.evse_id], session=summary.begun(turn, evse, session)))
        begin_if_ready(turn, evse)
    elif session.sale is SaleStage.CUTTING:
        cut_for(turn, evse, session)
        sale.on_cut(turn, turn.evses[evse.evse_id])


def cut_for(turn: Turn, evse: Evse, owner: Session | None) -> None:
    """End the open segment at the last reading, on `owner`'s account."""
    meter_id = turn.settings.evses[evse.evse_id].meter_id
    account, segment = cut_at_last(turn.meters[meter_id])
    turn.meters.put(meter_id, account)
    if segment is not None:
        settle_segment(turn, segment, evse=evse, session=owner)


def _finish(turn: Turn, session: Session, *, evse_id: str) -> None:
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


def _start_answer(session: Session, status: Status) -> StartAnswer:
    return StartAnswer(status=status, transaction_id=session.transaction_id)


# Absent pairs are quarantined by `station`: acknowledged on the wire, counted, otherwise without effect.
TRANSITIONS: Mapping[tuple[Phase, type], Step] = {
    (Phase.VACANT, TransactionStarted): on_started,
    (Phase.STARTING, TransactionStarted): on_started,
    (Phase.ACTIVE, TransactionStarted): on_started,
    (Phase.STOPPING, TransactionStarted): on_started,
    (Phase.STARTING, TransactionUpdated): on_updated,
    (Phase.ACTIVE, TransactionUpdated): on_updated,
    (Phase.STOPPING, TransactionUpdated): on_updated,
    (Phase.STARTING, TransactionEnded): on_ended,
    (Phase.ACTIVE, TransactionEnded): on_ended,
    (Phase.STOPPING, TransactionEnded): on_ended,
    (Phase.STARTING, ConnectorStatusChanged): on_status,
    (Phase.ACTIVE, ConnectorStatusChanged): on_status,
    (Phase.STOPPING, ConnectorStatusChanged): on_status,
    (Phase.VACANT, ConnectorStatusChanged): on_status,
    (Phase.STARTING, ChargingStateChanged): on_charging_state,
    (Phase.ACTIVE, ChargingStateChanged): on_charging_state,
    (Phase.STOPPING, ChargingStateChanged): on_charging_state,
    (Phase.VACANT, ChargingStateChanged): on_charging_state,
    (Phase.STARTING, EvNeedsReported): on_needs,
    (Phase.ACTIVE, EvNeedsReported): on_needs,
    (Phase.STOPPING, EvNeedsReported): on_needs,
    (Phase.STARTING, SetpointAnswered): on_setpoint_answered,
    (Phase.ACTIVE, SetpointAnswered): on_setpoint_answered,
    (Phase.STOPPING, SetpointAnswered): on_setpoint_answered,
    (Phase.VACANT, SetpointAnswered): on_setpoint_answered,
}
