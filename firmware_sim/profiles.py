"""Keep installed charging profiles and compute the power that prevails at each instant.

Decides the prevailing power by purpose, stack level and validity (OCPP 1.6 §3.13, 2.1 K01, K28, Q03); after a profile
expires, the next lower stack level applies, then the default. Never moves energy. Times are simulated UTC
nanoseconds. Power: positive charges, negative discharges.
Dialects: `none` (no discharge), `negative_limit` (vendor practice on 1.6 and 2.0.1), `setpoint` (2.1 CentralSetpoint).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from firmware_sim.plant import Piece
from firmware_sim.world import NS_PER_S, parse_ns

CAPS = {"ChargePointMaxProfile", "ChargingStationMaxProfile", "ChargingStationExternalConstraints"}
PURPOSES = {"TxProfile", "TxDefaultProfile", *CAPS}
VOLTS = 230


class ProfileRefused(Exception):  # noqa: N818 - it becomes a Rejected answer, it is not an error
    """The charger does not accept a profile; the message is the reason code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One installed profile. `steps` are (offset in ns from `start_ns`, watts)."""

    profile_id: int
    purpose: str
    stack_level: int
    kind: str
    start_ns: int
    steps: tuple[Piece, ...]
    central: bool = False
    duration_ns: int | None = None
    valid_from_ns: int | None = None
    valid_to_ns: int | None = None
    max_offline_ns: int | None = None
    stays_invalid: bool = False

    def end_ns(self, offline_ns: int | None) -> int | None:
        """Return when it ends; `offline_ns` is when the charger went offline, None while it is online."""
        ends = [
            self.valid_to_ns,
            None if self.duration_ns is None else self.start_ns + self.duration_ns,
            None if offline_ns is None or self.max_offline_ns is None else offline_ns + self.max_offline_ns,
        ]
        return min((end for end in ends if end is not None), default=None)

    def begin_ns(self) -> int:
        """Return when it begins to apply."""
        return max(self.start_ns, self.valid_from_ns or self.start_ns)

    def power_w(self, at_ns: int, offline_ns: int | None) -> int | None:
        """Return the power in W at an instant; None if it does not apply then."""
        end_ns = self.end_ns(offline_ns)
        if at_ns < self.begin_ns() or (end_ns is not None and at_ns >= end_ns):
            return None
        power_w = None
        for offset_ns, step_w in self.steps:
            if self.start_ns + offset_ns <= at_ns:
                power_w = step_w
        return power_w


class ProfileStack:
    """All profiles of one EVSE."""

    def __init__(self, default_w: int) -> None:
        self.default_w = default_w
        self.offline_ns: int | None = None
        self._profiles: dict[int, Profile] = {}

    def install(self, profile: Profile, *, replace_level: bool) -> None:
        """Install a profile in place of one with the same id.

        With `replace_level` it also replaces one of the same purpose and stack level; otherwise such a second profile
        raises ProfileRefused (2.x K01.FR.39).
        """
        for other in list(self._profiles.values()):
            same = (other.purpose, other.stack_level) == (profile.purpose, profile.stack_level)
            if same and other.profile_id != profile.profile_id:
                if not replace_level:
                    raise ProfileRefused("DuplicateProfile")
                del self._profiles[other.profile_id]
        self._profiles[profile.profile_id] = profile

    def clear(
        self, *, profile_id: int | None = None, purpose: str | None = None, level: int | None = None
    ) -> bool:
        """Remove the profiles that match all given criteria; return whether any did."""
        gone = [
            p.profile_id
            for p in self._profiles.values()
            if profile_id in {None, p.profile_id}
            and purpose in {None, p.purpose}
            and level in {None, p.stack_level}
        ]
        for each in gone:
            del self._profiles[each]
        return bool(gone)

    def update(self, profile_id: int, power_w: int, now_ns: int) -> bool:
        """Set a dynamic profile's power and restart its duration; return False if there is no such profile."""
        profile = self._profiles.get(profile_id)
        if profile is None or profile.kind != "Dynamic":
            return False
        self._profiles[profile_id] = replace(profile, start_ns=now_ns, steps=((0, power_w),))
        return True

    def begin(self, now_ns: int) -> None:
        """Start the relative profiles at the begin of a transaction."""
        for profile in list(self._profiles.values()):
            if profile.kind == "Relative":
                self._profiles[profile.profile_id] = replace(profile, start_ns=now_ns)

    def went_offline(self, now_ns: int) -> None:
        """Start the offline clock, unless it is running."""
        self.offline_ns = self.offline_ns or now_ns

    def came_online(self, now_ns: int) -> None:
        """Stop the offline clock and remove the profiles that it made invalid (2.1 Q12)."""
        since_ns, self.offline_ns = self.offline_ns, None
        if since_ns is None:
            return
        for profile in list(self._profiles.values()):
            limit_ns = profile.max_offline_ns
            if profile.stays_invalid and limit_ns is not None and now_ns >= since_ns + limit_ns:
                del self._profiles[profile.profile_id]

    def power_w(self, at_ns: int) -> int:
        """Return the prevailing power in W at an instant."""
        profile = self._prevailing(at_ns)
        asked_w = None if profile is None else profile.power_w(at_ns, self.offline_ns)
        powers_w = [self.default_w if asked_w is None else asked_w]
        caps = [self._highest(purpose, at_ns) for purpose in sorted(CAPS)]
        powers_w += [cap.power_w(at_ns, self.offline_ns) or 0 for cap in caps if cap is not None]
        return min(powers_w)

    def central(self, at_ns: int) -> bool:
        """Return whether the prevailing profile is a CentralSetpoint (2.1 operation mode)."""
        profile = self._prevailing(at_ns)
        return profile is not None and profile.central

    def _prevailing(self, at_ns: int) -> Profile | None:
        return self._highest("TxProfile", at_ns) or self._highest("TxDefaultProfile", at_ns)

    def _highest(self, purpose: str, at_ns: int) -> Profile | None:
        holding = [
            p
            for p in self._profiles.values()
            if p.purpose == purpose and p.power_w(at_ns, self.offline_ns) is not None
        ]
        return max(holding, key=lambda p: p.stack_level, default=None)

    def pieces(self, now_ns: int) -> list[Piece]:
        """Return the power from now on as (start_ns, watts), computed from the installed profiles."""
        times = {now_ns}
        for profile in self._profiles.values():
            ends = {profile.begin_ns(), profile.end_ns(self.offline_ns)}
            ends |= {profile.start_ns + offset_ns for offset_ns, _ in profile.steps}
            times |= {each for each in ends if each is not None and each > now_ns}
        found: list[Piece] = []
        for at_ns in sorted(times):
            power_w = self.power_w(at_ns)
            if not found or found[-1][1] != power_w:
                found.append((at_ns, power_w))
        return found


