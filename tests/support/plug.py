"""Model one EVSE's physics for `universe`: power follows the setpoint until its end, registers count it exactly in mWh.

Integers only. A car imports what it wants, and may export down to its battery's floor; without a car there is standby.
"""

from dataclasses import dataclass

SECOND_NS = 1_000_000_000
PIECE_NS = 10 * SECOND_NS
STANDBY_W = 5


@dataclass
class Plug:
    """An EVSE with its meter's true registers, with or without a car."""

    evse_id: str
    import_mwh: int = 5_000_000
    export_mwh: int = 2_000_000
    at_ns: int = 0
    car: bool = False
    wanted_mwh: int = 0
    battery_mwh: int = 0
    floor_mwh: int = 0
    taken_mwh: int = 0
    given_mwh: int = 0
    setpoint_w: int = 0
    ends_ns: int = 0
    max_w: int = 7_000
    stands_still: bool = False

    def arrive(self, *, wanted_wh: int, battery_wh: int) -> None:
        """Plug in a car at 40 % state of charge, which never falls below 20 %."""
        self.car, self.wanted_mwh, self.taken_mwh, self.given_mwh = True, wanted_wh * 1000, 0, 0
        self.battery_mwh, self.floor_mwh = battery_wh * 400, battery_wh * 200
        self.setpoint_w = 0

    def command(self, power_w: int, ends_ns: int) -> None:
        """Set the power until `ends_ns`; after it, power is 0 W."""
        self.setpoint_w, self.ends_ns = power_w, ends_ns

    def advance(self, now_ns: int) -> None:
        """Integrate up to `now_ns`, in pieces that end with the setpoint."""
        if self.stands_still:
            self.at_ns = now_ns
        while self.at_ns < now_ns:
            until_ns = min(now_ns, self.at_ns + PIECE_NS)
            if self.setpoint_w and self.at_ns >= self.ends_ns:
                self.setpoint_w = 0
            if self.setpoint_w:
                until_ns = min(until_ns, self.ends_ns)
            self._move(self.power_w(), until_ns - self.at_ns)
            self.at_ns = until_ns

    def power_w(self) -> int:
        """Return the power now: the car's within the setpoint, or standby without a car."""
        if not self.car:
            return STANDBY_W
        if self.setpoint_w > 0:
            return min(self.setpoint_w, self.max_w) if self.taken_mwh < self.wanted_mwh else 0
        return self.setpoint_w

    def _move(self, power_w: int, duration_ns: int) -> None:
        moved_mwh = abs(power_w) * duration_ns // 3_600_000_000
        if not self.car:
            self.import_mwh += moved_mwh
        elif power_w > 0:
            moved_mwh = min(moved_mwh, self.wanted_mwh - self.taken_mwh)
            self.import_mwh += moved_mwh
            self.taken_mwh += moved_mwh
            self.battery_mwh += moved_mwh
        else:
            moved_mwh = min(moved_mwh, max(0, self.battery_mwh - self.floor_mwh))
            self.export_mwh += moved_mwh
            self.given_mwh += moved_mwh
            self.battery_mwh -= moved_mwh
