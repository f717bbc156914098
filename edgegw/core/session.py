"""Runs the state machine of an EVSE's session: `TRANSITIONS` and the steps between start and end.

`TRANSITIONS` names the step of every allowed pair of phase and event, and the phases in which it may end. An absent pair
that a device caused is quarantined; one that the station caused is a fault, as is a step that ends in another phase. A boot
of the charger ends no session. `session_start` decides how a session begins, `session_end` how it ends.
Source: docs/ledger.md, Life of a session; OCPP 1.6 §5.11 and 2.1 use cases E01 to E17.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgegw.core import control, evidence, sale, session_end, session_start, session_summary
from edgegw.core.correlation import SetpointRetryDue, StartAnswerDue
from edgegw.core.effects import Acknowledge, AnswerCall, StartTimer
from edgegw.core.events import (
    ChargingState,
    ChargingStateChanged,
    ConnectorStatus,
    ConnectorStatusChanged,
    EvNeedsReported,
    EvseMessage,
    SetpointAnswered,
    TransactionEnded,
    TransactionMessage,
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.internal_events import (
    ChargeHoldOpened,
    ChargeHoldRefused,
    DischargeRefused,
    ReadingAccepted,
    SegmentCut,
    UnknownTransactionSeen,
)
from edgegw.core.state import Evse, Phase, SaleStage, Session, with_sample
from edgegw.core.step_context import StepContext

Step = Callable[[StepContext, Evse, Any], None]
DeviceEvent = TransactionMessage | EvseMessage
StationEvent = (
    ReadingAccepted | ChargeHoldOpened | ChargeHoldRefused | StartAnswerDue | UnknownTransactionSeen
)
SETPOINTS_AGAIN = 3  # retries after refusals in a row; then the next tick plans again


def on_updated(context: StepContext, evse: Evse, event: TransactionUpdated) -> None:
    """Acknowledge, and store state of charge and charging state; events queued offline change neither."""
    context.emit(AnswerCall(call=event.call, answer=Acknowledge()))
    session = evse.session
    if session is None or event.transaction_id not in {None, session.transaction_id}:
        return
    if event.id_token_hash is not None and session.terms is None and evse.phase is Phase.STARTING:
        session_start.identify(context, evse, event.id_token_hash, call=None)
        evse = context.evses[evse.evse_id]
        session = evse.session or session
    if event.offline:
        return
    session = evidence.weigh(context, session, event.samples)
    for sample in event.samples:
        session = with_sample(session, sample)
    if event.charging_state is not None:
        session = _with_charging_state(session, event.charging_state)
    if session is not evse.session:  # most updates change nothing, and need no row
        context.put_evse(replace(evse, session=session))


def on_charging_state(context: StepContext, evse: Evse, event: ChargingStateChanged) -> None:
    """Store whether the car takes power, as a 1.6 connector status or a 2.x start reports."""
    if evse.session is not None:
        context.put_evse(replace(evse, session=_with_charging_state(evse.session, event.charging_state)))


def on_needs(context: StepContext, evse: Evse, event: EvNeedsReported) -> None:
    """Store the car's power limits and departure, as the charger reports them."""
    assert evse.session is not None
    session = replace(
        evse.session,
        charge_power_w_max=event.charge_power_w_max,
        discharge_power_w_max=event.discharge_power_w_max if event.bidirectional else 0,
        departure_ns=event.departure_ns,
    )
    context.put_evse(replace(evse, session=session))


def on_setpoint_answered(context: StepContext, evse: Evse, event: SetpointAnswered) -> None:
    """Store whether the charger accepted the setpoint; plan again soon after a refusal."""
    setpoint = evse.setpoint
    if setpoint is None or setpoint.setpoint_id != event.setpoint_id:
        return
    if event.accepted:
        accepted = replace(setpoint, accepted=True)
        context.put_evse(replace(evse, setpoint=accepted, setpoints_refused=0))
        return
    context.log("setpoint.refused", evse_id=evse.evse_id, power_w=setpoint.power_w, reason=event.reason)
    refused = evse.setpoints_refused + 1
    evse = context.put_evse(replace(evse, setpoint=None, setpoints_refused=refused))
    if setpoint.power_w < 0:
        sale.move(context, evse, DischargeRefused())
    elif refused <= SETPOINTS_AGAIN:
        # A charger that has just received the answer to its start may not know its transaction yet.
        key = SetpointRetryDue(evse_id=evse.evse_id, setpoint_id=event.setpoint_id)
        context.emit(StartTimer(key=key, after_s=1))


