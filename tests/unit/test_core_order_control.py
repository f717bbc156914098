"""Power follows the order: a charge ends at its energy, a sale sells and rests, work follows its plan."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_NS, INTERVAL_S
from edgegw.core.effects import ReportLoad, StopRemotely
from edgegw.core.events import (
    ChargingState,
    EvNeedsReported,
    OrderPlaced,
    PricesEstimated,
    SetpointAnswered,
)
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.core.order_control import grain_wh, left_of, sale_wh
from edgegw.core.orders import Aim, Order
from edgegw.core.sale import supply_wh
from edgegw.core.state import SaleStage
from edgegw.core.step_context import StepContext
from tests.support.core_bench import RETAIL, SELLER, T0_NS, T0_S, Bench, S

DRIVER = replace(RETAIL, member_id="drv")
OWNER = replace(SELLER, member_id="drv", soc_bp_min=3_000)


def ordered(soc_bp: int | None = None, **changes: Any) -> Bench:
    """A session that an order began at T0 + 61 s, its register at 1 000 Wh."""
    bench = Bench()
    return begin(bench, soc_bp, **changes)


def begin(bench: Bench, soc_bp: int | None = None, **changes: Any) -> Bench:
    made: dict[str, Any] = {
        "order_id": "o1", "evse_id": "A1", "id_token_hash": "web", "terms": DRIVER, "aim": Aim.CHARGE,
    }  # fmt: skip
    bench.send(OrderPlaced(order=Order(**{**made, **changes}), id_token="clear"))
    bench.start("web")
    if soc_bp is not None:
        bench.update(soc_bp=soc_bp)
    bench.commit("Hold", reserved="40000000")
    bench.now_ns += S
    bench.read("MA1", 1_000)
    return bench


def commanded(bench: Bench) -> tuple[int, int]:
    """Power, and seconds from now, of the newest command."""
    setpoint = bench.setpoint()
    return setpoint.power_w, (setpoint.ends_ns - bench.now_ns) // S


def stops(bench: Bench) -> int:
    return len(bench.of(StopRemotely))


def departs(hours: int) -> int:
    return T0_NS + hours * 4 * INTERVAL_NS


# --- charge -------------------------------------------------------------------------------------------------------


def test_a_charge_ends_inside_its_energy() -> None:
    """The command ends when full power would have delivered the order; a slow car gets the rest later; then it is stopped."""
    bench = ordered(energy_wh=2_000)
    assert commanded(bench) == (22_000, 327)  # 2 kWh at 22 kW
    bench.go(389)
    bench.read("MA1", 2_000)  # it took half of it
    assert commanded(bench) == (22_000, 163)
    assert stops(bench) == 0
    bench.go(389 + 164)
    bench.read("MA1", 2_989)  # 11 Wh are less than two seconds of it
    assert (commanded(bench)[0], stops(bench)) == (0, 1)
    bench.read("MA1", 2_989)
    bench.go(600)
    bench.read("MA1", 2_990)
    assert stops(bench) == 0, "asked once"


def test_between_readings_nobody_guesses_the_end() -> None:
    """Energy that may have flowed unread keeps the power at 0 W, but only a reading ends the order."""
    bench = ordered(energy_wh=2_000)
    bench.go(61 + 328)
    bench.update(soc_bp=4_000)
    assert (commanded(bench)[0], stops(bench)) == (0, 0)
    bench.read("MA1", 2_500)
    assert commanded(bench) == (22_000, 81)


def test_a_car_at_rest_is_stopped_too() -> None:
    """A car at 0 W is stopped when a reading shows that all its energy has flowed, although the power does not change."""
    bench = ordered(energy_wh=2_000)
    bench.go(389)
    bench.update(soc_bp=4_000)
    assert (commanded(bench)[0], stops(bench)) == (0, 0)
    bench.read("MA1", 2_995)
    assert (commanded(bench)[0], stops(bench)) == (0, 1)
    bench.go(400)
    bench.read("MA1", 2_995)
    assert stops(bench) == 0


def test_energy_counts_across_quarter_hours_and_epochs() -> None:
    """The session's closed segments and its open one together."""
    bench = ordered(energy_wh=10_000)
    bench.go(960)
    bench.read("MA1", 4_000)
    assert (bench.session().import_wh, bench.session().export_wh) == (2_799, 0)
    bench.go(1_860)
    bench.read("MA1", 8_000)
    order = bench.station.orders["o1"]
    assert (
        left_of(StepContext(bench.station, bench.now_ns), bench.evse(), bench.session(), order=order) == 3_000
    )


