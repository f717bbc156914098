"""Provide simulated time, shared by all processes of a run, and named random streams.

Decides what time it is and when a sleeper wakes. Never scales a protocol timeout: those are in real seconds.
Source: the variable `STATION_CLOCK="<monotonic_origin_ns>:<utc_origin_ns>:<speed>:<utc_end_ns or ->"`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

NS_PER_S = 1_000_000_000
QUARTER_NS = 900 * NS_PER_S
CLOCK_VARIABLE = "STATION_CLOCK"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Simulated UTC, `speed` times as fast as real time between its origin and its end, constant outside of them."""

    monotonic_origin_ns: int
    utc_origin_ns: int
    speed: Fraction = Fraction(1)
    utc_end_ns: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the clock in the variable; real UTC if it is absent. Raise ValueError if it is malformed."""
        text = environment.get(CLOCK_VARIABLE)
        if text is None:
            return cls(monotonic_origin_ns=time.monotonic_ns(), utc_origin_ns=time.time_ns())
        monotonic, utc, speed, end = text.split(":")
        return cls(
            monotonic_origin_ns=int(monotonic),
            utc_origin_ns=int(utc),
            speed=Fraction(speed),
            utc_end_ns=None if end == "-" else int(end),
        )

    def to_text(self) -> str:
        """Return the variable's value, so that another process can share this clock."""
        end = "-" if self.utc_end_ns is None else str(self.utc_end_ns)
        speed = str(self.speed) if self.speed.denominator == 1 else str(float(self.speed))
        return f"{self.monotonic_origin_ns}:{self.utc_origin_ns}:{speed}:{end}"

    def now_ns(self) -> int:
        """Return simulated UTC in nanoseconds."""
        passed_ns = max(0, time.monotonic_ns() - self.monotonic_origin_ns)
        now_ns = self.utc_origin_ns + passed_ns * self.speed.numerator // self.speed.denominator
        return now_ns if self.utc_end_ns is None else min(now_ns, self.utc_end_ns)

    def real_s_until(self, utc_ns: int) -> float | None:
        """Return the real seconds until simulated `utc_ns`; None if simulated time ends before it."""
        if self.utc_end_ns is not None and utc_ns > self.utc_end_ns:
            return None
        due_ns = self.monotonic_origin_ns + (utc_ns - self.utc_origin_ns) / self.speed
        return max(0.0, float(due_ns - time.monotonic_ns()) / NS_PER_S)

    async def sleep_until(self, utc_ns: int) -> None:
        """Sleep until simulated time reaches `utc_ns`; never returns if simulated time ends before it."""
        while self.now_ns() < utc_ns:
            left_s = self.real_s_until(utc_ns)
            if left_s is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(left_s)


def stream(seed: int, name: str) -> random.Random:
    """Return the random stream of that name: the same seed and name give the same numbers on every machine."""
    return random.Random(f"{seed}/{name}")


def to_ns(moment: dt.datetime) -> int:
    """Return a date and time as UTC nanoseconds; one without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (aware - EPOCH) // dt.timedelta(microseconds=1) * 1000


def parse_ns(text: str) -> int:
    """Return an ISO 8601 time as UTC nanoseconds. Raise ValueError if it is malformed."""
    return to_ns(dt.datetime.fromisoformat(text))


def iso(utc_ns: int) -> str:
    """Return UTC nanoseconds as ISO 8601 with milliseconds and `Z`."""
    moment = EPOCH + dt.timedelta(milliseconds=utc_ns // 1_000_000)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
