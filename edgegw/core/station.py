"""The station as one function: `step(station, event, now) -> Outcome`. The only door into the core."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from edgegw.core import (
    authorizing,
    control,
    ending,
    evidence,
    kept_answers,
    outbox,
    outlook,
    placing,
    readings,
    restored,
    sale,
    schedule,
    session,
    starting,
)
from edgegw.core import settlement as life
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
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Evse, Phase, SaleStage, Settings, Station
from edgegw.core.turn import Outcome, Turn


def new_station(settings: Settings, accounts: Mapping[str, MeterAccount]) -> Station:
    """A station that has seen nothing yet."""
    evses = {evse_id: Evse(evse_id=evse_id) for evse_id in settings.evses}
    return Station(settings=settings, evses=evses, meters=dict(accounts))


def is_settled(station: Station) -> bool:
    """Nothing that was begun is on its way any more.

    A meter's registration of which nothing left the station does not count: others hold it up, and it is asked again.
    """
    return not station.lines and all(
        item.purpose == "meter" and item.state in {life.State.NEW, life.State.ENDORSING}
        for item in station.submissions.values()
    )


def adopt(station: Station, fresh: Station) -> Station:
    """The station under new settings: EVSEs and meters that it did not have yet come in as they are in `fresh`."""
    return replace(
        station,
        settings=fresh.settings,
        evses={**fresh.evses, **station.evses},
        meters={**fresh.meters, **station.meters},
    )


def rerated(fresh: Station) -> tuple[MeterRerated, ...]:
    """What to tell a station that goes on under the configuration of `fresh`: accounts that it had keep their limits till then."""
    return tuple(
        MeterRerated(meter_id=meter_id, power_w_max=account.power_w_max, step_mwh=account.step_mwh)
        for meter_id, account in fresh.meters.items()
    )


def step(station: Station, event: Event, now_ns: int) -> Outcome:
    """Decide one event: the new state, what to remember and what to do."""
    turn = Turn(station, now_ns)
    HANDLERS[type(event)](turn, event)
    if turn.settings.site_w_max is not None and _active(turn.evses.rows) != _active(station.evses):
        control.replan_all(turn)
    if _may_move(turn, event):
        outbox.release_holds(turn)
        outbox.move_lanes(turn)
    return turn.outcome()


def _may_move(turn: Turn, event: Event) -> bool:
    """Whether a lane or a hold may have something to do: each step leaves them at rest until one of these rows changes."""
    if type(event) is RegisterRead and not turn.effects and not turn.facts:
        return False
    tables = (turn.holds, turn.lines, turn.submissions, turn.meters)
    return any(table.changes for table in tables)


def _active(evses: Mapping[str, Evse]) -> int:
    return sum(1 for evse in evses.values() if evse.phase is Phase.ACTIVE)


def wake(station: Station, now_ns: int) -> Outcome:
    """After a restart: sockets are gone, envelopes that may have left are sent again, waiting starts get new time."""
    turn = Turn(station, now_ns)
    restored.reconcile(turn)
    turn.tally = replace(turn.tally, boots=turn.tally.boots + 1)
    for submission in turn.submissions.values():
        moved, effects = life.resume(submission)
        turn.submissions.put(moved.submission_id, moved)
        turn.emit(*effects)
    for evse in turn.evses.values():
        current = replace(evse, online=False, setpoint=None)
        waiting = evse.session
        if waiting is not None:
            # The waiting calls' sockets died with the process; their repeats will bring new ones.
            current = replace(current, session=replace(waiting, pending_calls=()))
            if waiting.sale is SaleStage.SWEEPING:
                sale.ask_balance(turn, evse_id=evse.evse_id, session=waiting)
        turn.put_evse(current)
        if evse.phase is Phase.STARTING and waiting is not None and waiting.terms is not None:
            turn.emit(starting.answer_timer(turn, evse, waiting))
        turn.emit(ReadMeter(meter_id=turn.settings.evses[evse.evse_id].meter_id))
    placing.wait_again(turn)
    schedule.ask_offers_again(turn)
    outbox.release_holds(turn)
    outbox.move_lanes(turn)
    return turn.outcome()


# --- chargers -------------------------------------------------------------------------------------------------------


def _on_connected(turn: Turn, event: ChargerConnected) -> None:
    turn.log("charger.connected", charger_id=event.charger_id, version=event.version)
    _tell_again(turn, event.charger_id)


def _on_disconnected(turn: Turn, event: ChargerDisconnected) -> None:
    turn.log("charger.disconnected", charger_id=event.charger_id)
    _forget_setpoints(turn, event.charger_id, online=False)


def _on_booted(turn: Turn, event: ChargerBooted) -> None:
    """A boot forgets profiles, not transactions (OCPP 2.1 E17)."""
    _tell_again(turn, event.charger_id)


def _tell_again(turn: Turn, charger_id: str) -> None:
    """What a charger may have missed: that it is to stop, that it may discharge, and its setpoint."""
    for evse in turn.evses.values():
        current = evse.session
        if turn.settings.evses[evse.evse_id].charger_id != charger_id or current is None:
            continue
        if evse.phase is Phase.STOPPING or current.stop_asked:
            turn.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=current.transaction_id))
        elif evse.phase is Phase.ACTIVE:
            starting.allow_discharge(turn, evse, current)
    _forget_setpoints(turn, charger_id, online=True)


def _forget_setpoints(turn: Turn, charger_id: str, *, online: bool) -> None:
    for evse in turn.evses.values():
        if turn.settings.evses[evse.evse_id].charger_id == charger_id:
            control.replan(turn, turn.put_evse(replace(evse, online=online, setpoint=None)))


def _on_transaction(turn: Turn, event: TransactionStarted | TransactionUpdated | TransactionEnded) -> None:
    """Store the frame, answer a repeat as before, place the message; what has no place is acknowledged."""
    evse = _place(turn, event)
    if turn.storage < StorageLevel.NO_TELEMETRY or not _is_telemetry(event):
        ended = kept_answers.ended_key(event.call.charger_id, event.transaction_id or "") in turn.answers
        evidence.store_frame(turn, event, found=evidence.misplaced(turn, event, evse, ended=ended))
    if isinstance(event, TransactionStarted) and _repeat_start(turn, event):
        return
    if isinstance(event, TransactionEnded):
        # Also of an end that came before its start: the late start then opens nothing.
        row = kept_answers.ended_key(event.call.charger_id, event.transaction_id)
        kept_answers.keep_answer(
            turn, row, status=IdTokenStatus.ACCEPTED, transaction_id=event.transaction_id
        )
    if evse is None:
        _answer_unplaced(turn, event)
        return
    if isinstance(event, TransactionUpdated) and _is_stranger(turn, evse, event):
        turn.emit(AnswerCall(call=event.call, answer=Acknowledge()))
        assert event.transaction_id is not None
        starting.adopt_unknown(turn, evse, event.transaction_id)
        return
    _transition(turn, evse, event)


def _is_telemetry(event: TransactionStarted | TransactionUpdated | TransactionEnded) -> bool:
    """Samples on the way tell nothing that bills: the meter does. What begins, ends or names a driver does."""
    return isinstance(event, TransactionUpdated) and event.id_token_hash is None


def _is_stranger(turn: Turn, evse: Evse, event: TransactionUpdated) -> bool:
    """Energy flows in a transaction that this station neither started nor saw end: its journal is not the one it had."""
    if evse.phase is not Phase.VACANT or event.transaction_id is None or event.offline:
        return False
    flows = event.charging_state is ChargingState.CHARGING or any(item.power_w for item in event.samples)
    return flows and kept_answers.ended_key(event.call.charger_id, event.transaction_id) not in turn.answers


def _answer_unplaced(turn: Turn, event: TransactionStarted | TransactionUpdated | TransactionEnded) -> None:
    answer: Answer = Acknowledge()
    if isinstance(event, TransactionStarted):
        answer = StartAnswer(status=IdTokenStatus.INVALID, transaction_id=event.transaction_id)
        turn.refuse("UNKNOWN_EVSE", charger_id=event.call.charger_id)
    turn.emit(AnswerCall(call=event.call, answer=answer))


def _repeat_start(turn: Turn, event: TransactionStarted) -> bool:
    """Answer a start that was answered before, or whose transaction is over already."""
    start_key = kept_answers.start_key(event)
    kept = turn.answers.get(start_key)
    evse = turn.evses.get(event.evse_id)
    waiting = None if evse is None else evse.session
    if kept is None and evse is not None and waiting is not None and waiting.start_key == start_key:
        # The same start on a new socket while its hold is still open: 1.6 proposes a fresh id each time.
        starting.on_started(turn, evse, replace(event, transaction_id=waiting.transaction_id))
        return True
    kept = kept or turn.answers.get(kept_answers.ended_key(event.call.charger_id, event.transaction_id))
    if kept is None:
        return False
    answer = StartAnswer(status=kept.status, transaction_id=kept.transaction_id)
    turn.emit(AnswerCall(call=event.call, answer=answer))
    return True


def _place(turn: Turn, event: TransactionStarted | TransactionUpdated | TransactionEnded) -> Evse | None:
    """The EVSE of a message: of its transaction on this very charger, else the one it names."""
    charger_id = event.call.charger_id
    named = None if event.evse_id is None else turn.evses.get(event.evse_id)
    if (
        named is not None
        and named.session is not None
        and named.session.transaction_id == event.transaction_id
        and turn.settings.evses[named.evse_id].charger_id == charger_id
    ):
        return named  # the everyday case, without a look at all others
    own = [evse for evse in turn.evses.values() if turn.settings.evses[evse.evse_id].charger_id == charger_id]
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


def _on_evse_event(
    turn: Turn, event: ConnectorStatusChanged | ChargingStateChanged | EvNeedsReported | SetpointAnswered
) -> None:
    evse = turn.evses.get(event.evse_id)
    if evse is not None:
        _transition(turn, evse, event)


def _transition(turn: Turn, evse: Evse, event: Any) -> None:
    """Look the pair up; an absent one is a device's disorder: acknowledged and counted."""
    transition = session.TRANSITIONS.get((evse.phase, type(event)))
    if transition is None:
        call = getattr(event, "call", None)
        if call is not None:
            turn.emit(AnswerCall(call=call, answer=Acknowledge()))
        turn.put_evse(replace(evse, quarantined=evse.quarantined + 1))
        return
    transition(turn, evse, event)
    current = turn.evses[evse.evse_id]
    if current.session is not None and current.session != evse.session:
        sale.consider(turn, current)
        control.replan(turn, turn.evses[evse.evse_id])


