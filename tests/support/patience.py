"""Define how long tests wait for an expected event: enough for a busy machine, and less than the test's time limit.

Tests of time bounds do not use these limits: they have their own clock, or compare what they measured.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 120.0
PATIENCE_MS = 1000 * PATIENCE_S
"""For one step: an answer, a line of output, the end of a child."""

LONG_PATIENCE_S = 5 * PATIENCE_S
"""For many steps at once: the boot of a machine, an installation."""

_LOOK_S = 0.01


async def until(reached: Callable[[], object]) -> None:
    """Wait until `reached()` is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():  # noqa: ASYNC110 - a condition over several things, not one event
            await asyncio.sleep(_LOOK_S)


def wait_until(reached: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until `reached()` is true, outside of an event loop."""
    end_s = time.monotonic() + patience_s
    while not reached():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(_LOOK_S)