def on_setpoint_again(context: StepContext, evse: Evse) -> None:
    """Plan again a second after a refused setpoint."""
    if evse.setpoint is None:
        control.replan(context, evse)


def _with_charging_state(session: Session, state: ChargingState) -> Session:
    satisfied = session.satisfied or state is ChargingState.SUSPENDED_EV
    if state is session.charging_state and satisfied == session.satisfied:
        return session
    return replace(session, charging_state=state, satisfied=satisfied)


def on_ended(context: StepContext, evse: Evse, event: TransactionEnded) -> None:
    """Acknowledge and end the session; its last segment waits for one more reading."""
    context.emit(AnswerCall(call=event.call, answer=Acknowledge()))
    assert evse.session is not None
    weighed = evidence.weigh(context, evse.session, event.samples)
    session_end.end_session(context, context.put_evse(replace(evse, session=weighed)), reason=event.reason)


def on_status(context: StepContext, evse: Evse, event: ConnectorStatusChanged) -> None:
    """End a session at unplugging, where its end message was lost; ignore an older status."""
    if event.status is not evse.status:
        evse = context.put_evse(replace(evse, status=event.status))
    session = evse.session
    if session is None or event.status is not ConnectorStatus.AVAILABLE:
        return
    if event.at_ns > session.started_ns + context.settings.guard_ns:
        session_end.end_session(context, evse, reason="Unplugged")


def on_reading(context: StepContext, evse: Evse, event: ReadingAccepted) -> None:
    """Cut the meter's segment where a session ends, begins, or prepares its sale."""
    t0_ns = event.t0_ns
    last = evse.ending
    if last is not None and last.ended_ns is not None and t0_ns >= last.ended_ns:
        session_end.cut_for(context, evse, last)
        session_end.finish(context, last, evse_id=evse.evse_id)
        evse = context.put_evse(replace(context.evses[evse.evse_id], ending=None))
    session = evse.session
    if session is None or evse.ending is not None:
        return
    if not session.began and t0_ns >= session.started_ns:
        session_end.cut_for(context, evse, None)
        evse = context.put_evse(
            replace(context.evses[evse.evse_id], session=session_summary.begun(context, evse, session))
        )
        session_start.begin_if_ready(context, evse)
    elif session.sale is SaleStage.CUTTING:
        session_end.cut_for(context, evse, session)
        sale.move(context, context.evses[evse.evse_id], SegmentCut())


def on_hold_opened(context: StepContext, evse: Evse, _event: ChargeHoldOpened) -> None:
    """Begin the session, once its first reading has come too."""
    session_start.begin_if_ready(context, evse)


def on_hold_refused(context: StepContext, evse: Evse, event: ChargeHoldRefused) -> None:
    """Refuse the start, or let a driver who sells begin without a hold."""
    session_start.hold_refused(context, evse, code=event.code)


def on_answer_due(context: StepContext, evse: Evse, event: StartAnswerDue) -> None:
    """Refuse a start that is not answered yet."""
    session_start.on_answer_late(context, evse, event.session_id)


def on_unknown_transaction(context: StepContext, evse: Evse, event: UnknownTransactionSeen) -> None:
    """Adopt the transaction at 0 W and stop it."""
    session_start.adopt_unknown(context, evse, event.transaction_id)


def _stay(_context: StepContext, _evse: Evse, _event: StationEvent) -> None:
    """Do nothing: the event is allowed and has no effect in this phase."""


def move(context: StepContext, evse: Evse, event: DeviceEvent | StationEvent) -> None:
    """Take the step of phase and event, and check the phase in which it ends.

    An absent pair that a device caused is acknowledged and counted, without other effect.
    """
    row = TRANSITIONS.get((evse.phase, type(event)))
    if row is None:
        assert isinstance(event, DeviceEvent), f"{type(event).__name__} while {evse.phase}: {evse.evse_id}"
        if isinstance(event, TransactionMessage):
            context.emit(AnswerCall(call=event.call, answer=Acknowledge()))
        context.put_evse(replace(evse, quarantined=evse.quarantined + 1))
        return
    step, following = row
    step(context, evse, event)
    phase = context.evses[evse.evse_id].phase
    assert phase in following, f"{type(event).__name__} led from {evse.phase} to {phase}: {evse.evse_id}"


