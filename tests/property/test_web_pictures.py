"""Whatever text or number a picture shows, it is well-formed, escaped, finite and within its frame."""

from dataclasses import fields, replace
from itertools import combinations
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.web.charts import map as station_map
from edgegw.web.charts.map import MapStation
from edgegw.web.charts.plan import plan
from edgegw.web.charts.price_curve import price_curve
from edgegw.web.charts.series import PlanMarks, PlanRow, PricePoint
from edgegw.web.charts.svg import Drawn, plain
from edgegw.web.geography import GeoPoint
from tests.support.web_pictures import (
    CHEONGJU,
    KST,
    MAP,
    NOW_S,
    PLAN,
    PRICES,
    parsed,
    prices,
    shown,
    stations,
)

T = TypeVar("T")
DAY = 1_784_041_200
NASTY = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(), max_size=12),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</title></svg><img src=x onerror=alert(1)>",
            "]]>",
            '" onload="alert(1)',
            "&lt;&#x3c;&nbsp;",
            "\x00\x08\x1b\ud800\udfff\ufffe",
            "\u202e\u2066right to left",
            "<!--",
            "<?xml?>",
            "{{ 7*7 }}{count}",
            "경부하" * 40,
        ]
    ),
)
PRICE = st.one_of(st.none(), st.integers(-(10**7), 10**7), st.just(0))
INTERVALS = st.integers(0, 300).map(lambda at: DAY + 900 * at)
POINTS = st.lists(
    st.builds(
        PricePoint,
        interval_s=INTERVALS,
        buy_mtok_per_kwh=PRICE,
        sell_mtok_per_kwh=PRICE,
        period=st.sampled_from(["light", "mid", "peak"]),
        is_fixed=st.booleans(),
    ),
    max_size=30,
)
WATT_HOURS = st.one_of(st.just(0), st.integers(0, 10**6))
ROWS = st.lists(
    st.builds(
        PlanRow,
        interval_s=INTERVALS,
        charge_wh=WATT_HOURS,
        sale_wh=WATT_HOURS,
        soc_bp=st.one_of(st.none(), st.integers(-100, 10_100)),
    ),
    max_size=30,
)
NEARBY = st.integers(DAY - 10**6, DAY + 10**6)
MARKS = st.builds(
    PlanMarks,
    soc_start_bp=st.one_of(st.none(), st.integers(0, 10_000)),
    soc_min_bp=st.one_of(st.none(), st.integers(0, 10_000)),
    departure_s=st.one_of(st.none(), NEARBY),
    now_s=st.one_of(st.none(), NEARBY),
)
PLACES = st.one_of(
    st.builds(GeoPoint, latitude_deg=st.floats(-90, 90), longitude_deg=st.floats(-180, 180)),
    st.sampled_from(
        [
            CHEONGJU,
            GeoPoint(latitude_deg=90, longitude_deg=0),
            GeoPoint(latitude_deg=-90, longitude_deg=123),
            GeoPoint(latitude_deg=0, longitude_deg=180),
            GeoPoint(latitude_deg=0, longitude_deg=-180),
            GeoPoint(latitude_deg=0, longitude_deg=179.9999),
        ]
    ),
)


def renamed(labels: T, text: str) -> T:
    """The labels with every word replaced."""
    changed: dict[str, Any] = {one.name: text for one in fields(labels)}  # type: ignore[arg-type]  # a dataclass
    if "periods" in changed:
        changed["periods"] = dict.fromkeys(("light", "mid", "peak"), text)
    return replace(labels, **changed)  # type: ignore[type-var]  # a dataclass


def require_sound(drawn: Drawn) -> None:
    """Well-formed, only elements of our own, and every coordinate of words, dots and boxes inside the frame."""
    root = parsed(drawn)
    assert {one.tag for one in root.iter()} <= {
        "div", "svg", "title", "desc", "g", "rect", "line", "path", "circle", "text"
    }  # fmt: skip
    for form in root:
        width, height = (float(one) for one in form.get("viewBox", "").split()[2:])
        moved = {id(one) for group in form.iterfind(".//g[@transform]") for one in group.iter()}
        for one in form.iter():
            for names, limit in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
                for name in names:
                    assert id(one) in moved or -1 <= float(one.get(name, 0)) <= limit + 1, one.attrib


