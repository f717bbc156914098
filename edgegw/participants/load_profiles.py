"""Sun and load by local quarter hour, as integers of Wh. Decides how hourly files become quarter hours.

A file's days repeat where it lacks the date: the day's ordinal modulo the file's days. Never a float, never a network.
Source: TMY3 723170 (GHI, W/m2 by hour ending) and BDEW G25 (kWh per quarter hour of 1000 MWh a year), configs/scenarios/data.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgegw.common.units import INTERVAL_S

QUARTERS_A_DAY = 96
_FULL_SUN_W_M2 = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SunProfile:
    """Irradiance by `MM/DD` and local hour, seen by a plant of `peak_w` with a performance ratio."""

    ghi_w_m2: dict[str, tuple[int, ...]]
    peak_w: int
    performance_bp: int

    def energy_wh(self, interval: int, utc_offset_s: int) -> int:
        """Generation of one UTC quarter hour; the four quarters of an hour add up to the hour exactly."""
        local = _local(interval, utc_offset_s)
        hour_wh = self._hour_wh(local)
        quarter = local.minute // 15
        return hour_wh * (quarter + 1) // 4 - hour_wh * quarter // 4

    def _hour_wh(self, local: datetime) -> int:
        days = sorted(self.ghi_w_m2)
        day = local.strftime("%m/%d")
        if day not in self.ghi_w_m2:
            day = days[local.toordinal() % len(days)]
        return self.peak_w * self.ghi_w_m2[day][local.hour] * self.performance_bp // (_FULL_SUN_W_M2 * 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProfile:
    """Consumption by local quarter hour of a site that uses `annual_mwh` MWh a year; the same every day."""

    wh_at_1000_mwh: tuple[int, ...]
    annual_mwh: int

    def energy_wh(self, interval: int, utc_offset_s: int) -> int:
        """Consumption of one UTC quarter hour."""
        local = _local(interval, utc_offset_s)
        return self.wh_at_1000_mwh[local.hour * 4 + local.minute // 15] * self.annual_mwh // 1000


def read_sun(path: Path, *, peak_w: int, performance_bp: int) -> SunProfile:
    """The plant's profile from `date,hour_ending,ghi_w_m2`; ValueError where a day is not 24 hours."""
    days: dict[str, list[int]] = {}
    for row in _rows(path):
        hours = days.setdefault(row["date"], [])
        if int(row["hour_ending"].partition(":")[0]) != len(hours) + 1:
            raise ValueError(f"{path.name}: {row['date']}: hours are not in order at {row['hour_ending']}")
        hours.append(int(row["ghi_w_m2"]))
    if not days or any(len(hours) != 24 for hours in days.values()):
        raise ValueError(f"{path.name}: a day needs 24 hours")
    ghi_w_m2 = {day: tuple(hours) for day, hours in days.items()}
    return SunProfile(ghi_w_m2=ghi_w_m2, peak_w=peak_w, performance_bp=performance_bp)


def read_load(path: Path, *, annual_mwh: int) -> LoadProfile:
    """The site's profile from `interval,kwh_per_1000MWh_year`; ValueError where a day is not 96 quarter hours."""
    quarters = tuple(thousandths(row["kwh_per_1000MWh_year"]) for row in _rows(path))
    if len(quarters) != QUARTERS_A_DAY:
        raise ValueError(f"{path.name}: a day needs {QUARTERS_A_DAY} quarter hours, not {len(quarters)}")
    return LoadProfile(wh_at_1000_mwh=quarters, annual_mwh=annual_mwh)


def thousandths(decimal: str) -> int:
    """`13.346` kWh is 13346 Wh, exactly; at most three decimals."""
    whole, _, fraction = decimal.strip().partition(".")
    if len(fraction) > 3:
        raise ValueError(f"more than three decimals: {decimal}")
    return int(whole) * 1000 + int(fraction.ljust(3, "0"))


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _local(interval: int, utc_offset_s: int) -> datetime:
    assert interval % INTERVAL_S == 0
    return datetime.fromtimestamp(interval + utc_offset_s, UTC)
