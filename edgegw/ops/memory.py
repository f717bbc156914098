"""How the C library gives memory back: one arena, and large pieces returned to the kernel at once.

Decides three settings of glibc's allocator, nothing else; where the C library has none (musl), nothing happens. Without
them each of the threads that check passwords keeps the 19 MiB that argon2 needed for some milliseconds, and start-up's
garbage stays resident. Source: mallopt(3): setting a threshold also ends its growth by itself.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 1 << 17


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
