"""Reads single JSON values from chargers with tolerance. Pure; never raises, never guesses a number.

What cannot be read is None. Text is made storable: unpaired surrogates are replaced, the length is bounded.
"""

import json
from typing import Any

from edgegw.common.sanitize import harmless

TEXT_LENGTH_MAX = 255
INTEGER_MAX = 10**15


def text(value: Any) -> str | None:
    """Return a non-empty string, or a number as text, of at most TEXT_LENGTH_MAX characters; else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value) if abs(value) < INTEGER_MAX else None
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode()[:TEXT_LENGTH_MAX].strip() or None


def integer(value: Any) -> int | None:
    """Return a whole number, also where it is written as 12.0 or "12"; a fraction is rounded."""
    if type(value) is int:
        return value if -INTEGER_MAX < value < INTEGER_MAX else None
    if isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, str | float) else value
        rounded = round(number)
    except (TypeError, ValueError, OverflowError):
        return None
    return rounded if isinstance(rounded, int) and abs(rounded) < INTEGER_MAX else None


def shown(value: str, length_max: int) -> str:
    """Return a device's text for display: unprintable characters escaped, length bounded."""
    return harmless(value, length_max=length_max)


def short(value: Any) -> str:
    """Return a JSON value for display; objects and lists by their type only."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case int() if not isinstance(value, bool) and abs(value) >= INTEGER_MAX:
            return "a huge number"
        case str():
            return shown(json.dumps(value)[:60], 40)
        case _:
            return json.dumps(value)[:40]


def mapping(value: Any) -> dict[str, Any]:
    """Return the object itself, or an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return the list itself, an object as a list of one (seen in the field), or an empty list."""
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) else []


def normal_token(value: Any) -> str | None:
    """Return an idToken in upper case: OCPP compares them without case (CiString, identifierString)."""
    token = text(value)
    return None if token is None else token.upper()
