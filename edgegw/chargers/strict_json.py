"""Parses JSON strictly: no NaN, no duplicate keys, bounded nesting. Pure; costs little for valid text.

Decides whether a frame's text is JSON, and what is wrong where it is not. Never repairs: the error carries the value of a
lax parser only so that an answer can be worded.
Source: RFC 8259 §4 and §6; OCPP 2.1 Part 4 §4.1; Python's `json` accepts more.
"""

import json
import re
from typing import Any, NoReturn

from edgegw.chargers import json_values
from edgegw.chargers.masking import names_a_person
from edgegw.core.events import Violation

DEPTH_MAX = 32

NO_JSON, NO_NUMBER, KEY_TWICE, TOO_DEEP = "EGW-1201", "EGW-1204", "EGW-1205", "EGW-1220"

_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


class NotStrictError(ValueError):
    """The text is no strict JSON: `flaw` is the reason; `loose` is the value of a lax parser, or None."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.flaw = Violation(code=code, detail=detail)
        self.loose: Any = None


def read(text: str) -> Any:
    """Return the value of a JSON text; raise NotStrictError and no other error."""
    if text.count("[") + text.count("{") > DEPTH_MAX and (depth := _depth(text)) > DEPTH_MAX:
        raise NotStrictError(TOO_DEEP, f"nested {depth} deep")
    try:
        return _STRICT.decode(text)
    except NotStrictError as error:
        error.loose = _loosely(text)
        raise
    except json.JSONDecodeError as error:
        raise NotStrictError(NO_JSON, f"{error.msg} at character {error.pos}") from None
    except ValueError:  # Python refuses integers of more than 4300 digits
        raise NotStrictError(NO_NUMBER, "an integer of thousands of digits") from None


def _depth(text: str) -> int:
    """Return the deepest nesting outside of strings."""
    deepest = depth = 0
    for mark in _TEXT_OR_BRACKET.findall(text):
        if mark in {"[", "{"}:
            depth += 1
            deepest = max(deepest, depth)
        elif mark in {"]", "}"}:
            depth -= 1
    return deepest


def _loosely(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrictError(KEY_TWICE, _twice(pairs))
    return found


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """Describe a duplicate key, with its values unless they may name a person."""
    names = [name for name, _ in pairs]
    name = next(name for name in names if names.count(name) > 1)
    values = [json_values.short(value) for key, value in pairs if key == name][:4]
    shown = "" if names_a_person(name) else f" ({', '.join(values)})"
    return f"key {json_values.shown(name, 50)} appears twice{shown}"


def _no_number(name: str) -> NoReturn:
    raise NotStrictError(NO_NUMBER, f"{name} is no number")


_STRICT = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_one_of_each)
