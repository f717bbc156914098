"""Read whether NTP synchronises the system clock. Source: adjtimex(2), read only."""

import ctypes
from dataclasses import dataclass

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """struct timex up to the last field read, with padding for the rest."""

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
    """Whether the kernel considers its clock synchronised, and its estimate of the maximum error in seconds."""

    synchronized: bool
    error_s: float


def clock_state() -> ClockState | None:
    """Return the clock's state; None if the call is not permitted (systemd's ProtectClock also forbids reading)."""
    timex = _Timex(modes=0)
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return ClockState(
        synchronized=state != _TIME_ERROR and not timex.status & _STA_UNSYNC, error_s=timex.maxerror_us / 1e6
    )
