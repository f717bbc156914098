"""Collects what is wrong with a billing message that is still accepted. Pure.

Decides the code and wording of each flaw, one of each code per message. Never refuses a message.
Source: docs/ocpp.md, Billing messages; OCPP 1.6 §3.12 (times in UTC), 2.1 Part 2 §2.48 (unit Wh by default).
"""

from typing import Any

from edgegw.chargers import json_values, timestamps
from edgegw.core.events import Violation

NO_NUMBER = "EGW-1204"
NO_DECIMAL = "EGW-1206"
NO_UNIT = "EGW-1207"
MESSAGE_ID = "EGW-1208"
SEEN_BEFORE = "EGW-1213"
CLOCK_OFF = "EGW-1214"
NO_SUCH_EVSE = "EGW-1215"

FUTURE_NS_MAX = 3600 * timestamps.SECOND_NS


class Violations:
    """The flaws of one message, the first of each code."""

    def __init__(self) -> None:
        self._found: dict[str, Violation] = {}

    def add(self, code: str, detail: str) -> None:
        """Add a flaw; a further one of the same code is dropped."""
        self._found.setdefault(code, Violation(code=code, detail=detail))

    @property
    def all(self) -> tuple[Violation, ...]:
        """The flaws found, in order."""
        return tuple(self._found.values())

    def instant_ns(self, value: Any, *, now_ns: int, absent_ns: int) -> int:
        """Return a charger's time; `now_ns` replaces one that is unreadable, never set or far in the future."""
        if value is None:
            return absent_ns
        at_ns = timestamps.parse(value)
        if at_ns is None or at_ns > now_ns + FUTURE_NS_MAX:
            self.add(CLOCK_OFF, f"timestamp {json_values.short(value)}, here {timestamps.render(now_ns)}")
            return now_ns
        return at_ns

    def register_wh(self, name: str, value: Any) -> int | None:
        """Return a register in Wh, or None after adding the reason."""
        register_wh = json_values.integer(value)
        if register_wh is None or register_wh < 0:
            code = NO_DECIMAL if isinstance(value, str) and "," in value else NO_NUMBER
            self.add(code, f"{name} is {'missing' if value is None else json_values.short(value)}")
            return None
        return register_wh

    def evse_number(self, name: str, value: Any) -> None:
        """Add the flaw of a message that must name a connector or EVSE and names none of this charger's."""
        number = json_values.integer(value)
        if number is None:
            self.add(NO_NUMBER, f"{name} is {'missing' if value is None else json_values.short(value)}")
        else:
            self.add(NO_SUCH_EVSE, f"{name} {number} is not configured")
