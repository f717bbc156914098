"""The chart of a day's prices: buying and selling per quarter hour, over the load periods.

Decides what the chart shows, and that nothing depends on colour alone: buying and selling differ by the shape of their marks,
expected prices are dashed, load periods have labels and bars of three heights. Labels arrive translated.
"""

from collections.abc import Sequence
from datetime import tzinfo

from edgegw.common.units import INTERVAL_S
from edgegw.web.charts.axes import (
    Canvas,
    Key,
    Moment,
    Scale,
    both,
    hours_below,
    legend,
    levels,
    midnights,
    moments,
    uprights,
    value_range,
)
from edgegw.web.charts.series import Period, PriceLabels, PricePoint
from edgegw.web.charts.svg import (
    Drawn,
    Number,
    Steps,
    box,
    element,
    fitted,
    group,
    line,
    path,
    plain,
    text,
    width_of,
)
from edgegw.web.formats import decimal

MARK_EVERY_S = 3 * 3600
LOAD_BAR: dict[Period, int] = {"light": 2, "mid": 5, "peak": 9}
LOAD_CLASS: dict[Period, str] = {"light": "ch-light", "mid": "ch-mid-load", "peak": "ch-peak"}
STRIP = 27


Priced = Sequence[tuple[PricePoint, int | None]]


def price_curve(
    points: Sequence[PricePoint],
    labels: PriceLabels,
    *,
    chart_id: str,
    zone: tzinfo,
    now_s: int | None = None,
) -> Drawn:
    """Draw two step lines over the load periods: prices of buying and of selling. `now_s` marks the present."""
    ordered = sorted({one.interval_s: one for one in points}.values(), key=lambda one: one.interval_s)
    return both(
        lambda canvas: _price_curve(ordered, labels, canvas=canvas, now_s=now_s),
        chart_id=chart_id,
        zone=zone,
        title=labels.title,
        description=labels.description,
    )


def _price_curve(
    points: Sequence[PricePoint], labels: PriceLabels, *, canvas: Canvas, now_s: int | None
) -> Drawn:
    buying = [(one, one.buy_mtok_per_kwh) for one in points]
    selling = [(one, one.sell_mtok_per_kwh) for one in points]
    values = [value for _, value in (*buying, *selling) if value is not None]
    if not values:
        return canvas.nothing(labels.empty)
    frame = canvas.frame
    left, right = frame.room
    hours = Scale(low=points[0].interval_s, high=points[-1].interval_s + INTERVAL_S, start=left, end=right)
    words, unnamed = _period_words(points, labels, hours)
    keys, top = legend(_price_keys(points, labels, unnamed), frame)
    now = [] if now_s is None else [Moment(at_s=now_s, label=labels.now, class_="ch-now")]
    marks, top = moments(now, hours, frame, top=top + 4)
    top += 28
    bottom = top + (190 if frame.name == "phone" else 230)
    low, high, step = value_range(values, 5)
    prices = Scale(low=low, high=high, start=bottom, end=top)
    return canvas.picture(
        _bands(points, hours, top=top, bottom=bottom + STRIP),
        levels(prices, frame, step=step, label=lambda value: decimal(value, scale=3)),
        uprights(midnights(hours, canvas.zone), hours, top=top, bottom=bottom + STRIP, class_="ch-day"),
        group(*(text(x, bottom + 15, word, class_="ch-text ch-mid") for x, word in words)),
        *(uprights([mark.at_s], hours, top=top - 28, bottom=bottom, class_=mark.class_) for mark, _ in marks),
        _curve(selling, hours, prices, class_="ch-sell"),
        _curve(buying, hours, prices, class_="ch-buy"),
        *(pill for _, pill in marks),
        text(8, top - 14, fitted(labels.unit, frame.width / 2), class_="ch-muted"),
        hours_below(hours, canvas.zone, bottom + STRIP + 17),
        keys,
        height=bottom + STRIP + 27,
    )


def _price_keys(points: Sequence[PricePoint], labels: PriceLabels, unnamed: Sequence[Period]) -> list[Key]:
    keys = [
        Key(sample=(line((0, 6), (24, 6), class_="ch-buy"), _mark(12, 6, "ch-buy")), label=labels.buy),
        Key(sample=(line((0, 6), (24, 6), class_="ch-sell"), _mark(12, 6, "ch-sell")), label=labels.sell),
    ]
    if any(one.is_fixed for one in points):
        keys.append(Key(sample=(line((0, 6), (24, 6), class_="ch-line"),), label=labels.fixed))
    if not all(one.is_fixed for one in points):
        dashed = line((0, 6), (24, 6), class_="ch-line ch-expected")
        keys.append(Key(sample=(dashed,), label=labels.expected))
    keys += [Key(sample=_load((0, -2), (24, 16), period), label=labels.periods[period]) for period in unnamed]
    return keys


