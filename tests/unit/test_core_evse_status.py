"""An EVSE's status and figures are right at every stage of a visit, and computing them changes nothing."""

from dataclasses import replace
from typing import Any

from edgegw.core.events import (
    ChargerDisconnected,
    ChargingState,
    ConnectorStatus,
    ConnectorStatusChanged,
    OrderPlaced,
    OrderStopped,
)
from edgegw.core.evse_status import EvseActivity, EvseStatus, live
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.orders import Aim, Order
from edgegw.core.state import SaleStage, Setpoint
from tests.support.core_bench import RETAIL, SELLER, T0_S, Bench, S

DRIVER = replace(RETAIL, member_id="drv")


def look(bench: Bench) -> EvseStatus:
    before = bench.station
    found = live(before, "A1", bench.now_ns)
    assert bench.station is before
    return found


def word(bench: Bench) -> EvseActivity:
    return look(bench).word


def tell(bench: Bench, status: ConnectorStatus) -> None:
    bench.send(ConnectorStatusChanged(evse_id="A1", status=status, at_ns=bench.now_ns))


def place(bench: Bench, **changes: Any) -> None:
    made: dict[str, Any] = {
        "order_id": "o1", "evse_id": "A1", "id_token_hash": "web", "terms": DRIVER, "aim": Aim.CHARGE,
    }  # fmt: skip
    bench.send(OrderPlaced(order=Order(**{**made, **changes}), id_token="x"))


def test_a_visit_in_words() -> None:
    """Free, plugged, starting, charging, paused by the car, finishing, free again."""
    bench = Bench()
    assert word(bench) is EvseActivity.FREE
    tell(bench, ConnectorStatus.OCCUPIED)
    assert bench.evse().status is ConnectorStatus.OCCUPIED
    assert word(bench) is EvseActivity.PLUGGED
    place(bench, energy_wh=2_000)
    found = look(bench)
    assert (found.word, found.member_id, found.session_id) == (EvseActivity.STARTING, "drv", None)
    assert found.order == bench.station.orders["o1"]
    bench.start("web")
    assert word(bench) is EvseActivity.STARTING
    bench.commit("Hold", reserved="40000000")
    bench.go(61)
    bench.read("MA1", 1_000)
    assert word(bench) is EvseActivity.CHARGING, "power is offered"
    bench.go(121)
    bench.read("MA1", 1_200)
    found = look(bench)
    assert (found.word, found.power_w, found.import_wh, found.export_wh) == (
        EvseActivity.CHARGING,
        12_000,
        200,
        0,
    )
    bench.go(151)
    bench.read("MA1", 1_200)
    bench.update(soc_bp=9_000, charging_state=ChargingState.SUSPENDED_EV)
    found = look(bench)
    assert (found.word, found.soc_bp, found.session_id) == (EvseActivity.PAUSED_BY_CAR, 9_000, "A1.t1")
    bench.go(500)
    bench.read("MA1", 2_999)
    assert word(bench) is EvseActivity.FINISHING, "its energy has flowed"
    bench.end()
    assert word(bench) is EvseActivity.FINISHING, "its last reading is awaited"
    bench.go(510)
    bench.read("MA1", 2_999)
    assert word(bench) is EvseActivity.PLUGGED
    tell(bench, ConnectorStatus.AVAILABLE)
    found = look(bench)
    assert (found.word, found.member_id, found.order) == (EvseActivity.FREE, None, None)


def test_out_of_order_and_offline() -> None:
    """An EVSE with a faulted connector is out of order; if its charger is offline, it is offline."""
    bench = Bench()
    tell(bench, ConnectorStatus.UNAVAILABLE)
    assert word(bench) is EvseActivity.OUT_OF_ORDER
    bench.send(ChargerDisconnected(charger_id="A"))
    assert word(bench) is EvseActivity.OFFLINE


