"""A quote states what an order would move, cost and earn, and what is uncertain, and changes nothing."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_NS, amount_mtok
from edgegw.core.events import ChargerDisconnected, OrderPlaced, PricesEstimated
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.core.orders import DEPARTURE_NS_MOST, REFUSALS, Aim, Order
from edgegw.core.quote import Quote, quote
from tests.support.core_bench import RETAIL, SELLER, T0_NS, T0_S, Bench, S

DRIVER = replace(RETAIL, member_id="drv", price_mtok_per_kwh_max=200_000)
OWNER = replace(SELLER, member_id="drv", price_mtok_per_kwh_max=200_000)
HOUR_NS = 4 * INTERVAL_NS


def an_order(**changes: Any) -> Order:
    made: dict[str, Any] = {
        "order_id": "o1", "evse_id": "A1", "id_token_hash": "web", "terms": DRIVER, "aim": Aim.CHARGE,
    }  # fmt: skip
    return Order(**{**made, **changes})


def expected(bench: Bench, product: Product, *mtok: int) -> None:
    known = dict(bench.station.estimates)
    known |= {key(product, T0_S + number * 900): price for number, price in enumerate(mtok)}
    bench.send(PricesEstimated(estimates=known))


def ask(bench: Bench, **changes: Any) -> Quote:
    """The quote; the station is the very same after it."""
    before = bench.station
    found = quote(before, an_order(**changes), bench.now_ns)
    assert bench.station is before
    assert set(found.remarks) <= REFUSALS
    return found


def rows(found: Quote) -> list[tuple[int, int, int | None, str]]:
    return [(row.interval - T0_S, row.energy_wh, row.price_mtok_per_kwh, row.kind) for row in found.rows]


def test_a_charge() -> None:
    """A charge is at full power from now, each quarter hour at its price, and at worst all at the driver's highest price."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.price(CHARGE, T0_S + 900, None, ceiling=180_000)
    found = ask(bench, energy_wh=10_000, terms=replace(DRIVER, battery_wh=60_000), soc_bp_told=5_000)
    assert rows(found) == [(0, 5_133, 100_000, "market"), (900, 4_867, 180_000, "retail")]
    assert (found.code, found.remarks) == (None, ())
    assert (found.energy_wh, found.import_wh, found.export_wh) == (10_000, 10_000, 0)
    assert found.amount_mtok == 513_300 + 876_060
    assert found.worst_mtok == 2_000_000
    assert found.begin_ns == bench.now_ns
    assert found.ready_ns is not None
    assert (found.ready_ns - T0_NS) // S == 900 + 796
    assert (found.soc_bp, found.cycle_bp) == (6_566, 783)


def test_a_charge_whose_price_nobody_knows() -> None:
    """A charge without a known price is quoted at the driver's highest price, and marked so."""
    found = ask(Bench(), energy_wh=1_000)
    assert rows(found) == [(0, 1_000, None, "")]
    assert (found.amount_mtok, found.worst_mtok, found.remarks) == (200_000, 200_000, ("NO_PRICE",))
    assert (found.soc_bp, found.cycle_bp) == (None, None)


def test_a_charge_waits_for_a_price_that_the_driver_pays() -> None:
    """A quarter hour that is too expensive is skipped; if all are, there is no charge."""
    bench = Bench()
    expected(bench, CHARGE, 250_000, 150_000)
    found = ask(bench, energy_wh=1_000)
    assert rows(found) == [(900, 1_000, 150_000, "estimate")]
    expected(bench, CHARGE, *[250_000] * 200)
    found = ask(bench, energy_wh=1_000)
    assert (rows(found), found.remarks, found.begin_ns, found.ready_ns) == ([], ("NO_PRICE",), None, None)


