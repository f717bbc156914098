"""Charger timestamps to UTC nanoseconds and back. Pure; a clock that was never set is no time at all.

Decides that a time without zone is UTC (OCPP 1.6 §3.12 asks for UTC) and that instants before 2010 come from an unset
clock. Never corrects a charger's clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_SET_NS = 1_262_304_000_000_000_000  # 2010-01-01: older than any charger that speaks OCPP 1.6
SECOND_NS = 1_000_000_000


def parse(value: Any) -> int | None:
    """UTC nanoseconds of an RFC 3339 text, or None when it cannot be read or is before 2010."""
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
    """RFC 3339 in UTC with milliseconds, rounded down."""
    instant = _EPOCH + timedelta(microseconds=at_ns // 1000)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