def test_a_charge_without_an_energy_is_an_ordinary_one() -> None:
    """A charge without an amount is an ordinary charge, and sells nothing, whatever its terms are."""
    bench = ordered(terms=OWNER)
    assert commanded(bench) == (22_000, 3_600)
    bench.go(100)
    bench.read("MA1", 1_100)
    bench.price(DISCHARGE, T0_S + 900, 150_000)
    bench.slice(DISCHARGE, T0_S + 900, 10_000_000)
    bench.update(soc_bp=7_000, charging_state=ChargingState.SUSPENDED_EV)
    assert bench.session().sale is SaleStage.NONE


def test_a_car_that_is_slower_is_ended_more_exactly() -> None:
    """The grain to which a charge is exact is two seconds of the car's power, or the meter's step if that is larger."""
    bench = ordered(energy_wh=2_000)
    context = StepContext(bench.station, bench.now_ns)
    order = bench.station.orders["o1"]
    assert grain_wh(context, bench.evse(), order=order) == 12
    needs = EvNeedsReported(
        evse_id="A1", bidirectional=False, charge_power_w_max=3_600, discharge_power_w_max=None, departure_ns=None
    )  # fmt: skip
    bench.send(needs)
    assert grain_wh(StepContext(bench.station, bench.now_ns), bench.evse(), order=order) == 2
    bench.put(meters={"MA1": replace(bench.station.meters["MA1"], step_mwh=10_000)})
    assert grain_wh(StepContext(bench.station, bench.now_ns), bench.evse(), order=order) == 10


# --- sell ---------------------------------------------------------------------------------------------------------


def market(bench: Bench, interval: int, price: int = 150_000) -> None:
    bench.price(DISCHARGE, interval, price)
    bench.slice(DISCHARGE, interval, 10_000_000)


def selling_car(soc_bp: int = 7_000, **changes: Any) -> Bench:
    """A seller's order, its car at rest until a price and a buyer are in sight for the next quarter hour."""
    bench = ordered(soc_bp, aim=Aim.SELL, **{"terms": OWNER, **changes})
    assert commanded(bench)[0] == 0
    bench.price(CHARGE, T0_S + 900, 100_000)
    market(bench, T0_S + 900)
    return bench


def prepare(bench: Bench, at_s: int = 100, *, soc_bp: int = 7_100) -> None:
    """Take a sale through cut, settle, sweep, attest and hold, until it is ready."""
    bench.go(at_s)
    bench.update(soc_bp=soc_bp)
    assert bench.session().sale is SaleStage.CUTTING
    bench.go(at_s + 1)
    bench.read("MA1", 1_000)
    bench.answer({"credits": []})
    bench.commit("AttestAvailability", dischargeableWh="22560")
    bench.commit("Hold", reserved="22560")
    assert bench.session().sale is SaleStage.READY


def test_a_sale_sells_its_energy_and_stops() -> None:
    """A sale sells its energy within the guards, without waiting for the car to be full, and then stops."""
    bench = selling_car(energy_wh=1_000)
    prepare(bench)
    assert commanded(bench)[0] == 0
    bench.tick(900)
    bench.read("MA1", 1_000)
    assert commanded(bench)[0] == 0
    bench.tick(930)
    assert commanded(bench) == (-7_000, 514)  # 1 kWh at 7 kW
    bench.go(930 + 515)
    bench.read("MA1", 1_000, 600)
    assert commanded(bench) == (-7_000, 205)
    bench.go(930 + 515 + 206)
    bench.read("MA1", 1_000, 850)
    assert commanded(bench) == (-7_000, 77)
    bench.go(930 + 515 + 206 + 78)
    bench.read("MA1", 1_000, 998)
    assert (commanded(bench)[0], stops(bench)) == (0, 1)


