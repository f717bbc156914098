"""Entry point of the core: `step(station, event, now_ns)` returns the StepOutcome of one event."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from edgegw.core import (
    answer_cache,
    authorization,
    control,
    evidence,
    forecast,
    ledger_replies,
    order_intake,
    readings,
    restore_reconcile,
    sale,
    schedule,
    session,
    session_end,
    session_start,
)
from edgegw.core import submission as life
from edgegw.core.correlation import (
    AuthorizationBalance,
    IntervalOffers,
    OrderStartDue,
    SessionCredits,
    SetpointEnded,
    SetpointRetryDue,
    StartAnswerDue,
)
from edgegw.core.effects import (
    Acknowledge,
    Answer,
    AnswerCall,
    IdTokenStatus,
    ReadMeter,
    StartAnswer,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    ChargingState,
    ChargingStateChanged,
    ClockTicked,
    CommitKnown,
    CommitUnknown,
    ConnectorStatusChanged,
    DrainStarted,
    Endorsed,
    EndorseFailed,
    Event,
    EvNeedsReported,
    EvseMessage,
    LedgerEventSeen,
    MembersChanged,
    MeterAdopted,
    MeterReadFailed,
    MeterRerated,
    OrderPlaced,
    OrderStopped,
    PricesEstimated,
    QueryAnswered,
    RegisterRead,
    RemoteStartAnswered,
    SetpointAnswered,
    StorageChanged,
    StorageLevel,
    TimerFired,
    TransactionEnded,
    TransactionMessage,
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.internal_events import BalanceKnown, UnknownTransactionSeen
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Evse, Phase, SaleStage, Settings, Station
from edgegw.core.step_context import StepContext, StepOutcome


def new_station(settings: Settings, accounts: Mapping[str, MeterAccount]) -> Station:
    """Return a station in its initial state."""
    evses = {evse_id: Evse(evse_id=evse_id) for evse_id in settings.evses}
    return Station(settings=settings, evses=evses, meters=dict(accounts))


def is_settled(station: Station) -> bool:
    """Return whether no line or submission is open.

    Registrations of meters that have not left the station do not count: they wait for others, and are submitted again.
    """
    return not station.lines and all(
        item.purpose is life.Purpose.METER and isinstance(item, life.New | life.Endorsing)
        for item in station.submissions.values()
    )


def adopt(station: Station, fresh: Station) -> Station:
    """Return the station with the settings of `fresh`, and with the EVSEs and meters that only `fresh` has."""
    return replace(
        station,
        settings=fresh.settings,
        evses={**fresh.evses, **station.evses},
        meters={**fresh.meters, **station.meters},
    )


def rerated(fresh: Station) -> tuple[MeterRerated, ...]:
    """Return the events that apply the meters' limits of `fresh` to the accounts that a station already has."""
    return tuple(
        MeterRerated(meter_id=meter_id, power_w_max=account.power_w_max, step_mwh=account.step_mwh)
        for meter_id, account in fresh.meters.items()
    )


def step(station: Station, event: Event, now_ns: int) -> StepOutcome:
    """Process one event; return the new state, journal facts and effects."""
    context = StepContext(station, now_ns)
    HANDLERS[type(event)](context, event)
    if context.settings.site_w_max is not None and _active(context.evses.rows) != _active(station.evses):
        control.replan_all(context)
    if _may_move(context, event):
        ledger_replies.release_holds(context)
        ledger_replies.move_lanes(context)
    return context.outcome()


def _may_move(context: StepContext, event: Event) -> bool:
    """Return whether a lane or a hold may have work: only where one of these tables changed."""
    if type(event) is RegisterRead and not context.effects and not context.facts:
        return False
    tables = (context.holds, context.lines, context.submissions, context.meters)
    return any(table.changes for table in tables)


def _active(evses: Mapping[str, Evse]) -> int:
    return sum(1 for evse in evses.values() if evse.phase is Phase.ACTIVE)


def wake(station: Station, now_ns: int) -> StepOutcome:
    """Resume after a restart: mark chargers offline, send envelopes again, restart the timers of waiting starts."""
    context = StepContext(station, now_ns)
    restore_reconcile.reconcile(context)
    context.tally = replace(context.tally, boots=context.tally.boots + 1)
    for submission in context.submissions.values():
        moved, effects = life.resume(submission)
        context.submissions.put(moved.submission_id, moved)
        context.emit(*effects)
    for evse in context.evses.values():
        current = replace(evse, online=False, setpoint=None)
        waiting = evse.session
        if waiting is not None:
            # The sockets of waiting calls are gone with the process; repeats bring new calls.
            current = replace(current, session=replace(waiting, pending_calls=()))
            if waiting.sale is SaleStage.SWEEPING:
                sale.ask_balance(context, evse_id=evse.evse_id, session=waiting)
        context.put_evse(current)
        if evse.phase is Phase.STARTING and waiting is not None and waiting.terms is not None:
            context.emit(session_start.answer_timer(context, evse, waiting))
        context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))
    order_intake.wait_again(context)
    schedule.ask_offers_again(context)
    ledger_replies.release_holds(context)
    ledger_replies.move_lanes(context)
    return context.outcome()


