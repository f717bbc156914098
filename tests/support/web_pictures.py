"""Provide an ordinary day's data for charts and map, and one picture of each kind."""

import re
from datetime import datetime, timedelta, timezone
from random import Random
from xml.etree import ElementTree as ET

from edgegw.web.charts.map import MapLabels, MapStation, draw
from edgegw.web.charts.plan import plan
from edgegw.web.charts.price_curve import price_curve
from edgegw.web.charts.series import (
    Period,
    PlanLabels,
    PlanMarks,
    PlanRow,
    PriceLabels,
    PricePoint,
)
from edgegw.web.charts.svg import Drawn
from edgegw.web.geography import GeoPoint

KST = timezone(timedelta(hours=9))
DAY_S = int(datetime(2026, 7, 15, tzinfo=KST).timestamp())
QUARTER_S = 900
NOW_S = DAY_S + 14 * 3600 + 1200
CHEONGJU = GeoPoint(latitude_deg=36.6424, longitude_deg=127.489)

PRICES = PriceLabels(
    title="Prices today",
    description="Buying costs most from 15:00 to 21:00.",
    buy="Buy (charge)",
    sell="Sell (discharge)",
    fixed="fixed",
    expected="expected",
    periods={"light": "light load", "mid": "mid load", "peak": "peak load"},
    unit="tokens/kWh",
    now="now 14:20",
    empty="No prices yet",
    time="Time",
    load="Load",
    state="State",
)
PLAN = PlanLabels(
    title="The plan",
    description="Sells at six, charges at night.",
    charge="charged (kWh)",
    sale="sold (kWh)",
    soc="battery",
    soc_min="never below 40%",
    departure="leaving 07:30",
    now="now 18:10",
    unit="kWh per quarter hour",
    empty="No plan",
    time="Time",
)
MAP = MapLabels(
    title="Stations near you",
    description="Numbers as in the list.",
    origin="you",
    own="this station",
    free="has a free place",
    occupied="all taken",
    unknown="not known",
    north="N",
    unnumbered="{count} points have no number",
    empty="No station near",
)


def period(hour: int) -> Period:
    """Return the load period of a summer day's hour."""
    if hour < 8 or hour >= 22:
        return "light"
    return "peak" if 15 <= hour < 21 else "mid"


def prices(*, fixed_hours: int = 15) -> list[PricePoint]:
    """Return a day's prices: none for selling at light load, and only expected ones in the afternoon."""
    level = {"light": 93_321, "mid": 128_400, "peak": 181_200}
    return [
        PricePoint(
            interval_s=DAY_S + at * QUARTER_S,
            buy_mtok_per_kwh=level[period(at // 4)],
            sell_mtok_per_kwh=None if period(at // 4) == "light" else level[period(at // 4)] - 20_000,
            period=period(at // 4),
            is_fixed=at // 4 < fixed_hours,
        )
        for at in range(96)
    ]


def plan_rows() -> list[PlanRow]:
    """Return the plan of a night: three quarter hours of selling at six, then charging from eleven."""
    rows, soc_bp = [], 5200
    for at in range(56):
        sale_wh = 2600 if at < 3 else 0
        charge_wh = 1750 if 20 <= at < 36 else 0
        soc_bp += (charge_wh - sale_wh) * 10_000 // 77_400
        begin_s = DAY_S + 18 * 3600 + at * QUARTER_S
        rows.append(PlanRow(interval_s=begin_s, charge_wh=charge_wh, sale_wh=sale_wh, soc_bp=soc_bp))
    return rows


def marks() -> PlanMarks:
    """Return the marks of that plan."""
    evening_s = DAY_S + 18 * 3600
    return PlanMarks(
        soc_start_bp=5200, soc_min_bp=4000, departure_s=evening_s + 48_600, now_s=evening_s + 600
    )


def stations(count: int, *, spread_deg: float = 0.03) -> list[MapStation]:
    """Return stations around Cheongju, in all states; the third is this station."""
    chance = Random(7)
    return [
        MapStation(
            number=number,
            place=GeoPoint(
                latitude_deg=CHEONGJU.latitude_deg + chance.gauss(0, spread_deg),
                longitude_deg=CHEONGJU.longitude_deg + chance.gauss(0, spread_deg),
            ),
            name=f"Station {number}",
            is_free=(True, False, None)[number % 3],
            is_own=number == 3,
        )
        for number in range(1, count + 1)
    ]


def every_picture() -> list[Drawn]:
    """Return one picture of each kind, and one of each without data."""
    return [
        price_curve(prices(), PRICES, chart_id="prices", zone=KST, now_s=NOW_S),
        price_curve([], PRICES, chart_id="prices", zone=KST),
        plan(plan_rows(), PLAN, chart_id="plan", zone=KST, marks=marks()),
        plan([], PLAN, chart_id="plan", zone=KST),
        draw(CHEONGJU, stations(40), MAP, chart_id="map"),
        draw(CHEONGJU, [], MAP, chart_id="map"),
    ]


def parsed(drawn: Drawn) -> ET.Element:
    """Return the picture as XML without its namespace; fail if it is malformed or has a number that is not finite."""
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r">[^<]*<", "><", drawn), re.IGNORECASE)
    return ET.fromstring(drawn.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def shown(drawn: Drawn, form: str = "phone") -> list[str]:
    """Return all visible texts of one form of a picture."""
    root = parsed(drawn).find(f"svg[@class='chart-svg chart-{form}']")
    assert root is not None
    return ["".join(one.itertext()) for one in root.iter("text")]