def test_a_sale_supplies_no_more_than_is_ordered() -> None:
    """A sale posts and reserves its order's energy, and no more than the car has."""
    bench = selling_car(energy_wh=1_000)
    context = StepContext(bench.station, bench.now_ns)
    assert supply_wh(context, bench.evse(), T0_S + 900) == 1_000
    assert sale_wh(context, bench.evse(), bench.session(), interval=T0_S) == 1_000
    bench = selling_car()
    context = StepContext(bench.station, bench.now_ns)
    assert supply_wh(context, bench.evse(), T0_S + 900) == 1_633  # 7 kW between the guards


def test_a_stopped_session_sells_nothing() -> None:
    """A stopped session supplies nothing."""
    bench = selling_car()
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), stop_asked=True))})
    assert supply_wh(StepContext(bench.station, bench.now_ns), bench.evse(), T0_S + 900) == 0


def test_a_sale_charges_back_in_time() -> None:
    """A sale with a departure sells what its plan sells, and charges back to the wanted state when that is cheapest."""
    bench = Bench()
    bench.send(
        PricesEstimated(
            estimates={
                key(CHARGE, T0_S): 150_000,
                key(CHARGE, T0_S + 900): 150_000,
                key(CHARGE, T0_S + 1_800): 90_000,
                key(CHARGE, T0_S + 2_700): 80_000,
                key(DISCHARGE, T0_S + 900): 200_000,
            }
        )
    )
    begin(
        bench, 7_000, aim=Aim.SELL, terms=OWNER, energy_wh=1_200, departure_ns=departs(1), soc_bp_wanted=7_000
    )
    assert commanded(bench)[0] == 0
    rows = bench.station.plans["A1"].plan.rows
    assert [row.energy_wh > 0 for row in rows] == [False, False, False, True]
    assert rows[1].energy_wh < 0
    context = StepContext(bench.station, bench.now_ns)
    assert supply_wh(context, bench.evse(), T0_S + 900) == 1_200
    assert supply_wh(context, bench.evse(), T0_S + 1_800) == 0
    market(bench, T0_S + 900)
    prepare(bench)
    bench.tick(900)
    bench.read("MA1", 1_000)
    bench.tick(930)
    power_w, seconds = commanded(bench)
    assert power_w == -7_000
    assert seconds * 7_000 // 3_600 <= 1_200
    bench.go(930 + 620)
    bench.read("MA1", 1_000, 1_200)
    assert (commanded(bench)[0], stops(bench)) == (0, 0), "it stays to be charged back"
    bench.update(soc_bp=6_780)
    bench.tick(1_800)
    assert commanded(bench)[0] == 0
    bench.tick(2_700)
    bench.read("MA1", 1_000, 1_200)
    assert bench.session().sale is SaleStage.NONE
    bench.update(soc_bp=6_790)
    assert commanded(bench)[0] == 22_000


def test_a_sale_that_is_sold_out_plans_no_more_of_it() -> None:
    """Once the ordered energy is sold, a planned sale becomes a rest, whatever price comes."""
    bench = selling_car(energy_wh=1_000, departure_ns=departs(1), soc_bp_wanted=5_000)
    market(bench, T0_S)
    bench.read("MA1", 1_000)
    bench.go(100)
    bench.put(orders={"o1": replace(bench.station.orders["o1"], from_export_wh=-995)})
    bench.update(soc_bp=6_900)
    assert bench.session().sale in {SaleStage.NONE, SaleStage.CUTTING}
    assert commanded(bench)[0] == 0
    bench.put(orders={"o1": replace(bench.station.orders["o1"], from_export_wh=-1_000)})
    bench.tick(900)
    assert all(row.energy_wh >= 0 for row in bench.station.plans["A1"].plan.rows)


# --- work ---------------------------------------------------------------------------------------------------------


def prices(*mtok: int, product: Product = CHARGE) -> dict[str, int]:
    return {key(product, T0_S + number * INTERVAL_S): price for number, price in enumerate(mtok)}


