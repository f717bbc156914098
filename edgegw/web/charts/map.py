"""A map of charging stations, drawn from their coordinates alone: no tiles, no internet.

Decides the positions of the list's numbers so that none covers another; a station without room for its number is a dot, and
the map states how many. Azimuthal equidistant around its origin, with rings and a scale bar. A free station is a filled
circle, an occupied one a square with a bar, an unknown one an open circle. Never decides order or distances of the list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from math import cos, hypot, pi, sin

from edgegw.web.charts.axes import Canvas, Key, both, legend, nice_step
from edgegw.web.charts.svg import (
    Drawn,
    Steps,
    box,
    element,
    fitted,
    group,
    line,
    path,
    text,
    width_of,
    words,
)
from edgegw.web.formats import KILOMETRE_M, decimal
from edgegw.web.geography import GeoPoint, plane_m

EXTENT_M_MIN = 150
MARGIN = 34
BADGE = 22
GAP = 3
REACH = 84
SCALE_SHARE = 0.3
EDGE = 2
SQUARE = 32
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStation:
    """A station with its number in the list; `is_free` is None if unknown."""

    number: int
    place: GeoPoint
    name: str
    is_free: bool | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLabels:
    """Labels of the map; `{count}` in `unnumbered` becomes the number of stations without a number."""

    title: str
    description: str
    origin: str
    own: str
    free: str
    occupied: str
    unknown: str
    north: str
    unnumbered: str
    empty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """The rectangle that a number or label covers."""

    left: float
    top: float
    right: float
    bottom: float

    def touches(self, other: "_Box") -> bool:
        return (
            self.left < other.right + GAP
            and other.left < self.right + GAP
            and self.top < other.bottom + GAP
            and other.top < self.bottom + GAP
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """The transformation from metres around the origin to the picture."""

    middle: Point
    centre_m: Point
    per_m: float

    def at(self, point_m: Point) -> Point:
        return (
            self.middle[0] + (point_m[0] - self.centre_m[0]) * self.per_m,
            self.middle[1] - (point_m[1] - self.centre_m[1]) * self.per_m,
        )


class _Taken:
    """The boxes placed so far, indexed by a grid, so that many stations are placed in linear time."""

    def __init__(self) -> None:
        self._boxes: dict[tuple[int, int], list[_Box]] = {}

    def take(self, wanted: _Box, *, within: _Box) -> bool:
        """Place a box; return False if it leaves the map or touches another."""
        inside = (
            wanted.left >= within.left + EDGE
            and wanted.right <= within.right - EDGE
            and wanted.top >= within.top + EDGE
            and wanted.bottom <= within.bottom - EDGE
        )
        squares = [
            (column, row)
            for column in range(int(wanted.left - GAP) // SQUARE, int(wanted.right + GAP) // SQUARE + 1)
            for row in range(int(wanted.top - GAP) // SQUARE, int(wanted.bottom + GAP) // SQUARE + 1)
        ]
        if not inside or any(
            wanted.touches(one) for square in squares for one in self._boxes.get(square, ())
        ):
            return False
        for square in squares:
            self._boxes.setdefault(square, []).append(wanted)
        return True


def draw(origin: GeoPoint, stations: Sequence[MapStation], labels: MapLabels, *, chart_id: str) -> Drawn:
    """Draw the stations around the origin, scaled to fit, with the numbers of their list."""
    return both(
        lambda canvas: _draw(origin, stations, labels, canvas=canvas),
        chart_id=chart_id,
        zone=UTC,
        title=labels.title,
        description=labels.description,
    )


def _draw(origin: GeoPoint, stations: Sequence[MapStation], labels: MapLabels, *, canvas: Canvas) -> Drawn:
    if not stations:
        return canvas.nothing(labels.empty)
    frame = canvas.frame
    keys, top = legend(_keys(stations, labels), frame)
    area = _Box(left=0, top=top, right=frame.width, bottom=top + (330 if frame.name == "phone" else 420))
    ordered = sorted(stations, key=lambda station: station.number)
    spots_m = [plane_m(origin, station.place) for station in ordered]
    sheet = _sheet(spots_m, area)
    taken = _Taken()
    still = [*_scale_bar(sheet, area, taken), *_north(labels, area, taken)]
    here = _here(sheet.at((0.0, 0.0)), labels, area=area, taken=taken)
    rings = _rings(sheet, area, taken, reach_m=max(hypot(*spot) for spot in spots_m))
    placed, unplaced = _placed(ordered, [sheet.at(spot) for spot in spots_m], area=area, taken=taken)
    note = labels.unnumbered.replace("{count}", str(unplaced)) if unplaced else ""
    foot = area.bottom + (24 if note else 0)
    return canvas.picture(
        *rings,
        *placed,
        here,
        *still,
        box((0, 0), (frame.width, top), class_="ch-ground", rx=8),  # rings end where the map does
        keys,
        *(
            (
                box((0, area.bottom), (frame.width, 24), class_="ch-ground"),
                text(12, area.bottom + 15, fitted(note, frame.width - 24), class_="ch-muted"),
            )
            if note
            else ()
        ),
        height=foot,
    )


def _keys(stations: Sequence[MapStation], labels: MapLabels) -> list[Key]:
    named = (
        (True, labels.free),
        (False, labels.occupied),
        (None, labels.unknown),
    )
    there = {station.is_free for station in stations}
    keys = [
        Key(sample=_badge((12, 6), 15, is_free), label=word) for is_free, word in named if is_free in there
    ]
    if any(station.is_own for station in stations):
        keys.append(Key(sample=(_ring((12, 6), 10),), label=labels.own))
    return keys


def _sheet(spots_m: Sequence[Point], area: _Box) -> _Sheet:
    """Return the scale at which all spots and the origin fit, with room for their numbers."""
    easts, norths = ([0.0, *(spot[axis] for spot in spots_m)] for axis in (0, 1))
    reach_m = (max(max(easts) - min(easts), EXTENT_M_MIN), max(max(norths) - min(norths), EXTENT_M_MIN))
    return _Sheet(
        middle=((area.left + area.right) / 2, (area.top + area.bottom) / 2),
        centre_m=((max(easts) + min(easts)) / 2, (max(norths) + min(norths)) / 2),
        per_m=min(
            (area.right - area.left - 2 * MARGIN) / reach_m[0],
            (area.bottom - area.top - 2 * MARGIN) / reach_m[1],
        ),
    )


def _placed(
    stations: Sequence[MapStation], spots: Sequence[Point], *, area: _Box, taken: _Taken
) -> tuple[list[Drawn], int]:
    """Draw the stations, the first of the list first; also return how many have no room for their number."""
    behind, badges, unplaced = [], [], 0
    for station, spot in zip(stations, spots, strict=True):
        shown = str(station.number)
        width = max(BADGE, width_of(shown) + 8)
        found = next((at for at in _around(spot) if taken.take(_about(at, width, BADGE), within=area)), None)
        if found != spot:
            behind.append(element("circle", cx=spot[0], cy=spot[1], r=3, class_="map-dot"))
        if found is None:
            unplaced += 1
            continue
        if found != spot:
            behind.append(line(spot, found, class_="map-leader"))
        number_class = "map-number map-number-free" if station.is_free else "map-number"
        badges.append(
            group(
                element("title", words(station.name)),
                *_badge(found, width, station.is_free),
                *([_ring(found, width)] if station.is_own else []),
                text(found[0], found[1] + 4.5, shown, class_=f"{number_class} ch-mid"),
            )
        )
    return [*behind, *badges], unplaced


def _around(spot: Point) -> Iterator[Point]:
    """Yield the spot itself, then places around it, nearest first."""
    yield spot
    for away in range(BADGE, REACH, BADGE - 2):
        for turn in range(12):
            angle = 2 * pi * (turn + 0.5 * (away // BADGE % 2)) / 12
            yield spot[0] + away * sin(angle), spot[1] - away * cos(angle)


def _about(at: Point, width: float, height: float) -> _Box:
    return _Box(
        left=at[0] - width / 2, top=at[1] - height / 2, right=at[0] + width / 2, bottom=at[1] + height / 2
    )


def _badge(at: Point, width: float, is_free: bool | None) -> tuple[Drawn, ...]:  # noqa: FBT001 - a state, not a switch
    """Draw the badge: filled circle free, open square occupied, dotted circle unknown."""
    height = min(BADGE, width)
    class_ = {True: "map-free", False: "map-busy", None: "map-unknown"}[is_free]
    corner = (at[0] - width / 2, at[1] - height / 2)
    return (box(corner, (width, height), class_=class_, rx=2 if is_free is False else height / 2),)


def _ring(at: Point, width: float) -> Drawn:
    height = min(BADGE, width)
    corner = (at[0] - width / 2 - 4, at[1] - height / 2 - 4)
    return box(corner, (width + 8, height + 8), class_="map-own", rx=height / 2 + 4)


def _rings(sheet: _Sheet, area: _Box, taken: _Taken, *, reach_m: float) -> list[Drawn]:
    """Draw circles of equal distance around the origin, each with its distance if there is room."""
    home = sheet.at((0.0, 0.0))
    step_m = nice_step(max(int(reach_m), EXTENT_M_MIN // 2), 3)
    drawn = []
    for distance_m in range(step_m, 3 * step_m + 1, step_m):
        radius = distance_m * sheet.per_m
        drawn.append(element("circle", cx=home[0], cy=home[1], r=radius, class_="map-ring"))
        label = length_words(distance_m)
        for angle in (0.0, pi / 2, pi, -pi / 2, pi / 4, -pi / 4):
            at = home[0] + radius * sin(angle), home[1] - radius * cos(angle)
            if taken.take(_about(at, width_of(label) + 6, 16), within=area):
                drawn.append(text(at[0], at[1] + 4.5, label, class_="ch-muted ch-mid map-halo"))
                break
    return drawn


def _scale_bar(sheet: _Sheet, area: _Box, taken: _Taken) -> list[Drawn]:
    """Draw a bar of a round length, lower left."""
    longest_m = max(1, int(SCALE_SHARE * (area.right - area.left) / sheet.per_m))
    magnitude: int = 10 ** (len(str(longest_m)) - 1)
    length_m = max(factor * magnitude for factor in (1, 2, 5) if factor * magnitude <= longest_m)
    width, x, y = length_m * sheet.per_m, area.left + 12, area.bottom - 12
    label = length_words(length_m)
    taken.take(_Box(left=x, top=y - 22, right=x + max(width, width_of(label)), bottom=y + 4), within=area)
    steps: Steps = [("M", (x, y - 6)), ("V", (y,)), ("H", (x + width,)), ("V", (y - 6,))]
    return [path(steps, class_="map-scale"), text(x + 4, y - 6, label, class_="ch-text map-halo")]


def _north(labels: MapLabels, area: _Box, taken: _Taken) -> list[Drawn]:
    """Draw the north arrow with its label, upper right."""
    x, y = area.right - 24, area.top + 8
    word = fitted(labels.north, 60)
    taken.take(_about((x, y + 18), max(26.0, width_of(word)), 38), within=area)
    steps: Steps = [
        ("M", (x, y)),
        ("L", (x + 8, y + 20)),
        ("L", (x, y + 15)),
        ("L", (x - 8, y + 20)),
        ("Z", ()),
    ]
    label = text(
        min(x, area.right - 6 - width_of(word) / 2), y + 34, word, class_="ch-strong ch-mid map-halo"
    )
    return [path(steps, class_="map-north"), label]


def _here(home: Point, labels: MapLabels, *, area: _Box, taken: _Taken) -> Drawn:
    """Draw the origin as a target, with its label on the side that has room."""
    word = fitted(labels.origin, (area.right - area.left) / 2 - 30)
    width = width_of(word)
    x = home[0] + 14 if home[0] + 14 + width < area.right else home[0] - 14 - width
    taken.take(_about(home, 22, 22), within=area)
    taken.take(_Box(left=x, top=home[1] - 8, right=x + width, bottom=home[1] + 8), within=area)
    return group(
        element("circle", cx=home[0], cy=home[1], r=10, class_="map-here"),
        element("circle", cx=home[0], cy=home[1], r=4, class_="map-here-dot"),
        text(x, home[1] + 4.5, word, class_="ch-strong map-halo"),
    )


def length_words(length_m: int) -> str:
    """Format a round length: "500 m", "2 km"."""
    return f"{length_m} m" if length_m < KILOMETRE_M else f"{decimal(length_m, scale=3)} km"
