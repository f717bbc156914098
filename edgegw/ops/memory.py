"""How the C library gives memory back: one arena, large pieces returned to the kernel at once, free pages now and then.

Decides three settings of glibc's allocator and when it is trimmed; where the C library has none of it (musl), nothing
happens. Without them each of the threads that check passwords keeps the 19 MiB that argon2 needed for some milliseconds,
and what a start or a quarter hour's settlement needed for a moment stays resident.
Source: mallopt(3) (setting a threshold also ends its growth by itself), malloc_trim(3).
"""

import asyncio
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 1 << 17
FIRST_S = 15.0  # after the rush of a start
EVERY_S = 600.0


def return_memory() -> None:
    """To be called once, before the first thread is started."""
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
    """Trim until cancelled, on a thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _pad: 0)
    pause_s = FIRST_S
    while True:
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(trim, 0)
        pause_s = EVERY_S