# --- chargers -------------------------------------------------------------------------------------------------------


def _on_connected(context: StepContext, event: ChargerConnected) -> None:
    context.log("charger.connected", charger_id=event.charger_id, version=event.version)
    _tell_again(context, event.charger_id)


def _on_disconnected(context: StepContext, event: ChargerDisconnected) -> None:
    context.log("charger.disconnected", charger_id=event.charger_id)
    _forget_setpoints(context, event.charger_id, online=False)


def _on_booted(context: StepContext, event: ChargerBooted) -> None:
    """A boot forgets profiles, not transactions (OCPP 2.1 E17)."""
    _tell_again(context, event.charger_id)


def _tell_again(context: StepContext, charger_id: str) -> None:
    """Send again what a charger may have missed: a stop, the permission to discharge, and its setpoint."""
    for evse in context.evses.values():
        current = evse.session
        if context.settings.evses[evse.evse_id].charger_id != charger_id or current is None:
            continue
        if evse.phase is Phase.STOPPING or current.stop_asked:
            context.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=current.transaction_id))
        elif evse.phase is Phase.ACTIVE:
            session_start.allow_discharge(context, evse, current)
    _forget_setpoints(context, charger_id, online=True)


def _forget_setpoints(context: StepContext, charger_id: str, *, online: bool) -> None:
    for evse in context.evses.values():
        if context.settings.evses[evse.evse_id].charger_id == charger_id:
            control.replan(context, context.put_evse(replace(evse, online=online, setpoint=None)))


def _on_transaction(context: StepContext, event: TransactionMessage) -> None:
    """Store the frame, answer a repeat, and pass the message to its EVSE; acknowledge one without an EVSE."""
    evse = _place(context, event)
    if context.storage < StorageLevel.NO_TELEMETRY or not _is_telemetry(event):
        ended = answer_cache.ended_key(event.call.charger_id, event.transaction_id or "") in context.answers
        evidence.store_frame(context, event, found=evidence.misplaced(context, event, evse, ended=ended))
    if isinstance(event, TransactionStarted) and _repeat_start(context, event):
        return
    if isinstance(event, TransactionEnded):
        # Also for an end that came before its start: the late start then begins no session.
        row = answer_cache.ended_key(event.call.charger_id, event.transaction_id)
        answer_cache.keep_answer(
            context, row, status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id
        )
    if evse is None:
        _answer_unplaced(context, event)
        return
    if isinstance(event, TransactionUpdated) and _is_unknown(context, evse, event):
        context.emit(AnswerCall(call=event.call, answer=Acknowledge()))
        assert event.transaction_id is not None
        session.move(context, evse, UnknownTransactionSeen(transaction_id=event.transaction_id))
        return
    _transition(context, evse, event)


def _is_telemetry(event: TransactionMessage) -> bool:
    """Return whether a message is not needed for billing: an update that names no driver."""
    return isinstance(event, TransactionUpdated) and event.id_token_hash is None


def _is_unknown(context: StepContext, evse: Evse, event: TransactionUpdated) -> bool:
    """Return whether energy flows in a transaction unknown here, as after the restore of an older journal."""
    if evse.phase is not Phase.VACANT or event.transaction_id is None or event.offline:
        return False
    flows = event.charging_state is ChargingState.CHARGING or any(item.power_w for item in event.samples)
    return (
        flows and answer_cache.ended_key(event.call.charger_id, event.transaction_id) not in context.answers
    )


def _answer_unplaced(context: StepContext, event: TransactionMessage) -> None:
    answer: Answer = Acknowledge()
    if isinstance(event, TransactionStarted):
        answer = StartAnswer(status=IdTokenStatus.INVALID, transaction_id=event.transaction_id)
        context.refuse("UNKNOWN_EVSE", charger_id=event.call.charger_id)
    context.emit(AnswerCall(call=event.call, answer=answer))


def _repeat_start(context: StepContext, event: TransactionStarted) -> bool:
    """Answer a start that was answered before, or whose transaction has ended; return whether it was one."""
    start_key = answer_cache.start_key(event)
    kept = context.answers.get(start_key)
    evse = context.evses.get(event.evse_id)
    waiting = None if evse is None else evse.session
    if kept is None and evse is not None and waiting is not None and waiting.start_key == start_key:
        # A repeat on a new socket while its hold is pending: 1.6 proposes a fresh id each time.
        session.move(context, evse, replace(event, transaction_id=waiting.transaction_id))
        return True
    kept = kept or context.answers.get(answer_cache.ended_key(event.call.charger_id, event.transaction_id))
    if kept is None:
        return False
    answer = StartAnswer(status=kept.status, transaction_id=kept.transaction_id)
    context.emit(AnswerCall(call=event.call, answer=answer))
    return True


