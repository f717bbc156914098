"""What the charts show: every price, bar and reading where it belongs, words for all of it, and the same numbers as rows."""

import re
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from jinja2 import Environment

from edgegw.web.charts import axes, svg
from edgegw.web.charts.axes import PHONE, Moment, Scale
from edgegw.web.charts.plan import plan
from edgegw.web.charts.price_curve import price_curve
from edgegw.web.charts.series import PlanMarks, PlanRow, PricePoint
from edgegw.web.charts.svg import Drawn, element, words
from edgegw.web.charts.tables import plan_table, price_table
from edgegw.web.formats import DASH
from tests.support.web_pictures import (
    DAY_S,
    KST,
    NOW_S,
    PLAN,
    PRICES,
    QUARTER_S,
    every_picture,
    marks,
    parsed,
    plan_rows,
    prices,
    shown,
)

BERLIN = ZoneInfo("Europe/Berlin")


def lines_of(drawn: Drawn, class_: str, form: str = "phone") -> list[str]:
    """Path data of the elements of exactly this class."""
    return [
        one.get("d", "")
        for one in parsed(drawn).iterfind(f"svg[@class='chart-svg chart-{form}']//path[@class='{class_}']")
    ]


def point(at: int, buy_mtok: int | None, *, is_fixed: bool = True) -> PricePoint:
    return PricePoint(
        interval_s=DAY_S + at * QUARTER_S,
        buy_mtok_per_kwh=buy_mtok,
        sell_mtok_per_kwh=None,
        period="light",
        is_fixed=is_fixed,
    )


def curve(*points: PricePoint) -> Drawn:
    return price_curve(points, PRICES, chart_id="p", zone=KST)


def test_every_picture_can_be_found_without_eyes() -> None:
    """Each form is an image with the title and description of its labels, under ids of its own."""
    for drawn in every_picture():
        root = parsed(drawn)
        assert [one.get("class") for one in root] == ["chart-svg chart-phone", "chart-svg chart-desk"]
        ids = [one.get("id") for one in root.iter() if one.get("id")]
        assert len(set(ids)) == len(ids) == 4
        for one in root:
            title, description = one[0], one[1]
            assert (title.tag, description.tag, one.get("role")) == ("title", "desc", "img")
            assert (one.get("aria-labelledby"), one.get("aria-describedby")) == (
                title.get("id"),
                description.get("id"),
            )
            assert title.text
            assert description.text


