"""When a participant acts: quarter hours as they begin, and how far ahead of a cut-off it must post.

Decides the lead; never what is posted. A ledger call takes tens to hundreds of real milliseconds, which are many simulated
seconds in an accelerated day: what is due before a cut-off is sent `lead_s` before it.
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
NEVER_S = 4_102_444_800  # 2100-01-01: the end of a run that has none; nothing is done up to it in advance


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A participant's day: its clock, its channel's cut-off and the first quarter hour after the end."""

    clock: Clock
    cutoff_s: int
    end_s: int
    """Intervals that start at or after this instant are not served (UTC epoch seconds)."""

    @property
    def lead_s(self) -> int:
        """How long before a cut-off a post is sent: a minute, and at least two real seconds of the clock."""
        return max(LEAD_S_MIN, math.ceil(_LEAD_REAL_S / self.clock.real_seconds(SECOND_NS)))

    @property
    def ahead(self) -> int:
        """Which interval after the one that just began is posted now: the first whose cut-off leaves the lead."""
        return -(-(self.lead_s + self.cutoff_s) // INTERVAL_S)

    def now_s(self) -> int:
        """UTC epoch seconds, rounded down."""
        return self.clock.now_ns() // SECOND_NS

    def closed(self, interval: int) -> bool:
        """Whether the cut-off of this interval has passed."""
        return self.now_s() >= interval - self.cutoff_s

    def opening(self) -> list[int]:
        """Intervals to post before the day runs: those the first quarter hour would post too late, still open."""
        first = interval_of(self.clock.now_ns())
        intervals = range(first, first + self.ahead * INTERVAL_S + 1, INTERVAL_S)
        return [interval for interval in intervals if interval < self.end_s and not self.closed(interval)]

    async def quarter_hours(self) -> AsyncIterator[int]:
        """Each quarter hour as it begins, the next one first; none is skipped, a late one comes at once."""
        interval = interval_of(self.clock.now_ns()) + INTERVAL_S
        while interval <= self.end_s:
            await self.clock.sleep_until(interval * SECOND_NS)
            yield interval
            interval += INTERVAL_S


def hours(start_s: int, end_s: int) -> range:
    """Starts of the UTC hours that touch [start_s, end_s)."""
    return range(start_s // HOUR_S * HOUR_S, end_s, HOUR_S)