def _place(context: StepContext, event: TransactionMessage) -> Evse | None:
    """Return the EVSE of a message: that of its transaction at this charger, else the one it names."""
    charger_id = event.call.charger_id
    named = None if event.evse_id is None else context.evses.get(event.evse_id)
    if (
        named is not None
        and named.session is not None
        and named.session.transaction_id == event.transaction_id
        and context.settings.evses[named.evse_id].charger_id == charger_id
    ):
        return named  # the common case, without a search
    own = [
        evse
        for evse in context.evses.values()
        if context.settings.evses[evse.evse_id].charger_id == charger_id
    ]
    if not isinstance(event, TransactionStarted):
        for evse in own:
            if evse.session is not None and evse.session.transaction_id == event.transaction_id:
                return evse
        if isinstance(event, TransactionEnded):
            return None
    for evse in own:
        if evse.evse_id == event.evse_id:
            return evse
    return None


def _on_evse_event(context: StepContext, event: EvseMessage) -> None:
    evse = context.evses.get(event.evse_id)
    if evse is not None:
        _transition(context, evse, event)


def _transition(context: StepContext, evse: Evse, event: session.DeviceEvent) -> None:
    """Move the session; where it changed, review the sale and the setpoint."""
    session.move(context, evse, event)
    current = context.evses[evse.evse_id]
    if current.session is not None and current.session != evse.session:
        sale.consider(context, current)
        control.replan(context, context.evses[evse.evse_id])


def _on_timer(context: StepContext, event: TimerFired) -> None:
    match event.key:
        case OrderStartDue(order_id=order_id):
            order_intake.on_start_late(context, order_id)
        case SetpointRetryDue(evse_id=evse_id):
            session.on_setpoint_again(context, context.evses[evse_id])
        case SetpointEnded(evse_id=evse_id):
            control.on_command_over(context, context.evses[evse_id])
        case StartAnswerDue(evse_id=evse_id):
            session.move(context, context.evses[evse_id], event.key)
        case _:
            assert_never(event.key)


# --- clock, ledger, members -----------------------------------------------------------------------------------------


def _on_tick(context: StepContext, _event: ClockTicked) -> None:
    schedule.on_tick(context)


def _on_ledger_event(context: StepContext, event: LedgerEventSeen) -> None:
    if event.name == "edgegw.price.fixed":
        schedule.learn_price(context, event.payload)
    if event.block >= context.tally.event_block:
        context.tally = replace(context.tally, event_block=event.block, event_tx=event.tx_id)


def _on_query_answered(context: StepContext, event: QueryAnswered) -> None:
    if event.key not in context.queries:
        return
    context.queries.remove(event.key)
    match event.key:
        case AuthorizationBalance():
            authorization.on_balance(context, event.key, event.result)
        case IntervalOffers():
            schedule.on_offers(context, event.key, event.result)
        case SessionCredits(evse_id=evse_id):
            sale.move(context, context.evses[evse_id], BalanceKnown(result=event.result))
        case _:
            assert_never(event.key)


def _on_members(context: StepContext, event: MembersChanged) -> None:
    context.members.become(event.links)


def _on_estimates(context: StepContext, event: PricesEstimated) -> None:
    context.estimates.become(event.estimates)
    if context.estimates.changes:
        forecast.make_stale(context)


def _on_storage(context: StepContext, event: StorageChanged) -> None:
    context.storage = event.level


def _on_drain(context: StepContext, _event: DrainStarted) -> None:
    """Close every open segment at its last reading, and return slices."""
    for evse in context.evses.values():
        owner = evse.ending or (evse.session if evse.session is not None and evse.session.began else None)
        session_end.cut_for(context, evse, owner)
    schedule.return_slices(context)
    context.draining = True


HANDLERS: Mapping[type[Event], Callable[[StepContext, Any], None]] = {
    ChargerConnected: _on_connected,
    ChargerDisconnected: _on_disconnected,
    ChargerBooted: _on_booted,
    ConnectorStatusChanged: _on_evse_event,
    ChargingStateChanged: _on_evse_event,
    EvNeedsReported: _on_evse_event,
    SetpointAnswered: _on_evse_event,
    OrderPlaced: order_intake.on_placed,
    OrderStopped: order_intake.on_stopped,
    RemoteStartAnswered: order_intake.on_answered,
    AuthorizeRequested: authorization.on_asked,
    TransactionStarted: _on_transaction,
    TransactionUpdated: _on_transaction,
    TransactionEnded: _on_transaction,
    RegisterRead: readings.on_read,
    MeterReadFailed: readings.on_read_failed,
    MeterAdopted: readings.on_adopted,
    MeterRerated: readings.on_rerated,
    ClockTicked: _on_tick,
    TimerFired: _on_timer,
    Endorsed: ledger_replies.on_answer,
    EndorseFailed: ledger_replies.on_answer,
    CommitKnown: ledger_replies.on_answer,
    CommitUnknown: ledger_replies.on_answer,
    LedgerEventSeen: _on_ledger_event,
    QueryAnswered: _on_query_answered,
    MembersChanged: _on_members,
    PricesEstimated: _on_estimates,
    StorageChanged: _on_storage,
    DrainStarted: _on_drain,
}
