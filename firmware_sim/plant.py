"""Model one EVSE's physics: contactor, electronics, the car's battery and the true energy registers.

Decides how much energy has crossed the EVSE's meter at any instant. Power is piecewise constant and the end of each
piece is computed; the integral is taken up to the instant of a query. A register is the exact integral truncated, never
a sum of truncated steps. Standby power is drawn only while the contactor is open. Does no I/O.
Import is grid to car, export is car to grid; the two are never netted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from firmware_sim.ev import NJ_PER_MWH, NJ_PER_WH, Battery, Car
from firmware_sim.world import QUARTER_NS

Piece = tuple[int, int]


@dataclass(slots=True)
class PluggedCar:
    """A car that is plugged in until `until_ns`; it imports at most `wanted_nj`."""

    battery: Battery
    wanted_nj: int
    until_ns: int
    import_nj: int = 0
    export_nj: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """The true registers at a UTC quarter hour."""

    at_ns: int
    import_mwh: int
    export_mwh: int


@dataclass(slots=True)
class Plant:
    """One EVSE's physics. Times are simulated UTC nanoseconds and never decrease."""

    at_ns: int
    rated_w: int
    standby_w: int = 5
    start_import_mwh: int = 0
    start_export_mwh: int = 0
    standby_nj: int = 0
    marks: list[Mark] = field(default_factory=list)
    car: PluggedCar | None = None
    _import_nj: int = 0
    _export_nj: int = 0
    _closed: bool = False
    _pieces: list[Piece] = field(default_factory=list)

    def plug(self, now_ns: int, car: Car, *, wanted_wh: int, until_ns: int) -> None:
        """Connect a car; the contactor stays open until `close`, and opens by itself at `until_ns`."""
        self.advance(now_ns)
        self.car = PluggedCar(Battery(car), wanted_wh * NJ_PER_WH, until_ns)

    def unplug(self, now_ns: int) -> PluggedCar:
        """Disconnect the car and return it with the energy it imported and exported."""
        self.advance(now_ns)
        car = self.car
        assert car is not None
        self._closed, self.car = False, None
        return car

    def close(self, now_ns: int) -> None:
        """Close the contactor if a car is plugged in: energy may flow."""
        self.advance(now_ns)
        self._closed = self.car is not None

    def open(self, now_ns: int) -> None:
        """Open the contactor: only standby power flows."""
        self.advance(now_ns)
        self._closed = False

    def command(self, now_ns: int, pieces: Sequence[Piece]) -> None:
        """Set the power to follow from now on: (start_ns, watts) in ascending order, the last one without an end."""
        self.advance(now_ns)
        self._pieces = list(pieces)

    def registers(self, now_ns: int) -> tuple[int, int, int]:
        """Return (import mWh, export mWh, power W with import positive) at the grid side of the EVSE."""
        self.advance(now_ns)
        return (*self._mwh(), self._flow()[0])

    def offered_w(self, now_ns: int) -> int:
        """Return the power that the charger offers (positive) or requests (negative) now."""
        self.advance(now_ns)
        return self._setpoint()[0]

    def next_change_ns(self, now_ns: int) -> int | None:
        """Return when the power changes next without a new command; None: never."""
        self.advance(now_ns)
        return self._flow()[1]

    def advance(self, now_ns: int) -> None:
        """Integrate the power up to `now_ns`, and record the registers at each quarter hour."""
        while self.at_ns < now_ns:
            power_w, change_ns = self._flow()
            mark_ns = (self.at_ns // QUARTER_NS + 1) * QUARTER_NS
            end_ns = min(now_ns, mark_ns, change_ns if change_ns is not None else now_ns)
            self._move(power_w, end_ns - self.at_ns)
            self.at_ns = end_ns
            if end_ns == mark_ns:
                self.marks.append(Mark(end_ns, *self._mwh()))
            if self.car and end_ns >= self.car.until_ns:
                self._closed = False

    def _mwh(self) -> tuple[int, int]:
        return (
            self.start_import_mwh + self._import_nj // NJ_PER_MWH,
            self.start_export_mwh + self._export_nj // NJ_PER_MWH,
        )

    def _setpoint(self) -> Piece:
        """Return the setpoint in W and the start of the next one (0: there is none)."""
        pieces = self._pieces
        while len(pieces) > 1 and pieces[1][0] <= self.at_ns:
            del pieces[0]
        setpoint_w = pieces[0][1] if pieces and pieces[0][0] <= self.at_ns else 0
        later = pieces[1:] if pieces and pieces[0][0] <= self.at_ns else pieces
        return max(-self.rated_w, min(self.rated_w, setpoint_w)), later[0][0] if later else 0

    def _flow(self) -> tuple[int, int | None]:
        """Return the power at the meter in W and when it changes next (None: never)."""
        car = self.car
        if car is None or not self._closed:
            return self.standby_w, None
        setpoint_w, next_ns = self._setpoint()
        left_nj = car.wanted_nj - car.import_nj
        power_w = 0 if setpoint_w > 0 and left_nj <= 0 else car.battery.power_w(setpoint_w)
        changes = [car.until_ns]
        if next_ns:
            changes.append(next_ns)
        if (steady_ns := car.battery.steady_ns(power_w)) is not None:
            changes.append(self.at_ns + steady_ns)
        if power_w > 0:
            changes.append(self.at_ns - (-left_nj // power_w))
        return power_w, min(changes)

    def _move(self, power_w: int, duration_ns: int) -> None:
        energy_nj = abs(power_w) * duration_ns
        if power_w >= 0:
            self._import_nj += energy_nj
        else:
            self._export_nj += energy_nj
        if self.car is None or not self._closed:
            self.standby_nj += energy_nj
            return
        self.car.battery.move(power_w, duration_ns)
        if power_w >= 0:
            self.car.import_nj += energy_nj
        else:
            self.car.export_nj += energy_nj
