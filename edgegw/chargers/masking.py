"""Masks idTokens: replaces each card number in a charger's frame by its keyed hash before the frame is kept. Pure.

Decides which members of a message name a person. Works on the raw text, so that everything else stays as sent, including
duplicate members and members spelt with escapes.
Source: OCPP 1.6 §6 and §7 (idTag, CiString20Type); OCPP 2.1 Part 2 (IdTokenType, AdditionalInfoType).
"""

import json
import re
from collections.abc import Callable

_NAMES = frozenset({"idTag", "idToken", "additionalIdToken"})
# Matches every string of the frame, so that no value is taken for a name; with the value where that is a string or number.
_MEMBER = re.compile(r'("(?:[^"\\]|\\.)*+")(?:(\s*:\s*)("(?:[^"\\]|\\.)*+"|-?\d[\d.eE+-]*+)?)?')

# Matches what follows a name, however it is quoted, and is neither a hash nor the beginning of an object or list.
_UNCLEAR = re.compile(
    r"""((?:idTag|idToken|additionalIdToken|\\u[0-9a-f]{4}\w*)["']?\s*+[:=]\s*+)(?!"\#|[{\[\s])[^,}\]]*+""",
    re.IGNORECASE,
)


def masked(frame: str, normal_token: Callable[[object], str | None], hash_token: Callable[[str], str]) -> str:
    """Return the JSON text `frame` with "#" and the keyed hash in the place of each idToken."""
    if "\\u" not in frame and "idT" not in frame and "IdT" not in frame:  # most frames are readings
        return frame

    def mask(member: re.Match[str]) -> str:
        name, colon, value = member.groups()
        if value is None or (json.loads(name) if "\\" in name else name[1:-1]) not in _NAMES:
            return member[0]
        token = normal_token(json.loads(value))
        return member[0] if token is None else name + colon + json.dumps(f"#{hash_token(token)}")

    return _MEMBER.sub(mask, frame)


def names_a_person(name: str) -> bool:
    """Return True for a member whose value may be a card number."""
    return name in _NAMES


def masked_broken(
    frame: str, normal_token: Callable[[object], str | None], hash_token: Callable[[str], str]
) -> str:
    """Do as `masked` for text that is no JSON, and cut out every value that may be a card number."""
    try:
        kept = masked(frame, normal_token, hash_token)
    except ValueError:  # a malformed number or string
        kept = frame
    if not any(name.lower() in kept.lower() for name in _NAMES) and "\\u" not in kept:
        return kept
    return _UNCLEAR.sub(lambda found: f'{found[1]}"#"', kept)