def working(*, soc_bp: int | None = 5_000, estimates: dict[str, int], **changes: Any) -> Bench:
    """A car that works until an hour after T0, with 60 kWh, wanted at 60 %."""
    bench = Bench()
    bench.send(PricesEstimated(estimates=estimates))
    made: dict[str, Any] = {
        "aim": Aim.WORK,
        "terms": OWNER,
        "departure_ns": departs(1),
        "soc_bp_wanted": 6_000,
    }
    return begin(bench, soc_bp, **{**made, **changes})


def test_work_charges_when_it_is_cheap() -> None:
    """Work rests while prices are high, and in a planned quarter hour charges at full power for as long as its energy needs."""
    bench = working(estimates=prices(150_000, 90_000, 100_000, 150_000), soc_bp_wanted=5_500)
    assert commanded(bench)[0] == 0
    bench.go(600)
    bench.read("MA1", 1_000)
    bench.tick(900)
    assert commanded(bench)[0] == 22_000
    kept = bench.station.plans["A1"]
    assert (kept.made_ns, kept.stale) == (bench.now_ns, False)
    row = kept.row_at(bench.now_ns)
    assert row is not None
    assert commanded(bench)[1] == row.energy_wh * 3_600 // 22_000
    bench.go(901 + commanded(bench)[1])
    bench.read("MA1", 4_100)
    assert commanded(bench)[0] == 0, "the row's energy has flowed"


def test_work_sells_when_it_is_dear() -> None:
    """A sale that pays for charging it back is prepared, posted and run; then the plan charges."""
    bench = working(
        soc_bp=6_000,
        estimates={**prices(150_000, 150_000, 80_000, 80_000), **prices(0, 250_000, product=DISCHARGE)},
    )
    assert commanded(bench)[0] == 0
    bench.tick(490)
    reported = {effect.product: effect for effect in bench.of(ReportLoad)}
    assert reported["DISCHARGE"].energy_wh > 1_500
    market(bench, T0_S + 900, price=220_000)
    prepare(bench, 500, soc_bp=5_999)
    bench.tick(900)
    bench.tick(930)
    assert commanded(bench)[0] == -7_000
    bench.go(1_700)
    bench.read("MA1", 1_000, 1_500)
    bench.tick(1_800)
    assert bench.session().sale is SaleStage.NONE
    assert commanded(bench)[0] == 22_000


def test_a_price_that_comes_changes_the_plan() -> None:
    """A fixed price, or other expected prices, make the plan stale; the next check plans again."""
    bench = working(estimates=prices(150_000, 90_000, 150_000, 150_000))
    first = bench.station.plans["A1"]
    bench.price_seen(product=CHARGE, interval=T0_S + 900, price="200000", ceiling="210000")
    assert bench.station.plans["A1"].stale
    bench.go(120)
    bench.read("MA1", 1_000)
    second = bench.station.plans["A1"]
    assert (second.stale, second.made_ns) == (False, bench.now_ns)
    assert second.plan != first.plan
    bench.send(PricesEstimated(estimates=prices(150_000, 90_000, 150_000, 150_000)))
    assert bench.station.plans["A1"] is second, "nothing new was said"
    bench.send(PricesEstimated(estimates={}))
    assert bench.station.plans["A1"] == replace(second, stale=True)
    assert bench.station.estimates == {}


@pytest.mark.parametrize(
    ("soc_bp", "wanted", "power_w"), [(None, 6_000, 22_000), (5_000, 6_000, 22_000), (7_000, 6_000, 0), (5_000, None, 0)]
)  # fmt: skip
def test_without_a_plan_a_car_is_charged_to_what_is_wanted(
    soc_bp: int | None, wanted: int | None, power_w: int
) -> None:
    """Without a state of charge, or after the departure, the car charges while it may have less than was wanted."""
    bench = working(soc_bp=None, estimates={}, soc_bp_wanted=wanted)
    assert commanded(bench)[0] == 22_000
    bench.go(3_601)
    bench.read("MA1", 1_000)
    bench.update(soc_bp=soc_bp)
    assert commanded(bench)[0] == power_w


