"""The plan of a sale: so much and no more is sold, and what is wanted at departure is charged back at the least cost.

Decides the signed energy of each interval, as `planning` does, under a law of its own: all sales together are at most
`sale_wh_most`, and charging goes no higher than the wanted state of charge, so that what is charged is what is wanted
at departure and the sale took, and nothing is bought in order to be sold.

Why it is the optimum on its lattice: what may still happen depends on how much was sold, and on the level, alone; until
something was charged the former tells the latter. Backward induction over both therefore finds the least (shortfall,
cost, energy through the battery, lateness of charging) of all lawful plans. The lattice: a sale draws whole units, as
many of which as `most` draw what may be sold; a charge ends whole strides of units below the wanted level. Levels are
counted in `scale`-th parts of a Wh, so that no remainder of a unit is left unsold.
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

PARTS = (3, 6)  # units in a full interval of the weaker way: where it can be no fewer, and no more
UNITS_AIMED = 30  # of a sale: fewer parts rather than more units, but one

Uncharged = list[int]  # what it is worth, by the units sold, to have charged nothing so far
Charged = list[
    list[list[int]]
]  # by the units sold, those above a whole stride, and the strides below the wanted level


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """What a unit draws and where levels are, in `scale`-th parts of a Wh."""

    scale: int
    unit: int
    most: int  # units
    stride: int  # units
    now: int
    low: int
    wanted: int

    def level(self, place: "LatticePoint") -> int:
        """Where the battery is."""
        if place.under is None:
            return self.now - place.sold * self.unit
        return self.wanted - place.under * self.unit

    def draws(self) -> range:
        """What sales of one unit and more draw."""
        return range(self.unit, self.unit * self.most + 1, self.unit)

    def below(self, sold: int) -> int:
        """How many whole units below the wanted level a car that charged may be after selling so many; -1: it cannot."""
        return max(-1, -(-(self.wanted - self.now) // self.unit) + sold - 1)

    def floor(self) -> int:
        """How many units below the wanted level a sale may end at most."""
        return (self.wanted - self.low) // self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """One span's lawful moves, weighted: `sales` by their units from 1, `charges` by theirs from 0."""

    sales: Sequence[int]
    charges: Sequence[int]
    stored_most: int
    of_charge: Callable[[int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatticePoint:
    """Where a plan stands: units sold; units below the wanted level, None as long as nothing was charged."""

    sold: int
    under: int | None


def make_sale_plan(task: Task, sale_wh_most: int) -> Plan:
    """The best plan that sells at most so much in sum, and charges to `task.soc_bp_wanted` at most."""
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
    """What `make_sale_plan` plans on; None: nothing can be sold, and it plans as `make_plan` does."""
    most = _draws(task, sale_wh_most)
    return None if most <= 0 else _lattice(task, most)


def _draws(task: Task, sale_wh_most: int) -> int:
    """What selling so much, or all that the spans allow, draws from the battery, in Wh."""
    spans_wh = [most_wh(span, task.discharge_w) for span in task.spans if span.sell is not None]
    return -(-min(sale_wh_most, sum(spans_wh)) * 10_000 // task.discharge_efficiency_bp)


def _lattice(task: Task, depth_wh: int) -> Lattice:
    in_wh, out_wh = rated_wh(task)

    def lost(count: int) -> int:
        """What of a full interval each way lies beyond the last whole unit, in per mille."""
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
    """What each place is worth at departure: nothing, but for what is short of the wanted level."""
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

    # What the meter counts of several sales adds up to no more than what it counts of all their units at once.
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
    """What each place is worth one span earlier."""
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
    """The same for all places that sold so much and stand so far above a whole stride: what `_moves` yields, at once."""
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
    """Everything lawful in a span, the rest first, with what it costs to the end."""
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
