"""The style sheet of the charts: enough contrast in light and dark, a form for every class that is drawn, nothing idle."""

import re
from pathlib import Path

import pytest

import edgegw.web
from edgegw.web.charts import svg
from tests.support.web_pictures import every_picture

SHEET = (Path(edgegw.web.__file__).parent / "static" / "charts.css").read_text()
LEAST = {"text": 4.5, "line": 3.0}
GROUNDS = ("ground", "light", "mid", "peak", "below")


def schemes() -> dict[str, str]:
    light, dark = SHEET.split("@media (prefers-color-scheme: dark)")
    return {"light": light, "dark": dark.split(".chart { margin")[0]}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_what_the_sheet_says(scheme: str) -> None:
    """Text has a contrast of 4.5 : 1 and lines 3 : 1 on every ground, and the comment beside each colour has the figure."""
    colours = dict(re.findall(r"--ch-(\w+): (#[0-9a-f]{6});", schemes()[scheme]))
    said = re.findall(r"--ch-(\w+): #[0-9a-f]{6}; /\* (text|line) ([\d.]+) : 1 \*/", schemes()[scheme])
    assert {name for name, _, _ in said} == colours.keys() - {*GROUNDS, "grid"}
    measured = {
        name: f"{min(contrast(colours[name], colours[ground]) for ground in GROUNDS):.2f}"
        for name, _, _ in said
    }
    assert {name: figure for name, _, figure in said} == measured
    assert all(float(figure) >= LEAST[kind] for _, kind, figure in said)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_on_filled_marks_can_be_read(scheme: str) -> None:
    """Text in the ground's colour on a filled mark has a contrast of 4.5 : 1."""
    colours = dict(re.findall(r"--ch-(\w+): (#[0-9a-f]{6});", schemes()[scheme]))
    assert contrast(colours["ground"], colours["buy"]) >= 4.5
    assert contrast(colours["ground"], colours["text"]) >= 4.5


def test_the_measure_is_that_of_wcag() -> None:
    """Black on white is 21 : 1, and #767676 on white the grey that just passes 4.5 : 1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_both_schemes_have_the_same_colours() -> None:
    """No colour is left to its light value in the dark."""
    names = [re.findall(r"--ch-(\w+):", text) for text in schemes().values()]
    assert names[0] == names[1]
    assert set(re.findall(r"var\(--ch-(\w+)\)", SHEET)) == set(names[0])


def test_every_class_has_a_form() -> None:
    """The classes that are drawn, styled, and listed in svg's docstring are the same."""
    drawn = {
        one
        for picture in every_picture()
        for row in re.findall(r'class="([^"]*)"', picture)
        for one in row.split()
    }
    dressed = set(
        re.findall(r"\.((?:ch|map|chart)[a-z-]*)", re.sub(r"/\*.*?\*/", "", SHEET, flags=re.DOTALL))
    )
    listed = set(
        re.findall(
            r"\b(?:ch|map|chart)-[a-z-]+|\bchart\b",
            (svg.__doc__ or "").split("dark form:")[1],
        )
    )
    assert drawn == dressed
    assert listed == dressed
