"""The plan of a sale sells at most what is ordered, buys nothing in order to sell it, and is the cheapest such plan."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.common.units import SECOND_NS
from edgegw.core import sale_plan
from edgegw.core.planning import Plan, Task, charged_wh, make_plan, sold_wh
from edgegw.core.sale_plan import make_sale_plan, sale_lattice
from tests.unit.test_core_planning import Key, a_task, energies, small_tasks, spans

HOUR_NS = 3_600 * SECOND_NS
CAPS = st.sampled_from([0, 1, 150, 700, 1_500, 4_000])


def a_sale(*prices: tuple[int | None, int | None], **changes: Any) -> Task:
    """A lossless car of 10 kWh at 50 %, wanted at 50 %, 1 kWh a quarter hour both ways, sold down to 20 %."""
    wanted = changes.setdefault("soc_bp_wanted", 5_000)
    return a_task(*prices, **{"soc_bp_most": wanted or 0, **changes})


def best_by_trying(task: Task, cap_wh: int) -> Key:
    """The least (shortfall, cost, throughput, lateness) of every lawful chain on the lattice, by plain recursion."""
    grid = sale_lattice(task, cap_wh)
    assert grid is not None
    targets = range(grid.wanted, min(grid.now, 0) - grid.most * grid.unit - 1, -grid.unit * grid.stride)

    def steps(number: int, level: int, units: int) -> Iterator[tuple[int, int, int]]:
        """Level and units sold after a span, and what the span costs."""
        span = task.spans[number]
        span_ns = span.end_ns - span.start_ns
        yield level, units, 0
        for more in range(1, grid.most - units + 1) if span.sell is not None else ():
            energy_wh = sold_wh(task, more * grid.unit, scale=grid.scale)
            after = level - more * grid.unit
            if after >= grid.low and energy_wh <= task.discharge_w * span_ns // HOUR_NS:
                yield after, units + more, -(span.sell or 0) * energy_wh
        for after in targets if span.buy is not None else ():
            energy_wh = charged_wh(task, after - level, scale=grid.scale)
            if after > level and energy_wh <= task.charge_w * span_ns // HOUR_NS:
                yield after, units, (span.buy or 0) * energy_wh

    @cache
    def best(number: int, level: int, units: int) -> Key:
        if number == len(task.spans):
            return max(0, grid.wanted - level), 0, 0, 0
        found = []
        for after, sold, cost in steps(number, level, units):
            rest = best(number + 1, after, sold)
            late = max(0, after - level) * number
            found.append((rest[0], rest[1] + cost, rest[2] + abs(after - level), rest[3] + late))
        return min(found)

    return best(0, grid.now, 0)


def cost_of(task: Task, plan: Plan) -> int:
    return sum(
        row.energy_wh * ((span.buy if row.energy_wh > 0 else span.sell) or 0)
        for span, row in zip(task.spans, plan.rows, strict=True)
    )


def sums(plan: Plan) -> tuple[int, int]:
    """What is charged and what is sold."""
    return sum(max(0, wh) for wh in energies(plan)), sum(max(0, -wh) for wh in energies(plan))


@given(small_tasks(), CAPS)
def test_no_sale_is_better(task: Task, cap_wh: int) -> None:
    """Of all lawful chains none has a smaller shortfall, cost, throughput, lateness; without a sale it is the plan of a charge."""
    task = replace(task, soc_bp_most=task.soc_bp_wanted or 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sale_plan, "UNITS_AIMED", 4)
        plan = make_sale_plan(task, cap_wh)
        grid = sale_lattice(task, cap_wh)
        if grid is None:
            assert plan == make_plan(task)
            return
        shortfall, cost, _, _ = best_by_trying(task, cap_wh)
    assert cost_of(task, plan) == cost
    assert plan.reached == (shortfall == 0)
    assert plan.reached or plan.soc_bp == (grid.wanted - shortfall) * 10_000 // (grid.scale * task.battery_wh)


@given(small_tasks(), CAPS)
def test_a_sale_is_lawful(task: Task, cap_wh: int) -> None:
    """Sold is no more than the order's in sum, charged no more than what is wanted and was drawn; powers and levels hold."""
    task = replace(task, soc_bp_most=task.soc_bp_wanted or 0)
    plan = make_sale_plan(task, cap_wh)
    imported, exported = sums(plan)
    assert exported <= cap_wh
    wanted_wh, now_wh = (task.battery_wh * bp // 10_000 for bp in (task.soc_bp_wanted or 0, task.soc_bp))
    drawn_wh = -(
        -(exported + len(plan.rows)) * 10_000 // task.discharge_efficiency_bp
    )  # rows are rounded down
    needed_wh = max(0, wanted_wh - now_wh + drawn_wh)
    assert imported * task.charge_efficiency_bp // 10_000 <= needed_wh + len(plan.rows)
    assert (sale_lattice(task, cap_wh) is None) == (cap_wh == 0 or not _may_sell(task))
    for span, row in zip(task.spans, plan.rows, strict=True):
        span_ns = span.end_ns - span.start_ns
        power_w, price = (task.charge_w, span.buy) if row.energy_wh > 0 else (task.discharge_w, span.sell)
        assert row.energy_wh == 0 or price is not None
        assert abs(row.energy_wh) <= power_w * span_ns // HOUR_NS
        assert row.energy_wh <= 0 or row.soc_bp <= (task.soc_bp_wanted or 0)
        assert row.energy_wh >= 0 or row.soc_bp >= task.soc_bp_min - 5  # rounded down
    assert plan.amount_mtok == sum(row.amount_mtok for row in plan.rows)


def _may_sell(task: Task) -> bool:
    return task.discharge_w > 0 and any(span.sell is not None for span in task.spans)


PRICE = st.integers(1, 9).map(lambda price: price * 20_000)


@given(
    st.lists(st.tuples(PRICE, st.one_of(st.none(), PRICE)), min_size=1, max_size=6),
    st.integers(1, 3),
    st.tuples(*[st.integers(2, 7)] * 3),
)
def test_no_sale_by_whole_hours_is_better(
    prices: list[tuple[int, int | None]], cap_kwh: int, levels: tuple[int, int, int]
) -> None:
    """Whatever the lattice: no sequence of full quarter hours keeps the law and comes nearer, or costs less."""
    now, low, wanted = levels
    task = a_sale(*prices, soc_bp=now * 1_000, soc_bp_min=low * 1_000, soc_bp_wanted=wanted * 1_000)
    tried = []
    for moves in product((-1, 0, 1), repeat=len(prices)):
        level, cost, sold = now, 0, 0
        for move, (buy, sell) in zip(moves, prices, strict=True):
            level += move
            if (move > 0 and level > wanted) or (move < 0 and (sell is None or level < low)):
                break
            sold -= min(move, 0)
            cost += move * 1_000 * (buy if move > 0 else sell or 0)
        else:
            if sold <= cap_kwh:
                tried.append((max(0, wanted - level), cost))
    plan = make_sale_plan(task, cap_kwh * 1_000)
    assert (max(0, wanted * 1_000 - plan.soc_bp), cost_of(task, plan)) <= (
        min(tried)[0] * 1_000,
        min(tried)[1],
    )


@pytest.mark.parametrize(
    ("task", "cap_wh", "wanted", "amount"),
    [
        # sells in the dearest quarter hour what is ordered, charges it back in the cheapest
        (a_sale((9, 100), (9, 200), (5, 150), (7, 1)), 1_000, [0, -1_000, 1_000, 0], 5 - 200),
        # dear every time, and cheap in between: sold once, not as often as it pays
        (a_sale((None, 200), (10, None), (None, 200), (10, None)), 1_000, [-1_000, 1_000, 0, 0], -190),
        # what is wanted anyway may be charged first, and sold with the rest
        (
            a_sale((10, None), (10, 200), (90, None), soc_bp=2_000, soc_bp_wanted=3_000),
            1_000,
            [1_000, -1_000, 1_000],
            -100,
        ),
        # a car that is to leave with less than it has buys nothing back
        (a_sale((10, 200), (10, 200), (10, 90), soc_bp_wanted=2_000), 2_000, [-1_000, -1_000, 0], -400),
        # charging back costs more than the sale earns: nothing moves
        (a_sale((None, 100), (120, None)), 1_000, [0, 0], 0),
        # so much as is wanted comes before what a sale earns
        (a_sale((None, 900), (10, 900), soc_bp_wanted=6_000), 1_000, [0, 1_000], 10),
        # a small rest of an order is sold, and its very energy charged back with what is wanted
        (a_sale((10, None), (10, 200), (10, None), soc_bp_wanted=5_500), 90, [590, -90, 0], None),
    ],
)
def test_known_sales(task: Task, cap_wh: int, wanted: list[int], amount: int | None) -> None:
    """The plans are those of small vectors that can be computed by hand."""
    plan = make_sale_plan(task, cap_wh)
    if amount is None:
        assert (sums(plan), plan.soc_bp) == ((590, 90), 5_500)
    else:
        assert (energies(plan), plan.amount_mtok) == (wanted, amount)
    assert plan.reached


def test_a_night_of_flat_prices_sells_what_was_ordered() -> None:
    """12 kWh of a car at 75 % that is wanted at 80 % 19 hours later: once sold, once charged back."""
    task = Task(
        spans=spans(*[(125_000, 150_000)] * 76), charge_w=11_000, discharge_w=9_800, battery_wh=77_000,
        soc_bp=7_500, soc_bp_min=4_000, soc_bp_wanted=8_000, soc_bp_most=8_000,
    )  # fmt: skip
    plan = make_sale_plan(task, 12_000)
    imported, exported = sums(plan)
    assert (plan.reached, plan.soc_bp) == (True, 8_000)
    assert 12_000 - len(plan.rows) <= exported <= 12_000
    needed_wh = (3_850 + exported * 10_000 // 9_400) * 10_000 // 9_400
    assert needed_wh <= imported <= needed_wh + len(plan.rows)
