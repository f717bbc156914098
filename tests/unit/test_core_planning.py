"""The plan of a parked car is the cheapest of all plans on the lattice, found by enumeration, and matches known vectors."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.common.units import INTERVAL_NS, amount_mtok
from edgegw.core.planning import (
    KeptPlan,
    Plan,
    Span,
    Task,
    charged_wh,
    lattice,
    make_plan,
    sold_wh,
)
from tests.support.core_bench import T0_NS

Key = tuple[int, int, int, int]


def spans(*prices: tuple[int | None, int | None]) -> tuple[Span, ...]:
    """Quarter hours with these prices for buying and selling."""
    return tuple(
        Span(start_ns=T0_NS + number * INTERVAL_NS, end_ns=T0_NS + (number + 1) * INTERVAL_NS, buy=buy, sell=sell)
        for number, (buy, sell) in enumerate(prices)
    )  # fmt: skip


def a_task(*prices: tuple[int | None, int | None], **changes: Any) -> Task:
    """A lossless car of 10 kWh at 50 %, 4 kW both ways (1 kWh a quarter hour), that may sell down to 20 %."""
    made: dict[str, Any] = {
        "spans": spans(*prices), "charge_w": 4_000, "discharge_w": 4_000, "battery_wh": 10_000, "soc_bp": 5_000,
        "soc_bp_min": 2_000, "charge_efficiency_bp": 10_000, "discharge_efficiency_bp": 10_000,
    }  # fmt: skip
    return Task(**{**made, **changes})


def energies(plan: Plan) -> list[int]:
    return [row.energy_wh for row in plan.rows]


def best_by_trying(task: Task) -> Key:
    """The least (shortfall, cost, energy through the battery, lateness) of every chain of levels, by plain recursion."""
    levels = lattice(task)
    wanted_wh = 0 if task.soc_bp_wanted is None else task.battery_wh * task.soc_bp_wanted // 10_000
    low_wh, high_wh = (task.battery_wh * bp // 10_000 for bp in (task.soc_bp_min, task.soc_bp_most))

    def best(number: int, level: int) -> Key:
        if number == len(task.spans):
            return max(0, wanted_wh - level), 0, 0, 0
        span = task.spans[number]
        hours = (span.end_ns - span.start_ns, 3_600_000_000_000)
        found = []
        for after in levels:
            cost = late = 0
            if after > level:
                energy_wh = charged_wh(task, after - level)
                if span.buy is None or after > high_wh or energy_wh > task.charge_w * hours[0] // hours[1]:
                    continue
                cost, late = span.buy * energy_wh, (after - level) * number
            elif after < level:
                energy_wh = sold_wh(task, level - after)
                if span.sell is None or after < low_wh or energy_wh > task.discharge_w * hours[0] // hours[1]:
                    continue
                cost = -span.sell * energy_wh
            rest = best(number + 1, after)
            found.append((rest[0], rest[1] + cost, rest[2] + abs(after - level), rest[3] + late))
        return min(found)

    return best(0, task.battery_wh * task.soc_bp // 10_000)


PRICES = st.one_of(st.none(), st.integers(0, 9).map(lambda price: price * 20_000))
LEVELS = st.integers(0, 10).map(lambda tenth: tenth * 1_000)


@st.composite
def small_tasks(draw: st.DrawFn) -> Task:
    """Few spans, of any length up to a quarter hour, and few levels."""
    prices = draw(st.lists(st.tuples(PRICES, PRICES), min_size=1, max_size=4))
    seconds = draw(st.sampled_from([900, 600, 31]))
    cut = spans(*prices)
    first = replace(cut[0], start_ns=cut[0].end_ns - seconds * 1_000_000_000)
    battery_wh = draw(st.integers(2_000, 9_000))
    return Task(
        spans=(first, *cut[1:]),
        charge_w=draw(st.sampled_from([0, 3_000, 7_000])),
        discharge_w=draw(st.sampled_from([0, 3_000, 7_000])),
        # A step is never less than a hundredth of a battery, so that all chains can be tried.
        battery_wh=battery_wh,
        soc_bp=draw(LEVELS),
        soc_bp_min=draw(LEVELS),
        soc_bp_wanted=draw(st.one_of(st.none(), LEVELS)),
        soc_bp_most=draw(st.sampled_from([10_000, 8_000])),
        charge_efficiency_bp=draw(st.sampled_from([10_000, 9_400])),
        discharge_efficiency_bp=draw(st.sampled_from([10_000, 9_100])),
    )


@given(small_tasks())
def test_no_plan_is_better(task: Task) -> None:
    """Among all chains of lawful steps none has a smaller shortfall, cost, throughput, lateness, in this order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgegw.core.planning.LEVELS_AIMED", 3)
        patch.setattr("edgegw.core.planning.LEVELS_MOST", 8)
        plan = make_plan(task)
        expected = best_by_trying(task)
    cost = sum(
        row.energy_wh * ((span.buy if row.energy_wh > 0 else span.sell) or 0)
        for span, row in zip(task.spans, plan.rows, strict=True)
    )
    wanted_wh = 0 if task.soc_bp_wanted is None else task.battery_wh * task.soc_bp_wanted // 10_000
    assert cost == expected[1]
    assert plan.reached == (expected[0] == 0)
    assert plan.reached or plan.soc_bp == (wanted_wh - expected[0]) * 10_000 // task.battery_wh