def _on_timer(turn: Turn, event: TimerFired) -> None:
    match event.key:
        case OrderStartDue(order_id=order_id):
            placing.on_start_late(turn, order_id)
        case SetpointRetryDue(evse_id=evse_id):
            session.on_setpoint_again(turn, turn.evses[evse_id])
        case SetpointEnded(evse_id=evse_id):
            control.on_command_over(turn, turn.evses[evse_id])
        case StartAnswerDue(evse_id=evse_id, session_id=session_id):
            starting.on_answer_late(turn, turn.evses[evse_id], session_id)
        case _:
            assert_never(event.key)


# --- clock, ledger, members -----------------------------------------------------------------------------------------


def _on_tick(turn: Turn, _event: ClockTicked) -> None:
    schedule.on_tick(turn)


def _on_ledger_event(turn: Turn, event: LedgerEventSeen) -> None:
    if event.name == "edgegw.price.fixed":
        schedule.learn_price(turn, event.payload)
    if event.block >= turn.tally.event_block:
        turn.tally = replace(turn.tally, event_block=event.block, event_tx=event.tx_id)


def _on_query_answered(turn: Turn, event: QueryAnswered) -> None:
    if event.key not in turn.queries:
        return
    turn.queries.remove(event.key)
    match event.key:
        case AuthorizationBalance():
            authorizing.on_balance(turn, event.key, event.result)
        case IntervalOffers():
            schedule.on_offers(turn, event.key, event.result)
        case SessionCredits(evse_id=evse_id):
            sale.on_balance(turn, turn.evses[evse_id], event.result)
        case _:
            assert_never(event.key)


