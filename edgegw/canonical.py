"""Canonical JSON: sorted keys, no spaces, UTF-8, integers only. One text for one value, so that it can be hashed."""

import hashlib
import json
from collections.abc import Mapping


def canonical_json(value: Mapping[str, object] | list[object]) -> str:
    """The one text of a value made of mappings, lists, strings, integers, booleans and None.

    Raises:
        ValueError: a float, or another type, is somewhere inside.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_refuse)


def sha256_hex(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    message = f"not canonical: {type(value).__name__}"
    raise ValueError(message)
