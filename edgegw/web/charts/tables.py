"""The numbers of the charts as rows, for those who read instead of look; templates print them as an HTML table.

Decides which quarter hours are told together: those that say the same and follow each other. Returns words, not markup:
the template escapes them. Never leaves out a value that the picture shows.
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
    """A caption, the heads of the columns, and rows as wide as these; the first cell of a row is its head."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def price_table(points: Sequence[PricePoint], labels: PriceLabels, zone: tzinfo) -> Table:
    """Prices in tokens per kWh; neighbours with the same prices, load period and certainty are one row."""
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
    """Energy of each quarter hour and the state of charge at its end; neighbours in which nothing happens are one row."""
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
    """(begin, end, cells) of neighbours with equal cells that begin with `idle`."""
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
