"""Who may start, and how a start is answered: identity, hold, first reading, the bounded wait."""

from dataclasses import replace

import pytest

from edgegw.core.correlation import StartAnswerDue
from edgegw.core.effects import (
    Acknowledge,
    AllowEnergyTransfer,
    AnswerCall,
    AuthorizeAnswer,
    IdTokenStatus,
    LogEvent,
    Query,
    ReadMeter,
    StartAnswer,
    StartTimer,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    CommitKnown,
    DrainStarted,
    EndorseFailed,
    MembersChanged,
    TimerFired,
)
from edgegw.core.state import HoldState, Phase
from tests.support.core_bench import MEMBERS, Bench


def accepted(transaction_id: str = "t1") -> StartAnswer:
    return StartAnswer(status=IdTokenStatus.ACCEPTED, transaction_id=transaction_id)


def blocked(transaction_id: str = "t1") -> StartAnswer:
    return StartAnswer(status=IdTokenStatus.BLOCKED, transaction_id=transaction_id)


def test_a_start_is_answered_when_hold_and_reading_are_there() -> None:
    """A start needs both hold and reading; with both it is accepted, and energy may flow."""
    bench = Bench()
    start = bench.start()
    assert bench.of(ReadMeter) == [ReadMeter(meter_id="MA1")]
    assert bench.of(StartTimer) == [
        StartTimer(key=StartAnswerDue(evse_id="A1", session_id="A1.t1"), after_s=8)
    ]
    assert bench.evse().phase is Phase.STARTING
    bench.commit("Hold", reserved="1000")
    assert bench.answers_to(start) == []
    bench.go(61)
    bench.read("MA1", 1_000)
    assert bench.answers_to(start) == [accepted()]
    assert bench.of(AllowEnergyTransfer) == []
    assert bench.evse().phase is Phase.ACTIVE
    assert bench.hold().total == 1_000


def test_a_seller_may_discharge() -> None:
    """A 2.1 charger gets the permission to discharge at the beginning of a seller's transaction only."""
    bench = Bench()
    bench.active("sel")
    assert bench.of(AllowEnergyTransfer) == [
        AllowEnergyTransfer(evse_id="A1", transaction_id="t1", bidirectional=True)
    ]


def test_the_reading_may_come_before_the_hold() -> None:
    """The order of hold and first reading does not matter; an older reading begins nothing."""
    bench = Bench()
    start = bench.start()
    bench.go(59)
    bench.read("MA1", 1_000)
    assert not bench.session().began
    bench.go(61)
    bench.read("MA1", 1_000)
    assert bench.session().began
    assert bench.answers_to(start) == []
    bench.commit("Hold", reserved="1000")
    assert bench.answers_to(start) == [accepted()]


def test_an_unknown_token_is_refused_at_once() -> None:
    """No member, no hold: INVALID, stopped, 0 W; the refusal is counted."""
    bench = Bench()
    start = bench.start("stranger")
    assert bench.answers_to(start) == [StartAnswer(status=IdTokenStatus.INVALID, transaction_id="t1")]
    assert bench.of(StopRemotely) == [StopRemotely(evse_id="A1", transaction_id="t1")]
    assert bench.setpoint().power_w == 0
    assert bench.waiting("Hold") == []
    assert bench.station.tally["all"].refused == {"UNKNOWN_TOKEN": 1}


def test_a_refused_hold_refuses_the_start() -> None:
    """The contract's code is the session's; the transaction stays at 0 W and is stopped."""
    bench = Bench()
    start = bench.start()
    bench.refuse("Hold", "ZERO_TOKENS")
    assert bench.answers_to(start) == [blocked()]
    assert bench.evse().phase is Phase.STOPPING
    assert bench.setpoint().power_w == 0
    assert bench.station.holds == {}
    assert bench.station.tally["all"].refused == {"ZERO_TOKENS": 1}


@pytest.mark.parametrize("read", [True, False])
def test_a_late_start_is_refused_and_its_hold_given_back(read: bool) -> None:
    """After 8 s without hold or reading a start is Blocked; a hold that still commits is released at once."""
    bench = Bench()
    start = bench.start()
    hold = bench.endorse("Hold", reserved="500")
    bench.go(61)
    if read:
        bench.read("MA1", 1_000)
    bench.send(TimerFired(key=StartAnswerDue(evse_id="A1", session_id="A1.t1")))
    assert bench.answers_to(start) == [blocked()]
    assert list(bench.station.tally["all"].refused) == ["LEDGER_TIMEOUT" if read else "METER_TIMEOUT"]
    bench.go(62)
    bench.read("MA1", 1_000)
    assert bench.session().began
    assert bench.evse().phase is Phase.STOPPING
    bench.hold(HoldState.CLOSING)
    assert [item.submission_id for item in bench.waiting("Hold")] == [hold.submission_id]
    bench.send(
        CommitKnown(submission_id=hold.submission_id, tx_id=hold.envelope.tx_id, code="VALID", block=1)
    )
    bench.hold(HoldState.RELEASING)
    bench.commit("Release")
    assert bench.station.holds == {}


