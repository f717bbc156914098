"""Each answer of the ledger has its effect on lanes, lines, holds, slices and meters, also after a restart."""

import json
from dataclasses import replace

import pytest

from edgegw.core import station
from edgegw.core.correlation import StartAnswerDue
from edgegw.core.effects import AnswerCall, EndorseSubmission, LogEvent, ReadMeter, StartTimer, SubmitEnvelope
from edgegw.core.events import CommitKnown, CommitUnknown, DrainStarted, EndorseFailed, LedgerEventSeen
from edgegw.core.market import CHARGE, DISCHARGE, SliceState
from edgegw.core.state import HoldState, Phase, TradeLine
from edgegw.core.submission import Purpose, State
from tests.support.core_bench import T0_S, Bench, S


def charged(*, market_wh: int = 0, price: int | None = 100_000) -> Bench:
    """A1 took 500 Wh in the first quarter hour, `market_wh` of it from a slice; its lines are in flight."""
    bench = Bench()
    bench.price(CHARGE, T0_S, price)
    bench.active()
    if market_wh:
        bench.slice(CHARGE, T0_S, market_wh)
    bench.go(900)
    bench.read("MA1", 1_500)
    return bench


def lines(bench: Bench) -> list[TradeLine]:
    return sorted(bench.station.lines.values(), key=lambda line: line.number)


def logged(bench: Bench, name: str) -> list[LogEvent]:
    return [effect for effect in bench.of(LogEvent) if effect.name == name]


# --- lanes --------------------------------------------------------------------------------------------------------


def test_a_lane_moves_one_at_a_time() -> None:
    """Two holds of one member: the second is endorsed when the first ended; another member's does not wait."""
    bench = Bench()
    bench.start()
    bench.start(evse_id="A2", transaction_id="t2", business_key="2")
    bench.start("mkt", evse_id="B1", transaction_id="t3", business_key="3", call=bench.call("B"))
    assert [item.state for item in bench.waiting("Hold")] == [State.ENDORSING, State.NEW, State.ENDORSING]
    bench.commit("Hold", reserved="5")
    assert [item.state for item in bench.waiting("Hold")] == [State.ENDORSING, State.ENDORSING]


def test_a_stale_head_lets_the_next_one_move() -> None:
    """When the first submission of a lane expires, the same step starts the next one."""
    bench = Bench()
    bench.start()
    bench.start(evse_id="A2", transaction_id="t2", business_key="2")
    first, second = bench.waiting("Hold")
    bench.put(submissions={second.submission_id: replace(second, expires_ns=bench.now_ns + 5_000 * S)})
    bench.go(60 + 901)
    bench.send(EndorseFailed(submission_id=first.submission_id, kind="unavailable", code=""))
    assert [(item.submission_id, item.state) for item in bench.waiting("Hold")] == [
        (second.submission_id, State.ENDORSING)
    ]
    assert bench.station.tally["all"].refused == {"EXPIRED": 1}


def test_answers_for_nobody_change_nothing() -> None:
    """A submission that ended long ago may be answered again."""
    bench = Bench()
    before = bench.station
    bench.send(CommitKnown(submission_id="gone", tx_id="t", code="VALID", block=1))
    bench.send(CommitUnknown(submission_id="gone", tx_id="t"))
    assert bench.station == before


def test_a_doubt_sends_the_same_bytes() -> None:
    """An unknown outcome is queried under the same tx id; a conflict is endorsed again and logged."""
    bench = Bench()
    bench.start()
    item = bench.endorse("Hold", reserved="5")
    (sent,) = bench.of(SubmitEnvelope)
    bench.send(CommitUnknown(submission_id=item.submission_id, tx_id=item.envelope.tx_id))
    assert [replace(again, wait_ms=0) for again in bench.of(SubmitEnvelope)] == [sent]
    conflict = CommitKnown(
        submission_id=item.submission_id, tx_id=item.envelope.tx_id, code="MVCC_READ_CONFLICT", block=1
    )
    bench.send(conflict)
    assert [effect.wait_ms for effect in bench.of(EndorseSubmission)] == [200]
    assert [event.fields["code"] for event in logged(bench, "submission.retried")] == ["MVCC_READ_CONFLICT"]