def test_nothing_needs_a_looser_policy() -> None:
    """No picture carries a script, an inline style, a reference or an event: classes and geometry only."""
    allowed = {"viewBox", "class", "id", "role", "aria-labelledby", "aria-describedby", "width", "height"}
    geometry = {"x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "d", "transform"}
    for drawn in every_picture():
        for one in parsed(drawn).iter():
            assert set(one.keys()) <= allowed | geometry
            assert one.tag in {"div", "svg", "title", "desc", "g", "rect", "line", "path", "circle", "text"}


@pytest.mark.parametrize("name", ["script", "style", "foreignObject", "a", "x y", ""])
def test_no_element_runs(name: str) -> None:
    """Elements that could run, load or style are not made."""
    with pytest.raises(AssertionError):
        element(name)


@pytest.mark.parametrize("attribute", ["style", "onload", "href", "x y"])
def test_no_attribute_runs(attribute: str) -> None:
    """No attribute can run code."""
    with pytest.raises(AssertionError):
        element("g", **{attribute: "x"})


def test_only_finished_markup_becomes_a_child() -> None:
    """Text that is not escaped is refused, and so are an invalid id and a coordinate that is not a number."""
    with pytest.raises(AssertionError):
        element("g", "<b>")  # type: ignore[arg-type]  # the point
    with pytest.raises(AssertionError):
        plan([], PLAN, chart_id="a b", zone=KST)
    for value in (float("nan"), float("inf"), 1e9):
        with pytest.raises(AssertionError):
            element("g", x=value)


def test_words_are_escaped_once() -> None:
    """Markup in words stays words; what no line of text can hold is replaced; a template adds nothing to it."""
    assert words("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#39;"
    assert words("a\nb\u00a0c") == "a b c"
    assert words("\x00\x1b[31m\u202e\ud800\ufffe") == "\ufffd\ufffd[31m\ufffd\ufffd\ufffd"
    assert element("g", x=-0.04, y=1.25, class_=None) == '<g x="0" y="1.2"/>'
    drawn = element("text", words("<"))
    page = Environment(autoescape=True).from_string("{{ drawn }}")
    assert page.render(drawn=drawn) == "<text>&lt;</text>"


def test_words_are_cut_to_their_room() -> None:
    """Text that is too wide is cut with an ellipsis; text that fits is whole."""
    assert svg.fitted("최대부하", 52) == "최대부하"
    cut = svg.fitted("최대부하 시간대", 52)
    assert cut.endswith("…")
    assert svg.width_of(cut) <= 52
    assert svg.fitted("wide", 0) == "…"
    assert svg.width_of("e\u0301") == svg.width_of("e")


def test_known_prices_are_whole_and_expected_ones_dashed() -> None:
    """The line of what is fixed and that of what is expected meet at the instant where one becomes the other."""
    drawn = curve(point(0, 100_000), point(1, 100_000), point(2, 120_000, is_fixed=False))
    (whole,), (dashed,) = lines_of(drawn, "ch-buy"), lines_of(drawn, "ch-buy ch-expected")
    start = re.fullmatch(r"M(\S+) (\S+)H(\S+)", whole)
    follow = re.fullmatch(r"M(\S+) (\S+)V(\S+)H(\S+)", dashed)
    assert start
    assert follow
    assert (start[3], start[2]) == (follow[1], follow[2])
    assert float(follow[3]) < float(follow[2]), "dearer is higher"
    assert float(follow[4]) == PHONE.width - PHONE.right
    assert {"fixed", "expected"} <= set(shown(drawn))


def test_a_missing_price_breaks_the_line() -> None:
    """The line is not drawn across a quarter hour without a price, or one that is missing."""
    for gap in ([point(1, None)], []):
        (line,) = lines_of(curve(point(0, 100_000), *gap, point(2, 100_000)), "ch-buy")
        assert line.count("M") == 2
    (line,) = lines_of(curve(point(0, 100_000), point(1, 110_000), point(2, 100_000)), "ch-buy")
    assert re.sub(r"[\d. -]", "", line) == "MHVHVH"


def test_a_later_point_for_the_same_quarter_hour_holds() -> None:
    """Points may come in any order, and of two for one quarter hour the last one is drawn."""
    assert curve(point(1, 90_000), point(0, 70_000), point(1, 80_000)) == curve(
        point(0, 70_000), point(1, 80_000)
    )


def test_the_price_curve_says_what_it_shows() -> None:
    """Legend, unit, hours, levels, load periods and now are words in both forms."""
    drawn = price_curve(prices(), PRICES, chart_id="p", zone=KST, now_s=NOW_S)
    everything = {"Buy (charge)", "Sell (discharge)", "fixed", "expected", "tokens/kWh", "now 14:20"}
    assert everything | {"00", "12", "80", "100", "200"} <= set(shown(drawn))
    assert everything | {"12:00", "light load"} <= set(shown(drawn, "desk"))
    for form in ("phone", "desk"):
        assert {"light load", "mid load", "peak load"} <= set(shown(drawn, form))
    elsewhere = price_curve(prices(), PRICES, chart_id="p", zone=KST, now_s=DAY_S - 1)
    assert "now 14:20" not in shown(elsewhere)


def test_a_load_period_is_told_by_height() -> None:
    """The bars at the foot of the three periods have three heights, and a band too narrow for its word is in the legend."""
    narrow = [replace(one, period="peak" if at == 40 else "light") for at, one in enumerate(prices())]
    drawn = price_curve(narrow, PRICES, chart_id="p", zone=KST)
    assert shown(drawn).count("peak load") == 1
    assert shown(drawn).index("peak load") > shown(drawn).index("fixed")
    root = parsed(price_curve(prices(), PRICES, chart_id="p", zone=KST))
    heights = {one.get("height") for one in root.iterfind(".//rect[@class='ch-load']")}
    assert len(heights) == 3


@pytest.mark.parametrize(
    ("drawn", "reason"),
    list(
        zip(
            every_picture()[1::2],
            ["No prices yet", "No plan", "No station near"],
            strict=True,
        )
    ),
)
def test_nothing_to_show_is_said(drawn: Drawn, reason: str) -> None:
    """An empty picture says why it is empty."""
    assert shown(drawn) == shown(drawn, "desk") == [reason]


def test_prices_without_a_value_are_nothing_to_show() -> None:
    """Points none of which has a price draw no curve."""
    assert shown(curve(point(0, None))) == ["No prices yet"]


def test_a_plan_charges_up_and_sells_down() -> None:
    """Bars of charging rise from zero, those of selling fall from the same line, as many as there are."""
    drawn = plan(plan_rows(), PLAN, chart_id="plan", zone=KST, marks=marks())
    (up,), (down,) = lines_of(drawn, "ch-buy-area")[1:], lines_of(drawn, "ch-sell-area")[1:]
    rising = re.findall(r"M\S+ (\S+?)V(\S+?)h", up)
    falling = re.findall(r"M\S+ (\S+?)V(\S+?)h", down)
    assert (len(rising), len(falling)) == (16, 3)
    assert len({zero for zero, _ in rising + falling}) == 1
    assert all(float(end) < float(zero) for zero, end in rising)
    assert all(float(end) > float(zero) for zero, end in falling)
    assert {"charged (kWh)", "sold (kWh)", "battery", "never below 40%", "leaving 07:30", "now 18:10"} <= set(
        shown(drawn)
    )


def test_a_plan_without_marks_draws_none() -> None:
    """A plan without a lowest or wanted state of charge or a departure draws no line and no word for it."""
    rows = [PlanRow(interval_s=DAY_S, charge_wh=1000, sale_wh=0, soc_bp=None)]
    drawn = plan(rows, PLAN, chart_id="plan", zone=KST)
    assert not {"battery", "never below 40%", "leaving 07:30", "now 18:10"} & set(shown(drawn))
    assert lines_of(drawn, "ch-soc") == []


def test_a_departure_after_the_last_row_is_seen() -> None:
    """The time axis reaches the departure within a day; one farther off, or over, is left out."""
    row = PlanRow(interval_s=DAY_S, charge_wh=0, sale_wh=0, soc_bp=20_000)
    for hours, seen in ((6, True), (30, False), (-1, False)):
        leaving = PlanMarks(departure_s=DAY_S + hours * 3600, soc_min_bp=-5)
        drawn = plan([row], PLAN, chart_id="plan", zone=KST, marks=leaving)
        assert ("leaving 07:30" in shown(drawn)) is seen


def test_words_above_lines_do_not_collide() -> None:
    """Two instants that are near get their words in two rows, two that are far share one."""
    scale = Scale(low=0, high=86_400, start=44, end=340)
    near = [Moment(at_s=at, label="now 14:20", class_="ch-now") for at in (40_000, 41_000)]
    far = [Moment(at_s=at, label="now 14:20", class_="ch-now") for at in (1000, 80_000)]
    single = axes.moments(far[:1], scale, PHONE, top=0)[1]
    assert axes.moments(far, scale, PHONE, top=0)[1] == single
    assert axes.moments(near, scale, PHONE, top=0)[1] > single
    assert axes.moments([], scale, PHONE, top=7) == ([], 7)


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([0], 5, (0, 1, 1)),
        ([7], 5, (0, 8, 2)),
        ([90_000, 181_200], 5, (0, 200_000, 50_000)),
        ([100_000, 136_000], 5, (100_000, 140_000, 10_000)),
        ([-2600, 1750], 5, (-3000, 2000, 1000)),
        ([-500], 5, (-500, 0, 100)),
        ([5, 5], 5, (0, 5, 1)),
    ],
)
def test_levels_are_round(values: list[int], count: int, expected: tuple[int, int, int]) -> None:
    """The value axis covers the values in at most `count` or so round steps, from zero unless they are close together."""
    assert axes.value_range(values, count) == expected


