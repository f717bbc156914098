"""Layout of charts: scales, round ticks, wrapping legends, labels that do not overlap.

Decides positions only, from integers; knows no prices, plans or places. One unit of the picture is one CSS pixel of the
narrow form on a phone of 390 pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from edgegw.web.charts.svg import Drawn, Number, box, element, fitted, group, line, picture, text, width_of

HOUR_S = 3600
DAY_S = 86_400
BOLD = 14  # bold text of size 13 is about as wide as plain text of size 14
LINE_HEIGHT = 21
PILL_HEIGHT = 20
TICK_STEPS_S = (60, 300, 900, 1800, HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 7 * DAY_S)
TICK_GAP = 30
TICK_GAP_LONG = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One of the two forms of a picture: narrow for a phone, wide for a page."""

    name: str
    width: int
    left: int = 48
    right: int = 22

    @property
    def room(self) -> tuple[int, int]:
        """Left and right edge of the plot area."""
        return self.left, self.width - self.right


PHONE = Frame(name="phone", width=360)
DESK = Frame(name="desk", width=760)
FRAMES = (PHONE, DESK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """One form of one picture: frame, ids, time zone, title and description."""

    frame: Frame
    chart_id: str
    zone: tzinfo
    title: str
    description: str

    def picture(self, *children: Drawn, height: Number) -> Drawn:
        """Return the finished form."""
        return picture(
            *children,
            size=(self.frame.width, height),
            chart_id=f"{self.chart_id}-{self.frame.name}",
            class_=f"chart-{self.frame.name}",
            title=self.title,
            description=self.description,
        )

    def nothing(self, shown: str) -> Drawn:
        """Return a form that shows only a text, such as why there is no chart."""
        label = fitted(shown, self.frame.width - 24)
        return self.picture(text(self.frame.width / 2, 45, label, class_="ch-muted ch-mid"), height=80)


def both(
    draw: Callable[[Canvas], Drawn], *, chart_id: str, zone: tzinfo, title: str, description: str
) -> Drawn:
    """Draw the narrow and the wide form in one box; the style sheet shows one of them."""
    canvases = (
        Canvas(frame=frame, chart_id=chart_id, zone=zone, title=title, description=description)
        for frame in FRAMES
    )
    return element("div", *map(draw, canvases), class_="chart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear scale from values to positions."""

    low: int
    high: int
    start: Number
    end: Number

    def __post_init__(self) -> None:
        assert self.low < self.high

    def at(self, value: int) -> float:
        """Return the position of a value."""
        return self.start + (value - self.low) * (self.end - self.start) / (self.high - self.low)


def nice_step(reach: int, count: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... that divides `reach` into at most `count` parts."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if reach <= factor * step * count:
                return factor * step
        step *= 10


def value_range(values: Sequence[int], count: int) -> tuple[int, int, int]:
    """Return (low, high, step) in round numbers around the values; includes zero unless 0 < min < max < 2 * min."""
    low, high = min(values), max(values)
    if not low < high < 2 * low:
        low = min(0, low)
    high = max(0, high)
    step = nice_step(max(1, high - low), count)
    low, high = low // step * step, -(-high // step) * step
    return (low, high, step) if low < high else (low, low + step, step)


def time_ticks(scale: Scale, zone: tzinfo) -> Iterator[tuple[int, str]]:
    """Yield (instant, local time) of the ticks, at the densest step whose labels do not touch; none if no step is wide enough."""
    per_s = (scale.end - scale.start) / (scale.high - scale.low)
    step = next((one for one in TICK_STEPS_S if one * per_s >= TICK_GAP), None)
    if step is None:
        return
    if step < HOUR_S:
        step = next(one for one in TICK_STEPS_S if one * per_s >= TICK_GAP_LONG)
    spacious = step < HOUR_S or step * per_s >= TICK_GAP_LONG
    grain = min(step, 900)
    for at in range(-(-scale.low // grain) * grain, scale.high + 1, grain):
        here = datetime.fromtimestamp(at, zone)
        second = here.hour * HOUR_S + here.minute * 60
        if step > DAY_S:
            second += here.weekday() * DAY_S
        if second % step == 0:
            yield at, f"{here:%m/%d}" if step >= DAY_S else f"{here:%H:%M}" if spacious else f"{here:%H}"


def midnights(scale: Scale, zone: tzinfo) -> Iterator[int]:
    """Yield the instants within the scale at which a local day begins; none if they are too close."""
    if (scale.end - scale.start) * DAY_S < TICK_GAP * (scale.high - scale.low):
        return
    day = datetime.fromtimestamp(scale.low, zone).date()
    while True:
        day += timedelta(days=1)
        at = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
        if at >= scale.high:
            return
        if at > scale.low:
            yield at


def hours_below(scale: Scale, zone: tzinfo, y: Number) -> Drawn:
    """Draw the labels of the time axis with their base line at `y`."""
    return group(
        *(text(scale.at(at), y, label, class_="ch-muted ch-mid") for at, label in time_ticks(scale, zone))
    )


def uprights(instants: Iterable[int], scale: Scale, *, top: Number, bottom: Number, class_: str) -> Drawn:
    """Draw vertical lines at instants."""
    return group(*(line((scale.at(at), top), (scale.at(at), bottom), class_=class_) for at in instants))


def levels(scale: Scale, frame: Frame, *, step: int, label: Callable[[int], str]) -> Drawn:
    """Draw the horizontal lines of the value axis with their labels at the left."""
    left, right = frame.room
    drawn = []
    for value in range(scale.low, scale.high + 1, step):
        y = scale.at(value)
        drawn.append(line((left, y), (right, y), class_="ch-axis" if value in {0, scale.low} else "ch-grid"))
        drawn.append(text(left - 6, y + 4, fitted(label(value), left - 6), class_="ch-muted ch-end"))
    return group(*drawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An entry of a legend: a sample drawn in a box of 24 by 12 at the origin, and its text."""

    sample: tuple[Drawn, ...]
    label: str


def legend(keys: Sequence[Key], frame: Frame) -> tuple[Drawn, Number]:
    """Draw the entries in as many rows as they need; return the drawing and the y below it."""
    x, y = 12.0, 8.0
    drawn = []
    for key in keys:
        label = fitted(key.label, frame.width - 60)
        width = 30 + width_of(label) + 14
        if x > 12 and x + width - 14 > frame.width - 12:
            x, y = 12.0, y + LINE_HEIGHT
        sample = element("g", *key.sample, transform=f"translate({x:.1f} {y:.1f})")
        drawn += [sample, text(round(x, 1) + 30, y + 10.5, label)]
        x += width
    return group(*drawn), y + LINE_HEIGHT if keys else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant that a chart marks with a vertical line and a label above it."""

    at_s: int
    label: str
    class_: str


def moments(
    marks: Sequence[Moment], scale: Scale, frame: Frame, *, top: Number
) -> tuple[list[tuple[Moment, Drawn]], Number]:
    """Draw each mark within the scale with its label in a pill, in rows without overlap; also return the y below them."""
    rows: list[float] = []
    placed = []
    for mark in sorted(marks, key=lambda mark: mark.at_s):
        if not scale.low <= mark.at_s <= scale.high:
            continue
        label = fitted(mark.label, frame.width - 40, BOLD)
        width = width_of(label, BOLD) + 16
        x = min(max(scale.at(mark.at_s) - width / 2, 4), frame.width - 4 - width)
        row = next((index for index, end in enumerate(rows) if end + 4 <= x), len(rows))
        rows[row : row + 1] = [x + width]
        y = top + row * (PILL_HEIGHT + 3)
        pill = box((x, y), (width, PILL_HEIGHT), class_=f"ch-pill {mark.class_}", rx=10)
        placed.append((mark, group(pill, text(x + width / 2, y + 14.5, label, class_="ch-pill-text ch-mid"))))
    return placed, top + len(rows) * (PILL_HEIGHT + 3) + (3 if rows else 0)
