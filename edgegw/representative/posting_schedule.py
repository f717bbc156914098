"""Schedules the posts of a participant: at the start of quarter hours, with a lead before the cut-off.

Decides the lead, never what is posted. A ledger call takes up to hundreds of real milliseconds, which are many simulated
seconds with an accelerated clock: a post is sent `lead_s` before its cut-off.
"""

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from edgegw.common.clock import Clock
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of

LEAD_S_MIN = 60
HOUR_S = 3600
DAY_S = 86_400
_LEAD_REAL_S = 2.0
NEVER_S = 4_102_444_800  # 2100-01-01: the end of a run without end


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A participant's schedule: its clock, the channel's cut-off before an interval, and the end of the run."""

    clock: Clock
    cutoff_s: int
    end_s: int
    """Intervals that start at or after this instant are not served (UTC epoch seconds)."""

    @property
    def lead_s(self) -> int:
        """How long before a cut-off a post is sent: one minute, or two real seconds of the clock if that is more."""
        return max(LEAD_S_MIN, math.ceil(_LEAD_REAL_S / self.clock.real_seconds(SECOND_NS)))

    @property
    def ahead(self) -> int:
        """How many intervals ahead of the one that just began is posted: the first whose cut-off is `lead_s` away."""
        return -(-(self.lead_s + self.cutoff_s) // INTERVAL_S)

    def now_s(self) -> int:
        """Return the time in UTC epoch seconds, rounded down."""
        return self.clock.now_ns() // SECOND_NS

    def closed(self, interval: int) -> bool:
        """Return whether the cut-off of this interval has passed."""
        return self.now_s() >= interval - self.cutoff_s

    def opening(self) -> list[int]:
        """Return the open intervals to post at start, before the first quarter hour begins."""
        first = interval_of(self.clock.now_ns())
        intervals = range(first, first + self.ahead * INTERVAL_S + 1, INTERVAL_S)
        return [interval for interval in intervals if interval < self.end_s and not self.closed(interval)]

    async def quarter_hours(self) -> AsyncIterator[int]:
        """Yield each quarter hour as it begins, from the next one on; none is skipped, a late one is yielded at once."""
        interval = interval_of(self.clock.now_ns()) + INTERVAL_S
        while interval <= self.end_s:
            await self.clock.sleep_until(interval * SECOND_NS)
            yield interval
            interval += INTERVAL_S


def hours(start_s: int, end_s: int) -> range:
    """Return the starts of the UTC hours that overlap [start_s, end_s)."""
    return range(start_s // HOUR_S * HOUR_S, end_s, HOUR_S)
