"""How long tests wait for what must happen: so long that a busy machine is no reason to fail, and shorter than their limit.

A test that waits longer has failed. Tests of time bounds do not use these: they have a clock of their own, or compare
what they measured.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 120.0
PATIENCE_MS = 1000 * PATIENCE_S
"""For one step: an answer, a line of output, a child's end."""

LONG_PATIENCE_S = 5 * PATIENCE_S
"""For a whole course in one step: a machine's boot, an installation."""

_LOOK_S = 0.01


async def until(reached: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():  # noqa: ASYNC110 - a condition over several things, not one event
            await asyncio.sleep(_LOOK_S)


def wait_until(reached: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """The same outside of a loop."""
    end_s = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(_LOOK_S)