@given(small_tasks())
def test_a_plan_is_lawful(task: Task) -> None:
    """Each row is within power, price and levels; the sum is its rows'; below the lowest level nothing is sold."""
    plan = make_plan(task)
    socs = [
        task.battery_wh * task.soc_bp // 10_000 * 10_000 // task.battery_wh,
        *(row.soc_bp for row in plan.rows),
    ]
    for span, row, (was, now) in zip(task.spans, plan.rows, pairwise(socs), strict=True):
        hours = (span.end_ns - span.start_ns, 3_600_000_000_000)
        assert (row.start_ns, row.end_ns) == (span.start_ns, span.end_ns)
        if row.energy_wh > 0:
            assert span.buy is not None
            assert row.energy_wh <= task.charge_w * hours[0] // hours[1]
            assert row.amount_mtok == amount_mtok(span.buy, row.energy_wh)
            assert was <= now <= task.soc_bp_most
        elif row.energy_wh < 0:
            assert span.sell is not None
            assert -row.energy_wh <= task.discharge_w * hours[0] // hours[1]
            assert row.amount_mtok == -amount_mtok(span.sell, -row.energy_wh)
            assert now >= task.soc_bp_min - 5  # rounded down
        else:
            assert (row.energy_wh, row.amount_mtok, now) == (0, 0, was)
    assert plan.amount_mtok == sum(row.amount_mtok for row in plan.rows)


@pytest.mark.parametrize(
    ("task", "wanted", "amount", "reached"),
    [
        # charges where it is cheapest, and not more than wanted
        (a_task((100, None), (50, None), (80, None), soc_bp_wanted=7_000), [0, 1_000, 1_000], 130, True),
        # equal prices: the earlier
        (a_task((50, None), (50, None), (50, None), soc_bp_wanted=6_000), [1_000, 0, 0], 50, True),
        # no way to reach it: as near as it gets
        (a_task((100, None), (None, None), soc_bp_wanted=9_000), [1_000, 0], 100, False),
        # sells when dear, charges back when cheap
        (a_task((None, 200), (100, 150), (60, None), soc_bp_wanted=5_000), [-1_000, 0, 1_000], -140, True),
        # nothing is gained: nothing moves
        (a_task((100, 100), (100, 100), soc_bp_wanted=5_000), [0, 0], 0, True),
        # without a wish it sells what it may
        (a_task((None, 100), (None, 200), (None, 150), (None, 90)), [-1_000, -1_000, -1_000, 0], -450, True),
        # a sale that charges back buys nothing to sell
        (a_task((10, None), (None, 200), soc_bp_wanted=4_000, soc_bp_most=4_000), [0, -1_000], -200, True),
        # neither back to what it has, where less is wanted
        (
            a_task(
                (None, 90), (10, None), (None, 80), soc_bp_min=4_000, soc_bp_wanted=3_000, soc_bp_most=3_000
            ),
            [-1_000, 0, 0],
            -90,
            True,
        ),
        # starts below the lowest level: charges, never sells below it
        (a_task((10, 9), (10, 90), soc_bp=1_000), [0, 0], 0, True),
        (
            a_task((10, 90), (10, 90), (10, 90), soc_bp=1_000, soc_bp_wanted=2_000),
            [1_000, 1_000, -1_000],
            -70,
            True,
        ),
        # nothing can move at all
        (a_task((10, 90), charge_w=0, discharge_w=0, soc_bp_wanted=6_000), [0], 0, False),
        # no time is left
        (a_task(soc_bp_wanted=6_000), [], 0, False),
    ],
)
def test_known_plans(task: Task, wanted: list[int], amount: int, *, reached: bool) -> None:
    """The plans are those of small vectors that can be computed by hand."""
    plan = make_plan(task)
    assert (energies(plan), plan.amount_mtok, plan.reached) == (wanted, amount, reached)


def test_losses_are_paid_for() -> None:
    """A sale must earn what charging it back costs, both losses included."""
    lossy: dict[str, Any] = {
        "soc_bp_wanted": 5_000,
        "charge_efficiency_bp": 8_000,
        "discharge_efficiency_bp": 8_000,
    }
    assert energies(make_plan(a_task((None, 150), (100, None), **lossy))) == [0, 0]
    plan = make_plan(a_task((None, 170), (100, None), **lossy))
    assert (energies(plan), plan.amount_mtok) == ([-640, 1_000], 100 - 109)


def test_the_lattice_holds_what_matters() -> None:
    """The present, lowest, wanted and highest state of charge are levels, whatever the step is."""
    task = a_task((1, 1), soc_bp=5_003, soc_bp_min=2_009, soc_bp_wanted=7_777, battery_wh=9_990)
    levels = lattice(task)
    assert {2_006, 4_997, 7_769, 9_990} <= set(levels)
    assert (levels[0], levels[-1]) == (2_006, 9_990)
    assert max(after - before for before, after in pairwise(levels)) <= 100
    assert max(lattice(replace(task, soc_bp_wanted=1_000, soc_bp_most=3_000))) == 4_997


def test_a_kept_plan_knows_its_row() -> None:
    """A plan's row is found by the instant; before and after the plan there is none."""
    plan = make_plan(a_task((50, None), (60, None), soc_bp_wanted=6_000))
    kept = KeptPlan(
        session_id="s", order_id="o", made_ns=T0_NS, soc_bp=5_000, import_wh=0, export_wh=0, plan=plan
    )
    assert kept.row_at(T0_NS) == plan.rows[0]
    assert kept.row_at(T0_NS + INTERVAL_NS) == plan.rows[1]
    assert kept.row_at(T0_NS - 1) is None
    assert kept.row_at(T0_NS + 2 * INTERVAL_NS) is None