# --- lines --------------------------------------------------------------------------------------------------------


def test_lines_are_sent_together_and_one_submission_at_a_time() -> None:
    """All lines closed since the last submission are sent in order, at most `lines_max`; one submission is in flight."""
    bench = Bench(lines_max=2)
    bench.price(CHARGE, T0_S, 100_000)
    bench.active()
    for _ in range(2):
        bench.slice(CHARGE, T0_S, 100)
    bench.go(900)
    bench.read("MA1", 1_500)
    (item,) = bench.waiting("RecordTrades")
    sent = json.loads(item.arguments_json)["lines"]
    assert [line["startWh"] for line in sent] == ["1000", "1100"]
    assert {"sliceId", "reason"} & set(sent[0]) == {"sliceId"}
    bench.settle()
    (item,) = bench.waiting("RecordTrades")
    assert [line["reason"] for line in json.loads(item.arguments_json)["lines"]] == ["NO_SLICE"]
    bench.settle()
    assert not bench.station.lines
    tally = bench.station.tally["all"]
    assert (tally.trades, tally.market_wh, tally.retail_wh, tally.sold_wh) == (3, 200, 300, 0)
    assert tally.retail_reasons == {"NO_SLICE": 300}


def test_lines_wait_for_their_meter() -> None:
    """A meter's lines wait until its starting registers are on the ledger."""
    bench = charged()
    account = replace(bench.station.meters["MA1"], registered=False)
    line = replace(lines(bench)[0], submission_id=None)
    bench.put(meters={"MA1": account}, lines={line.trade_id: line})
    for item in bench.waiting("RecordTrades"):
        bench.refuse(item.function, "X")
    bench.put(lines={line.trade_id: line})
    bench.tick(1_000)
    assert bench.waiting("RecordTrades") == []


def test_known_is_recorded() -> None:
    """A line that is already on the ledger is done, like a new one."""
    bench = charged()
    bench.commit("RecordTrades", results=[{"tradeId": "RA1:1:import:1000", "status": "KNOWN", "amount": "5"}])
    assert bench.station.tally["all"].trades == 1
    (fact,) = [fact for fact in bench.last.facts if fact.kind == "trade"]
    assert (fact.body["status"], fact.body["amount_mtok"]) == ("KNOWN", 5)


def test_a_result_without_amount_keeps_our_own_cost() -> None:
    """The hold's account then stays as it was charged."""
    bench = charged()
    used = bench.hold().used
    bench.commit("RecordTrades", results=[{"tradeId": "RA1:1:import:1000", "status": "RECORDED"}])
    assert bench.hold().used == used


def test_a_refused_market_line_is_retail_once() -> None:
    """A refused market line is sent again as RETAIL with a reason; refused again, it is untraded and the hold is credited."""
    bench = charged(market_wh=500)
    bench.settle("SLICE_CLOSED")
    assert [(line.kind, line.reason, line.slice_id, line.cost) for line in lines(bench)] == [
        ("RETAIL", "NO_SLICE", None, 93_000)
    ]
    assert bench.hold().used == 93_000
    bench.settle("METER_OVERLAP")
    assert lines(bench) == []
    assert bench.untraded() == {"import:REFUSED_METER_OVERLAP": 500}
    assert bench.hold().used == 0


