"""The chart of a charging plan: state of charge above, energy charged (up) and sold (down) per quarter hour below.

Decides what the chart shows; charging and selling differ by position and shape, not by colour alone. Labels arrive
translated.
"""

from collections.abc import Sequence
from datetime import tzinfo

from edgegw.common.units import INTERVAL_S
from edgegw.web.charts.axes import (
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
from edgegw.web.charts.series import PlanLabels, PlanMarks, PlanRow
from edgegw.web.charts.svg import Drawn, Number, Steps, box, element, fitted, group, line, path, text
from edgegw.web.formats import decimal, percent


def plan(
    rows: Sequence[PlanRow],
    labels: PlanLabels,
    *,
    chart_id: str,
    zone: tzinfo,
    marks: PlanMarks | None = None,
) -> Drawn:
    """Draw the chart of a plan; `marks` are its limits and instants."""
    ordered = sorted({one.interval_s: one for one in rows}.values(), key=lambda one: one.interval_s)
    return both(
        lambda canvas: _plan(ordered, labels, canvas=canvas, marks=marks or PlanMarks()),
        chart_id=chart_id,
        zone=zone,
        title=labels.title,
        description=labels.description,
    )


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
    """Return the legend of the bars: an arrow up and an arrow down."""
    up: Steps = [("M", (12, -1)), ("L", (20, 13)), ("L", (4, 13)), ("Z", ())]
    down: Steps = [("M", (12, 13)), ("L", (20, -1)), ("L", (4, -1)), ("Z", ())]
    return [
        Key(sample=(path(up, class_="ch-buy-area"),), label=charge),
        Key(sample=(path(down, class_="ch-sell-area"),), label=sale),
    ]


def _soc(rows: Sequence[PlanRow], hours: Scale, soc: Scale, *, marks: PlanMarks) -> Drawn:
    """Draw the state of charge at the ends of the quarter hours, and its lower limit."""
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
    """Draw bars above zero for charging and below for selling; also return the y below them."""
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
