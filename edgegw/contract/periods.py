"""Find a tariff's load period (light, mid or peak) for an instant, by local day and season.

Uses the tariff's own data (offset, months, holidays, hours), never a time zone database or a clock.
Source: docs/contract.md, PostTariff in full.
"""

from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from edgegw.contract.codec import Ident, LocalDate, Minute, Month, Period
from edgegw.contract.codes import Code, Refusal

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
DAY_S = 86_400
DAY_MIN = 1_440
SATURDAY, SUNDAY = 5, 6
Hours = dict[Period, tuple[tuple[Minute, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The months of each season, and the rules for Saturdays, Sundays and holidays.

    `sunday` and `holiday` are the period of the whole day; `saturday_peak_as` replaces peak on Saturdays. Holidays are
    ISO dates.
    """

    seasons: dict[Ident, tuple[Month, ...]]
    holidays: tuple[LocalDate, ...] = ()
    sunday: Period | None = None
    holiday: Period | None = None
    saturday_peak_as: Period | None = None


def season_and_period(calendar: Calendar, hours: dict[str, Hours], local_s: int) -> tuple[str, Period]:
    """Return season and load period of a local time, given as epoch seconds plus the tariff's UTC offset."""
    day, second = divmod(local_s, DAY_S)
    today = date.fromordinal(EPOCH_ORDINAL + day)
    season = next(name for name, months in calendar.seasons.items() if today.month in months)
    if calendar.holiday is not None and today.isoformat() in calendar.holidays:
        return season, calendar.holiday
    if calendar.sunday is not None and today.weekday() == SUNDAY:
        return season, calendar.sunday
    minute = second // 60
    period = next(
        name for name, spans in hours[season].items() if any(start <= minute < end for start, end in spans)
    )
    if period == "peak" and calendar.saturday_peak_as is not None and today.weekday() == SATURDAY:
        return season, calendar.saturday_peak_as
    return season, period


def require_complete(calendar: Calendar, hours: dict[str, Hours]) -> None:
    """Refuse unless each month has one season and each season's hours cover the day once, on quarter hours."""
    months = sorted(month for season in calendar.seasons.values() for month in season)
    if months != list(range(1, 13)):
        raise Refusal(Code.BAD_ARGUMENT, "the seasons do not share out the twelve months")
    if hours.keys() != calendar.seasons.keys():
        raise Refusal(Code.BAD_ARGUMENT, "periods and seasons have different names")
    for season, spans_of in hours.items():
        spans = sorted(span for spans in spans_of.values() for span in spans)
        if any(len(span) != 2 or span[0] >= span[1] or span[0] % 15 for span in spans):
            raise Refusal(Code.BAD_ARGUMENT, f"{season}: a period is no span of quarter hours")
        edges = [(0, 0), *spans, (DAY_MIN, DAY_MIN)]
        if any(earlier[1] != later[0] for earlier, later in pairwise(edges)):
            raise Refusal(Code.BAD_ARGUMENT, f"{season}: the periods do not cover the day once")
