"""When each unit of a bus is read: pure, told the time by its caller.

Every unit has a periodic poll (its phase derived from its id, so that many buses do not poll at once) and one read just
before and one just after each UTC quarter hour, between which the boundary is interpolated. What the machine comes to too
late is lost, and counted: a poll whose successor is due already, a read before the cut that would start after it, a read
after the cut that would start a whole poll period late. Never reads, never sleeps.
Source: docs/meters.md, From registers to segments.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

from edgegw.common.units import INTERVAL_NS


class Cause(IntEnum):
    """Why a unit is read; the order breaks ties between reads due at the same instant."""

    BEFORE_CUT = 0
    AFTER_CUT = 1
    POLL = 2
    ASKED = 3


class Due(NamedTuple):
    """One read: EDF order is the tuple's own."""

    at_ns: int
    cause: Cause
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Business times of the schedule; guards are distances from the cut."""

    poll_ns: int
    before_ns: int
    after_ns: int


class Schedule:
    """Earliest-deadline-first queue of reads for the units of one bus."""

    def __init__(self, unit_ids: Sequence[str], times: Times, now_ns: int) -> None:
        self._times = times
        self.late: list[int] = []
        self._poll_ns: list[int] = []
        self._asked: set[int] = set()
        self._heap: list[Due] = []
        for unit_id in unit_ids:
            self.add(unit_id, now_ns)

    def add(self, unit_id: str, now_ns: int, *, poll_ns: int | None = None) -> None:
        """One more unit, after those that are there; `poll_ns` where it is polled in a rhythm of its own."""
        index, times = len(self.late), self._times
        self.late.append(0)
        self._poll_ns.append(poll_ns or times.poll_ns)
        phase_ns = crc32(unit_id.encode()) % self._poll_ns[index]
        self._push_first(Cause.POLL, index, phase_ns=phase_ns, now_ns=now_ns)
        self._push_first(Cause.BEFORE_CUT, index, phase_ns=-times.before_ns, now_ns=now_ns)
        self._push_first(Cause.AFTER_CUT, index, phase_ns=times.after_ns, now_ns=now_ns)

    def _period_ns(self, due: Due) -> int:
        return self._poll_ns[due.unit] if due.cause is Cause.POLL else INTERVAL_NS

    def _window_ns(self, due: Due) -> int:
        """How late this read may start."""
        return self._times.before_ns if due.cause is Cause.BEFORE_CUT else self._poll_ns[due.unit]

    def _push_first(self, cause: Cause, index: int, *, phase_ns: int, now_ns: int) -> None:
        """First occurrence of a grid with the given phase that is not before now."""
        period_ns = self._period_ns(Due(phase_ns, cause, index))
        periods = -((phase_ns - now_ns) // period_ns)
        heapq.heappush(self._heap, Due(phase_ns + periods * period_ns, cause, index))

    def ask(self, index: int, now_ns: int) -> None:
        """Read this unit now; asking again before it is taken changes nothing."""
        if index not in self._asked:
            self._asked.add(index)
            heapq.heappush(self._heap, Due(now_ns, Cause.ASKED, index))

    def next_due_ns(self) -> int:
        """When the next read is due (never empty: polls recur)."""
        return self._heap[0].at_ns

    def take(self, now_ns: int) -> Due | None:
        """The most urgent read that is due and not too late, or None; later occurrences take its place."""
        while self._heap[0].at_ns <= now_ns:
            due = heapq.heappop(self._heap)
            if due.cause is Cause.ASKED:
                self._asked.discard(due.unit)
                return due
            period_ns = self._period_ns(due)
            missed = (now_ns - due.at_ns) // period_ns
            latest_ns = due.at_ns + missed * period_ns
            heapq.heappush(self._heap, Due(latest_ns + period_ns, due.cause, due.unit))
            too_late = now_ns >= latest_ns + self._window_ns(due)
            self.late[due.unit] += missed + too_late
            if not too_late:
                return due
        return None
