"""How a parked car comes to sell: cut, settle, sweep, attest, hold, ready; and every way in which it does not."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.core.effects import ApplySetpoint, Query, ReadMeter
from edgegw.core.events import ChargingState, EndorseFailed, QueryAnswered
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.sale import dischargeable_wh, supply_wh
from edgegw.core.state import HoldState, SaleStage
from edgegw.core.step_context import StepContext
from tests.support.core_bench import SELLER, T0_S, Bench, S

FULL = ChargingState.SUSPENDED_EV


def market(bench: Bench, *, interval: int = T0_S + 900, price: int = 150_000) -> None:
    bench.price(DISCHARGE, interval, price)
    bench.slice(DISCHARGE, interval, 10_000_000)


def parked() -> Bench:
    """A seller's car charged 100 Wh; a price and buyers are in sight for the next interval."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.active("sel")
    bench.go(100)
    bench.read("MA1", 1_100)
    market(bench)
    bench.go(110)
    return bench


def cutting() -> Bench:
    """Let the session's charger report 70 % and a satisfied car."""
    bench = parked()
    bench.update(soc_bp=7_000, charging_state=FULL)
    return bench


def sweeping() -> Bench:
    """... the segment before the sale is settled."""
    bench = cutting()
    bench.go(111)
    bench.read("MA1", 1_100)
    bench.settle()
    return bench


def attesting() -> Bench:
    bench = sweeping()
    bench.answer({"credits": []})
    return bench


def holding() -> Bench:
    bench = attesting()
    bench.commit("AttestAvailability", dischargeableWh="22560")
    return bench


def stage(bench: Bench) -> SaleStage:
    return bench.session().sale


def test_the_whole_way() -> None:
    """A sale goes through cut and 0 W, settle, sweep of credits, attest and hold, and then may run."""
    bench = cutting()
    assert stage(bench) is SaleStage.CUTTING
    assert [command.power_w for command in bench.of(ApplySetpoint)] == [0]
    assert bench.of(ReadMeter) == [ReadMeter(meter_id="MA1")]
    bench.go(111)
    bench.read("MA1", 1_100)
    assert stage(bench) is SaleStage.SETTLING
    bench.settle()
    assert stage(bench) is SaleStage.SWEEPING
    assert [query.function for query in bench.of(Query)] == ["balanceOf"]
    bench.answer({"credits": ["b~1", "a~1"]})
    assert '"creditIds":["a~1","b~1"]' in bench.waiting("Sweep")[0].arguments_json
    bench.commit("Sweep")
    bench.answer({"credits": []})
    assert stage(bench) is SaleStage.ATTESTING
    assert '"dischargeableWh":"22560"' in bench.waiting("AttestAvailability")[0].arguments_json
    bench.commit("AttestAvailability", dischargeableWh="22560")
    assert stage(bench) is SaleStage.HOLDING
    assert '"maxWh":"22560"' in bench.waiting("Hold")[0].arguments_json
    bench.commit("Hold", reserved="22560")
    assert stage(bench) is SaleStage.READY
    bench.go(930)
    bench.read("MA1", 1_100)
    bench.tick(930)
    assert bench.setpoint().power_w == -7_000


def test_nothing_to_settle_goes_straight_on() -> None:
    """A car that took nothing since its last cut has no line to wait for."""
    bench = parked()
    bench.go(900)
    bench.read("MA1", 1_100)
    bench.settle()
    market(bench, interval=T0_S + 1_800)
    bench.go(901)
    bench.update(soc_bp=7_000, charging_state=FULL)
    bench.go(902)
    bench.read("MA1", 1_100)
    assert stage(bench) is SaleStage.SWEEPING


def test_the_hold_asks_for_what_was_attested() -> None:
    """A state of charge that comes after the attestation does not change the hold's size."""
    bench = attesting()
    bench.update(soc_bp=7_500, charging_state=FULL)
    bench.commit("AttestAvailability", dischargeableWh="22560")
    assert '"maxWh":"22560"' in bench.waiting("Hold")[0].arguments_json


def test_grid_loss_makes_the_hold_smaller() -> None:
    """gross(maxWh) never exceeds what was attested."""
    bench = attesting()
    bench.station = replace(bench.station, settings=replace(bench.station.settings, loss_bp=700))
    bench.commit("AttestAvailability", dischargeableWh="22560")
    assert '"maxWh":"20980"' in bench.waiting("Hold")[0].arguments_json


