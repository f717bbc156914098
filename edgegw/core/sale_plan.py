"""Plans a sale of bounded energy, charging back what is wanted at departure at the least cost.

Decides the signed energy of each interval as `planning` does, with two more constraints: all sales together are at most
`sale_wh_most`, and charging goes no higher than the wanted state of charge, so that nothing is bought in order to be sold.

Why the plan is optimal on its lattice: what may still happen depends only on the energy sold so far and on the level, and
before the first charge the former determines the latter. Backward induction over both therefore finds the least
(shortfall, cost, energy through the battery, lateness of charging) of all allowed plans. On the lattice a sale draws whole
units, of which `most` are what may be sold; a charge ends a whole number of strides (of units) below the wanted level.
Levels are counted in 1/`scale` Wh, so that no remainder of a unit is left unsold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import itemgetter

from edgegw.core.planning import (
    Plan,
    PlannedRow,
    Task,
    Weights,
    charged_wh,
    level_wh,
    make_plan,
    most_wh,
    plan_of,
    planned_row,
    rated_wh,
    sold_wh,
    weights,
)

PARTS = (3, 6)  # bounds of the units in a full interval, at the lower of both powers
UNITS_AIMED = 30  # of a sale: takes fewer parts rather than more units, one part at least

Uncharged = list[int]  # cost to the end by the units sold, where nothing is charged so far
Charged = list[
    list[list[int]]
]  # cost to the end by units sold, units beyond a whole stride, and strides below the wanted level


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Units and levels of the battery in 1/`scale` Wh; `most` and `stride` are counted in units."""

    scale: int
    unit: int
    most: int  # units
    stride: int  # units
    now: int
    low: int
    wanted: int

    def level(self, place: "LatticePoint") -> int:
        """Return the battery's level at a point."""
        if place.under is None:
            return self.now - place.sold * self.unit
        return self.wanted - place.under * self.unit

    def draws(self) -> range:
        """Return what sales of one unit and more draw."""
        return range(self.unit, self.unit * self.most + 1, self.unit)

    def below(self, sold: int) -> int:
        """Return how many units below the wanted level a car may be that sold `sold` and charged; -1: it cannot."""
        return max(-1, -(-(self.wanted - self.now) // self.unit) + sold - 1)

    def floor(self) -> int:
        """Return how many units below the wanted level a sale may end at most."""
        return (self.wanted - self.low) // self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Weighted costs of a span's allowed moves: `sales` by their units from 1, `charges` by theirs from 0."""

    sales: Sequence[int]
    charges: Sequence[int]
    stored_most: int
    of_charge: Callable[[int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticePoint:
    """A point of the lattice: units sold, and units below the wanted level (None before the first charge)."""

    sold: int
    under: int | None


def make_sale_plan(task: Task, sale_wh_most: int) -> Plan:
    """Return the best plan that sells at most `sale_wh_most` and charges to `task.soc_bp_wanted` at most."""
    grid = sale_lattice(task, sale_wh_most)
    if grid is None:
        return make_plan(task)
    weighted = weights(task, _widest(grid))
    worth = _ends(grid, weighted.shortfall)
    stages = []
    for number in range(len(task.spans) - 1, -1, -1):
        costs = _costs(task, grid, number, weighted=weighted)
        stages.append((costs, worth))
        worth = _step_back(grid, worth, costs)
    levels = [grid.now]
    place = LatticePoint(sold=0, under=None)
    for costs, after in reversed(stages):
        _, place = min(_moves(grid, after, costs, place=place), key=itemgetter(0))
        levels.append(grid.level(place))
    rows = tuple(
        _row(task, grid, number, change=levels[number + 1] - levels[number], level=levels[number + 1])
        for number in range(len(task.spans))
    )
    return plan_of(rows, soc_bp=_soc_bp(task, grid, levels[-1]), reached=levels[-1] >= grid.wanted)


def sale_lattice(task: Task, sale_wh_most: int) -> Lattice | None:
    """Return the lattice of `make_sale_plan`; None where nothing can be sold and `make_plan` serves."""
    most = _draws(task, sale_wh_most)
    return None if most <= 0 else _lattice(task, most)


def _draws(task: Task, sale_wh_most: int) -> int:
    """Return the Wh that the sale, or all that the spans allow, draws from the battery."""
    spans_wh = [most_wh(span, task.discharge_w) for span in task.spans if span.sell is not None]
    return -(-min(sale_wh_most, sum(spans_wh)) * 10_000 // task.discharge_efficiency_bp)


def _lattice(task: Task, depth_wh: int) -> Lattice:
    in_wh, out_wh = rated_wh(task)

    def lost(count: int) -> int:
        """Return the part of a full interval beyond the last whole unit, both ways, in per mille."""
        sold = min(out_wh, depth_wh) * count // depth_wh * depth_wh // count
        charged = in_wh * count // depth_wh * depth_wh // count
        return (min(out_wh, depth_wh) - sold) * 1_000 // out_wh + (in_wh - charged) * 1_000 // in_wh

    fullest_wh = min(out_wh, in_wh)
    fewest, most = (depth_wh * parts // fullest_wh for parts in PARTS)
    fewest = max(1, -(-depth_wh // fullest_wh), min(fewest, UNITS_AIMED))
    most = max(fewest, min(most, UNITS_AIMED)) + 2
    count = min(range(fewest, most + 1), key=lost)
    return Lattice(
        scale=count,
        unit=depth_wh,
        most=count,
        stride=max(1, in_wh * count // (depth_wh * PARTS[1])),
        now=level_wh(task, task.soc_bp) * count,
        low=level_wh(task, task.soc_bp_min) * count,
        wanted=level_wh(task, task.soc_bp_wanted or 0) * count,
    )


def _widest(grid: Lattice) -> int:
    return abs(grid.wanted - grid.now) + grid.most * grid.unit + 1


def _ends(grid: Lattice, shortfall: int) -> tuple[Uncharged, Charged]:
    """Return the cost of each point at departure: its shortfall below the wanted level."""
    kept = [max(0, grid.wanted - grid.now + sold * grid.unit) * shortfall for sold in range(grid.most + 1)]
    charged = [
        [
            [under * grid.unit * shortfall for under in range(over, grid.below(sold) + 1, grid.stride)]
            for over in range(min(grid.stride, sold + 1))
        ]
        for sold in range(grid.most + 1)
    ]
    return kept, charged


def _costs(task: Task, grid: Lattice, number: int, *, weighted: Weights) -> Costs:
    span = task.spans[number]

    def of_charge(stored: int) -> int:
        cost = (span.buy or 0) * charged_wh(task, stored, scale=grid.scale)
        return weighted.of_charge(number, stored=stored, cost=cost)

    # Rounded separately, several sales count no more at the meter than all their units at once.
    sales = ((drawn, sold_wh(task, drawn, scale=grid.scale)) for drawn in grid.draws())
    sale_wh_most = 0 if span.sell is None else most_wh(span, task.discharge_w)
    stored_most = 0
    if span.buy is not None:
        stored_most = most_wh(span, task.charge_w) * grid.scale * task.charge_efficiency_bp // 10_000
    return Costs(
        sales=[
            weighted.of_sale(drawn=drawn, earned=(span.sell or 0) * energy_wh)
            for drawn, energy_wh in takewhile(lambda sale: sale[1] <= sale_wh_most, sales)
        ],
        charges=[of_charge(units * grid.unit) for units in range(stored_most // grid.unit + 1)],
        stored_most=stored_most,
        of_charge=of_charge,
    )


def _step_back(grid: Lattice, worth: tuple[Uncharged, Charged], costs: Costs) -> tuple[Uncharged, Charged]:
    """Return the cost to the end of each point one span earlier."""
    _, charged = worth
    return (
        [
            min(value for value, _ in _moves(grid, worth, costs, place=LatticePoint(sold=sold, under=None)))
            for sold in range(grid.most + 1)
        ],
        [
            [_row_back(grid, charged, costs, sold=sold, over=over) for over in range(len(rows))]
            for sold, rows in enumerate(charged)
        ],
    )


def _row_back(grid: Lattice, charged: Charged, costs: Costs, *, sold: int, over: int) -> list[int]:
    """Return the least costs of `_moves` for all points with these units sold and this remainder of a stride."""
    best = list(charged[sold][over])
    for strides, cost in enumerate(costs.charges[over :: grid.stride][: len(best)]):
        reached = charged[sold][0][: len(best) - strides]
        best[strides:] = map(min, best[strides:], [value + cost for value in reached])
    for units, cost in enumerate(costs.sales[: grid.most - sold], start=1):
        carry, left = divmod(over + units, grid.stride)
        count = min(len(best), max(0, (grid.floor() - left) // grid.stride - carry + 1))
        reached = charged[sold + units][left][carry : carry + count]
        best[:count] = map(min, best[:count], [value + cost for value in reached])
    return best


def _moves(
    grid: Lattice, worth: tuple[Uncharged, Charged], costs: Costs, *, place: LatticePoint
) -> Iterator[tuple[int, LatticePoint]]:
    """Yield every allowed move in a span with its cost to the end; staying at rest comes first."""
    kept, charged = worth
    sold, under = place.sold, place.under

    def value(after: LatticePoint) -> int:
        if after.under is None:
            return kept[after.sold]
        strides, over = divmod(after.under, grid.stride)
        return charged[after.sold][over][strides]

    yield value(place), place
    level = grid.level(place)
    for units, cost in enumerate(costs.sales[: grid.most - sold], start=1):
        if level - units * grid.unit < grid.low:
            break
        after = LatticePoint(sold=sold + units, under=None if under is None else under + units)
        yield value(after) + cost, after
    nearest = -(-max(0, grid.wanted - level - costs.stored_most) // (grid.stride * grid.unit))
    for target in range(nearest * grid.stride, grid.below(sold) + 1, grid.stride):
        stored = grid.wanted - target * grid.unit - level
        if stored <= 0:
            break
        after = LatticePoint(sold=sold, under=target)
        yield value(after) + costs.of_charge(stored), after


def _row(task: Task, grid: Lattice, number: int, *, change: int, level: int) -> PlannedRow:
    charges = change > 0
    energy_wh = (charged_wh if charges else sold_wh)(task, abs(change), scale=grid.scale)
    return planned_row(
        task.spans[number], energy_wh if charges else -energy_wh, soc_bp=_soc_bp(task, grid, level)
    )


def _soc_bp(task: Task, grid: Lattice, level: int) -> int:
    return level * 10_000 // (grid.scale * task.battery_wh)
