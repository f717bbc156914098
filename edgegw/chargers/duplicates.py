"""Detects billing messages of one charger that repeat a key with other content. No I/O.

Decides whether a repeat equals the first message. Remembers the newest messages across reconnects, not across a restart:
then the core's cached answers do. A different `offline` flag is no difference.
Source: OCPP 2.1 Part 2 E01.FR.07 (seqNo counts up); docs/ocpp.md, Billing messages.
"""

import json
from typing import Any

from edgegw.chargers import json_values
from edgegw.chargers.masking import names_a_person
from edgegw.chargers.violations import SEEN_BEFORE
from edgegw.core.events import Violation

KEPT_MAX = 16
KEPT_CHARACTERS_MAX = 1 << 16
_LATE = "offline"
_SHOWN_MAX = 3


class Duplicates:
    """The newest billing frames by their business key."""

    def __init__(self) -> None:
        self._frames: dict[str, str] = {}
        self._characters = 0

    def differing(self, key: str, frame: str) -> Violation | None:
        """Return the flaw of a message whose key came before with other content; the first one stays remembered."""
        first = self._frames.get(key)
        if first is None:
            self._keep(key, frame)
            return None
        if first == frame:
            return None
        before, now = _payload(first), _payload(frame)
        names = [name for name in sorted({*before, *now} - {_LATE}) if before.get(name) != now.get(name)]
        if not names:
            return None
        shown = "; ".join(_difference(name, before, now) for name in names[:_SHOWN_MAX])
        return Violation(code=SEEN_BEFORE, detail=f"{json_values.shown(key, 80)}: {shown}")

    def _keep(self, key: str, frame: str) -> None:
        self._frames[key] = frame
        self._characters += len(frame)
        while len(self._frames) > KEPT_MAX or self._characters > KEPT_CHARACTERS_MAX:
            oldest = next(iter(self._frames))
            self._characters -= len(self._frames.pop(oldest))


def _payload(frame: str) -> dict[str, Any]:
    return json_values.mapping(json.loads(frame)[3])


def _difference(name: str, before: dict[str, Any], now: dict[str, Any]) -> str:
    told = json_values.shown(name, 40)
    if names_a_person(name) or isinstance(before.get(name), dict | list):
        return f"other {told}"
    return f"{told} {json_values.short(before.get(name))} -> {json_values.short(now.get(name))}"