def _load(corner: tuple[Number, Number], size: tuple[Number, Number], period: Period) -> tuple[Drawn, Drawn]:
    """Draw the band of a load period, and the bar at its foot whose height encodes the period."""
    foot = LOAD_BAR[period]
    return (
        box(corner, size, class_=LOAD_CLASS[period]),
        box((corner[0], corner[1] + size[1] - foot), (size[0], foot), class_="ch-load"),
    )


def _period_runs(points: Sequence[PricePoint]) -> list[tuple[Period, int, int]]:
    """Return (period, begin, end) of each run of consecutive quarter hours in one load period."""
    runs: list[tuple[Period, int, int]] = []
    for one in points:
        end = one.interval_s + INTERVAL_S
        if runs and runs[-1][0] == one.period and runs[-1][2] == one.interval_s:
            runs[-1] = (one.period, runs[-1][1], end)
        else:
            runs.append((one.period, one.interval_s, end))
    return runs


def _bands(points: Sequence[PricePoint], hours: Scale, *, top: Number, bottom: Number) -> Drawn:
    drawn: list[Drawn] = []
    for period, begin, end in _period_runs(points):
        x = hours.at(begin)
        drawn += _load((x, top), (hours.at(end) - x, bottom - top), period)
    return group(*drawn)


def _period_words(
    points: Sequence[PricePoint], labels: PriceLabels, hours: Scale
) -> tuple[list[tuple[float, str]], list[Period]]:
    """Return the labels that fit into their bands, with their centres; and the periods without a band wide enough."""
    words: list[tuple[float, str]] = []
    named: set[Period] = set()
    seen: dict[Period, None] = {}
    for period, begin, end in _period_runs(points):
        seen[period] = None
        if width_of(labels.periods[period]) + 4 <= hours.at(end) - hours.at(begin):
            named.add(period)
            words.append(((hours.at(begin) + hours.at(end)) / 2, plain(labels.periods[period])))
    return words, [period for period in seen if period not in named]


def _curve(prices_of: Priced, hours: Scale, prices: Scale, *, class_: str) -> Drawn:
    """Draw one step line: solid for fixed prices, dashed for expected ones, interrupted where there is no price."""
    steps: dict[bool, Steps] = {True: [], False: []}
    before: tuple[PricePoint, int] | None = None
    for point, value in prices_of:
        joined = before is not None and before[0].interval_s + INTERVAL_S == point.interval_s
        if value is None:
            before = None
            continue
        taken = steps[point.is_fixed]
        x, y = hours.at(point.interval_s), prices.at(value)
        if before is None or not joined:
            taken.append(("M", (x, y)))
        elif before[0].is_fixed is not point.is_fixed:
            taken += [("M", (x, prices.at(before[1]))), ("V", (y,))]
        elif before[1] == value:
            taken.pop()
        else:
            taken.append(("V", (y,)))
        taken.append(("H", (hours.at(point.interval_s + INTERVAL_S),)))
        before = point, value
    return group(
        *(path(steps[True], class_=class_) for _ in steps[True][:1]),
        *(path(steps[False], class_=f"{class_} ch-expected") for _ in steps[False][:1]),
        *_marks(prices_of, hours, prices, class_=class_),
    )


def _marks(prices_of: Priced, hours: Scale, prices: Scale, *, class_: str) -> list[Drawn]:
    """Draw a mark every three hours, offset between buying and selling; at least one."""
    late_s = MARK_EVERY_S // 2 if class_ == "ch-sell" else 0
    there = [(point.interval_s, value) for point, value in prices_of if value is not None]
    chosen = [one for one in there if one[0] % MARK_EVERY_S == late_s] or there[:1]
    return [_mark(hours.at(at + INTERVAL_S // 2), prices.at(value), class_) for at, value in chosen]


def _mark(x: Number, y: Number, class_: str) -> Drawn:
    """Draw a circle for buying, a triangle for selling."""
    if class_ == "ch-buy":
        return element("circle", cx=x, cy=y, r=3.8, class_="ch-mark ch-buy")
    corners: Steps = [("M", (x, y - 5)), ("L", (x + 5, y + 4)), ("L", (x - 5, y + 4)), ("Z", ())]
    return path(corners, class_=f"ch-mark {class_}")