def test_a_late_hold_that_never_left_expires() -> None:
    """A late hold that has not been submitted is not endorsed again."""
    bench = Bench()
    bench.start()
    bench.tick(601)  # other things wait in other lanes
    bench.send(TimerFired(key=StartAnswerDue(evse_id="A1", session_id="A1.t1")))
    (hold,) = bench.waiting("Hold")
    bench.send(EndorseFailed(submission_id=hold.submission_id, kind="unavailable", code=""))
    assert bench.waiting("Hold") == []
    assert bench.station.holds == {}


def test_timers_of_other_sessions_and_phases_mean_nothing() -> None:
    """A timer that outlived its session, or its start's answer, changes nothing."""
    bench = Bench()
    bench.start()
    before = bench.station
    bench.send(TimerFired(key=StartAnswerDue(evse_id="A1", session_id="A1.t0")))
    assert bench.station == before
    bench.send(TimerFired(key=StartAnswerDue(evse_id="A2", session_id="A2.t0")))
    assert bench.station == before


def test_a_start_without_token_waits_for_one() -> None:
    """2.x may start on plug-in: accepted at once, no hold, no timer; an update brings the token and then the hold."""
    bench = Bench()
    start = bench.start(None)
    assert bench.answers_to(start) == [accepted()]
    assert bench.of(StartTimer) == []
    assert bench.waiting("Hold") == []
    repeat = bench.start(None)
    assert bench.answers_to(repeat) == [accepted()]
    bench.wake()
    assert bench.of(StartTimer) == []
    bench.update(id_token_hash="ret")
    assert len(bench.waiting("Hold")) == 1
    assert bench.session().terms == MEMBERS["ret"]
    bench.commit("Hold", reserved="1000")
    bench.go(61)
    bench.read("MA1", 1_000)
    assert bench.evse().phase is Phase.ACTIVE


def test_an_unknown_token_after_the_start_stops_it() -> None:
    """The token of an update is judged like one of a start."""
    bench = Bench()
    bench.start(None)
    update = bench.update(id_token_hash="stranger", soc_bp=5_000)
    assert bench.answers_to(update) == [Acknowledge()]
    assert bench.evse().phase is Phase.STOPPING
    assert bench.session().soc_bp == 5_000
    repeat = bench.start(None)
    assert bench.answers_to(repeat) == [StartAnswer(status=IdTokenStatus.INVALID, transaction_id="t1")]


# --- who ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "result", "status", "bidirectional"),
    [
        ("ret", {"tokens": {"available": "5"}}, IdTokenStatus.ACCEPTED, False),
        ("ret", {"tokens": {"available": "0"}}, IdTokenStatus.BLOCKED, False),
        ("sel", {"tokens": {"available": "0"}}, IdTokenStatus.ACCEPTED, True),
        ("ret", None, IdTokenStatus.ACCEPTED, False),
        ("ret", {"tokens": "?"}, IdTokenStatus.ACCEPTED, False),
    ],
)
def test_authorize_checks_identity_and_balance(
    token: str, result: dict[str, object] | None, status: IdTokenStatus, bidirectional: bool
) -> None:
    """Nothing moves; without tokens only a seller passes; without an answer from the peer the start decides."""
    bench = Bench()
    call = bench.call()
    bench.send(AuthorizeRequested(call=call, id_token_hash=token))
    assert [query.function for query in bench.of(Query)] == ["balanceOf"]
    bench.answer(result)
    answer = AuthorizeAnswer(status=status, bidirectional=bidirectional)
    assert bench.of(AnswerCall) == [AnswerCall(call=call, answer=answer)]
    refusals = [line.fields["code"] for line in bench.of(LogEvent) if line.name == "authorization.refused"]
    assert refusals == (["INSUFFICIENT_TOKENS"] if status is IdTokenStatus.BLOCKED else [])
    bench.answer(result)
    assert bench.of(AnswerCall) == []


def test_authorize_of_a_stranger() -> None:
    """A token that the representative does not know is Invalid without a query, and the log has no token."""
    bench = Bench()
    call = bench.call()
    bench.send(AuthorizeRequested(call=call, id_token_hash="stranger"))
    assert bench.of(AnswerCall) == [
        AnswerCall(call=call, answer=AuthorizeAnswer(status=IdTokenStatus.INVALID))
    ]
    assert bench.of(Query) == []
    assert bench.of(LogEvent) == [
        LogEvent(
            name="authorization.refused", fields={"charger_id": call.charger_id, "code": "UNKNOWN_TOKEN"}
        )
    ]
    assert bench.station.tally["all"].refused == {}


def test_members_are_taken_over_whole() -> None:
    """A link that is gone is gone; terms that changed are changed; the journal knows none of it."""
    bench = Bench()
    links = {
        "ret": replace(MEMBERS["ret"], accept_retail=False),
        "new": MEMBERS["sel"],
        "mkt": MEMBERS["mkt"],
    }
    outcome = bench.send(MembersChanged(links=links))
    assert bench.station.members == links
    assert outcome.changes == {}


def test_a_draining_station_takes_nothing_new() -> None:
    """A start that comes while the daemon ends is refused at once, with a code of its own."""
    bench = Bench()
    bench.send(DrainStarted())
    start = bench.start()
    assert bench.answers_to(start) == [blocked()]
    assert bench.station.tally["all"].refused == {"DRAINING": 1}
