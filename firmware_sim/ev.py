"""Model a car's limits and its battery.

Decides which power a car takes or gives at a state of charge. Knows neither OCPP nor the time of day.
The arithmetic is exact: one watt for one nanosecond is one nanojoule at the plug; the battery counts in nanojoule
times parts per million (femtojoule), so that efficiencies need no rounding and sums do not depend on the length of
the time steps.
"""

from __future__ import annotations

from dataclasses import dataclass

PPM = 1_000_000
NJ_PER_WH = 3_600_000_000_000
NJ_PER_MWH = 3_600_000_000
TAPER_STEP_PPM = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A car on arrival: battery size, limits and efficiencies. `max_discharge_w` None: not bidirectional."""

    capacity_wh: int = 60_000
    soc_ppm: int = 500_000
    min_soc_ppm: int = 200_000
    max_charge_w: int = 11_000
    max_discharge_w: int | None = None
    charge_efficiency_ppm: int = 950_000
    discharge_efficiency_ppm: int = 950_000
    taper_from_ppm: int = 800_000
    taper_floor_ppm: int = 100_000

    def charge_limit_w(self, soc_ppm: int) -> int:
        """Return the highest charging power in W; it falls in steps of 1 % state of charge from the taper's start."""
        if soc_ppm >= PPM:
            return 0
        if soc_ppm < self.taper_from_ppm:
            return self.max_charge_w
        band_ppm = soc_ppm - soc_ppm % TAPER_STEP_PPM
        share_ppm = (PPM - band_ppm) * PPM // (PPM - self.taper_from_ppm)
        return self.max_charge_w * max(share_ppm, self.taper_floor_ppm) // PPM


class Battery:
    """A car's battery. Power is measured at the plug: positive charges, negative discharges."""

    def __init__(self, car: Car) -> None:
        self.car = car
        self._full_fj = car.capacity_wh * NJ_PER_WH * PPM
        self._level_fj = self._full_fj // PPM * car.soc_ppm
        self._floor_fj = self._full_fj // PPM * car.min_soc_ppm
        self._draw_ppm = -(-PPM * PPM // car.discharge_efficiency_ppm)

    @property
    def soc_ppm(self) -> int:
        """State of charge in parts per million of the capacity, rounded down."""
        return self._level_fj * PPM // self._full_fj

    def power_w(self, setpoint_w: int) -> int:
        """Return the power that flows when `setpoint_w` is offered (positive) or requested (negative)."""
        if setpoint_w >= 0:
            return min(setpoint_w, self.car.charge_limit_w(self.soc_ppm))
        if self.car.max_discharge_w is None or self._level_fj <= self._floor_fj:
            return 0
        return -min(-setpoint_w, self.car.max_discharge_w)

    def steady_ns(self, power_w: int) -> int | None:
        """Return for how many nanoseconds `power_w` can flow before the battery's limits change; None: for ever."""
        if power_w == 0:
            return None
        if power_w < 0:
            room_fj = self._level_fj - self._floor_fj
            return max(1, -(-room_fj // (-power_w * self._draw_ppm)))
        soc_ppm = self.soc_ppm
        if soc_ppm < self.car.taper_from_ppm:
            next_ppm = self.car.taper_from_ppm
        else:
            next_ppm = min(PPM, soc_ppm - soc_ppm % TAPER_STEP_PPM + TAPER_STEP_PPM)
        room_fj = self._full_fj // PPM * next_ppm - self._level_fj
        return max(1, -(-room_fj // (power_w * self.car.charge_efficiency_ppm)))

    def move(self, power_w: int, duration_ns: int) -> None:
        """Change the battery's level by `power_w` over `duration_ns`."""
        factor_ppm = self.car.charge_efficiency_ppm if power_w > 0 else self._draw_ppm
        self._level_fj += power_w * duration_ns * factor_ppm
