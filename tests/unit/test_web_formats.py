"""Numbers, money and times are written exactly, and read only where they can mean one thing."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.web import formats
from edgegw.web.formats import Flaw, FlawCode, Limits

KST = timezone(timedelta(hours=9))
BERLIN = ZoneInfo("Europe/Berlin")
INTEGERS = st.integers(-(10**15), 10**15)


def ns(*parts: int, zone: timezone | ZoneInfo = UTC) -> int:
    return int(datetime(*parts, tzinfo=zone).timestamp()) * formats.SECOND_NS  # type: ignore[arg-type,misc]  # y, m, d, h, min


def test_quantities_in_both_languages() -> None:
    """Each quantity has its digits, separator and unit."""
    assert formats.kwh(1234) == "1.23 kWh"
    assert formats.kwh(1_234_567, places=3) == "1,234.567 kWh"
    assert formats.kilowatts(7350) == "7.4 kW"
    assert formats.tokens(58_600, "en") == "58.6 tokens"
    assert formats.tokens(1000, "en") == "1 token"
    assert formats.tokens(1_306_496, "ko") == "1,306.496 토큰"
    assert formats.tokens(1_306_496, "ko", places=1) == "1,306.5 토큰"
    assert formats.price(162_600, "en") == "162.6 tokens/kWh"
    assert formats.price(93_321, "ko") == "93.321 토큰/kWh"
    assert formats.won(5860, "ko") == "5,860원"
    assert formats.won(5860, "en") == "5,860 KRW"
    assert formats.percent(8050) == "80.5%"
    assert formats.percent(10_000) == "100%"


def test_rounding_is_half_away_from_zero() -> None:
    """Five goes up in size on either side of zero, and nothing rounds to minus zero."""
    assert formats.kwh(1235) == "1.24 kWh"
    assert formats.kwh(-1235) == "\N{MINUS SIGN}1.24 kWh"
    assert formats.kwh(-4) == "0.00 kWh"
    assert formats.kwh(999_995) == "1,000.00 kWh"


@given(value=INTEGERS, scale=st.integers(0, 4))
def test_exact_forms_lose_nothing(value: int, scale: int) -> None:
    """An exact form has all digits of the value, and no trailing zero."""
    shown = formats.decimal(value, scale=scale)
    whole, _, fraction = shown.replace(",", "").replace(formats.MINUS, "-").partition(".")
    assert int(whole + fraction.ljust(scale, "0")) == value
    assert not fraction.endswith("0")


@given(value=INTEGERS, places=st.integers(0, 5))
def test_rounded_forms_are_the_nearest(value: int, places: int) -> None:
    """A form with `places` decimals has them all and is at most half of its last one away."""
    shown = formats.decimal(value, scale=3, places=places).replace(",", "").replace(formats.MINUS, "-")
    fraction = shown.partition(".")[2]
    assert len(fraction) == places
    unit = 10 ** (5 - places)
    assert abs(int(shown.replace(".", "")) * unit - value * 100) * 2 <= unit * (places < 3)


def test_distances_grow_coarser() -> None:
    """Metres, then tenths of kilometres, then kilometres."""
    cases = {0: "0 m", 999: "999 m", 1000: "1.0 km", 9949: "9.9 km", 9950: "10 km", 325_100: "325 km"}
    assert {value: formats.distance(value) for value in cases} == cases


def test_dates_and_times() -> None:
    """Local to the zone given, in the order of each language; the day is named where it is not today."""
    at = ns(2026, 7, 14, 22, 30)
    assert formats.clock(at, KST) == "07:30"
    assert formats.date(at, KST, "ko") == "2026년 7월 15일 (수)"
    assert formats.date(at, KST, "en") == "Wed 15 Jul 2026"
    assert formats.date_time(at, KST, "en") == "Wed 15 Jul 2026 07:30"
    assert formats.machine_time(at, KST) == "2026-07-15T07:30:00+09:00"
    assert formats.span(at, ns(2026, 7, 15, 15), KST) == "07:30\N{EN DASH}24:00"
    days = {
        ns(2026, 7, 15, 9): "07:30",
        ns(2026, 7, 14, 9): "tomorrow 07:30",
        ns(2026, 7, 16, 9): "yesterday 07:30",
        ns(2026, 7, 10): "Wed 15 Jul 2026 07:30",
    }
    for now, words in days.items():
        assert formats.moment(at, now_ns=now, zone=KST, language="en") == words
    assert formats.moment(at, now_ns=ns(2026, 7, 14, 9), zone=KST, language="ko") == "내일 07:30"


def test_durations() -> None:
    """The two largest units; in words of before and after."""
    cases = {
        -5: ("0 s", "0초"),
        59: ("59 s", "59초"),
        720: ("12 min", "12분"),
        3600: ("1 h", "1시간"),
        4859: ("1 h 20 min", "1시간 20분"),
        86_400 * 2 + 7200 + 59: ("2 d 2 h", "2일 2시간"),
    }
    assert {one: (formats.duration(one, "en"), formats.duration(one, "ko")) for one in cases} == cases
    assert formats.relative(720, "en") == "in 12 min"
    assert formats.relative(720, "ko") == "12분 후"
    assert formats.relative(-4800, "en") == "1 h 20 min ago"
    assert formats.relative(-4800, "ko") == "1시간 20분 전"


def test_entries_that_are_taken() -> None:
    """A plain number is read to its last digit in the integer unit of its field."""
    assert formats.parse_kwh("5.5") == 5500
    assert formats.parse_kwh(" 10 ") == 10_000
    assert formats.parse_kwh("12.345") == 12_345
    assert formats.parse_percent("80") == 8000
    assert formats.parse_percent("80.5%") == 8050
    assert formats.parse_tokens("58.6") == 58_600
    assert formats.parse_price("162.6") == 162_600


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("", FlawCode.EMPTY),
        ("  \t", FlawCode.EMPTY),
        ("-5", FlawCode.NEGATIVE),
        ("\N{MINUS SIGN}5.5", FlawCode.NEGATIVE),
        ("--5", FlawCode.NOT_A_NUMBER),
        ("1e9", FlawCode.NOT_A_NUMBER),
        ("+5", FlawCode.NOT_A_NUMBER),
        ("0x10", FlawCode.NOT_A_NUMBER),
        ("1_000", FlawCode.NOT_A_NUMBER),
        ("nan", FlawCode.NOT_A_NUMBER),
        ("inf", FlawCode.NOT_A_NUMBER),
        (".5", FlawCode.NOT_A_NUMBER),
        ("5.", FlawCode.NOT_A_NUMBER),
        ("5.5.5", FlawCode.NOT_A_NUMBER),
        ("5 5", FlawCode.NOT_A_NUMBER),
        ("9" * 33, FlawCode.NOT_A_NUMBER),
        ("x" * 33, FlawCode.NOT_A_NUMBER),
        ("5,5", FlawCode.COMMA),
        ("1,000", FlawCode.COMMA),
        (",", FlawCode.NOT_A_NUMBER),
        ("٣", FlawCode.FOREIGN_DIGITS),
        ("\N{FULLWIDTH DIGIT FIVE}.5", FlawCode.FOREIGN_DIGITS),
        ("5²", FlawCode.FOREIGN_DIGITS),
        ("5.5555", FlawCode.TOO_PRECISE),
        ("0", FlawCode.TOO_SMALL),
        ("0.999", FlawCode.TOO_SMALL),
        ("100.001", FlawCode.TOO_LARGE),
        ("9" * 32, FlawCode.TOO_LARGE),
    ],
)
def test_entries_that_are_refused(entry: str, code: FlawCode) -> None:
    """An entry with another or an ambiguous quantity is refused with the limits of its field."""
    assert formats.parse_kwh(entry) == Flaw(code=code, limits=formats.KWH_WH, places=3)


def test_each_field_has_its_own_precision_and_limits() -> None:
    """More decimals than the unit has are refused, and the limits are the caller's where they say so."""
    codes = {
        "group": formats.parse_tokens("1,000"),
        "percent": formats.parse_percent("80.555"),
        "sign": formats.parse_percent("%"),
        "whole": formats.parse_percent("100.01"),
        "price": formats.parse_price("-1"),
    }
    assert {name: flaw.code for name, flaw in codes.items() if isinstance(flaw, Flaw)} == {
        "group": FlawCode.COMMA,
        "percent": FlawCode.TOO_PRECISE,
        "sign": FlawCode.EMPTY,
        "whole": FlawCode.TOO_LARGE,
        "price": FlawCode.NEGATIVE,
    }
    narrow = Limits(minimum=2000, maximum=3000)
    assert formats.parse_kwh("2.5", narrow) == 2500
    assert formats.parse_kwh("1.5", narrow) == Flaw(code=FlawCode.TOO_SMALL, limits=narrow, places=3)