def test_a_charge_without_an_energy_fills_the_battery() -> None:
    """A charge without an amount fills the battery if its room is known; otherwise there is no quote."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    terms = replace(DRIVER, battery_wh=10_000)
    assert ask(bench, terms=terms, soc_bp_told=8_000).energy_wh == 2_128
    assert ask(bench, soc_bp_told=8_000).energy_wh == 0
    assert ask(bench, terms=terms).energy_wh == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"evse_id": "X"}, "UNKNOWN_EVSE"), ({"energy_wh": -1}, "NO_ENERGY"), ({"aim": Aim.SELL}, "NO_BATTERY")],
)
def test_what_the_station_would_refuse(changes: dict[str, Any], code: str) -> None:
    """A quote is refused with the code that the order would get."""
    bench = Bench()
    assert ask(bench, **changes).code == code
    bench.send(OrderPlaced(order=an_order(**changes), id_token="x"))
    assert bench.station.orders["o1"].code == code


def test_an_offline_charger_is_said() -> None:
    """A quote for an offline charger is still made."""
    bench = Bench()
    bench.send(ChargerDisconnected(charger_id="A"))
    found = ask(bench, energy_wh=1_000)
    assert (found.code, found.energy_wh) == ("CHARGER_OFFLINE", 1_000)


def test_a_sale() -> None:
    """A sale is in priced quarter hours, between their guards, at worst at the lowest price; it needs the state of charge."""
    bench = Bench()
    bench.price(DISCHARGE, T0_S + 900, 150_000)
    expected(bench, DISCHARGE, 200_000, 100_000, 160_000)
    selling: dict[str, Any] = {"aim": Aim.SELL, "terms": OWNER, "energy_wh": 5_000}
    found = ask(bench, **selling)
    assert rows(found) == [
        (0, -1_575, 200_000, "estimate"),
        (900, -1_633, 150_000, "market"),
        (1_800, -1_633, 160_000, "estimate"),
    ]
    assert (found.code, found.remarks) == (None, ("NO_SOC",))
    assert (found.energy_wh, found.export_wh) == (4_841, 4_841)
    assert found.amount_mtok == -(315_000 + 244_950 + 261_280)
    assert found.worst_mtok == -amount_mtok(140_000, 4_841)
    found = ask(bench, **selling, soc_bp_told=3_300)
    assert (found.energy_wh, found.soc_bp) == (1_692, 3_000)
    found = ask(bench, **{**selling, "energy_wh": None}, soc_bp_told=3_050)
    assert (found.energy_wh, found.remarks) == (0, ("NOTHING_TO_SELL", "NO_SOC"))


def test_a_sale_where_the_car_tells() -> None:
    """In the driver's own session the reported state of charge counts; in another's session it does not."""
    bench = Bench()
    bench.active("sel")
    bench.update(soc_bp=6_000)
    expected(bench, DISCHARGE, 200_000)
    own = replace(SELLER, price_mtok_per_kwh_max=200_000)
    found = ask(bench, aim=Aim.SELL, terms=own, energy_wh=1_000)
    assert (found.energy_wh, found.remarks, found.code) == (1_000, (), None)
    found = ask(bench, aim=Aim.SELL, terms=OWNER, energy_wh=1_000)
    assert (found.remarks, found.code) == (("NO_SOC",), "EVSE_BUSY")
    assert ask(bench, terms=replace(own, battery_wh=0)).soc_bp is None


def test_a_sale_that_is_charged_back_sells_no_more_than_was_ordered() -> None:
    """Also over a long night of equal prices, energy is sold once and charged back once, and quoted so."""
    bench = Bench()
    expected(bench, CHARGE, *[125_000] * 76)
    expected(bench, DISCHARGE, *[150_000] * 76)
    own = replace(OWNER, battery_wh=77_000)
    found = ask(
        bench, aim=Aim.SELL, terms=own, energy_wh=12_000, departure_ns=T0_NS + 19 * HOUR_NS, soc_bp_told=7_500,
        soc_bp_wanted=8_000,
    )  # fmt: skip
    assert 11_924 <= found.energy_wh <= 12_000
    assert found.energy_wh == found.export_wh
    needed_wh = (3_850 + found.export_wh * 10_000 // 9_400) * 10_000 // 9_400
    assert needed_wh <= found.import_wh <= needed_wh + 76
    assert found.amount_mtok == pytest.approx(found.import_wh * 125 - found.export_wh * 150, abs=76)


def test_work_is_quoted_as_it_would_be_planned() -> None:
    """The quote has all rows of the plan with their prices, also those at rest; the departure is when the car is ready."""
    bench = Bench()
    expected(bench, CHARGE, 150_000, 90_000, 120_000, 150_000)
    expected(bench, DISCHARGE, 250_000)
    working: dict[str, Any] = {
        "aim": Aim.WORK, "terms": OWNER, "departure_ns": T0_NS + HOUR_NS, "soc_bp_wanted": 5_000, "soc_bp_told": 5_000,
    }  # fmt: skip
    found = ask(bench, **working)
    assert [row.energy_wh > 0 for row in found.rows] == [False, True, False, False]
    assert found.rows[0].energy_wh < -1_200
    assert [row.kind for row in found.rows] == ["estimate", "estimate", "", ""]
    assert found.remarks == ("NO_SOC",)
    assert found.energy_wh == found.import_wh + found.export_wh
    assert (found.begin_ns, found.ready_ns) == (bench.now_ns, T0_NS + HOUR_NS)
    assert found.soc_bp is not None
    assert found.soc_bp >= 4_999
    assert found.cycle_bp
    assert found.amount_mtok < 0
    bench.send(OrderPlaced(order=an_order(**working), id_token="x"))
    bench.start("web")
    bench.update(soc_bp=5_000)
    bench.commit("Hold", reserved="40000000")
    bench.read("MA1", 1_000)
    bench.now_ns += S
    bench.read("MA1", 1_000)
    planned = [row.energy_wh for row in bench.station.plans["A1"].plan.rows]
    assert planned[1:] == [row.energy_wh for row in ask(bench, **working).rows][1:]


def test_work_without_a_sale() -> None:
    """A driver who sells nothing, or an EVSE that cannot discharge, is charged when it is cheap."""
    bench = Bench()
    expected(bench, CHARGE, 150_000, 90_000, 120_000, 150_000)
    expected(bench, DISCHARGE, 250_000, 250_000)
    working: dict[str, Any] = {
        "aim": Aim.WORK, "departure_ns": T0_NS + HOUR_NS, "soc_bp_wanted": 5_000, "soc_bp_told": 5_000,
    }  # fmt: skip
    found = ask(bench, **working, terms=replace(OWNER, sells=False))
    assert [row.energy_wh for row in found.rows] == [0, 0, 0, 0]
    assert (found.begin_ns, found.remarks) == (None, ())
    found = ask(bench, **{**working, "soc_bp_wanted": 10_000}, terms=replace(OWNER, sells=False))
    assert found.remarks == ("SOC_NOT_REACHED",)
    found = ask(bench, **{**working, "soc_bp_told": None}, terms=OWNER)
    assert (found.rows, found.remarks, found.soc_bp) == ((), ("NO_SOC",), None)
    late = ask(bench, **{**working, "departure_ns": T0_NS + DEPARTURE_NS_MOST + 2 * HOUR_NS}, terms=OWNER)
    assert late.code == "DEPARTURE_TOO_FAR"
    past = ask(bench, **{**working, "departure_ns": T0_NS}, terms=OWNER)
    assert (past.code, past.rows) == ("DEPARTURE_PAST", ())


def test_a_sale_that_charges_back() -> None:
    """A sale sells no more than ordered, and charges to what was wanted."""
    bench = Bench()
    expected(bench, CHARGE, 150_000, 150_000, 90_000, 80_000)
    expected(bench, DISCHARGE, 200_000, 190_000)
    found = ask(
        bench, aim=Aim.SELL, terms=OWNER, energy_wh=1_000, departure_ns=T0_NS + HOUR_NS, soc_bp_wanted=6_000,
        soc_bp_told=6_000,
    )  # fmt: skip
    assert 980 <= found.export_wh <= 1_006
    assert found.import_wh > found.export_wh
    assert found.remarks == ("NO_SOC",)
