"""Serializes tables as TOML, with the comments of `configs/edgegw.toml` beside the keys. Pure.

Decides the form only. A JSON string is a valid TOML string.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Explained = Mapping[tuple[str, str], str]
"""The comment of each key, by (table, key); the comment of a table has the key ""."""

_HEADER = re.compile(r"(?:# )?\[+([a-z_.]+)\]+\s*(?:#\s*(.*))?$")
_KEY = re.compile(r"(?:# )?([a-z0-9_]+) = (?:\"[^\"]*\"|\[[^\]]*\]|[^\s#]+)\s*#\s*(.*)$")


def explained(example: str) -> Explained:
    """Return the comments of an example configuration, including those of keys that are commented out."""
    found: dict[tuple[str, str], str] = {}
    table = ""
    for line in example.splitlines():
        if header := _HEADER.match(line):
            table = header[1]
            if header[2]:
                found[table, ""] = header[2]
        elif key := _KEY.match(line):
            found[table, key[1]] = key[2]
    return found


def toml(tables: Mapping[str, Any], remarks: Explained | None = None) -> str:
    """Return tables and arrays of tables as TOML text."""
    return "\n".join(_lines("", tables, remarks or {})) + "\n"


def _lines(prefix: str, table: Mapping[str, Any], remarks: Explained) -> Iterable[str]:
    inner = {key: value for key, value in table.items() if _is_table(value)}
    name = prefix.removesuffix(".")
    yield from (
        f"{key} = {json.dumps(value, ensure_ascii=False)}{_remark(remarks, name, key)}"
        for key, value in table.items()
        if key not in inner
    )
    for key, value in inner.items():
        rows = value if isinstance(value, list) else [value]
        for row in rows:
            if remarks:
                yield ""
            header = f"[[{prefix}{key}]]" if isinstance(value, list) else f"[{prefix}{key}]"
            yield header + _remark(remarks, f"{prefix}{key}", "")
            yield from _lines(f"{prefix}{key}.", row, remarks)


def _remark(remarks: Explained, table: str, key: str) -> str:
    found = remarks.get((table, key))
    return f"  # {found}" if found else ""


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )
