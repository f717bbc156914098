"""Which price counts for a coming interval: fixed, at the ceiling, or expected; never one that the driver would not take."""

from dataclasses import replace
from typing import Any

from edgegw.common.units import INTERVAL_NS
from edgegw.core.events import PricesEstimated
from edgegw.core.forecast import Forecast, buying, price_of, selling
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.core.orders import Aim, Order
from edgegw.core.planning import PlannedRow
from tests.support.core_bench import RETAIL, SELLER, T0_NS, T0_S, Bench

DRIVER = replace(RETAIL, member_id="drv")
OWNER = replace(SELLER, member_id="drv", soc_bp_min=3_000)
NEXT = T0_S + 900


def test_which_price_counts() -> None:
    """The fixed one; else the record's ceiling; else what is expected; else the newest ceiling; never one too dear."""
    bench = Bench()
    terms = DRIVER

    def found(**changes: Any) -> tuple[int, str] | None:
        ahead = Forecast(prices=bench.station.prices, estimates=bench.station.estimates)
        price = buying(ahead, NEXT, replace(terms, **changes))
        return None if price is None else (price.mtok_per_kwh, price.kind)

    assert found() is None
    bench.price(CHARGE, T0_S, 90_000, ceiling=170_000)
    bench.price(DISCHARGE, T0_S, 90_000, ceiling=1)
    assert found() == (170_000, "retail")
    assert found(accept_retail=False) is None
    assert found(price_mtok_per_kwh_max=169_999) is None
    bench.send(PricesEstimated(estimates={key(CHARGE, NEXT): 120_000}))
    assert found() == (120_000, "estimate")
    assert found(price_mtok_per_kwh_max=119_999) is None
    bench.price(CHARGE, NEXT, None, ceiling=180_000)
    assert found() == (180_000, "retail")
    bench.price(CHARGE, NEXT, 110_000, ceiling=180_000)
    assert found() == (110_000, "market")
    assert found(price_mtok_per_kwh_max=109_999) is None


def test_a_sale_is_seen_at_a_fixed_or_expected_price_only() -> None:
    """A sale uses a fixed or expected price that is not below the driver's; a record without a price is no sale."""
    bench = Bench()

    def found() -> tuple[int, str] | None:
        ahead = Forecast(prices=bench.station.prices, estimates=bench.station.estimates)
        price = selling(ahead, NEXT, OWNER)
        return None if price is None else (price.mtok_per_kwh, price.kind)

    assert found() is None
    bench.send(PricesEstimated(estimates={key(DISCHARGE, NEXT): 139_999}))
    assert found() is None
    bench.send(PricesEstimated(estimates={key(DISCHARGE, NEXT): 140_000}))
    assert found() == (140_000, "estimate")
    bench.price(DISCHARGE, NEXT, None)
    assert found() is None
    bench.price(DISCHARGE, NEXT, 150_000)
    assert found() == (150_000, "market")


def test_a_planned_row_names_its_price() -> None:
    """A planned row has its direction's price; a row at rest, or without a price any more, has none."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 90_000)
    order = Order(order_id="o", evse_id="A1", id_token_hash="h", terms=OWNER, aim=Aim.WORK)
    ahead = Forecast(prices=bench.station.prices, estimates={key(DISCHARGE, T0_S): 200_000})
    row = PlannedRow(start_ns=T0_NS, end_ns=T0_NS + INTERVAL_NS, energy_wh=5, amount_mtok=1, soc_bp=1)
    found = [price_of(ahead, order, replace(row, energy_wh=energy_wh)) for energy_wh in (5, -5, 0)]
    assert [price and price.kind for price in found] == ["market", "estimate", None]
    assert price_of(Forecast(prices={}, estimates={}), order, row) is None
