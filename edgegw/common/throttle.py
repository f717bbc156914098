"""Limits attempts by key: passwords of chargers, members and the operator, and forms of pages.

Decides only how long to wait, on a monotonic clock that is passed in; it never sleeps and does not know what is attempted.
Memory is bounded: with too many keys, the least recently counted one is removed.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

_DOUBLINGS_MAX = 10  # of a pause; every rule reaches its longest pause within these


class Rule(Protocol):
    """Computes the wait of one key from the times of its attempts, in seconds, oldest first."""

    @property
    def kept(self) -> int:
        """How many of the newest times are kept."""

    def add(self, times: deque[float], now_s: float) -> None:
        """Add an attempt at `now_s`."""

    def wait_s(self, times: deque[float], now_s: float) -> float:
        """Return the seconds until the next attempt is allowed; 0: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `most` attempts within `window_s`.

    Sliding: each attempt expires by itself. Otherwise all expire together with the first.
    """

    most: int
    window_s: float
    sliding: bool = True

    @property
    def kept(self) -> int:
        """See Rule."""
        return self.most

    def add(self, times: deque[float], now_s: float) -> None:
        """See Rule."""
        if not self.sliding and times and now_s - times[0] >= self.window_s:
            times.clear()
        if self.sliding or len(times) < self.most:
            times.append(now_s)

    def wait_s(self, times: deque[float], now_s: float) -> float:
        """See Rule."""
        return 0.0 if len(times) < self.most else max(0.0, times[0] + self.window_s - now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`free` attempts without a pause, then a pause of `first_s` that each further attempt doubles, up to `max_s`.

    More than `forgiven_s` without an attempt resets the count; None: only a success does.
    """

    free: int
    first_s: float
    max_s: float
    forgiven_s: float | None = None

    def __post_init__(self) -> None:
        assert self.first_s * 2**_DOUBLINGS_MAX >= self.max_s

    @property
    def kept(self) -> int:
        """See Rule. Includes one more than the longest pause needs, so that `take_back` never shortens it."""
        return self.free + _DOUBLINGS_MAX + 1

    def add(self, times: deque[float], now_s: float) -> None:
        """See Rule."""
        if self.forgiven_s is not None and times and now_s - times[-1] > self.forgiven_s:
            times.clear()
        times.append(now_s)

    def wait_s(self, times: deque[float], now_s: float) -> float:
        """See Rule."""
        if len(times) < max(1, self.free):
            return 0.0
        pause_s = min(self.first_s * 2.0 ** (len(times) - self.free), self.max_s)
        return max(0.0, times[-1] + pause_s - now_s)


class Throttle:
    """Attempts of one kind by key. Count an attempt before its outcome is known, so that concurrent attempts gain nothing."""

    def __init__(self, rule: Rule, now_s: Callable[[], float], *, keys_max: int) -> None:
        """`now_s`: monotonic seconds. `keys_max`: how many keys are kept."""
        self._rule = rule
        self._now_s = now_s
        self._keys_max = keys_max
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def wait_s(self, key: Hashable) -> float:
        """Return the seconds until an attempt of this key is allowed; 0: now."""
        times = self._times.get(key)
        return 0.0 if times is None else self._rule.wait_s(times, self._now_s())

    def count(self, key: Hashable) -> None:
        """Count an attempt, allowed or not."""
        times = self._times.setdefault(key, deque(maxlen=self._rule.kept))
        self._times.move_to_end(key)
        self._rule.add(times, self._now_s())
        if len(self._times) > self._keys_max:
            self._times.popitem(last=False)

    def admits(self, key: Hashable) -> bool:
        """Count an attempt; return whether it was allowed."""
        is_allowed = not self.wait_s(key)
        self.count(key)
        return is_allowed

    def forget(self, key: Hashable) -> None:
        """Reset a key after a success."""
        self._times.pop(key, None)

    def take_back(self, key: Hashable) -> None:
        """Uncount one attempt that was no failure; the other attempts and the time of the last one remain."""
        times = self._times.get(key)
        if times:
            times.popleft()
        if not times:
            self.forget(key)


def client_network(address: str) -> str:
    """Return the network that one client controls: an IPv4 address (also where IPv4-mapped), or an IPv6 /64."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped) if known.ipv4_mapped else str(IPv6Address(int(known) >> 64 << 64))
