"""Whether the system's clock is kept by NTP: adjtimex(2), read only. Decides nothing about trades."""

import ctypes
from dataclasses import dataclass

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """struct timex, up to what is read, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror_us", ctypes.c_long),
        ("esterror_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """`synchronized`: the kernel believes that something disciplines its clock. `error_s`: its bound on the error."""

    synchronized: bool
    error_s: float


def clock_state() -> ClockState | None:
    """Ask the kernel; None where it does not tell (a service that may not touch the clock may not look either)."""
    timex = _Timex(modes=0)
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return ClockState(
        synchronized=state != _TIME_ERROR and not timex.status & _STA_UNSYNC, error_s=timex.maxerror_us / 1e6
    )
