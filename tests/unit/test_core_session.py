"""Sessions: every pair of phase and event, repeats, disorder, ends."""

from dataclasses import replace
from typing import cast, get_args

import pytest

from edgegw.core import session
from edgegw.core.correlation import SetpointRetryDue, StartAnswerDue
from edgegw.core.effects import (
    Acknowledge,
    ApplySetpoint,
    IdTokenStatus,
    StartAnswer,
    StartTimer,
)
from edgegw.core.events import (
    ChargerBooted,
    ChargerDisconnected,
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
from edgegw.core.internal_events import (
    ChargeHoldOpened,
    ChargeHoldRefused,
    ReadingAccepted,
    UnknownTransactionSeen,
)
from edgegw.core.state import HoldState, Phase
from edgegw.core.step_context import StepContext
from tests.support.core_bench import T0_NS, Bench, S

EVENTS = (
    TransactionStarted,
    TransactionUpdated,
    TransactionEnded,
    ConnectorStatusChanged,
    ChargingStateChanged,
    EvNeedsReported,
    SetpointAnswered,
)
# Pairs that a device alone can cause: acknowledged, counted, otherwise without effect. An end is placed by its
# transaction, so one without a session never reaches the table.
QUARANTINED = {
    (Phase.VACANT, TransactionUpdated),
    (Phase.VACANT, TransactionEnded),
    (Phase.VACANT, EvNeedsReported),
}
STATION_EVENTS = (
    ReadingAccepted,
    ChargeHoldOpened,
    ChargeHoldRefused,
    StartAnswerDue,
    UnknownTransactionSeen,
)
# Pairs that only a fault of this program could cause.
FAULTS = {
    (Phase.VACANT, ChargeHoldOpened),
    (Phase.ACTIVE, ChargeHoldOpened),
    (Phase.STOPPING, ChargeHoldOpened),
    (Phase.VACANT, ChargeHoldRefused),
    (Phase.STOPPING, ChargeHoldRefused),
    (Phase.STARTING, UnknownTransactionSeen),
    (Phase.ACTIVE, UnknownTransactionSeen),
    (Phase.STOPPING, UnknownTransactionSeen),
}


def test_the_table_lists_every_pair() -> None:
    """Each phase x event type is a transition, quarantined where a device causes it, or a fault where the station does."""
    assert get_args(session.DeviceEvent) == EVENTS
    assert get_args(session.StationEvent) == STATION_EVENTS
    pairs = {(phase, event) for phase in Phase for event in (*EVENTS, *STATION_EVENTS)}
    assert set(session.TRANSITIONS) == pairs - QUARANTINED - FAULTS
    assert {event for _, event in QUARANTINED} <= set(EVENTS)
    assert {event for _, event in FAULTS} <= set(STATION_EVENTS)


def test_every_transition_names_the_phases_in_which_it_may_end() -> None:
    """Only a start, a driver, an end, a hold, a reading and a timer change an EVSE's phase; other events keep it."""
    moves: dict[tuple[Phase, type], set[Phase]] = {
        pair: set(following - {pair[0]}) for pair, (_, following) in session.TRANSITIONS.items()
    }
    vacant, starting, active, stopping = Phase
    assert {pair: following for pair, following in moves.items() if following} == {
        (vacant, TransactionStarted): {starting, stopping},
        (starting, TransactionStarted): {stopping},
        (active, TransactionStarted): {starting, stopping},
        (stopping, TransactionStarted): {starting},
        (starting, TransactionUpdated): {stopping},
        (starting, TransactionEnded): {vacant},
        (active, TransactionEnded): {vacant},
        (stopping, TransactionEnded): {vacant},
        (starting, ConnectorStatusChanged): {vacant},
        (active, ConnectorStatusChanged): {vacant},
        (stopping, ConnectorStatusChanged): {vacant},
        (starting, ReadingAccepted): {active},
        (starting, ChargeHoldOpened): {active},
        (starting, ChargeHoldRefused): {active, stopping},
        (starting, StartAnswerDue): {stopping},
        (vacant, UnknownTransactionSeen): {stopping},
    }


def test_a_pair_of_our_own_making_that_is_not_in_the_table_is_a_fault() -> None:
    """The program stops rather than go on from a state that cannot be."""
    bench = Bench()
    context = StepContext(bench.station, bench.now_ns)
    with pytest.raises(AssertionError, match="ChargeHoldOpened while vacant: A1"):
        session.move(context, context.evses["A1"], ChargeHoldOpened())


def test_a_step_that_ends_in_a_phase_it_does_not_name_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machinery looks at where each step ends, so the table cannot be wrong unseen."""
    table = cast(
        "dict[tuple[Phase, type], object]", session.TRANSITIONS
    )  # a test may change what the core may not
    step, _ = session.TRANSITIONS[Phase.ACTIVE, TransactionEnded]
    monkeypatch.setitem(table, (Phase.ACTIVE, TransactionEnded), (step, frozenset({Phase.ACTIVE})))
    bench = Bench()
    bench.active()
    with pytest.raises(AssertionError, match="TransactionEnded led from active to vacant: A1"):
        bench.end()


@pytest.mark.parametrize("phase", [Phase.VACANT, Phase.STARTING, Phase.ACTIVE, Phase.STOPPING])
def test_a_timer_of_an_answered_start_changes_nothing(phase: Phase) -> None:
    """A timer of an answered start changes nothing, whatever became of its session; only a waiting start is refused."""
    bench = Bench()
    bench.active()
    bench.put(evses={"A1": replace(bench.evse(), phase=phase)})
    before = bench.evse()
    bench.send(TimerFired(key=StartAnswerDue(evse_id="A1", session_id="older")))
    assert bench.evse() == before


def accepted(transaction_id: str = "t1") -> StartAnswer:
    return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=transaction_id)


def blocked(transaction_id: str = "t1") -> StartAnswer:
    return StartAnswer(status=IdTokenStatus.BLOCKED, transaction_id=transaction_id)


# --- repeats and disorder -----------------------------------------------------------------------------------------


def test_a_repeated_start_opens_one_session_and_gets_one_answer() -> None:
    """While the hold is open a repeated start waits with the first; afterwards it gets the same answer."""
    bench = Bench()
    first = bench.start(transaction_id="t1")
    second = bench.start(transaction_id="t2")  # 1.6 proposes a fresh id each time
    assert len(bench.waiting("Hold")) == 1
    bench.commit("Hold", reserved="1000")
    bench.go(61)
    bench.read("MA1", 1_000)
    assert bench.answers_to(first) == bench.answers_to(second) == [accepted("t1")]
    third = bench.start(transaction_id="t3")
    assert bench.answers_to(third) == [accepted("t1")]
    bench.end()
    fourth = bench.start(transaction_id="t4")
    assert bench.answers_to(fourth) == [accepted("t1")]
    assert bench.evse().phase is Phase.VACANT
    assert bench.station.tally["all"].sessions == 1


def test_a_repeated_start_with_another_key_is_judged_by_its_transaction() -> None:
    """A charger that renumbers its message but not its transaction is answered for the running one."""
    bench = Bench()
    bench.active()
    assert bench.answers_to(bench.start(business_key="other")) == [accepted()]
    refused = Bench()
    refused.start()
    refused.refuse("Hold", "ZERO_TOKENS")
    assert refused.answers_to(refused.start(business_key="other")) == [blocked()]


def test_a_repeat_of_a_refused_start_is_refused_alike() -> None:
    """The stored answer is repeated, also when the ledger would decide otherwise now."""
    bench = Bench()
    bench.start()
    bench.refuse("Hold", "ZERO_TOKENS")
    bench.end()
    assert bench.answers_to(bench.start()) == [blocked()]


def test_a_start_after_its_end_opens_nothing() -> None:
    """Ended before Started: both are acknowledged, also while another session runs on the EVSE."""
    bench = Bench()
    end = bench.end()
    assert bench.answers_to(end) == [Acknowledge()]
    assert bench.answers_to(bench.start()) == [accepted()]
    assert bench.evse().phase is Phase.VACANT
    bench.end(transaction_id="t9")
    bench.active(transaction_id="t2", business_key="second")
    late = bench.start(transaction_id="t9", business_key="late")
    assert bench.answers_to(late) == [accepted("t9")]
    assert bench.session().transaction_id == "t2"


def test_a_new_start_ends_the_session_before_it() -> None:
    """A charger that went on to another transaction lost the end of the old one."""
    bench = Bench()
    bench.active()
    bench.go(120)
    bench.start(transaction_id="t2", business_key="second")
    evse = bench.evse()
    assert evse.ending is not None
    assert evse.ending.transaction_id == "t1"
    assert bench.session().transaction_id == "t2"
    bench.go(121)
    bench.read("MA1", 1_100)
    assert bench.evse().ending is None
    assert bench.session().began
    assert [line.session_id for line in bench.station.lines.values()] == ["A1.t1"]


def test_a_session_that_never_began_leaves_the_one_before_it_its_last_segment() -> None:
    """Two ends without a reading between them: energy until the next reading is the first session's."""
    bench = Bench()
    bench.active()
    bench.go(120)
    bench.start(transaction_id="t2", business_key="second")
    bench.end(transaction_id="t2")
    assert bench.evse().phase is Phase.VACANT
    bench.go(121)
    bench.read("MA1", 1_100)
    assert [(line.session_id, line.energy_wh) for line in bench.station.lines.values()] == [("A1.t1", 100)]
    assert bench.station.tally["all"].refused == {"LEFT_EARLY": 1}


def test_who_leaves_before_the_answer_is_answered() -> None:
    """An end while the hold is open answers the start, counts LEFT_EARLY and gives the hold back."""
    bench = Bench()
    start = bench.start()
    bench.endorse("Hold", reserved="5")
    bench.end()
    assert bench.answers_to(start) == [StartAnswer(status=IdTokenStatus.INVALID, transaction_id="t1")]
    bench.hold(HoldState.CLOSING)


def test_updates_out_of_place_are_acknowledged_and_counted() -> None:
    """An update without a session, or of another transaction, drives nothing."""
    bench = Bench()
    assert bench.answers_to(bench.update()) == [Acknowledge()]
    assert bench.evse().quarantined == 1
    bench.active()
    bench.update(transaction_id="t0", soc_bp=4_000)
    assert bench.session().soc_bp is None
    bench.update(transaction_id=None, soc_bp=4_000)
    assert bench.session().soc_bp == 4_000
    bench.update(offline=True, soc_bp=5_000, charging_state=ChargingState.SUSPENDED_EV)
    assert (bench.session().soc_bp, bench.session().satisfied) == (4_000, False)


def test_an_update_that_says_nothing_new_changes_no_row() -> None:
    """A repeated sample writes only its frame; the first and each different one change the session."""
    bench = Bench()
    bench.active()
    state = ChargingState.CHARGING
    bench.update(soc_bp=4_000, charging_state=state)
    assert "evses/A1" in bench.last.changes
    before = bench.station
    bench.update(soc_bp=4_000, charging_state=state)
    assert (bench.last.changes, [fact.kind for fact in bench.last.facts]) == ({}, ["frame"])
    assert bench.station is before
    bench.update(soc_bp=4_100, charging_state=state)
    assert bench.session().soc_bp == 4_100
    bench.update(charging_state=ChargingState.SUSPENDED_EV)
    assert bench.session().satisfied


def test_an_update_is_found_by_its_transaction() -> None:
    """1.6 MeterValues may name no EVSE; the transaction does."""
    bench = Bench()
    bench.active()
    bench.update(evse_id=None, soc_bp=4_500)
    assert bench.session().soc_bp == 4_500


def test_another_chargers_transaction_is_not_touched() -> None:
    """A message that names a transaction of another charger ends and changes nothing of it."""
    bench = Bench()
    bench.active()
    end = bench.end(call=bench.call("B"), charger_id="B", evse_id="B1")
    assert bench.answers_to(end) == [Acknowledge()]
    assert bench.evse().phase is Phase.ACTIVE
    bench.update(call=bench.call("B"), evse_id="A1", soc_bp=1)
    assert bench.session().soc_bp is None


def test_a_start_on_an_evse_of_nobody_is_refused() -> None:
    """An EVSE that the configuration does not know, or of another charger: INVALID, counted."""
    bench = Bench()
    for evse_id in ("A9", "B1"):
        start = bench.start(evse_id=evse_id)
        assert bench.answers_to(start) == [StartAnswer(status=IdTokenStatus.INVALID, transaction_id="t1")]
    assert bench.station.tally["all"].refused == {"UNKNOWN_EVSE": 2}
    assert bench.station.tally["all"].sessions == 0


def test_every_billing_message_is_stored_before_it_is_judged() -> None:
    """The raw frame is the first fact of its step, also of a message without a place."""
    bench = Bench()
    bench.end(frame="[2,...]")
    assert bench.last.facts[0].kind == "frame"
    assert bench.last.facts[0].body["text"] == "[2,...]"


# --- running and ending -------------------------------------------------------------------------------------------


def test_what_a_car_can_do_is_taken_over() -> None:
    """Power limits and departure of the car; a car that cannot discharge has a limit of 0."""
    bench = Bench()
    needs = EvNeedsReported(
        evse_id="A1",
        bidirectional=True,
        charge_power_w_max=3_000,
        discharge_power_w_max=2_000,
        departure_ns=5,
    )
    bench.send(needs)
    assert bench.evse().quarantined == 1
    bench.active()
    bench.send(needs)
    session_ = bench.session()
    assert (session_.charge_power_w_max, session_.discharge_power_w_max, session_.departure_ns) == (
        3_000,
        2_000,
        5,
    )
    assert bench.setpoint().power_w == 3_000
    bench.send(replace(needs, bidirectional=False))
    assert bench.session().discharge_power_w_max == 0


def test_charging_states_tell_when_a_car_is_satisfied() -> None:
    """1.6 reports satisfaction by connector status; a satisfied car stays so, and a vacant EVSE has no session to change."""
    bench = Bench()
    full = ChargingStateChanged(evse_id="A1", charging_state=ChargingState.SUSPENDED_EV)
    bench.send(full)
    bench.send(replace(full, evse_id="A9"))
    assert bench.evse().quarantined == 0
    bench.active()
    bench.send(full)
    bench.send(replace(full, charging_state=ChargingState.CHARGING))
    assert bench.session().satisfied
    assert bench.session().charging_state is ChargingState.CHARGING


@pytest.mark.parametrize(
    ("status", "after_s", "ends"),
    [
        (ConnectorStatus.AVAILABLE, 100, True),
        (ConnectorStatus.AVAILABLE, 20, False),
        (ConnectorStatus.OCCUPIED, 100, False),
        (ConnectorStatus.FAULTED, 100, False),
    ],
)
def test_a_pulled_plug_ends_a_session(status: ConnectorStatus, after_s: int, ends: bool) -> None:
    """`Available` ends a session whose end was lost; a status from before its start, or another status, does not."""
    bench = Bench()
    bench.send(ConnectorStatusChanged(evse_id="A1", status=status, at_ns=bench.now_ns))
    bench.active()
    at_ns = T0_NS + (60 + after_s) * S
    bench.send(ConnectorStatusChanged(evse_id="A1", status=status, at_ns=at_ns))
    assert (bench.evse().phase is Phase.VACANT) == ends


def test_the_last_segment_waits_for_a_reading() -> None:
    """After the end one more reading closes the session's account; an older reading does not."""
    bench = Bench()
    bench.active()
    bench.go(200)
    bench.end()
    bench.hold(HoldState.OPEN)
    bench.go(199)
    bench.read("MA1", 1_050)
    assert bench.evse().ending is not None
    bench.go(201)
    bench.read("MA1", 1_060)
    assert bench.evse().ending is None
    assert [line.energy_wh for line in bench.station.lines.values()] == [60]
    bench.settle()
    bench.commit("Release")
    assert bench.station.holds == {}


def test_a_boot_ends_nothing() -> None:
    """A boot forgets profiles, not transactions: the setpoint is said again."""
    bench = Bench()
    bench.active()
    count = bench.evse().setpoint_count
    bench.send(ChargerBooted(charger_id="A"))
    assert bench.evse().phase is Phase.ACTIVE
    assert bench.evse().setpoint_count == count + 1
    bench.send(ChargerDisconnected(charger_id="A"))
    assert (bench.evse().online, bench.evse("B1").online) == (False, True)
    assert bench.evse().setpoint is None


def test_a_refused_setpoint_is_said_again_soon_and_not_for_ever() -> None:
    """A charger that does not know its transaction yet gets the setpoint again; one that never takes it, at ticks."""
    bench = Bench()
    bench.active()
    for refused in range(1, 5):
        setpoint = bench.evse().setpoint
        assert setpoint is not None
        bench.send(SetpointAnswered(evse_id="A1", setpoint_id=setpoint.setpoint_id, accepted=False))
        key = SetpointRetryDue(evse_id="A1", setpoint_id=setpoint.setpoint_id)
        assert bench.of(StartTimer) == ([StartTimer(key=key, after_s=1)] if refused < 4 else [])
        if refused < 4:
            bench.send(TimerFired(key=key))
            assert bench.setpoint().power_w == setpoint.power_w
            bench.send(TimerFired(key=key))
            assert bench.of(ApplySetpoint) == []
    assert bench.evse().setpoint is None


def test_a_refused_setpoint_is_forgotten_and_an_old_answer_ignored() -> None:
    """A refused setpoint is planned again; an answer to an older command has no effect on the newest."""
    bench = Bench()
    bench.active()
    setpoint = bench.evse().setpoint
    assert setpoint is not None
    yes = SetpointAnswered(evse_id="A1", setpoint_id=setpoint.setpoint_id, accepted=True)
    bench.send(replace(yes, setpoint_id=99, accepted=False))
    assert bench.evse().setpoint == setpoint
    bench.send(yes)
    assert bench.evse().setpoint == replace(setpoint, accepted=True)
    bench.send(replace(yes, accepted=False, reason="no"))
    assert bench.evse().setpoint is None
    bench.end()
    bench.send(yes)
    assert bench.evse().phase is Phase.VACANT