@settings(max_examples=40)
@given(text=NASTY, points=POINTS, now=NEARBY)
def test_price_curves_are_sound(text: str, points: list[PricePoint], now: int) -> None:
    """Any points under any words make a sound picture."""
    require_sound(price_curve(points, renamed(PRICES, text), chart_id="p", zone=KST, now_s=now))


@settings(max_examples=40)
@given(text=NASTY, rows=ROWS, marks=MARKS)
def test_plans_are_sound(text: str, rows: list[PlanRow], marks: PlanMarks) -> None:
    """Any rows under any words and marks make a sound picture."""
    require_sound(plan(rows, renamed(PLAN, text), chart_id="p", zone=KST, marks=marks))


@settings(max_examples=60)
@given(
    text=NASTY,
    origin=PLACES,
    places=st.lists(PLACES, max_size=12),
    states=st.tuples(st.sampled_from([True, False, None]), st.booleans()),
)
def test_maps_are_sound(
    text: str, origin: GeoPoint, places: list[GeoPoint], states: tuple[bool | None, bool]
) -> None:
    """Any places on Earth, at the poles and on the antimeridian too, make a sound map under any names."""
    found = [
        MapStation(number=at, place=place, name=text, is_free=states[0], is_own=states[1])
        for at, place in enumerate(places, 1)
    ]
    require_sound(station_map.draw(origin, found, renamed(MAP, text), chart_id="m"))


@given(text=NASTY)
def test_a_name_comes_out_as_it_went_in(text: str) -> None:
    """A station's name is read back from the map as the same text, less what no line of text can hold."""
    station = MapStation(number=1, place=CHEONGJU, name=text)
    drawn = station_map.draw(CHEONGJU, [station], MAP, chart_id="m")
    names = {one.text or "" for one in parsed(drawn).iterfind(".//g/title")}
    assert names == {plain(text)}


@settings(max_examples=30)
@given(fraction=st.integers(0, 95))
def test_one_point_is_enough(fraction: int) -> None:
    """A single quarter hour of any time of day is drawn."""
    drawn = price_curve(prices()[fraction : fraction + 1], PRICES, chart_id="p", zone=KST, now_s=NOW_S)
    require_sound(drawn)
    assert PRICES.buy in shown(drawn)


def badges(drawn: Drawn, form: str) -> list[tuple[float, float, float, float]]:
    """(left, top, right, bottom) of the numbers' boxes; those of the legend lie above the map."""
    classes = {"map-free", "map-busy", "map-unknown"}
    return [
        (x, y, x + float(one.get("width", 0)), y + float(one.get("height", 0)))
        for group in parsed(drawn).iterfind(f"svg[@class='chart-svg chart-{form}']/g")
        if group.find("title") is not None
        for one in group.iter("rect")
        if one.get("class") in classes
        for x, y in [(float(one.get("x", 0)), float(one.get("y", 0)))]
    ]


@pytest.mark.parametrize("form", ["phone", "desk"])
@pytest.mark.parametrize(("count", "spread_deg"), [(12, 0.03), (200, 0.03), (60, 0.0), (200, 5.0)])
def test_numbers_do_not_cover_each_other(form: str, count: int, spread_deg: float) -> None:
    """However many stations, and at one place too: no two numbers touch, and those without a number are counted."""
    drawn = station_map.draw(CHEONGJU, stations(count, spread_deg=spread_deg), MAP, chart_id="m")
    boxes = badges(drawn, form)
    for one, other in combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart
    left_out = count - len(boxes)
    noted = [one for one in shown(drawn, form) if one.endswith("points have no number")]
    assert noted == ([f"{left_out} points have no number"] if left_out else [])
    numbers = [int(one) for one in shown(drawn, form) if one.isdecimal()]
    assert len(numbers) == len(boxes)
    assert {1, 2, 3} <= set(numbers), "the first of the list find room first"


def test_an_ordinary_search_is_numbered_whole() -> None:
    """Twelve stations of a town all have their number, in both forms."""
    drawn = station_map.draw(CHEONGJU, stations(12), MAP, chart_id="m")
    assert len(badges(drawn, "phone")) == len(badges(drawn, "desk")) == 12


def test_a_crowd_stays_small() -> None:
    """200 stations at one place, the worst case for leaders, take less than 100 kB in both forms together."""
    assert len(station_map.draw(CHEONGJU, stations(200, spread_deg=0.0), MAP, chart_id="m")) < 100_000
