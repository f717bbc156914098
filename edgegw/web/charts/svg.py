"""Write SVG as text, safe for any text content.

Decides how text becomes XML: escaped, without characters that XML or one line of text cannot hold. Refuses scripts, inline
styles and event attributes, as the content security policy of the pages does. Jinja does not escape a `Drawn` again. Never
decides a colour: elements have classes, and `static/charts.css` styles each in a light and a dark form:

chart chart-svg chart-phone chart-desk: the box, the picture, its narrow and its wide form
ch-ground: background
ch-text ch-strong ch-muted ch-end ch-mid: text, plain, bold or muted; right-aligned, centred
ch-grid ch-axis ch-day: grid lines, axis lines and ticks, midnight
ch-light ch-mid-load ch-peak ch-load: bands of the load periods, and the bar whose height encodes the period
ch-buy ch-sell ch-line ch-expected ch-mark: lines of prices (dashed if expected) and the marks on them
ch-buy-area ch-sell-area: bars, up and down
ch-soc ch-soc-dot ch-soc-min ch-below: state of charge, its end points, its lower limit and the area below it
ch-now ch-departure ch-pill ch-pill-text: vertical lines and the labels above them
map-free map-busy map-unknown map-own map-number map-number-free: stations and their numbers
map-dot map-leader map-here map-here-dot: the place of a displaced number, and the origin
map-ring map-scale map-north map-halo: distance rings, scale bar, north arrow, outline of text over lines
"""

import re
import unicodedata
from collections.abc import Iterable

ELLIPSIS = "…"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_IDENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_JOINERS = "\u200c\u200d"
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_REFUSED = frozenset({"script", "style", "foreignObject", "a", "image", "use", "animate", "set"})
Number = int | float
Steps = list[tuple[str, tuple[Number, ...]]]


class Drawn(str):
    """Finished markup, which templates do not escape again."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the markup unchanged; Jinja calls this in place of escaping."""
        return str(self)


def plain(text: str) -> str:
    """Return text as one line: whitespace becomes a space; control, surrogate, unassigned and bidi characters are replaced."""
    return "".join(
        " "
        if character.isspace()
        else REPLACEMENT
        if unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in _JOINERS
        else character
        for character in text
    )


def words(text: str) -> Drawn:
    """Escape text as the content of an element or attribute."""
    return Drawn("".join(_ENTITIES.get(character, character) for character in plain(text)))


def number(value: Number) -> str:
    """Format a coordinate, rounded to a tenth of a unit."""
    assert abs(value) < 1e7, "a coordinate is a finite number"
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")  # + 0.0 turns -0.0 into 0.0


def element(name: str, *children: Drawn, **attributes: str | Number | None) -> Drawn:
    """Return an element; `class_` is written as class, `aria_label` as aria-label; an attribute that is None is omitted."""
    assert _NAME.fullmatch(name)
    assert name not in _REFUSED
    assert all(isinstance(child, Drawn) for child in children)
    written = "".join(
        f' {_attribute(key)}="{words(value) if isinstance(value, str) else number(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(children)
    return Drawn(f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>")


def _attribute(key: str) -> str:
    name = key.removesuffix("_").replace("_", "-")
    assert _NAME.fullmatch(name)
    assert name not in {"style", "href"}
    assert not name.startswith("on")
    return name


def text(x: Number, y: Number, shown: str, *, class_: str = "ch-text") -> Drawn:
    """Return text at a point: start of its base line, or by class its end or centre."""
    return element("text", words(shown), x=x, y=y, class_=class_)


def line(start: tuple[Number, Number], end: tuple[Number, Number], *, class_: str) -> Drawn:
    """Return a straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def box(
    corner: tuple[Number, Number], size: tuple[Number, Number], *, class_: str, rx: Number | None = None
) -> Drawn:
    """Return a rectangle by its upper left corner and its size (width, height)."""
    return element("rect", x=corner[0], y=corner[1], width=size[0], height=size[1], rx=rx, class_=class_)


def path(steps: Iterable[tuple[str, tuple[Number, ...]]], *, class_: str) -> Drawn:
    """Return a path of (command, coordinates) steps."""
    drawn = "".join(f"{command}{' '.join(number(one) for one in values)}" for command, values in steps)
    return element("path", d=drawn, class_=class_)


def group(*children: Drawn, class_: str | None = None) -> Drawn:
    """Return a group of elements."""
    return element("g", *children, class_=class_)


def picture(
    *children: Drawn, size: tuple[Number, Number], chart_id: str, class_: str, title: str, description: str
) -> Drawn:
    """Return a whole picture with title and description for screen readers."""
    assert _IDENT.fullmatch(chart_id), "an id must be a plain name"
    ground = box((0, 0), size, class_="ch-ground", rx=8)
    return element(
        "svg",
        element("title", words(title), id=f"{chart_id}-title"),
        element("desc", words(description), id=f"{chart_id}-desc"),
        ground,
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"chart-svg {class_}",
        viewBox=f"0 0 {number(size[0])} {number(size[1])}",
        width=size[0],
        height=size[1],
        role="img",
        aria_labelledby=f"{chart_id}-title",
        aria_describedby=f"{chart_id}-desc",
    )


def width_of(shown: str, font: Number = 13) -> float:
    """Estimate the width of text from above: East Asian wide characters 1 em, capitals and broad letters 0.75, others 0.6."""
    return sum(map(_em, plain(shown))) * font


def _em(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x2FFF:
        return 1.0
    if character in "ilj.,:;|!'()[]· ":
        return 0.36
    return 0.75 if character.isupper() or character in "mwMW%@…—" or not character.isascii() else 0.6


def fitted(shown: str, width: Number, font: Number = 13) -> str:
    """Return the text, cut with an ellipsis if it is wider than `width`."""
    clean = plain(shown)
    if width_of(clean, font) <= width:
        return clean
    room, taken = width - width_of(ELLIPSIS, font), ""
    for character in clean:
        room -= _em(character) * font
        if room < 0:
            break
        taken += character
    return taken + ELLIPSIS
