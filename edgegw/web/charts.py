"""Charts for drivers: today's prices, a plan, and the power right now, each as one SVG for a phone and one for a page.

Decides what a chart shows and that nothing is said by colour alone: buying and selling differ by the shape of their marks
and by up and down, what is expected is dashed, load periods carry words and bars of three heights. Words come translated
in frozen labels; the same numbers as rows are in `tables`. Reads no clock and no ledger.
"""

from collections.abc import Sequence
from datetime import tzinfo
from itertools import groupby, pairwise

from edgegw.units import INTERVAL_S
from edgegw.web.axes import (
    DAY_S,
    Canvas,
    Frame,
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
from edgegw.web.formats import decimal, kilowatts, percent
from edgegw.web.series import (
    Period,
    PlanLabels,
    PlanMarks,
    PlanRow,
    PowerLabels,
    PowerPoint,
    PriceLabels,
    PricePoint,
)
from edgegw.web.svg import (
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
    """Two step lines over the load periods: what buying costs and what selling earns, per quarter hour."""
    ordered = sorted({one.interval_s: one for one in points}.values(), key=lambda one: one.interval_s)
    return both(
        lambda canvas: _price_curve(ordered, labels, canvas=canvas, now_s=now_s),
        chart_id=chart_id,
        zone=zone,
        title=labels.title,
        description=labels.description,
    )


def plan(
    rows: Sequence[PlanRow],
    labels: PlanLabels,
    *,
    chart_id: str,
    zone: tzinfo,
    marks: PlanMarks | None = None,
) -> Drawn:
    """The state of charge above, and under it what is charged (up) and sold (down) per quarter hour."""
    ordered = sorted({one.interval_s: one for one in rows}.values(), key=lambda one: one.interval_s)
    return both(
        lambda canvas: _plan(ordered, labels, canvas=canvas, marks=marks or PlanMarks()),
        chart_id=chart_id,
        zone=zone,
        title=labels.title,
        description=labels.description,
    )


def power(points: Sequence[PowerPoint], labels: PowerLabels, *, chart_id: str, zone: tzinfo) -> Drawn:
    """Power over the last while: into the car above the line, out of it below; the last reading stands out."""
    ordered = sorted({one.at_s: one for one in points}.values(), key=lambda one: one.at_s)
    return both(
        lambda canvas: _power(ordered, labels, canvas=canvas),
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
    """A band of a load period, and the bar at its foot whose height says which period it is."""
    foot = LOAD_BAR[period]
    return (
        box(corner, size, class_=LOAD_CLASS[period]),
        box((corner[0], corner[1] + size[1] - foot), (size[0], foot), class_="ch-load"),
    )


def _period_runs(points: Sequence[PricePoint]) -> list[tuple[Period, int, int]]:
    """(period, begin, end) of quarter hours that follow each other within one load period."""
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
    """The words that fit into their bands, with their middles; and the periods none of whose bands is wide enough."""
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
    """One step line: whole where prices are fixed, dashed where they are expected, broken where there are none."""
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
    """A mark every three hours, at other times for selling than for buying; at least one."""
    late_s = MARK_EVERY_S // 2 if class_ == "ch-sell" else 0
    there = [(point.interval_s, value) for point, value in prices_of if value is not None]
    chosen = [one for one in there if one[0] % MARK_EVERY_S == late_s] or there[:1]
    return [_mark(hours.at(at + INTERVAL_S // 2), prices.at(value), class_) for at, value in chosen]


def _mark(x: Number, y: Number, class_: str) -> Drawn:
    """A circle for buying, a triangle for selling."""
    if class_ == "ch-buy":
        return element("circle", cx=x, cy=y, r=3.8, class_="ch-mark ch-buy")
    corners: Steps = [("M", (x, y - 5)), ("L", (x + 5, y + 4)), ("L", (x - 5, y + 4)), ("Z", ())]
    return path(corners, class_=f"ch-mark {class_}")


def _plan(rows: Sequence[PlanRow], labels: PlanLabels, *, canvas: Canvas, marks: PlanMarks) -> Drawn:
    if not rows:
        return canvas.nothing(labels.empty)
    frame = canvas.frame
    left, right = frame.room
    begin, end = rows[0].interval_s, rows[-1].interval_s + INTERVAL_S
    if marks.departure_s is not None and end < marks.departure_s < end + DAY_S:
        end = marks.departure_s
    hours = Scale(low=begin, high=end, start=left, end=right)
    asked = [
        Moment(at_s=at, label=label, class_=class_)
        for at, label, class_ in (
            (marks.now_s, labels.now, "ch-now"),
            (marks.departure_s, labels.departure, "ch-departure"),
        )
        if at is not None
    ]
    keys, top = legend([*_soc_keys(rows, labels, marks), *_up_and_down(labels.charge, labels.sale)], frame)
    pills, top = moments(asked, hours, frame, top=top + 4)
    top += 12
    soc = Scale(low=0, high=10_000, start=top + 110, end=top)
    bars, foot = _energy_bars(rows, hours, frame, top=top + 150)
    return canvas.picture(
        keys,
        levels(soc, frame, step=5000, label=percent),
        _soc(rows, hours, soc, marks=marks),
        text(8, top + 134, fitted(labels.unit, frame.width - 16), class_="ch-muted"),
        bars,
        *(
            uprights(instants, hours, top=begin, bottom=end, class_=class_)
            for begin, end in ((top - (15 if pills else 0), top + 110), (top + 150, foot))
            for instants, class_ in (
                (list(midnights(hours, canvas.zone)), "ch-day"),
                *(([mark.at_s], mark.class_) for mark, _ in pills),
            )
        ),
        *(pill for _, pill in pills),
        hours_below(hours, canvas.zone, foot + 17),
        height=foot + 27,
    )


def _soc_keys(rows: Sequence[PlanRow], labels: PlanLabels, marks: PlanMarks) -> list[Key]:
    keys = []
    if any(row.soc_bp is not None for row in rows):
        keys.append(Key(sample=(line((0, 6), (24, 6), class_="ch-soc"),), label=labels.soc))
    if marks.soc_min_bp is not None:
        keys.append(Key(sample=(line((0, 6), (24, 6), class_="ch-soc-min"),), label=labels.soc_min))
    return keys


def _up_and_down(charge: str, sale: str) -> list[Key]:
    """What stands above zero and what below it, as arrows."""
    up: Steps = [("M", (12, -1)), ("L", (20, 13)), ("L", (4, 13)), ("Z", ())]
    down: Steps = [("M", (12, 13)), ("L", (20, -1)), ("L", (4, -1)), ("Z", ())]
    return [
        Key(sample=(path(up, class_="ch-buy-area"),), label=charge),
        Key(sample=(path(down, class_="ch-sell-area"),), label=sale),
    ]


def _soc(rows: Sequence[PlanRow], hours: Scale, soc: Scale, *, marks: PlanMarks) -> Drawn:
    """The state of charge at the ends of the quarter hours, and the level it must not cross."""
    start = [] if marks.soc_start_bp is None else [(rows[0].interval_s, marks.soc_start_bp)]
    known = start + [(row.interval_s + INTERVAL_S, row.soc_bp) for row in rows if row.soc_bp is not None]
    drawn = []
    if marks.soc_min_bp is not None:
        y = soc.at(_share(marks.soc_min_bp))
        drawn.append(box((hours.start, y), (hours.end - hours.start, soc.start - y), class_="ch-below"))
        drawn.append(line((hours.start, y), (hours.end, y), class_="ch-soc-min"))
    if known:
        steps = [("L", (hours.at(at), soc.at(_share(value)))) for at, value in known]
        steps[0] = ("M", steps[0][1])
        drawn.append(path(steps, class_="ch-soc"))
        for _, (x, y) in (steps[0], steps[-1]):
            drawn.append(element("circle", cx=x, cy=y, r=4, class_="ch-soc-dot"))
    return group(*drawn)


def _share(share_bp: int) -> int:
    return min(10_000, max(0, share_bp))


def _energy_bars(rows: Sequence[PlanRow], hours: Scale, frame: Frame, *, top: Number) -> tuple[Drawn, Number]:
    """Bars above zero for what is charged and below it for what is sold; and where they end."""
    low, high, step = value_range([0, *(row.charge_wh for row in rows), *(-row.sale_wh for row in rows)], 5)
    foot = top + 130
    energy = Scale(low=low, high=high, start=foot, end=top)
    zero = energy.at(0)
    up: Steps = []
    down: Steps = []
    for row in rows:
        x = hours.at(row.interval_s)
        width = hours.at(row.interval_s + INTERVAL_S) - x
        x, width = (x + 0.4, width - 0.8) if width > 2 else (x, width)
        for steps, value_wh in ((up, row.charge_wh), (down, -row.sale_wh)):
            if value_wh:
                steps += [
                    ("M", (x, zero)),
                    ("V", (energy.at(value_wh),)),
                    ("h", (width,)),
                    ("V", (zero,)),
                    ("Z", ()),
                ]
    grid = levels(energy, frame, step=step, label=lambda value: decimal(abs(value), scale=3))
    bars = [
        path(steps, class_=class_) for steps, class_ in ((up, "ch-buy-area"), (down, "ch-sell-area")) if steps
    ]
    return group(grid, *bars, line((hours.start, zero), (hours.end, zero), class_="ch-axis")), foot


def _power(points: Sequence[PowerPoint], labels: PowerLabels, *, canvas: Canvas) -> Drawn:
    known = [(one.at_s, one.power_w) for one in points]
    values = [value for _, value in known if value is not None]
    if not values:
        return canvas.nothing(labels.empty)
    frame = canvas.frame
    left, right = frame.room
    hours = Scale(low=known[0][0], high=max(known[-1][0], known[0][0] + 1), start=left, end=right)
    keys, top = legend(_up_and_down(labels.charging, labels.selling), frame)
    top += 30
    low, high, step = value_range([0, *values], 3)
    watts = Scale(low=low, high=high, start=top + 110, end=top)
    last_w = known[-1][1]
    return canvas.picture(
        keys,
        text(8, top - 14, fitted(labels.unit, frame.width / 3), class_="ch-muted"),
        text(right, top - 14, _last(last_w, labels, frame), class_="ch-strong ch-end"),
        levels(watts, frame, step=step, label=lambda value: decimal(abs(value), scale=3)),
        *_areas(_thinned(known, hours), hours, watts),
        *(
            element("circle", cx=hours.at(known[-1][0]), cy=watts.at(value), r=4.5, class_="ch-power-dot")
            for value in (last_w,)
            if value is not None
        ),
        hours_below(hours, canvas.zone, top + 127),
        height=top + 137,
    )


def _last(power_w: int | None, labels: PowerLabels, frame: Frame) -> str:
    """The last reading in words."""
    if power_w is None:
        return ""
    direction = labels.charging if power_w > 0 else labels.selling if power_w < 0 else ""
    return fitted(f"{direction} {kilowatts(abs(power_w))}".strip(), frame.width * 0.6)


def _thinned(known: Sequence[tuple[int, int | None]], hours: Scale) -> list[tuple[int, int | None]]:
    """At most one reading for each unit of width, the one farthest from zero; what is few stays as it is."""
    if len(known) <= hours.end - hours.start:
        return list(known)
    kept: dict[int, tuple[int, int | None]] = {}
    for at, value in known:
        column = int(hours.at(at))
        first, farthest = kept.get(column, (at, value))
        kept[column] = (first, max((farthest, value), key=lambda one: -1 if one is None else abs(one)))
    return list(kept.values())


def _areas(known: Sequence[tuple[int, int | None]], hours: Scale, watts: Scale) -> list[Drawn]:
    """Steps that hold until the next reading: filled above zero, filled below it, and their outline."""
    spans = [
        (hours.at(at), hours.at(end), value)
        for (at, value), (end, _) in pairwise([*known, (known[-1][0], None)])
    ]
    outline: Steps = []
    areas: dict[str, Steps] = {"ch-buy-area": [], "ch-sell-area": []}
    for _, run in groupby(spans, key=lambda one: one[2] is not None):
        held = [(x, end, value) for x, end, value in run if value is not None]
        outline += _stairs([(x, end, watts.at(value)) for x, end, value in held])
        for class_, sign in (("ch-buy-area", 1), ("ch-sell-area", -1)):
            if any(value * sign > 0 for _, _, value in held):
                stairs = _stairs(
                    [(x, end, watts.at(value if value * sign > 0 else 0)) for x, end, value in held]
                )
                zero = watts.at(0)
                areas[class_] += [
                    ("M", (held[0][0], zero)),
                    ("V", stairs[0][1][1:]),
                    *stairs[1:],
                    ("V", (zero,)),
                    ("Z", ()),
                ]
    drawn = [path(steps, class_=class_) for class_, steps in areas.items() if steps]
    return [*drawn, path(outline, class_="ch-power")] if outline else drawn


def _stairs(spans: Sequence[tuple[float, float, float]]) -> Steps:
    """A step line over (begin, end, height)."""
    steps: Steps = []
    for x, end, y in spans:
        steps += [("V", (y,)) if steps else ("M", (x, y)), ("H", (end,))]
    return steps
