"""The watchdog is fed by proven progress: every part named here answered since it was last fed.

Decides when the service manager is told that we are alive; never restarts anything itself. A part that does not prove
its progress starves the watchdog, and the log says which one it was, once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from edgegw.ops.logs import log_event
from edgegw.ops.sd_notify import ServiceManager

SHARE = 3  # fed this often within the time that the service manager waits

Proof = Callable[[], Awaitable[None]]
"""Returns once its part has done something; raises TimeoutError or hangs where it cannot."""


class Watchdog:
    """Feeds `manager` while all `proofs` come in time."""

    def __init__(self, manager: ServiceManager, proofs: Mapping[str, Proof]) -> None:
        self._manager = manager
        self._proofs = proofs
        self.starved_by: str | None = None
        """The part that did not prove its progress last time."""

    async def run(self, every_s: float) -> None:
        """Ask for proofs every `every_s` real seconds until cancelled; the time they take is part of it."""
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
    """How often to look: a third of the service manager's patience, else every ten seconds."""
    return 10.0 if manager.watchdog_s is None else manager.watchdog_s / SHARE
