"""Plans when a parked car charges and sells until it leaves, at the least cost.

Decides the signed energy of each interval, by dynamic programming over levels of the battery. Knows no session and no
market: prices, powers and limits come in, rows go out. Efficiencies apply between meter and battery. A stored Wh has no
value of its own, so that the plan sells down to the state of charge wanted at departure. `sale_plan` also bounds the sum of
all sales; this module does not. Integers only.

Why the plan is optimal on its lattice: (1) the cost of an interval depends only on the levels at its beginning and end,
so the rest of an optimal plan is an optimal plan of the rest; (2) backward induction therefore finds the least
(shortfall, cost, energy through the battery, lateness of charging), in this order, for every level and interval;
(3) every allowed step between levels is tried, and a plan on the lattice is a chain of allowed steps.
Costs are compared as price times Wh, unrounded, so that no energy is moved only to gain from rounding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgegw.common.units import INTERVAL_S, SECOND_NS, amount_mtok

WH_NS = 3_600 * SECOND_NS
LEVELS_AIMED = 128  # of a full battery; a step is an integer fraction of what an interval can charge
LEVELS_MOST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A period with one price each way, in milli-token per kWh; None: no charging, or no selling."""

    start_ns: int
    end_ns: int
    buy: int | None
    sell: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Input of a plan. Charging goes no higher than `soc_bp_most`, selling no lower than `soc_bp_min`."""

    spans: Sequence[Span]
    charge_w: int
    discharge_w: int
    battery_wh: int
    soc_bp: int
    soc_bp_min: int
    soc_bp_wanted: int | None = None
    soc_bp_most: int = 10_000
    charge_efficiency_bp: int = 9_400
    discharge_efficiency_bp: int = 9_400


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One span: energy at the meter (import positive), cost (earnings negative), and state of charge after it."""

    start_ns: int
    end_ns: int
    energy_wh: int
    amount_mtok: int
    soc_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan. `reached`: it attains the wanted state of charge; otherwise it comes as close as possible."""

    rows: tuple[PlannedRow, ...]
    amount_mtok: int
    soc_bp: int
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """A session's plan, with what the session had moved when it was made; a `stale` one is made again on use."""

    session_id: str
    order_id: str
    made_ns: int
    soc_bp: int
    import_wh: int
    export_wh: int
    plan: Plan
    stale: bool = False

    def row_at(self, now_ns: int) -> PlannedRow | None:
        """Return the row of an instant, or None."""
        return next((row for row in self.plan.rows if row.start_ns <= now_ns < row.end_ns), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of one unit of shortfall, cost and throughput; each exceeds the largest sum of all criteria after it."""

    shortfall: int
    cost: int
    through: int

    def of_charge(self, number: int, *, stored: int, cost: int) -> int:
        """Return the weight of storing `stored` in span `number` at `cost`; later spans weigh more."""
        return cost * self.cost + stored * (self.through + number)

    def of_sale(self, *, drawn: int, earned: int) -> int:
        """Return the weight of drawing `drawn` and earning `earned`."""
        return drawn * self.through - earned * self.cost


def charged_wh(task: Task, stored: int, *, scale: int = 1) -> int:
    """Return the Wh at the meter for `stored` into the battery, in units of 1/`scale` Wh."""
    return -(-stored * 10_000 // (scale * task.charge_efficiency_bp))


def sold_wh(task: Task, drawn: int, *, scale: int = 1) -> int:
    """Return the Wh at the meter for `drawn` from the battery, in units of 1/`scale` Wh."""
    return drawn * task.discharge_efficiency_bp // (scale * 10_000)


def level_wh(task: Task, soc_bp: int) -> int:
    """Return the battery's content in Wh at a state of charge."""
    return task.battery_wh * soc_bp // 10_000


def rated_wh(task: Task) -> tuple[int, int]:
    """Return what a full interval stores and draws at rated power, at least 1 Wh; both equal where nothing charges."""
    out_wh = max(1, task.discharge_w * INTERVAL_S // 3600 * 10_000 // task.discharge_efficiency_bp)
    return max(1, task.charge_w * INTERVAL_S // 3600 * task.charge_efficiency_bp // 10_000 or out_wh), out_wh


def most_wh(span: Span, power_w: int) -> int:
    """Return the Wh at the meter that a power moves in a whole span."""
    return power_w * (span.end_ns - span.start_ns) // WH_NS


def planned_row(span: Span, energy_wh: int, *, soc_bp: int) -> PlannedRow:
    """Return the row of a span with this energy at the meter, at the span's price."""
    price = span.buy if energy_wh > 0 else span.sell
    assert not energy_wh or price is not None
    amount = amount_mtok(price or 0, abs(energy_wh))
    return PlannedRow(
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        energy_wh=energy_wh,
        amount_mtok=amount if energy_wh > 0 else -amount,
        soc_bp=soc_bp,
    )


def plan_of(rows: Sequence[PlannedRow], *, soc_bp: int, reached: bool) -> Plan:
    """Return the plan of these rows, with the sum of their amounts."""
    return Plan(
        rows=tuple(rows),
        amount_mtok=sum(row.amount_mtok for row in rows),
        soc_bp=soc_bp,
        reached=reached,
    )


def lattice(task: Task) -> tuple[int, ...]:
    """Return the levels in Wh, ascending: steps from the present level, and the lowest, wanted and highest levels."""
    now_wh = level_wh(task, task.soc_bp)
    low_wh = min(now_wh, level_wh(task, task.soc_bp_min))
    high_wh = max(now_wh, level_wh(task, task.soc_bp_most))
    full_wh, parts = _steps(task)
    down = range((now_wh - low_wh) * parts // full_wh + 1)
    up = range((high_wh - now_wh) * parts // full_wh + 1)
    levels = {low_wh, now_wh, high_wh}
    levels |= {now_wh - full_wh * number // parts for number in down}
    levels |= {now_wh + full_wh * number // parts for number in up}
    if task.soc_bp_wanted is not None:
        levels.add(min(high_wh, max(low_wh, level_wh(task, task.soc_bp_wanted))))
    return tuple(sorted(levels))


def make_plan(task: Task) -> Plan:
    """Return the best plan on the lattice."""
    levels = lattice(task)
    values, choices = _ends(task, levels), []
    weighted, changes = weights(task, _widest(levels)), _changes(levels)
    for number in range(len(task.spans) - 1, -1, -1):
        values, best = _step_back(
            task, levels, values, costs=_costs(task, number, changes, weighted=weighted)
        )
        choices.append(best)
    place = levels.index(level_wh(task, task.soc_bp))
    rows = []
    for span, best in zip(task.spans, reversed(choices), strict=True):
        after = best[place]
        rows.append(_row(task, span, was_wh=levels[place], after_wh=levels[after]))
        place = after
    wanted_wh = 0 if task.soc_bp_wanted is None else level_wh(task, task.soc_bp_wanted)
    return plan_of(rows, soc_bp=levels[place] * 10_000 // task.battery_wh, reached=levels[place] >= wanted_wh)


def _steps(task: Task) -> tuple[int, int]:
    """Return what an interval at rated power stores (or draws, where nothing charges), and its number of steps.

    The number is the one that loses the least of a rated interval's discharge to rounding, in per cent; of equals the
    lowest.
    """
    full_wh, out_wh = rated_wh(task)
    full_wh = max(full_wh, task.battery_wh // LEVELS_MOST)
    fewest = max(2, LEVELS_AIMED * full_wh // task.battery_wh)

    def lost(parts: int) -> int:
        used_wh = (out_wh - 1) * parts // full_wh * full_wh // parts
        return (out_wh - used_wh) * 100 // out_wh

    return full_wh, min(full_wh, min(range(fewest, 2 * fewest + 1), key=lost))


def weights(task: Task, widest: int) -> Weights:
    """Return the weights of a task whose levels differ by at most `widest`."""
    count = len(task.spans) + 1
    through = count * count * widest + 1
    cost = through * count * widest * 2
    prices = [abs(price) for span in task.spans for price in (span.buy, span.sell) if price is not None]
    most = max(prices, default=0) * charged_wh(task, widest) + 1
    return Weights(shortfall=cost * 2 * count * most, cost=cost, through=through)


def _widest(levels: Sequence[int]) -> int:
    return levels[-1] - levels[0] + 1


def _ends(task: Task, levels: Sequence[int]) -> list[int]:
    """Return the cost of each level at departure: its shortfall below the wanted level."""
    if task.soc_bp_wanted is None:
        return [0] * len(levels)
    wanted_wh = level_wh(task, task.soc_bp_wanted)
    shortfall = weights(task, _widest(levels)).shortfall
    return [max(0, wanted_wh - level) * shortfall for level in levels]


def _changes(levels: Sequence[int]) -> tuple[int, ...]:
    """Return every difference between two levels, ascending."""
    return tuple(sorted({above - below for below in levels for above in levels if above > below}))


def _costs(task: Task, number: int, changes: Sequence[int], *, weighted: Weights) -> dict[int, int]:
    """Return the weighted cost of each allowed change of level in a span, by its Wh (charging positive)."""
    span = task.spans[number]
    costs = {0: 0}
    for change_wh in changes if span.buy is not None else ():
        energy_wh = charged_wh(task, change_wh)
        if energy_wh > most_wh(span, task.charge_w):
            break
        costs[change_wh] = weighted.of_charge(number, stored=change_wh, cost=(span.buy or 0) * energy_wh)
    for change_wh in changes if span.sell is not None else ():
        energy_wh = sold_wh(task, change_wh)
        if energy_wh > most_wh(span, task.discharge_w):
            break
        costs[-change_wh] = weighted.of_sale(drawn=change_wh, earned=(span.sell or 0) * energy_wh)
    return costs


def _step_back(
    task: Task, levels: Sequence[int], values: Sequence[int], *, costs: Mapping[int, int]
) -> tuple[list[int], list[int]]:
    """Return the values and best next levels one span earlier."""
    low_wh, high_wh = level_wh(task, task.soc_bp_min), level_wh(task, task.soc_bp_most)
    up_wh, down_wh = max(costs), -min(costs)
    earlier, best = [], []
    first = 0
    for place, level in enumerate(levels):
        while levels[first] < level - down_wh:
            first += 1
        least, chosen = values[place], place
        after = first
        while after < len(levels) and levels[after] - level <= up_wh:
            change = levels[after] - level
            if levels[after] <= high_wh if change > 0 else change and levels[after] >= low_wh:
                value = costs[change] + values[after]
                if value < least:
                    least, chosen = value, after
            after += 1
        earlier.append(least)
        best.append(chosen)
    return earlier, best


def _row(task: Task, span: Span, *, was_wh: int, after_wh: int) -> PlannedRow:
    change_wh = after_wh - was_wh
    energy_wh = charged_wh(task, change_wh) if change_wh > 0 else -sold_wh(task, -change_wh)
    return planned_row(span, energy_wh, soc_bp=after_wh * 10_000 // task.battery_wh)
