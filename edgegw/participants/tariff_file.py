"""Reads a published tariff from a file of `configs/tariffs`, and converts it to the arguments of PostTariff.

Decides which value of the file belongs to which hour, never a price. The file's SHA-256 is stored on the ledger.
Source: docs/contract.md, PostTariff in full.
"""

import hashlib
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgegw.common.errors import ConfigError
from edgegw.common.trade_terms import PRODUCTS, Product

Period = Literal["light", "mid", "peak"]
Rates = dict[Product, dict[Period, int]]
FloorDay = Literal["workday", "saturday", "sunday"]
_YEAR = tuple(range(1, 13))
_SATURDAY, _SUNDAY = 5, 6


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TariffSource(_Table):
    """A source of the tariff's values, and its date."""

    what: str
    dated: date
    note: str = ""


class Calendar(_Table):
    """How weekends and holidays change the load periods."""

    sunday: Period | None = None
    holiday: Period | None = None
    saturday_peak_as: Period | None = None
    holidays: tuple[date, ...] = ()


class Season(_Table):
    """The months of a season, its load periods (`HH:MM-HH:MM`, local, end excluded) and rates (milli-token per kWh)."""

    months: tuple[int, ...]
    periods: dict[Period, tuple[str, ...]]
    ceilings_mtok_per_kwh: Rates
    floors_mtok_per_kwh: Rates


class Tariff(_Table):
    """The whole file. `sandbox_season`: the season that applies in all twelve months."""

    tariff_id: str
    effective_from: AwareDatetime
    utc_offset_s: int
    sandbox_season: str | None = None
    sources: tuple[TariffSource, ...] = Field(min_length=1)
    calendar: Calendar
    seasons: dict[str, Season]
    hourly_floors_mtok_per_kwh: dict[FloorDay, tuple[int, ...]]
    document_sha256: str

    @model_validator(mode="after")
    def _whole_year(self) -> Self:
        months = sorted(month for season in self._in_force().values() for month in season.months)
        if self.sandbox_season is None and months != list(_YEAR):
            raise ValueError(
                "the seasons must share out the twelve months, or sandbox_season name one of them"
            )
        if any(len(floors) != 24 for floors in self.hourly_floors_mtok_per_kwh.values()):
            raise ValueError("hourly_floors_mtok_per_kwh: a day has 24 hours")
        return self

    def arguments(self, *, zone: str, utc_offset_s: int, effective_from: int) -> dict[str, Any]:
        """Return the arguments of PostTariff.

        `effective_from`: UTC epoch second. `utc_offset_s`: UTC offset of the tariff's local hours.
        """
        seasons = self._in_force()
        return {
            "tariffId": self.tariff_id,
            "zone": zone,
            "effectiveFrom": effective_from,
            "utcOffsetS": utc_offset_s,
            "documentHash": self.document_sha256,
            "periods": {name: _spans(season) for name, season in seasons.items()},
            "calendar": self._calendar(seasons),
            "ceilings": _by_product({name: season.ceilings_mtok_per_kwh for name, season in seasons.items()}),
            "floors": _by_product({name: season.floors_mtok_per_kwh for name, season in seasons.items()}),
        }

    def floor_mtok_per_kwh(self, hour: int, utc_offset_s: int) -> int:
        """Return the wholesale price of the hour that starts at UTC epoch second `hour`, by its local hour."""
        local = datetime.fromtimestamp(hour + utc_offset_s, UTC)
        return self.hourly_floors_mtok_per_kwh[self._floor_day(local.date())][local.hour]

    def ceiling_mtok_per_kwh(self, product: Product) -> int:
        """Return the highest ceiling of the year, a limit at which a standing bid always covers the price."""
        return max(
            max(season.ceilings_mtok_per_kwh[product].values()) for season in self._in_force().values()
        )

    def _floor_day(self, day: date) -> FloorDay:
        if day in self.calendar.holidays or day.weekday() == _SUNDAY:
            return "sunday"
        return "saturday" if day.weekday() == _SATURDAY else "workday"

    def _in_force(self) -> dict[str, Season]:
        if self.sandbox_season is None:
            return self.seasons
        if self.sandbox_season not in self.seasons:
            raise ValueError(f"sandbox_season: there is no season {self.sandbox_season}")
        season = self.seasons[self.sandbox_season]
        return {self.sandbox_season: season.model_copy(update={"months": _YEAR})}

    def _calendar(self, seasons: dict[str, Season]) -> dict[str, Any]:
        rules = {
            "sunday": self.calendar.sunday,
            "holiday": self.calendar.holiday,
            "saturdayPeakAs": self.calendar.saturday_peak_as,
        }
        return {
            "seasons": {name: list(season.months) for name, season in seasons.items()},
            "holidays": [day.isoformat() for day in sorted(self.calendar.holidays)],
        } | {name: period for name, period in rules.items() if period is not None}


def read_tariff(path: Path) -> Tariff:
    """Read and validate a tariff; raises ConfigError with every fault."""
    raw = path.read_bytes()
    try:
        tables = tomllib.loads(raw.decode())
        return Tariff.model_validate(tables | {"document_sha256": hashlib.sha256(raw).hexdigest()})
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(tuple(f"{path.name}: {fault}" for fault in faults)) from error
    except ValueError as error:
        raise ConfigError((f"{path.name}: {error}",)) from error


def _spans(season: Season) -> dict[str, list[list[int]]]:
    """Return the load periods as minutes of the local day; a span over midnight becomes two."""
    return {
        period: sorted(span for text in texts for span in _minutes(text))
        for period, texts in season.periods.items()
    }


def _minutes(text: str) -> list[list[int]]:
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in text.split("-"))
    spans = [[start, end]] if start < end else [[start, 24 * 60], [0, end]]
    return [span for span in spans if span[0] < span[1]]


def _by_product(rates_of: dict[str, Rates]) -> dict[str, Any]:
    """Return rates as decimal strings by product, season and period."""
    return {
        product: {
            name: {period: str(rate) for period, rate in rates[product].items()}
            for name, rates in rates_of.items()
        }
        for product in PRODUCTS
    }