_VACANT = frozenset({Phase.VACANT})
_STARTING = frozenset({Phase.STARTING})
_ACTIVE = frozenset({Phase.ACTIVE})
_STOPPING = frozenset({Phase.STOPPING})

# (phase, event type) -> (step, phases in which it may end)
TRANSITIONS: Mapping[tuple[Phase, type], tuple[Step, frozenset[Phase]]] = {
    (Phase.VACANT, TransactionStarted): (session_start.on_started, _STARTING | _STOPPING),
    (Phase.STARTING, TransactionStarted): (session_start.on_started, _STARTING | _STOPPING),
    (Phase.ACTIVE, TransactionStarted): (session_start.on_started, _ACTIVE | _STARTING | _STOPPING),
    (Phase.STOPPING, TransactionStarted): (session_start.on_started, _STARTING | _STOPPING),
    (Phase.STARTING, TransactionUpdated): (on_updated, _STARTING | _STOPPING),
    (Phase.ACTIVE, TransactionUpdated): (on_updated, _ACTIVE),
    (Phase.STOPPING, TransactionUpdated): (on_updated, _STOPPING),
    (Phase.STARTING, TransactionEnded): (on_ended, _VACANT),
    (Phase.ACTIVE, TransactionEnded): (on_ended, _VACANT),
    (Phase.STOPPING, TransactionEnded): (on_ended, _VACANT),
    (Phase.VACANT, ConnectorStatusChanged): (on_status, _VACANT),
    (Phase.STARTING, ConnectorStatusChanged): (on_status, _STARTING | _VACANT),
    (Phase.ACTIVE, ConnectorStatusChanged): (on_status, _ACTIVE | _VACANT),
    (Phase.STOPPING, ConnectorStatusChanged): (on_status, _STOPPING | _VACANT),
    (Phase.VACANT, ChargingStateChanged): (on_charging_state, _VACANT),
    (Phase.STARTING, ChargingStateChanged): (on_charging_state, _STARTING),
    (Phase.ACTIVE, ChargingStateChanged): (on_charging_state, _ACTIVE),
    (Phase.STOPPING, ChargingStateChanged): (on_charging_state, _STOPPING),
    (Phase.STARTING, EvNeedsReported): (on_needs, _STARTING),
    (Phase.ACTIVE, EvNeedsReported): (on_needs, _ACTIVE),
    (Phase.STOPPING, EvNeedsReported): (on_needs, _STOPPING),
    (Phase.VACANT, SetpointAnswered): (on_setpoint_answered, _VACANT),
    (Phase.STARTING, SetpointAnswered): (on_setpoint_answered, _STARTING),
    (Phase.ACTIVE, SetpointAnswered): (on_setpoint_answered, _ACTIVE),
    (Phase.STOPPING, SetpointAnswered): (on_setpoint_answered, _STOPPING),
    (Phase.VACANT, ReadingAccepted): (on_reading, _VACANT),
    (Phase.STARTING, ReadingAccepted): (on_reading, _STARTING | _ACTIVE),
    (Phase.ACTIVE, ReadingAccepted): (on_reading, _ACTIVE),
    (Phase.STOPPING, ReadingAccepted): (on_reading, _STOPPING),
    (Phase.STARTING, ChargeHoldOpened): (on_hold_opened, _STARTING | _ACTIVE),
    (Phase.STARTING, ChargeHoldRefused): (on_hold_refused, _STARTING | _ACTIVE | _STOPPING),
    (Phase.ACTIVE, ChargeHoldRefused): (_stay, _ACTIVE),
    (Phase.VACANT, StartAnswerDue): (_stay, _VACANT),
    (Phase.STARTING, StartAnswerDue): (on_answer_due, _STARTING | _STOPPING),
    (Phase.ACTIVE, StartAnswerDue): (_stay, _ACTIVE),
    (Phase.STOPPING, StartAnswerDue): (_stay, _STOPPING),
    (Phase.VACANT, UnknownTransactionSeen): (on_unknown_transaction, _STOPPING),
}
