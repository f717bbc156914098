"""Limits repeated log events: the first is due at once, later ones at most once a minute with their count.

Decides when an event is logged, never what it contains. Memory is bounded: with too many keys, the oldest is removed.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

EVERY_S = 60.0
KEYS_MAX = 64


@dataclass(slots=True)
class _Logged:
    """When a key was last logged, and its occurrences since."""

    at_s: float
    count: int = 0


class RateLimitedLog:
    """Counts occurrences by key; `most` limits the events that are logged in a minute over all keys.

    `now_s`: monotonic seconds.
    """

    def __init__(self, now_s: Callable[[], float], *, most: int = 60) -> None:
        self._now_s = now_s
        self._most = most
        self._logged: dict[Hashable, _Logged] = {}
        self._minute_s = now_s()
        self._in_minute = 0

    def due(self, key: Hashable) -> int:
        """Count one occurrence; return the number of occurrences to log now, 0 where it is too early."""
        now_s = self._now_s()
        last = self._logged.get(key)
        count = 1 if last is None else last.count + 1
        if (last is not None and now_s < last.at_s + EVERY_S) or not self._has_room(now_s):
            if last is not None:
                last.count = count
            return 0
        self._logged.pop(key, None)
        self._logged[key] = _Logged(at_s=now_s)
        if len(self._logged) > KEYS_MAX:
            del self._logged[next(iter(self._logged))]
        return count

    def _has_room(self, now_s: float) -> bool:
        if now_s >= self._minute_s + EVERY_S:
            self._minute_s, self._in_minute = now_s, 0
        self._in_minute += 1
        return self._in_minute <= self._most
