"""Format and parse numbers, money and times for people, in Korean and English.

Decides digits, separators, units and words of quantities; never uses a float: every quantity is an integer of its unit.
Rounds half away from zero, and only where the caller asks for fewer decimals than the value has. Parses strictly, ASCII
digits and one decimal point, so that no entry is ambiguous; a wrong entry is a value (`Flaw`) that the page translates.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Literal

Language = Literal["ko", "en"]

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
SECOND_NS = 1_000_000_000
KILOMETRE_M = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAYS = {"ko": "월화수목금토일", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS: dict[Language, tuple[str, str, str, str]] = {
    "ko": ("일", "시간", "분", "초"),
    "en": (" d", " h", " min", " s"),
}


def decimal(value: int, *, scale: int, places: int | None = None) -> str:
    """Format `value / 10**scale` with thousands separators and `places` decimals; None: as many as it needs to be exact."""
    shown = scale if places is None else places
    if shown < scale:
        unit: int = 10 ** (scale - shown)
        magnitude = (abs(value) + unit // 2) // unit
    else:
        magnitude = abs(value) * 10 ** (shown - scale)
    whole, fraction = divmod(magnitude, 10**shown)
    digits = f"{fraction:0{shown}d}" if shown else ""
    if places is None:
        digits = digits.rstrip("0")
    sign = MINUS if value < 0 and magnitude else ""
    return f"{sign}{whole:,}{'.' if digits else ''}{digits}"


def kwh(energy_wh: int, *, places: int | None = 2) -> str:
    """1,234 Wh is "1.23 kWh"."""
    return f"{decimal(energy_wh, scale=3, places=places)} kWh"


def kilowatts(power_w: int, *, places: int | None = 1) -> str:
    """7,350 W is "7.4 kW"."""
    return f"{decimal(power_w, scale=3, places=places)} kW"


def tokens(amount_mtok: int, language: Language, *, places: int | None = None) -> str:
    """58,600 mtok is "58.6 tokens"; exact unless `places` is given."""
    shown = decimal(amount_mtok, scale=3, places=places)
    if language == "ko":
        return f"{shown} 토큰"
    return f"{shown} {'token' if abs(amount_mtok) == 1000 else 'tokens'}"


def price(price_mtok_per_kwh: int, language: Language) -> str:
    """162,600 mtok per kWh is "162.6 tokens/kWh"."""
    return f"{decimal(price_mtok_per_kwh, scale=3)} {'토큰' if language == 'ko' else 'tokens'}/kWh"


def won(amount_won: int, language: Language) -> str:
    """5,860 won is "5,860원" or "5,860 KRW"."""
    return f"{decimal(amount_won, scale=0)}{'원' if language == 'ko' else ' KRW'}"


def percent(share_bp: int) -> str:
    """8,050 basis points are "80.5%"."""
    return f"{decimal(share_bp, scale=2)}%"


def distance(distance_m: int) -> str:
    """Metres below 1 km, then kilometres, with one decimal below 10 km."""
    if distance_m < KILOMETRE_M:
        return f"{distance_m} m"
    return f"{decimal(distance_m, scale=3, places=1 if distance_m < 9950 else 0)} km"


def local(at_ns: int, zone: tzinfo) -> datetime:
    """Return the local time in `zone` of a UTC instant."""
    return (_EPOCH + timedelta(microseconds=at_ns // 1000)).astimezone(zone)


def clock(at_ns: int, zone: tzinfo) -> str:
    """The time of day, "07:30"."""
    return local(at_ns, zone).strftime("%H:%M")


def span(begin_ns: int, end_ns: int, zone: tzinfo) -> str:
    """Two times of day, "06:00-08:00" with an en dash; an end at midnight is 24:00."""
    end = clock(end_ns, zone)
    return f"{clock(begin_ns, zone)}{DASH}{'24:00' if end == '00:00' else end}"


def date(at_ns: int, zone: tzinfo, language: Language) -> str:
    """A date with its weekday, "2026년 7월 15일 (수)" or "Wed 15 Jul 2026"."""
    day = local(at_ns, zone)
    weekday = _DAYS[language][day.weekday()]
    if language == "ko":
        return f"{day.year}년 {day.month}월 {day.day}일 ({weekday})"
    return f"{weekday} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def date_time(at_ns: int, zone: tzinfo, language: Language) -> str:
    """Date and time of day."""
    return f"{date(at_ns, zone, language)} {clock(at_ns, zone)}"


def moment(at_ns: int, *, now_ns: int, zone: tzinfo, language: Language) -> str:
    """The time of day, with "yesterday", "tomorrow" or the date in front if it is not today."""
    days = (local(at_ns, zone).date() - local(now_ns, zone).date()).days
    words = {"ko": {-1: "어제 ", 0: "", 1: "내일 "}, "en": {-1: "yesterday ", 0: "", 1: "tomorrow "}}[
        language
    ]
    return f"{words[days]}{clock(at_ns, zone)}" if days in words else date_time(at_ns, zone, language)


def machine_time(at_ns: int, zone: tzinfo) -> str:
    """ISO 8601 with offset, for `<time datetime>` and CSV."""
    return local(at_ns, zone).isoformat(timespec="seconds")


def duration(length_s: int, language: Language) -> str:
    """A length in its two largest units, rounded down: "1 h 20 min", "1시간 20분"; below a minute in seconds."""
    length_s = max(0, length_s)
    units = _UNITS[language]
    if length_s < MINUTE_S:
        return f"{length_s}{units[3]}"
    if length_s >= DAY_S:
        parts = ((length_s // DAY_S, units[0]), (length_s % DAY_S // HOUR_S, units[1]))
    else:
        parts = ((length_s // HOUR_S, units[1]), (length_s % HOUR_S // MINUTE_S, units[2]))
    return " ".join(f"{count}{unit}" for count, unit in parts if count)


def relative(length_s: int, language: Language) -> str:
    """A length from now: "in 12 min", "12분 후"; negative is the past: "12 min ago", "12분 전"."""
    words = duration(abs(length_s), language)
    if language == "ko":
        return f"{words} {'전' if length_s < 0 else '후'}"
    return f"{words} ago" if length_s < 0 else f"in {words}"


class FlawCode(StrEnum):
    """What is wrong with an entry; the page words it in its language, with the limits of the `Flaw`."""

    EMPTY = "empty"
    NOT_A_NUMBER = "not_a_number"
    NOT_A_TIME = "not_a_time"
    NEGATIVE = "negative"
    COMMA = "comma"
    FOREIGN_DIGITS = "foreign_digits"
    TOO_PRECISE = "too_precise"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Smallest and largest value of a field, in the unit of its result."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why an entry is not accepted; `places` is the number of decimals of the field, `limits` is None for a time."""

    code: FlawCode
    limits: Limits | None = None
    places: int = 0