def test_hours_are_local_ones() -> None:
    """Ticks are at local hours, also on a day that skips one, and midnight is where the local day begins."""
    begin = int(datetime(2026, 3, 29, tzinfo=BERLIN).timestamp())
    scale = Scale(low=begin, high=begin + 23 * 3600, start=0, end=300)
    assert [word for _, word in axes.time_ticks(scale, BERLIN)] == [
        "00",
        "03",
        "06",
        "09",
        "12",
        "15",
        "18",
        "21",
        "00",
    ]
    assert list(axes.midnights(replace(scale, high=begin + 30 * 3600), BERLIN)) == [begin + 23 * 3600]
    week = replace(scale, high=begin + 7 * 86_400)
    assert [word for _, word in axes.time_ticks(week, BERLIN)] == [
        "03/29",
        "03/30",
        "03/31",
        "04/01",
        "04/02",
        "04/03",
        "04/04",
        "04/05",
    ]
    month = replace(scale, high=begin + 30 * 86_400)
    assert [word for _, word in axes.time_ticks(month, BERLIN)] == [
        "03/30",
        "04/06",
        "04/13",
        "04/20",
        "04/27",
    ]
    year = replace(scale, high=begin + 365 * 86_400)
    assert not [*axes.time_ticks(year, BERLIN), *axes.midnights(year, BERLIN)]
    minutes = Scale(low=begin, high=begin + 900, start=0, end=300)
    assert [word for _, word in axes.time_ticks(minutes, BERLIN)] == ["00:00", "00:05", "00:10", "00:15"]


def test_the_rows_say_what_the_curve_shows() -> None:
    """Neighbours with the same prices, period and certainty are one row, and every quarter hour is in one."""
    table = price_table(prices(), PRICES, KST)
    assert table.heads == (
        "Time",
        "Buy (charge) (tokens/kWh)",
        "Sell (discharge) (tokens/kWh)",
        "Load",
        "State",
    )
    assert table.rows == (
        (f"00:00{DASH}08:00", "93.321", DASH, "light load", "fixed"),
        (f"08:00{DASH}15:00", "128.4", "108.4", "mid load", "fixed"),
        (f"15:00{DASH}21:00", "181.2", "161.2", "peak load", "expected"),
        (f"21:00{DASH}22:00", "128.4", "108.4", "mid load", "expected"),
        (f"22:00{DASH}24:00", "93.321", DASH, "light load", "expected"),
    )
    assert len(price_table([point(0, 1), point(2, 1)], PRICES, KST).rows) == 2, "a gap parts rows"


def test_the_rows_say_what_the_plan_does() -> None:
    """Each quarter hour with energy has a row; idle ones are merged."""
    table = plan_table(plan_rows(), PLAN, KST)
    assert all(len(row) == len(table.heads) for row in table.rows)
    assert table.rows[0] == (f"18:00{DASH}18:15", DASH, "2.600 kWh", "48.64%")
    assert table.rows[3][:3] == (f"18:45{DASH}23:00", DASH, DASH)
    assert len(table.rows) == 3 + 1 + 16 + 1
