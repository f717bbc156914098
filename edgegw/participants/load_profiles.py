"""Reads solar irradiance and load profiles, and computes energy by quarter hour in integer Wh.

Decides how hourly values become quarter hours. A date that the file lacks uses the day with the number of its ordinal
modulo the file's days. Never uses a float.
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
    """Irradiance by `MM/DD` and local hour, and a plant of `peak_w` with a performance ratio in basis points."""

    ghi_w_m2: dict[str, tuple[int, ...]]
    peak_w: int
    performance_bp: int

    def energy_wh(self, interval: int, utc_offset_s: int) -> int:
        """Return the generation of one UTC quarter hour; the four quarters of an hour sum to the hour exactly."""
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
    """Consumption by local quarter hour of a site that uses `annual_mwh` MWh a year; every day is equal."""

    wh_at_1000_mwh: tuple[int, ...]
    annual_mwh: int

    def energy_wh(self, interval: int, utc_offset_s: int) -> int:
        """Return the consumption of one UTC quarter hour."""
        local = _local(interval, utc_offset_s)
        return self.wh_at_1000_mwh[local.hour * 4 + local.minute // 15] * self.annual_mwh // 1000


def read_sun(path: Path, *, peak_w: int, performance_bp: int) -> SunProfile:
    """Read a CSV file `date,hour_ending,ghi_w_m2`; raises ValueError where a day does not have 24 hours."""
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
    """Read a CSV file `interval,kwh_per_1000MWh_year`; raises ValueError where it does not have 96 quarter hours."""
    quarters = tuple(thousandths(row["kwh_per_1000MWh_year"]) for row in _rows(path))
    if len(quarters) != QUARTERS_A_DAY:
        raise ValueError(f"{path.name}: a day needs {QUARTERS_A_DAY} quarter hours, not {len(quarters)}")
    return LoadProfile(wh_at_1000_mwh=quarters, annual_mwh=annual_mwh)


def thousandths(decimal: str) -> int:
    """Return a decimal as an exact number of thousandths: "13.346" kWh is 13346 Wh. Raises ValueError beyond three decimals."""
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