@given(entry=st.text(max_size=40))
def test_any_entry_has_an_answer(entry: str) -> None:
    """No text makes a parser fail, and an accepted value is within the limits."""
    for parse, limits in (
        (formats.parse_kwh, formats.KWH_WH),
        (formats.parse_percent, formats.PERCENT_BP),
        (formats.parse_tokens, formats.TOKENS_MTOK),
        (formats.parse_price, formats.PRICE_MTOK_PER_KWH),
    ):
        read = parse(entry)
        assert isinstance(read, Flaw) or limits.minimum <= read <= limits.maximum
    assert isinstance(formats.parse_time(entry, now_ns=0, zone=UTC), Flaw | int)


@given(value=st.integers(1000, 100_000))
def test_what_is_written_can_be_typed(value: int) -> None:
    """The exact form without its unit reads back as the same value."""
    assert formats.parse_kwh(formats.kwh(value, places=None).removesuffix(" kWh")) == value
    assert formats.parse_percent(formats.percent(value // 10)) == value // 10


def test_a_time_is_the_next_one() -> None:
    """Today's where it is still to come, else tomorrow's; the very instant of now is over."""
    evening = ns(2026, 7, 15, 18, 0, zone=KST)
    assert formats.parse_time("07:30", now_ns=evening, zone=KST) == ns(2026, 7, 16, 7, 30, zone=KST)
    assert formats.parse_time("7:30", now_ns=evening, zone=KST) == ns(2026, 7, 16, 7, 30, zone=KST)
    assert formats.parse_time("23:59", now_ns=evening, zone=KST) == ns(2026, 7, 15, 23, 59, zone=KST)
    assert formats.parse_time("18:00", now_ns=evening, zone=KST) == ns(2026, 7, 16, 18, 0, zone=KST)
    assert formats.parse_time("18:00", now_ns=evening - 1, zone=KST) == evening
    assert formats.parse_time("18:00", now_ns=evening + 1, zone=KST) == ns(2026, 7, 16, 18, 0, zone=KST)


@pytest.mark.parametrize(
    "entry",
    ["24:00", "7.30", "730", "07:60", "07:30:00", "0\N{ARABIC-INDIC DIGIT SEVEN}:30", "-1:00", "07:3"],
)
def test_what_is_no_time(entry: str) -> None:
    """Anything but hours and minutes of a day is refused."""
    assert formats.parse_time(entry, now_ns=0, zone=KST) == Flaw(code=FlawCode.NOT_A_TIME)
    assert formats.parse_time(" ", now_ns=0, zone=KST) == Flaw(code=FlawCode.EMPTY)


def test_clocks_that_jump() -> None:
    """A time that a day skips is the next day's; a time that a day shows twice comes twice."""
    spring = ns(2026, 3, 28, 12)
    assert formats.parse_time("02:30", now_ns=spring, zone=BERLIN) == ns(2026, 3, 30, 0, 30)
    autumn = ns(2026, 10, 24, 12)
    first = formats.parse_time("02:30", now_ns=autumn, zone=BERLIN)
    assert first == ns(2026, 10, 25, 0, 30)
    assert formats.parse_time("02:30", now_ns=ns(2026, 10, 25, 0, 30), zone=BERLIN) == ns(2026, 10, 25, 1, 30)


@given(
    now=st.integers(0, 4 * 10**18),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from([KST, BERLIN, ZoneInfo("Asia/Seoul"), ZoneInfo("Asia/Kathmandu"), UTC]),
)
def test_the_clock_shows_what_was_typed(now: int, hour: int, minute: int, zone: timezone | ZoneInfo) -> None:
    """The instant found is after now, at most two days ahead, and the clock then shows the time that was entered."""
    typed = f"{hour:02d}:{minute:02d}"
    found = formats.parse_time(typed, now_ns=now, zone=zone)
    assert isinstance(found, int)
    assert now < found <= now + 50 * 3600 * formats.SECOND_NS
    assert formats.clock(found, zone) == typed