def test_a_refused_market_line_that_retail_cannot_pay() -> None:
    """If the hold does not cover the ceiling, or the driver has no retail, a refused market line is untraded at once."""
    bench = charged(market_wh=500)
    row = bench.hold()
    bench.put(holds={row.hold_id: replace(row, total=60_000)})
    bench.settle("SLICE_CLOSED")
    assert bench.untraded() == {"import:REFUSED_SLICE_CLOSED": 500}
    bench = charged(market_wh=500)
    line = lines(bench)[0]
    bench.put(lines={line.trade_id: replace(line, accept_retail=False)})
    bench.settle("SLICE_CLOSED")
    assert bench.untraded() == {"import:REFUSED_SLICE_CLOSED": 500}


def test_a_refused_submission_refuses_its_lines() -> None:
    """A refusal of the whole call refuses each of its lines, also lines without a result."""
    bench = charged()
    bench.refuse("RecordTrades", "NOT_CONFIGURED")
    assert bench.untraded() == {"import:REFUSED_NOT_CONFIGURED": 500}
    assert [event.fields["code"] for event in logged(bench, "submission.rejected")] == ["NOT_CONFIGURED"]
    bench = charged()
    bench.commit("RecordTrades", results=[])
    assert bench.untraded() == {"import:REFUSED_VALID": 500}


def test_lines_of_another_submission_are_left_alone() -> None:
    """A result applies only to the lines that were sent with it."""
    bench = charged()
    other = replace(lines(bench)[0], trade_id="other", submission_id="9")
    bench.put(lines={"other": other})
    bench.settle()
    assert lines(bench) == [other]


# --- holds, slices, meters ----------------------------------------------------------------------------------------


def test_a_hold_is_released_after_its_last_line() -> None:
    """A hold is released after its last line, and never while a line draws on it."""
    bench = charged()
    bench.end()
    bench.go(901)
    bench.read("MA1", 1_500)
    bench.hold(HoldState.CLOSING)
    assert bench.waiting("Release") == []
    bench.settle()
    bench.hold(HoldState.RELEASING)
    bench.refuse("Release", "HOLD_UNKNOWN")
    assert bench.station.holds == {}


def test_answers_for_holds_and_slices_that_are_gone() -> None:
    """An answer for rows that no longer exist has no effect and is no error."""
    bench = Bench()
    bench.start()
    bench.station = replace(bench.station, holds={})
    bench.commit("Hold", reserved="5")
    assert (bench.station.holds, bench.evse().phase) == ({}, Phase.STARTING)
    bench.start(transaction_id="t2", business_key="2")
    (hold,) = bench.waiting("Hold")
    reserve = replace(
        hold, submission_id="r", function="Reserve", purpose=Purpose.SLICE, subject="gone", lane="o"
    )
    bench.put(submissions={"r": reserve})
    bench.commit("Reserve")
    assert bench.station.slices == {}


def test_a_late_answer_for_an_active_session_does_not_refuse_it() -> None:
    """A refused hold stops a start that waits for it, and no running session."""
    bench = Bench()
    bench.start()
    bench.put(evses={"A1": replace(bench.evse(), phase=Phase.ACTIVE)})
    bench.refuse("Hold", "ZERO_TOKENS")
    assert bench.evse().phase is Phase.ACTIVE


@pytest.mark.parametrize(
    ("code", "registered", "again"), [("ID_CONFLICT", True, False), ("BAD_METER", False, True)]
)
def test_a_refused_meter(code: str, registered: bool, again: bool) -> None:
    """A meter that is registered with other values is left as it is; any other refusal is retried at the tidy tick."""
    bench = Bench()
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], registered=False)})
    bench.tick(450)
    bench.refuse("RegisterMeter", code)
    assert bench.station.meters["MA1"].registered == registered
    bench.tick(900 + 450)
    assert bool(bench.waiting("RegisterMeter")) == again
    bench.tick(1800 + 450)
    assert len(bench.waiting("RegisterMeter")) == again


