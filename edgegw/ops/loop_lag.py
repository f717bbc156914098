"""Measure the event loop's delay with a probe that sleeps on the station's clock and records how late it wakes."""

import asyncio
from bisect import bisect_left, insort
from collections import deque

from edgegw.common.clock import Clock
from edgegw.common.units import SECOND_NS

PROBE_NS = 10 * SECOND_NS
SAMPLES_MOST = 20_000


class LagProbe:
    """Delays of the latest probes in ns of station time, kept sorted for percentiles."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: deque[int] = deque()
        self._sorted: list[int] = []

    async def run(self) -> None:
        """Probe until cancelled, at most every 20 ms of real time."""
        while True:
            due_ns = self._clock.now_ns() + PROBE_NS
            await self._clock.sleep_until(due_ns)
            self.note(self._clock.now_ns() - due_ns)
            await asyncio.sleep(0.02)

    def note(self, lag_ns: int) -> None:
        """Add one probe's result, and drop the oldest if there are more than SAMPLES_MOST."""
        if len(self._latest) == SAMPLES_MOST:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        self._latest.append(lag_ns)
        insort(self._sorted, lag_ns)

    def percentile_ns(self, percent: int) -> int:
        """Return the lag that `percent` of the latest probes did not exceed; 0 without probes."""
        if not self._sorted:
            return 0
        return max(0, self._sorted[min(len(self._sorted) - 1, len(self._sorted) * percent // 100)])
