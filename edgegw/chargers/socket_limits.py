"""Limits the unauthenticated sockets that are open at once, for each address and in all. No I/O.

Idle or useless connections must not use up the process's file descriptors, which journal, meters and control socket need.
A configured charger is counted until its password is accepted, an unknown one for as long as it is connected.
"""

from collections import Counter

ADDRESS_MAX = 256  # the chargers of one station, behind one router, after a power cut
ALL_MAX = 512  # well below LimitNOFILE, and below a shell's 1,024


class SocketLimits:
    """Counts open sockets; each successful `enter` needs one `leave`."""

    def __init__(self, *, address_max: int = ADDRESS_MAX, all_max: int = ALL_MAX) -> None:
        self._address_max = address_max
        self._all_max = all_max
        self._present: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more socket; return False, and count nothing, where a limit is reached."""
        if self._present.total() >= self._all_max or self._present[address] >= self._address_max:
            return False
        self._present[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting a socket that has authenticated or closed."""
        self._present[address] -= 1
        if not self._present[address]:
            del self._present[address]