@pytest.mark.parametrize(
    ("terms", "soc_bp", "expected"),
    [
        (SELLER, 7_000, 22_560),  # (70 % - 30 %) * 60 kWh * 94 %
        (SELLER, 2_000, 0),
        (SELLER, None, 0),
        (replace(SELLER, sells=False), 7_000, 0),
        (replace(SELLER, battery_wh=0), 7_000, 0),
        (None, 7_000, 0),
    ],
)
def test_what_a_car_can_give(terms: Any, soc_bp: int | None, expected: int) -> None:
    """(state of charge - minimum) * capacity * efficiency, and nothing where any of it is unknown."""
    bench = parked()
    assert dischargeable_wh(replace(bench.session(), terms=terms, soc_bp=soc_bp)) == expected


@pytest.mark.parametrize(
    "spoil",
    [
        {"soc_bp": None},
        {"charging_state": ChargingState.CHARGING},
        {"soc_bp": 3_050},
    ],
)
def test_no_sale_without_state_of_charge_or_wish(spoil: dict[str, Any]) -> None:
    """There is no sale without a state of charge, while the car still charges, or with almost nothing to give."""
    bench = parked()
    bench.update(**{"soc_bp": 7_000, "charging_state": FULL, **spoil})
    assert stage(bench) is SaleStage.NONE


def test_no_sale_without_price_or_buyers() -> None:
    """A price below the driver's own, or no slice of a buyer, leaves the car parked."""
    for price, slice_mtok in ((139_999, 10**7), (150_000, 0)):
        bench = Bench()
        bench.active("sel")
        bench.price(DISCHARGE, T0_S + 900, price)
        bench.slice(DISCHARGE, T0_S + 900, slice_mtok)
        bench.update(soc_bp=7_000, charging_state=FULL)
        assert stage(bench) is SaleStage.NONE


def test_supply_is_what_the_car_could_give_in_an_interval() -> None:
    """Supply is limited by power within the guards, by energy and, once it is open, by the hold; otherwise it is nothing."""
    bench = parked()

    def supply() -> int:
        return supply_wh(StepContext(bench.station, bench.now_ns), bench.evse(), T0_S + 900)

    assert supply() == 0
    bench.update(soc_bp=7_000, charging_state=FULL)
    assert supply() == 7_000 * 840 // 3_600
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), soc_bp=4_000))})
    assert supply() == 1_633
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), soc_bp=3_100))})
    assert supply() == 564
    bench = holding()
    bench.commit("Hold", reserved="600")
    assert supply() == 600
    bench.go(300)
    bench.read("MA1", 1_100, 90)
    assert supply() == 510
    bench.go(310)
    bench.read("MA1", 1_100, 101)
    assert supply() == 0
    over = replace(bench.session(), sale=SaleStage.OVER)
    bench.put(evses={"A1": replace(bench.evse(), session=over)})
    assert supply() == 0


@pytest.mark.parametrize("answer", [None, {}, {"credits": "?"}])
def test_no_answer_about_credits_ends_the_attempt_for_now(answer: dict[str, Any] | None) -> None:
    """Without the list of credits nothing is swept; the next state of charge starts again."""
    bench = sweeping()
    bench.answer(answer)
    assert stage(bench) is SaleStage.NONE
    assert bench.session().soc_bp is None
    bench.update(soc_bp=7_000, charging_state=FULL)
    assert stage(bench) is SaleStage.CUTTING


def test_a_refused_sweep_ends_the_attempt_for_now() -> None:
    """Whatever the contract has against it, the session may try again later."""
    bench = sweeping()
    bench.answer({"credits": ["a~1"]})
    bench.refuse("Sweep", "UNKNOWN_MEMBER")
    assert stage(bench) is SaleStage.NONE


@pytest.mark.parametrize(
    ("code", "expected"),
    [("MEMBER_INACTIVE", SaleStage.OVER), ("ENERGY_BUSY", SaleStage.NONE), ("", SaleStage.NONE)],
)
def test_a_failed_attestation(code: str, expected: SaleStage) -> None:
    """A refusal is final for the session; a busy account or no time for it is not."""
    bench = attesting()
    if code:
        bench.refuse("AttestAvailability", code)
    else:
        (item,) = bench.waiting("AttestAvailability")
        bench.go(110 + 901)
        bench.send(EndorseFailed(submission_id=item.submission_id, kind="unavailable", code=""))
    assert stage(bench) is expected


