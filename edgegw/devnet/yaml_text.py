"""Write nested values as YAML text, the small part of YAML that configuration files need.

Strings are quoted as in JSON, which every YAML parser accepts.
"""

import json
from collections.abc import Mapping, Sequence

HEADER = "# Written by edgegw devnet; the next network overwrites it.\n"
Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]


def yaml_text(tree: Mapping[str, Value]) -> str:
    """Return a whole file, with the header."""
    return HEADER + "\n".join(_lines(tree, "")) + "\n"


def nest(flat: Mapping[str, Value]) -> dict[str, Value]:
    """Return dotted keys as nested tables: `a.b: 1` becomes `a: {b: 1}`."""
    tree: dict[str, Value] = {}
    for dotted, value in flat.items():
        *tables, key = dotted.split(".")
        place = tree
        for table in tables:
            inner = place.setdefault(table, {})
            assert isinstance(inner, dict)
            place = inner
        assert key not in place, dotted
        place[key] = value
    return tree


def _lines(value: Value, indent: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            found += _entry(f"{indent}{key}:", inner, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            if _is_leaf(inner):
                found.append(f"{indent}- {json.dumps(inner)}")
            else:
                first, *rest = _lines(inner, indent + "  ")
                found += [f"{indent}- {first.lstrip()}", *rest]
    return found


def _entry(head: str, value: Value, indent: str) -> list[str]:
    if _is_leaf(value):
        return [f"{head} {json.dumps(value)}"]
    return [head, *_lines(value, indent + "  ")]


def _is_leaf(value: Value) -> bool:
    """Return whether a value is a scalar or empty, which JSON and YAML write alike."""
    return isinstance(value, str | int) or not value
