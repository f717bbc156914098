"""Tables as TOML text, each key with what it does, in the words of `configs/edgegw.toml`.

Pure: tables and the example's text in, text out. Decides form only. A JSON string is a TOML string.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Explained = Mapping[tuple[str, str], str]
"""What a key does, by (table, key); a table's own remark has the key ""."""

_HEADER = re.compile(r"(?:# )?\[+([a-z_.]+)\]+\s*(?:#\s*(.*))?$")
_KEY = re.compile(r"(?:# )?([a-z0-9_]+) = (?:\"[^\"]*\"|\[[^\]]*\]|[^\s#]+)\s*#\s*(.*)$")


def explained(example: str) -> Explained:
    """The remarks of an example configuration, commented keys included."""
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
    """Tables and lists of tables as TOML."""
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
