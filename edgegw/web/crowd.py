"""How many tries one address has: so many within a minute, then none until the minute is over.

Decides by address alone, and in real time; the office's own pauses, by name too, stand behind it. Bounded: where too many
addresses are remembered, the longest known is forgotten. One IPv6 customer has a whole /64, which counts as one address.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request

TRIES_MAX = 30
WINDOW_S = 60.0
REMEMBERED_MAX = 4096


class Crowd:
    """Tries by address."""

    def __init__(self, *, real_s: Callable[[], float] = time.monotonic) -> None:
        """`real_s`: seconds that really pass."""
        self._real_s = real_s
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def admits(self, address: str) -> bool:
        """Count one more try of an address; False where it has had its share."""
        now_s = self._real_s()
        key = network_of(address)
        count, began_s = self._tries.get(key, (0, now_s))
        if now_s - began_s >= WINDOW_S:
            self._tries.pop(key)
            count, began_s = 0, now_s
        self._tries[key] = (count + 1, began_s)
        if len(self._tries) > REMEMBERED_MAX:
            self._tries.popitem(last=False)
        return count < TRIES_MAX


def address_of(request: Request) -> str:
    """Where a request comes from, as tries are counted."""
    return network_of(request.client.host if request.client is not None else "")


def network_of(address: str) -> str:
    """What one customer has for himself: an IPv4 address, however it is written, or an IPv6 /64."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped) if known.ipv4_mapped else str(IPv6Address(int(known) >> 64 << 64))