def test_a_start_that_waits_for_its_driver_is_plugged() -> None:
    """A 2.x start without a driver is plugged; one with an unknown token is finishing."""
    bench = Bench()
    bench.start(None)
    bench.go(70)
    bench.read("MA1", 1_000)
    found = look(bench)
    assert (found.word, found.member_id, found.paid_mtok) == (EvseActivity.PLUGGED, None, 0)
    bench = Bench()
    bench.start("nobody")
    assert word(bench) is EvseActivity.FINISHING


def test_a_driver_who_stops_is_finishing() -> None:
    """A session whose driver stops, and one whose start was refused, are finishing."""
    bench = Bench()
    bench.active("ret")
    bench.send(OrderStopped(evse_id="A1", member_id="ret"))
    assert word(bench) is EvseActivity.FINISHING
    bench = Bench()
    bench.start("ret")
    bench.refuse("Hold", "ZERO_TOKENS")
    assert word(bench) is EvseActivity.FINISHING


def test_a_car_that_waits_to_sell_rests() -> None:
    """A sale rests without a price, sells while power is requested or given, and an order with a plan is never satisfied."""
    bench = Bench()
    terms = replace(SELLER, member_id="drv")
    place(bench, aim=Aim.SELL, terms=terms, energy_wh=1_000)
    bench.active("web")
    assert word(bench) is EvseActivity.RESTING
    bench.put(
        evses={"A1": replace(bench.evse(), setpoint=Setpoint(setpoint_id=9, power_w=-7_000, ends_ns=0))}
    )
    assert word(bench) is EvseActivity.SELLING
    bench.go(120)
    bench.read("MA1", 1_000, 100)
    found = look(bench)
    assert (found.word, found.export_wh, found.power_w < -100) == (EvseActivity.SELLING, 100, True)
    bench.put(evses={"A1": replace(bench.evse(), setpoint=None)})
    bench.go(900)
    found = look(bench)
    assert (found.word, found.power_w) == (EvseActivity.RESTING, 0), "its reading is stale"
    order = replace(bench.station.orders["o1"], departure_ns=bench.now_ns + 9_000 * S, soc_bp_wanted=5_000)
    bench.put(orders={"o1": replace(order, energy_wh=1)})
    assert word(bench) is EvseActivity.RESTING


def test_tokens_are_settled_or_estimated() -> None:
    """Tokens are those on the ledger, and an estimate that adds lines in flight and the open segment at current prices."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.price(DISCHARGE, T0_S, 150_000)
    bench.active("ret")
    bench.go(600)
    bench.read("MA1", 2_000)
    found = look(bench)
    assert (found.paid_mtok, found.paid_settled_mtok, found.earned_mtok) == (100_000, 0, 0)
    bench.go(1_000)
    bench.read("MA1", 2_500)
    found = look(bench)
    line_wh = bench.session().import_wh
    assert found.import_wh == 1_500
    assert found.paid_mtok == line_wh * 100 + (1_500 - line_wh) * 400, (
        "no record yet: at the driver's highest"
    )
    bench.price(CHARGE, T0_S + 900, None, ceiling=180_000)
    assert look(bench).paid_mtok == line_wh * 100 + (1_500 - line_wh) * 180
    bench.settle()
    found = look(bench)
    assert found.paid_settled_mtok == line_wh * 186
    assert found.paid_mtok == line_wh * 186 + (1_500 - line_wh) * 180
    assert found.next_interval == T0_S + 1_800
    assert found.next_buy is not None
    assert (found.next_buy.mtok_per_kwh, found.next_buy.kind, found.next_sell) == (180_000, "retail", None)


def test_what_is_sold_is_earned() -> None:
    """Sold energy earns the price of its interval; without a price it earns nothing yet."""
    bench = Bench()
    bench.active("sel")
    bench.price(DISCHARGE, T0_S, 150_000)
    bench.go(100)
    bench.read("MA1", 1_000, 200)
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), sale=SaleStage.OVER))})
    assert (look(bench).earned_mtok, look(bench).earned_settled_mtok) == (30_000, 0)
    bench.go(901)
    assert look(bench).earned_mtok == 0
