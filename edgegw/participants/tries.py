"""How often somebody may try to log in: by name, and by where it comes from.

Decides pauses: some tries are free, then each failure doubles the wait. Forgets at a restart, and the oldest where too
many are remembered; whoever logs in is forgiven. A try counts before its outcome is known, so that many at once gain nothing.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

NAME_FREE = 5
SOURCE_FREE = 30  # a family's phones, or a station's, share an address
_PAUSE_S = 15.0
PAUSE_S_MAX = 900.0
_REMEMBERED = 4096
_FORGIVEN_S = 3600.0


@dataclass(slots=True)
class _Tries:
    count: int = 0
    last_s: float = 0.0


class Tries:
    """Tries of one kind by key, `free` of them without a pause."""

    def __init__(self, free: int, now_s: Callable[[], float]) -> None:
        self._free = free
        self._now_s = now_s
        self._by_key: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_key)

    def wait_s(self, key: str) -> float:
        """Until the next try is allowed; 0: now."""
        tries = self._by_key.get(key)
        if tries is None or tries.count < self._free:
            return 0.0
        pause_s = min(_PAUSE_S * 2.0 ** min(tries.count - self._free, 10), PAUSE_S_MAX)
        return max(0.0, tries.last_s + pause_s - self._now_s())

    def count(self, key: str) -> None:
        """One more try, which has failed unless it is forgiven."""
        tries = self._by_key.pop(key, None)
        if tries is None or self._now_s() - tries.last_s > _FORGIVEN_S:
            tries = _Tries()
        tries.count, tries.last_s = tries.count + 1, self._now_s()
        self._by_key[key] = tries
        if len(self._by_key) > _REMEMBERED:
            self._by_key.popitem(last=False)

    def forget(self, key: str) -> None:
        """It was the right one."""
        self._by_key.pop(key, None)

    def take_back(self, key: str) -> None:
        """One try was no failure; the others stay."""
        tries = self._by_key.get(key)
        if tries is not None:
            tries.count -= 1
