"""The station's clock: real UTC, or simulated time that several processes share through STATION_CLOCK.

Decides what time it is for business timers. Never scales a protocol's timeout: those are real seconds.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from edgegw.common.errors import ConfigError
from edgegw.common.units import SECOND_NS

VARIABLE = "STATION_CLOCK"
_FORM = re.compile(r"(\d{1,19}):(\d{1,19}):(\d{1,5}):(\d{1,19}|-)")
_SLICE_S = 30.0  # the system clock may be set during the sleep


class Clock(Protocol):
    """The station's time: real UTC or simulated time."""

    def now_ns(self) -> int:
        """Return the station's time in UTC nanoseconds."""

    def real_seconds(self, duration_ns: int) -> float:
        """Return the real seconds that `duration_ns` of the station's time take."""

    async def sleep_until(self, at_ns: int) -> None:
        """Return at or after the instant `at_ns`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMapping:
    """Simulated time: `utc_origin_ns` at `monotonic_origin_ns` of CLOCK_MONOTONIC, `speed` times as fast as real time after it.

    The time does not advance before the origin. `utc_end_ns` is the end of the simulation; the clock continues after it.
    """

    monotonic_origin_ns: int
    utc_origin_ns: int
    speed: int
    utc_end_ns: int | None = None

    def __post_init__(self) -> None:
        if self.speed < 1:
            raise ValueError("speed is a whole number from 1")
        if self.utc_end_ns is not None and self.utc_end_ns <= self.utc_origin_ns:
            raise ValueError("the end must lie after the origin")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `<monotonic_origin_ns>:<utc_origin_ns>:<speed>:<utc_end_ns or ->`; raises ValueError."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("expected <monotonic_origin_ns>:<utc_origin_ns>:<speed>:<utc_end_ns or ->")
        monotonic, utc, speed, end = match.groups()
        return cls(
            monotonic_origin_ns=int(monotonic),
            utc_origin_ns=int(utc),
            speed=int(speed),
            utc_end_ns=None if end == "-" else int(end),
        )

    def __str__(self) -> str:
        """Return the value of STATION_CLOCK."""
        end = "-" if self.utc_end_ns is None else self.utc_end_ns
        return f"{self.monotonic_origin_ns}:{self.utc_origin_ns}:{self.speed}:{end}"


class StationClock:
    """A `Clock`: real UTC without a mapping, simulated time with one."""

    def __init__(self, mapping: ClockMapping | None = None) -> None:
        self.mapping = mapping
        self.speed = 1 if mapping is None else mapping.speed

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the clock that STATION_CLOCK describes, or a real one where it is not set; raises ConfigError."""
        text = environment.get(VARIABLE)
        if text is None:
            return cls()
        try:
            return cls(ClockMapping.parse(text))
        except ValueError as error:
            raise ConfigError((f"{VARIABLE}={text!r}: {error}",)) from error

    def now_ns(self) -> int:
        """Return the time in UTC nanoseconds."""
        if self.mapping is None:
            return time.time_ns()
        elapsed_ns = max(0, time.monotonic_ns() - self.mapping.monotonic_origin_ns)
        return self.mapping.utc_origin_ns + elapsed_ns * self.speed

    def real_seconds(self, duration_ns: int) -> float:
        """Return the real seconds that `duration_ns` of this clock take."""
        return duration_ns / (self.speed * SECOND_NS)

    async def sleep_until(self, at_ns: int) -> None:
        """Return at or after the instant `at_ns`, delayed only by the event loop."""
        while (left_s := self._real_seconds_until(at_ns)) > 0:  # noqa: ASYNC110 - time is no event
            await asyncio.sleep(min(left_s, _SLICE_S))

    def _real_seconds_until(self, at_ns: int) -> float:
        """Return the real seconds until `at_ns`, those before the origin included; zero or negative once it is past."""
        if self.mapping is None or self.now_ns() >= at_ns:
            return self.real_seconds(at_ns - self.now_ns())
        since_origin_ns = -((self.mapping.utc_origin_ns - at_ns) // self.speed)  # rounded up: never early
        return (self.mapping.monotonic_origin_ns + since_origin_ns - time.monotonic_ns()) / SECOND_NS
