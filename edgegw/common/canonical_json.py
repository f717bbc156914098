"""Encodes a value as canonical JSON and hashes it: sorted keys, no spaces, UTF-8, integers only.

Equal values have equal texts, so that a hash identifies a value.
"""

import hashlib
import json
from collections.abc import Mapping


def canonical_json(value: Mapping[str, object] | list[object]) -> str:
    """Return the canonical text of a value made of mappings, lists, strings, integers, booleans and None.

    Raises:
        ValueError: the value contains a float or another type.
    """
    return json.dumps(_checked(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _checked(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _checked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_checked(item) for item in value]
    if value is None or isinstance(value, int | str):
        return value
    raise ValueError(f"not canonical: {type(value).__name__}")
