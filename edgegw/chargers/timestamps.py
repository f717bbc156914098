"""Converts charger timestamps to UTC nanoseconds and back. Pure.

Decides that a time without zone is UTC (OCPP 1.6 §3.12 requires UTC) and that an instant before 2010 comes from a clock that
was never set, and counts as no time. Never corrects a charger's clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_SET_NS = 1_262_304_000_000_000_000  # 2010-01-01: older than any charger that speaks OCPP 1.6
SECOND_NS = 1_000_000_000


def parse(value: Any) -> int | None:
    """Return UTC nanoseconds of an RFC 3339 text, or None where it cannot be read or is before 2010."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value.strip().upper())
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        at_ns = (instant - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None
    return at_ns if at_ns >= _CLOCK_SET_NS else None


def render(at_ns: int) -> str:
    """Return RFC 3339 in UTC with milliseconds, rounded down."""
    instant = _EPOCH + timedelta(microseconds=at_ns // 1000)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