def test_a_state_of_charge_that_was_told_plans_a_charge() -> None:
    """The driver's figure and the energy since then plan the charging, but no sale."""
    bench = working(
        soc_bp=None,
        soc_bp_told=5_000,
        estimates={**prices(150_000, 90_000, 90_000, 150_000), **prices(250_000, 250_000, product=DISCHARGE)},
    )
    assert commanded(bench)[0] == 0
    rows = bench.station.plans["A1"].plan.rows
    assert [row.energy_wh > 0 for row in rows] == [False, True, True, False]
    assert all(row.energy_wh >= 0 for row in rows)
    bench.tick(900)
    bench.go(1_000)
    bench.read("MA1", 1_600)
    bench.send(PricesEstimated(estimates=prices(150_000, 80_000, 90_000, 150_000)))
    bench.go(1_010)
    bench.read("MA1", 1_660)
    assert bench.station.plans["A1"].soc_bp == 5_000 + 660 * 94 // 100 * 10_000 // 60_000
    bench = working(soc_bp=None, soc_bp_told=7_000, estimates={})
    assert commanded(bench)[0] == 0


def test_a_plan_is_of_its_session_and_order() -> None:
    """Another order plans again; the end of the session discards the plan."""
    bench = working(estimates=prices(150_000, 90_000, 100_000, 150_000))
    assert bench.station.plans["A1"].order_id == "o1"
    order = replace(bench.station.orders["o1"], order_id="o2", id_token_hash="w2", departure_ns=departs(2))
    bench.send(OrderPlaced(order=order, id_token="x"))
    assert bench.station.plans["A1"].order_id == "o2"
    assert len(bench.station.plans["A1"].plan.rows) == 8
    bench.end()
    assert bench.station.plans == {}


def test_a_refused_sale_is_not_planned_again() -> None:
    """A refusal by the contract or the charger ends planned sales in this session."""
    dear = {**prices(150_000, 150_000, 80_000, 80_000), **prices(250_000, 250_000, product=DISCHARGE)}
    bench = working(soc_bp=6_000, estimates=dear)
    assert any(row.energy_wh < 0 for row in bench.station.plans["A1"].plan.rows)
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), sale=SaleStage.OVER))})
    bench.tick(900)
    bench.read("MA1", 1_000)
    assert all(row.energy_wh >= 0 for row in bench.station.plans["A1"].plan.rows)
    bench = working(soc_bp=6_000, estimates=dear, terms=replace(OWNER, sells=False))
    assert all(row.energy_wh >= 0 for row in bench.station.plans["A1"].plan.rows)


def test_between_sales_the_plan_knows_the_charge() -> None:
    """After a sale closes, a new state of charge is requested; until it comes, the plan subtracts the exported energy."""
    dear = {**prices(150_000, 150_000, 80_000, 80_000), **prices(250_000, 250_000, product=DISCHARGE)}
    bench = working(soc_bp=6_000, estimates=dear)
    bench.go(500)
    bench.read("MA1", 1_000, 940)
    row = replace(bench.session(), soc_bp=None, sale=SaleStage.SETTLING)
    bench.put(evses={"A1": replace(bench.evse(), session=row)})
    bench.tick(900)
    kept = bench.station.plans["A1"]
    assert kept.soc_bp == 6_000 - 167  # 1 kWh of 60, rounded down
    assert any(item.energy_wh < 0 for item in kept.plan.rows)


def test_a_charger_that_does_not_discharge_gets_no_sale() -> None:
    """A refused setpoint ends the sale, and the plan continues without it."""
    bench = selling_car()
    prepare(bench)
    bench.go(900)
    bench.read("MA1", 1_000)
    bench.tick(930)
    setpoint = bench.evse().setpoint
    assert setpoint is not None
    bench.send(SetpointAnswered(evse_id="A1", setpoint_id=setpoint.setpoint_id, accepted=False))
    assert bench.session().sale is SaleStage.OVER
    assert commanded(bench)[0] == 0, "a seller's car is not charged instead"
