"""Repeats a participant's ledger calls during temporary faults: an unreachable peer, endorsers at different heights.

Decides which faults are retried (of the contract's refusals only NOT_CONFIGURED; never a forged answer or a refused
identity) and for how long, in real seconds. A repeat is safe because every write has an id of its caller.
Source: docs/contract.md, Repeats.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal, Conflicting, Mismatch, Unavailable, Undecided
from edgegw.representative.ledger_port import LedgerPort

PASSING = (Unavailable, Mismatch, Conflicting, Undecided)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryingLedger:
    """A `LedgerPort` that repeats a call until it is answered; after `patience_s` it raises the last fault."""

    ledger: LedgerPort
    patience_s: float = 900
    pause_s: float = 0.25

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """See LedgerPort."""
        return await self._persist(lambda: self.ledger.evaluate(function, args))

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """See LedgerPort."""
        return await self._persist(lambda: self.ledger.execute(function, args))

    async def _persist(self, call: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        until = time.monotonic() + self.patience_s
        while True:
            try:
                return await call()
            except PASSING:
                if time.monotonic() >= until:
                    raise
            except BusinessRefusal as refusal:
                if refusal.code != Code.NOT_CONFIGURED or time.monotonic() >= until:
                    raise
            await asyncio.sleep(self.pause_s)