def _on_members(turn: Turn, event: MembersChanged) -> None:
    turn.members.become(event.links)


def _on_estimates(turn: Turn, event: PricesEstimated) -> None:
    turn.estimates.become(event.estimates)
    if turn.estimates.changes:
        outlook.make_stale(turn)


def _on_storage(turn: Turn, event: StorageChanged) -> None:
    turn.storage = event.level


def _on_drain(turn: Turn, _event: DrainStarted) -> None:
    """Close every open segment at its last reading, so that the books end where the registers do."""
    for evse in turn.evses.values():
        owner = evse.ending or (evse.session if evse.session is not None and evse.session.began else None)
        ending.cut_for(turn, evse, owner)
    schedule.return_slices(turn)
    turn.draining = True


HANDLERS: Mapping[type, Callable[[Turn, Any], None]] = {
    ChargerConnected: _on_connected,
    ChargerDisconnected: _on_disconnected,
    ChargerBooted: _on_booted,
    ConnectorStatusChanged: _on_evse_event,
    ChargingStateChanged: _on_evse_event,
    EvNeedsReported: _on_evse_event,
    SetpointAnswered: _on_evse_event,
    OrderPlaced: placing.on_placed,
    OrderStopped: placing.on_stopped,
    RemoteStartAnswered: placing.on_answered,
    AuthorizeRequested: authorizing.on_asked,
    TransactionStarted: _on_transaction,
    TransactionUpdated: _on_transaction,
    TransactionEnded: _on_transaction,
    RegisterRead: readings.on_read,
    MeterReadFailed: readings.on_read_failed,
    MeterAdopted: readings.on_adopted,
    MeterRerated: readings.on_rerated,
    ClockTicked: _on_tick,
    TimerFired: _on_timer,
    Endorsed: outbox.on_answer,
    EndorseFailed: outbox.on_answer,
    CommitKnown: outbox.on_answer,
    CommitUnknown: outbox.on_answer,
    LedgerEventSeen: _on_ledger_event,
    QueryAnswered: _on_query_answered,
    MembersChanged: _on_members,
    PricesEstimated: _on_estimates,
    StorageChanged: _on_storage,
    DrainStarted: _on_drain,
}