def test_a_refused_hold_ends_the_sale() -> None:
    """INSUFFICIENT_ENERGY is the ledger's last word for this session."""
    bench = holding()
    bench.refuse("Hold", "INSUFFICIENT_ENERGY")
    assert stage(bench) is SaleStage.OVER
    bench.hold(HoldState.OPEN)  # the charging one


def test_an_attestation_that_nobody_waits_for() -> None:
    """If the sale was given up meanwhile, its attestation requests no hold."""
    bench = attesting()
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), sale=SaleStage.NONE))})
    bench.commit("AttestAvailability", dischargeableWh="22560")
    assert bench.waiting("Hold") == []


def test_settled_lines_let_a_sale_go_on() -> None:
    """Energy that a refused line returns to the hold may be sold at once."""
    bench = holding()
    bench.commit("Hold", reserved="600")
    market(bench, interval=T0_S + 1_800)
    bench.go(931)
    bench.read("MA1", 1_100)
    bench.tick(931)
    assert bench.setpoint().power_w == -7_000
    bench.go(1_200)
    bench.read("MA1", 1_100, 500)
    bench.go(1_831)
    bench.read("MA1", 1_100, 500)
    bench.tick(1_831)
    assert bench.setpoint().power_w == 0
    bench.settle("EXCEEDS_SLICE")
    assert bench.setpoint().power_w == -7_000


def test_too_little_attested_is_not_worth_a_hold() -> None:
    """Below the least sale the stage is over without a hold."""
    bench = attesting()
    bench.commit("AttestAvailability", dischargeableWh="499")
    assert stage(bench) is SaleStage.OVER


def test_a_sale_without_a_price_in_sight_is_dropped() -> None:
    """READY and no price now or next: the hold closes, and is released once the meter is cut after that."""
    bench = holding()
    bench.commit("Hold", reserved="22560")
    bench.go(1_799)
    bench.read("MA1", 1_100)
    bench.tick(1_800)
    assert stage(bench) is SaleStage.NONE
    sale_hold = next(hold for hold in bench.station.holds.values() if hold.product == DISCHARGE)
    assert sale_hold.state is HoldState.CLOSING
    assert bench.waiting("Release") == []
    bench.go(1_801)
    bench.read("MA1", 1_101)
    assert [item.subject for item in bench.waiting("Release")] == [sale_hold.hold_id]


def test_who_leaves_on_the_way_leaves_nothing() -> None:
    """Answers for a session that is gone change nothing; a hold that was requested is released when it commits."""
    for build, function in ((sweeping, ""), (attesting, "AttestAvailability"), (holding, "Hold")):
        bench = build()
        query = [effect for effect in bench.effects if isinstance(effect, Query)][-1]
        bench.end()
        bench.now_ns += S
        bench.read("MA1", 1_100)
        if function:
            bench.commit(function, dischargeableWh="22560", reserved="22560")
        else:
            bench.send(QueryAnswered(key=query.key, result={"credits": []}))
        while bench.waiting("Release"):
            bench.commit("Release")
        assert bench.station.holds == {}
        assert not bench.station.submissions


def test_a_sweep_for_a_session_that_left_is_swept_and_forgotten() -> None:
    """Credits belong to the member: a sweep for a session that has left is still done."""
    bench = sweeping()
    bench.answer({"credits": ["a~1"]})
    bench.end()
    bench.commit("Sweep")
    assert bench.of(Query) == []


def test_an_answer_that_comes_twice_attests_once() -> None:
    """After a restart the balance is queried again; the stage decides, so that a second answer does not attest twice."""
    bench = sweeping()
    bench.wake()
    assert [query.function for query in bench.of(Query)] == ["balanceOf"]
    bench.answer({"credits": ["a~1"]})
    bench.wake()
    bench.answer({"credits": []})
    assert stage(bench) is SaleStage.ATTESTING
    bench.commit("Sweep")
    assert bench.of(Query) == []
    assert len(bench.waiting("AttestAvailability")) == 1