def read_profile(table: Mapping[str, Any], *, now_ns: int, dialect: str) -> Profile:
    """Return the profile of a 1.6 or 2.x message (snake case keys). Raise ProfileRefused if it is not supported."""
    schedules = table["charging_schedule"]
    schedule = schedules[0] if isinstance(schedules, list) else schedules
    purpose, kind = str(table["charging_profile_purpose"]), str(table["charging_profile_kind"])
    periods = schedule["charging_schedule_period"]
    if purpose not in PURPOSES or kind == "Recurring":
        raise ProfileRefused("UnsupportedProfile")
    if kind == "Dynamic" and (len(periods) != 1 or periods[0]["start_period"] != 0):
        raise ProfileRefused("InvalidSchedule")
    unit_w = 1 if schedule["charging_rate_unit"] == "W" else VOLTS
    steps = tuple((int(p["start_period"]) * NS_PER_S, _power_w(p, unit_w, dialect)) for p in periods)
    start = schedule.get("start_schedule")
    return Profile(
        profile_id=int(table.get("charging_profile_id", table.get("id", 0))),
        purpose=purpose,
        stack_level=int(table["stack_level"]),
        kind=kind,
        start_ns=parse_ns(start) if kind == "Absolute" and start else now_ns,
        steps=steps,
        central=any("setpoint" in p for p in periods),
        duration_ns=_span_ns(schedule.get("duration")),
        valid_from_ns=_moment_ns(table.get("valid_from")),
        valid_to_ns=_moment_ns(table.get("valid_to")),
        max_offline_ns=_span_ns(table.get("max_offline_duration")),
        stays_invalid=bool(table.get("invalid_after_offline_duration")),
    )


def read_update_w(update: Mapping[str, Any], dialect: str) -> int:
    """Return the power of an UpdateDynamicSchedule in W. Raise ProfileRefused if it is not supported."""
    mode = "CentralSetpoint" if "setpoint" in update else "ChargingOnly"
    return _power_w({**update, "operation_mode": mode}, 1, dialect)


def _power_w(period: Mapping[str, Any], unit_w: int, dialect: str) -> int:
    mode = period.get("operation_mode", "ChargingOnly")
    factor = unit_w if unit_w == 1 else unit_w * int(period.get("number_phases", 3))
    limit, setpoint = period.get("limit"), period.get("setpoint")
    if mode == "Idle":
        return 0
    if mode == "CentralSetpoint" and dialect == "setpoint" and setpoint is not None and limit is None:
        return _watts(setpoint * factor)
    if mode != "ChargingOnly" or setpoint is not None or limit is None:
        raise ProfileRefused("InvalidSchedule")
    if limit < 0 and dialect != "negative_limit":
        raise ProfileRefused("InvalidSchedule")
    return _watts(limit * factor)


def _watts(power: float) -> int:
    """Return whole watts; 1.6 passes Decimals, which round the same way as floats."""
    return round(power)


def _span_ns(seconds: Any) -> int | None:
    return None if seconds is None else int(seconds) * NS_PER_S


def _moment_ns(text: Any) -> int | None:
    return None if text is None else parse_ns(text)
