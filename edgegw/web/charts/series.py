"""Input of the charts: points, rows and their labels, which the caller translates.

Energy, money and shares are integers; None is "there is none" or "not measured", never zero.
"""

from dataclasses import dataclass
from typing import Literal

Period = Literal["light", "mid", "peak"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePoint:
    """The prices of one quarter hour; None: no price. `is_fixed` is False while they are expected."""

    interval_s: int
    buy_mtok_per_kwh: int | None
    sell_mtok_per_kwh: int | None
    period: Period
    is_fixed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLabels:
    """Labels of the price curve; `unit` is that of the value axis, `now` the label of the line that marks the present."""

    title: str
    description: str
    buy: str
    sell: str
    fixed: str
    expected: str
    periods: dict[Period, str]
    unit: str
    now: str
    empty: str
    time: str
    load: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """Energy charged and sold in one quarter hour, and the state of charge at its end."""

    interval_s: int
    charge_wh: int
    sale_wh: int
    soc_bp: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLabels:
    """Labels of a plan; `soc_min`, `now` and `departure` are complete, with their numbers ("at least 40%")."""

    title: str
    description: str
    charge: str
    sale: str
    soc: str
    soc_min: str
    departure: str
    now: str
    unit: str
    empty: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMarks:
    """Limits of a plan: lowest state of charge and departure; and its start."""

    soc_start_bp: int | None = None
    soc_min_bp: int | None = None
    departure_s: int | None = None
    now_s: int | None = None
