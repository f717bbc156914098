"""How often the same thing is told: at once, then at most once a minute with the count of what happened meanwhile.

Decides when; never what is told. Bounded: where too many different things happen, the oldest is forgotten.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

EVERY_S = 60.0
KEYS_MAX = 64


@dataclass(slots=True)
class _Told:
    at_s: float
    since: int = 0


class RateLimitedLog:
    """One place's occurrences by key; `most` bounds what is told in a minute over all keys."""

    def __init__(self, now_s: Callable[[], float], *, most: int = 60) -> None:
        self._now_s = now_s
        self._most = most
        self._told: dict[Hashable, _Told] = {}
        self._minute_s = now_s()
        self._in_minute = 0

    def due(self, key: Hashable) -> int:
        """Count one occurrence; how many are to be told now, 0 where it is too early."""
        now_s = self._now_s()
        told = self._told.get(key)
        count = 1 if told is None else told.since + 1
        if (told is not None and now_s < told.at_s + EVERY_S) or not self._has_room(now_s):
            if told is not None:
                told.since = count
            return 0
        self._told.pop(key, None)
        self._told[key] = _Told(at_s=now_s)
        if len(self._told) > KEYS_MAX:
            del self._told[next(iter(self._told))]
        return count

    def _has_room(self, now_s: float) -> bool:
        if now_s >= self._minute_s + EVERY_S:
            self._minute_s, self._in_minute = now_s, 0
        self._in_minute += 1
        return self._in_minute <= self._most
