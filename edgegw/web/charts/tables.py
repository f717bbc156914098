"""The numbers of the charts as rows of an HTML table, for screen readers and for exact values.

Decides which quarter hours share a row: consecutive ones with equal cells. Returns text, which the template escapes. Never
omits a value that the chart shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.web.charts.series import PlanLabels, PlanRow, PriceLabels, PricePoint
from edgegw.web.formats import decimal, kwh, percent, span

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A caption, column heads, and rows of as many cells; the first cell of a row is its head."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def price_table(points: Sequence[PricePoint], labels: PriceLabels, zone: tzinfo) -> Table:
    """Return prices in tokens per kWh; consecutive quarter hours with equal prices, load period and certainty share a row."""
    spans = _together(
        [
            (
                point.interval_s,
                (
                    _price(point.buy_mtok_per_kwh),
                    _price(point.sell_mtok_per_kwh),
                    labels.periods[point.period],
                    labels.fixed if point.is_fixed else labels.expected,
                ),
            )
            for point in sorted(points, key=lambda point: point.interval_s)
        ]
    )
    return Table(
        caption=labels.title,
        heads=(
            labels.time,
            f"{labels.buy} ({labels.unit})",
            f"{labels.sell} ({labels.unit})",
            labels.load,
            labels.state,
        ),
        rows=tuple((_span(begin, end, zone), *cells) for begin, end, cells in spans),
    )


def plan_table(rows: Sequence[PlanRow], labels: PlanLabels, zone: tzinfo) -> Table:
    """Return energy of each quarter hour and state of charge at its end; consecutive idle quarter hours share a row."""
    spans = _together(
        [
            (
                row.interval_s,
                (
                    kwh(row.charge_wh, places=3) if row.charge_wh else NOTHING,
                    kwh(row.sale_wh, places=3) if row.sale_wh else NOTHING,
                    NOTHING if row.soc_bp is None else percent(row.soc_bp),
                ),
            )
            for row in sorted(rows, key=lambda row: row.interval_s)
        ],
        idle=(NOTHING, NOTHING),
    )
    return Table(
        caption=labels.title,
        heads=(labels.time, labels.charge, labels.sale, labels.soc),
        rows=tuple((_span(begin, end, zone), *cells) for begin, end, cells in spans),
    )


def _together(
    cells_at: Sequence[tuple[int, tuple[str, ...]]], *, idle: tuple[str, ...] = ()
) -> list[tuple[int, int, tuple[str, ...]]]:
    """Return (begin, end, cells), with consecutive equal cells that begin with `idle` merged."""
    spans: list[tuple[int, int, tuple[str, ...]]] = []
    for at, cells in cells_at:
        same = bool(spans) and spans[-1][1:] == (at, cells) and cells[: len(idle)] == idle
        begin = spans.pop()[0] if same else at
        spans.append((begin, at + INTERVAL_S, cells))
    return spans


def _span(begin_s: int, end_s: int, zone: tzinfo) -> str:
    return span(begin_s * SECOND_NS, end_s * SECOND_NS, zone)


def _price(price_mtok_per_kwh: int | None) -> str:
    return NOTHING if price_mtok_per_kwh is None else decimal(price_mtok_per_kwh, scale=3)