KWH_WH = Limits(minimum=1_000, maximum=100_000)
PERCENT_BP = Limits(minimum=0, maximum=10_000)
TOKENS_MTOK = Limits(minimum=1, maximum=10**12)
PRICE_MTOK_PER_KWH = Limits(minimum=0, maximum=10**7)
ENTRY_LENGTH_MAX = 32
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


def parse_kwh(text: str, limits: Limits = KWH_WH) -> int | Flaw:
    """Wh of an entry such as "5.5"."""
    return _scaled(text, places=3, limits=limits)


def parse_percent(text: str, limits: Limits = PERCENT_BP) -> int | Flaw:
    """Basis points of an entry such as "80", "80.5" or "80%"."""
    return _scaled(text.strip().removesuffix("%"), places=2, limits=limits)


def parse_tokens(text: str, limits: Limits = TOKENS_MTOK) -> int | Flaw:
    """Milli-token of an entry such as "58.6"."""
    return _scaled(text, places=3, limits=limits)


def parse_price(text: str, limits: Limits = PRICE_MTOK_PER_KWH) -> int | Flaw:
    """Milli-token per kWh of an entry such as "162.6" tokens per kWh."""
    return _scaled(text, places=3, limits=limits)


def parse_time(text: str, *, now_ns: int, zone: tzinfo) -> int | Flaw:
    """UTC nanoseconds of the next instant after `now_ns` at which the local time in `zone` is an entry such as "07:30".

    A day on which the clock skips that time is passed over; where the clock shows it twice, both instants count.
    """
    bare = text.strip()
    if not bare:
        return Flaw(code=FlawCode.EMPTY)
    if not (match := _TIME.fullmatch(bare)):
        return Flaw(code=FlawCode.NOT_A_TIME)
    wanted = time(int(match[1]), int(match[2]))
    today = local(now_ns, zone).date()
    shown = [
        datetime.combine(today + timedelta(days=day), wanted, tzinfo=zone).replace(fold=fold)
        for day in range(4)
        for fold in (0, 1)
    ]
    real = [at for at in shown if at.astimezone(UTC).astimezone(zone).time() == wanted]
    return min(
        at_ns for at in real if (at_ns := (at.astimezone(UTC) - _EPOCH) // _SECOND * SECOND_NS) > now_ns
    )


def _scaled(text: str, *, places: int, limits: Limits) -> int | Flaw:
    def flaw(code: FlawCode) -> Flaw:
        return Flaw(code=code, limits=limits, places=places)

    bare = text.strip()
    if not bare:
        return flaw(FlawCode.EMPTY)
    match = _NUMBER.fullmatch(bare) if len(bare) <= ENTRY_LENGTH_MAX else None
    if match is None:
        return flaw(_misshape(bare[:ENTRY_LENGTH_MAX]))
    fraction = match[2] or ""
    if len(fraction) > places:
        return flaw(FlawCode.TOO_PRECISE)
    value = int(match[1] + fraction.ljust(places, "0"))
    if value < limits.minimum:
        return flaw(FlawCode.TOO_SMALL)
    return flaw(FlawCode.TOO_LARGE) if value > limits.maximum else value


def _misshape(bare: str) -> FlawCode:
    if any(character.isdigit() and not character.isascii() for character in bare):
        return FlawCode.FOREIGN_DIGITS
    if bare[0] in f"-{MINUS}{DASH}" and _NUMBER.fullmatch(bare[1:].strip()):
        return FlawCode.NEGATIVE
    if "," in bare and _NUMBER.fullmatch(bare.replace(",", "")):
        return FlawCode.COMMA
    return FlawCode.NOT_A_NUMBER
