"""How many sockets may be open at once of which nobody knows whose they are: bounded for each address and in all. No I/O.

Decides nothing about who is let in. Whoever opens sockets and says nothing, or says nothing of use, must not use up the
process's file descriptors: journal, meters and control socket need theirs. A configured charger is counted until it has
shown its password; a stranger for as long as it is here.
"""

from collections import Counter

ADDRESS_MAX = 256  # the chargers of one station, behind one router, after a power cut
ALL_MAX = 512  # well below LimitNOFILE, and below a shell's 1,024


class SocketLimits:
    """Counts only; `enter` and `leave` come in pairs."""

    def __init__(self, *, address_max: int = ADDRESS_MAX, all_max: int = ALL_MAX) -> None:
        self._address_max = address_max
        self._all_max = all_max
        self._present: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one more; False, and nothing is counted, where it is one too many."""
        if self._present.total() >= self._all_max or self._present[address] >= self._address_max:
            return False
        self._present[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One that had entered is known now, or gone."""
        self._present[address] -= 1
        if not self._present[address]:
            del self._present[address]
