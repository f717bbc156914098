"""Schedule the reads of a bus's units; pure, with the time as an argument.

Every unit has a periodic poll (with a phase derived from its id, so that buses do not poll simultaneously), and one
read just before and one just after each UTC quarter hour (the cut), from which the register at the cut is interpolated.
A read that starts too late is lost and counted: a poll whose successor is due, a read before the cut after it, a read
after the cut a whole poll period late. Never reads, never sleeps.
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
    """Why a unit is read; the order decides between reads due at the same time."""

    BEFORE_CUT = 0
    AFTER_CUT = 1
    POLL = 2
    ASKED = 3


class Due(NamedTuple):
    """One read; the tuple order is earliest deadline first."""

    at_ns: int
    cause: Cause
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times of the schedule in station time: poll period, and distances of the reads from the cut."""

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
        """Add a unit with the next index; `poll_ns` is its own poll period, None the schedule's."""
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
        """Return how late this read may start."""
        return self._times.before_ns if due.cause is Cause.BEFORE_CUT else self._poll_ns[due.unit]

    def _push_first(self, cause: Cause, index: int, *, phase_ns: int, now_ns: int) -> None:
        """Add the first occurrence of a periodic read that is not before now."""
        period_ns = self._period_ns(Due(phase_ns, cause, index))
        periods = -((phase_ns - now_ns) // period_ns)
        heapq.heappush(self._heap, Due(phase_ns + periods * period_ns, cause, index))

    def ask(self, index: int, now_ns: int) -> None:
        """Schedule a read of this unit now; requests before it is taken are merged."""
        if index not in self._asked:
            self._asked.add(index)
            heapq.heappush(self._heap, Due(now_ns, Cause.ASKED, index))

    def next_due_ns(self) -> int:
        """Return when the next read is due; there always is one, as polls recur."""
        return self._heap[0].at_ns

    def take(self, now_ns: int) -> Due | None:
        """Remove and return the most urgent read that is due and not too late, or None; schedule its successor."""
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
