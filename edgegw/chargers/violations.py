"""What is wrong with a billing message that is taken all the same, gathered while it is read. Pure.

Decides the code and wording of each flaw; one of each kind a message. Never refuses anything.
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
        """Note one; a further one of the same code says nothing new."""
        self._found.setdefault(code, Violation(code=code, detail=detail))

    @property
    def all(self) -> tuple[Violation, ...]:
        """What was found."""
        return tuple(self._found.values())

    def instant_ns(self, value: Any, *, now_ns: int, absent_ns: int) -> int:
        """A charger's time; what cannot be read, was never set or lies far ahead is replaced by `now_ns`."""
        if value is None:
            return absent_ns
        at_ns = timestamps.parse(value)
        if at_ns is None or at_ns > now_ns + FUTURE_NS_MAX:
            self.add(CLOCK_OFF, f"timestamp {json_values.short(value)}, here {timestamps.render(now_ns)}")
            return now_ns
        return at_ns

    def register_wh(self, name: str, value: Any) -> int | None:
        """A register in Wh, or None with the reason."""
        register_wh = json_values.integer(value)
        if register_wh is None or register_wh < 0:
            code = NO_DECIMAL if isinstance(value, str) and "," in value else NO_NUMBER
            self.add(code, f"{name} is {'missing' if value is None else json_values.short(value)}")
            return None
        return register_wh

    def evse_number(self, name: str, value: Any) -> None:
        """A message that has to name a connector or EVSE names none of ours."""
        number = json_values.integer(value)
        if number is None:
            self.add(NO_NUMBER, f"{name} is {'missing' if value is None else json_values.short(value)}")
        else:
            self.add(NO_SUCH_EVSE, f"{name} {number} is not configured")