@pytest.mark.parametrize("code", ["GATEWAY_UNKNOWN", "NOT_CONFIGURED"])
def test_a_meter_registers_as_soon_as_others_have_done_their_part(code: str) -> None:
    """A station that starts before its channel is configured does not wait a quarter hour for its first trade."""
    bench = Bench()
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], registered=False)})
    bench.tick(450)
    outcome = bench.refuse("RegisterMeter", code)
    assert len(bench.of(EndorseSubmission, outcome)) == 1
    bench.commit("RegisterMeter")
    assert bench.station.meters["MA1"].registered


def test_a_meter_that_others_hold_up_keeps_no_station_from_ending() -> None:
    """A registration that waits for others does not keep the station from ending; a line or hold on its way does."""
    bench = Bench()
    assert station.is_settled(bench.station)
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], registered=False)})
    bench.tick(450)
    bench.refuse("RegisterMeter", "NOT_CONFIGURED")
    assert station.is_settled(bench.station)
    bench.endorse("RegisterMeter")
    assert not station.is_settled(bench.station)
    other = Bench()
    other.start()
    assert not station.is_settled(other.station)


def test_the_registration_of_an_older_epoch_registers_nothing() -> None:
    """Lines are sent only after the registration of the present epoch is answered."""
    bench = Bench()
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], registered=False)})
    bench.tick(450)
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], epoch=2)})
    bench.commit("RegisterMeter")
    assert not bench.station.meters["MA1"].registered


# --- events, restarts, drain --------------------------------------------------------------------------------------


def test_the_checkpoint_never_goes_back() -> None:
    """Events of other kinds move the checkpoint; a repeated block does not."""
    bench = Bench()
    for block in (7, 5):
        bench.send(LedgerEventSeen(name="edgegw.other", payload={}, block=block, tx_id=f"t{block}"))
    tally = bench.station.tally["all"]
    assert (tally.event_block, tally.event_tx) == (7, "t7")


def test_waking_up() -> None:
    """After a restart sockets are gone, envelopes are sent again, waiting starts get new time, and every meter is read."""
    bench = Bench()
    bench.start()
    item = bench.endorse("Hold", reserved="5")
    bench.active("mkt", evse_id="B1", transaction_id="t2", business_key="2", call=bench.call("B"))
    bench.wake()
    assert [effect.tx_id for effect in bench.of(SubmitEnvelope)] == [item.envelope.tx_id]
    assert [timer.key for timer in bench.of(StartTimer)] == [StartAnswerDue(evse_id="A1", session_id="A1.t1")]
    assert [effect.meter_id for effect in bench.of(ReadMeter)] == ["MA1", "MA2", "MB1"]
    assert {evse.online for evse in bench.station.evses.values()} == {False}
    assert {evse.setpoint for evse in bench.station.evses.values()} == {None}
    assert bench.session().pending_calls == ()
    assert bench.station.tally["all"].boots == 1
    repeat = bench.start()
    bench.go(62)
    bench.read("MA1", 1_000)
    assert bench.waiting("Hold")[0].submission_id == item.submission_id
    bench.send(
        CommitKnown(submission_id=item.submission_id, tx_id=item.envelope.tx_id, code="VALID", block=1)
    )
    assert [effect.call for effect in bench.of(AnswerCall)] == [repeat.call]


def test_draining_closes_every_open_segment() -> None:
    """At the end the books match the registers: sessions' energy is on lines, standby is recorded, slices are returned."""
    bench = Bench()
    bench.price(CHARGE, T0_S - 900, 100_000)
    bench.slice(CHARGE, T0_S - 900, 50)
    bench.slice(DISCHARGE, T0_S, 50)
    bench.active()
    bench.go(100)
    bench.read("MA1", 1_200)
    bench.read("MA2", 1_001)
    bench.send(DrainStarted())
    assert bench.station.draining
    assert [line.energy_wh for line in lines(bench)] == [200]
    assert bench.untraded() == {"import:STANDBY": 1}
    assert sorted(item.state for item in bench.station.slices.values()) == [
        SliceState.OPEN,
        SliceState.RETURNING,
    ]
    bench.settle()
    assert not bench.station.lines
