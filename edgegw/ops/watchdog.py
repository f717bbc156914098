"""Reset systemd's watchdog while every registered part proves progress.

Never restarts anything itself. A part that proves no progress in time withholds the reset, and the log names it once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from edgegw.ops.logs import log_event
from edgegw.ops.sd_notify import ServiceManager

SHARE = 3  # resets within the watchdog timeout

Proof = Callable[[], Awaitable[None]]
"""Returns once its part has made progress; raises TimeoutError or does not return if it cannot."""


class Watchdog:
    """Resets the watchdog of `manager` while all `proofs` return in time."""

    def __init__(self, manager: ServiceManager, proofs: Mapping[str, Proof]) -> None:
        self._manager = manager
        self._proofs = proofs
        self.starved_by: str | None = None
        """The part that proved no progress at the last check, or None."""

    async def run(self, every_s: float) -> None:
        """Check all proofs every `every_s` real seconds, including the time they take, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            next_s = loop.time() + every_s
            await self._look(every_s)
            await asyncio.sleep(max(0.0, next_s - loop.time()))

    async def _look(self, within_s: float) -> None:
        for name, proof in self._proofs.items():
            try:
                async with asyncio.timeout(within_s):
                    await proof()
            except TimeoutError:
                self._starve(name)
                return
        if self.starved_by is not None:
            log_event("watchdog.recovered", {"part": self.starved_by})
            self.starved_by = None
        self._manager.alive()

    def _starve(self, name: str) -> None:
        if self.starved_by != name:
            log_event("watchdog.starved", {"part": name}, level="error")
        self.starved_by = name


def interval_s(manager: ServiceManager) -> float:
    """Return the interval of checks: a third of the watchdog timeout, or ten seconds without a watchdog."""
    return 10.0 if manager.watchdog_s is None else manager.watchdog_s / SHARE
