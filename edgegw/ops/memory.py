"""Return unused memory to the kernel: set up glibc's allocator, and trim it periodically.

Uses one arena, returns large blocks at once and trims free pages. Otherwise each thread that checks passwords keeps the
19 MiB that argon2 needs for some milliseconds, and the peak of a start or of a settlement stays resident. Does nothing
with another C library (musl).
Source: mallopt(3) (setting a threshold also disables its dynamic adjustment), malloc_trim(3).
"""

import asyncio
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 1 << 17
FIRST_S = 15.0  # after the peak of a start
EVERY_S = 600.0


def return_memory() -> None:
    """Set up the allocator; call once, before the first thread starts."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for parameter, value in (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_THRESHOLD, _LARGE_BYTES),
        (_M_TRIM_THRESHOLD, _LARGE_BYTES),
    ):
        mallopt(parameter, value)


async def keep_returning() -> None:
    """Trim the allocator in a thread, after `FIRST_S` and then every `EVERY_S`, until cancelled."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _pad: 0)
    pause_s = FIRST_S
    while True:
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(trim, 0)
        pause_s = EVERY_S
