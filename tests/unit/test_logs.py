"""Logs: a closed list of names, one JSON line an event, harmless text."""

import io
import json

import pytest

from edgegw.common.sanitize import harmless
from edgegw.ops.logs import EVENTS, configure, log_event


def test_an_event_is_one_json_line_with_its_fields() -> None:
    """Name, level, time and fields in one line; integers stay integers; below the level nothing is written."""
    stream = io.StringIO()
    configure("info", "auto", stream)
    log_event("session.finished", {"import_wh": 1200, "session_id": "s\n1"})
    log_event("session.finished", {}, level="debug")
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "session.finished"
    assert (entry["import_wh"], entry["session_id"], entry["level"]) == (1200, "s\\n1", "info")
    assert entry["timestamp"].endswith("Z")


def test_a_name_off_the_list_is_our_fault() -> None:
    """The list is closed; each name on it is noun.verb."""
    with pytest.raises(AssertionError):
        log_event("something.happened", {})
    assert all(len(name.split(".")) == 2 and name == name.lower() for name in EVENTS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CP-1 ü", "CP-1 ü"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202ereversed", "\\u202ereversed"),
        ("\ud800", "\\ud800"),
        ("x" * 300, "x" * 199 + "…"),
        ("\n" * 150, ("\\n" * 100)[:199] + "…"),
    ],
)
def test_text_from_devices_is_made_harmless(text: str, shown: str) -> None:
    """Control characters are escaped, length is bounded, ordinary text stays."""
    assert harmless(text, length_max=200) == shown
    assert harmless(text).isprintable()
