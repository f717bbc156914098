"""Formats configuration faults with their position: `file:line: key: message (did you mean …?)`.

Decides wording and line numbers only; `config.schema` decides what is a fault.
"""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

Location = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_WORDING = {"missing": "is required", "extra_forbidden": "unknown key"}


def form_faults(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Location, str]]:
    """Yield location and message of each pydantic error, with the nearest known key for an unknown one."""
    for fault in error.errors(include_url=False):
        message = _WORDING.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        location = fault["loc"]
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), known_keys(model, location[:-1]), n=1)
            message += f" (did you mean {near[0]}?)" if near else ""
        elif fault["type"] != "missing" and isinstance(fault["input"], str | int):
            message += f", not {fault['input']!r}"
        yield location, message


def known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """Return the keys that the table at `location` may have."""
    for part in location:
        if isinstance(part, str):
            nested = next(_models(model.model_fields[part].annotation), None)
            if nested is None:
                return []
            model = nested
    return list(model.model_fields)


def fault_line(path: Path, text: str, *, at: Location, message: str) -> str:
    """Return one fault as one line; the line number is that of the innermost part of `at` found in the text."""
    lines = line_numbers(text)
    number = next((lines[at[:depth]] for depth in range(len(at), 0, -1) if at[:depth] in lines), 1)
    return f"{path}:{number}: {_dotted(at)}: {message}"


def line_numbers(text: str) -> dict[Location, int]:
    """Return the line of every table header and of every key that starts a line; keys of inline tables have no entry."""
    lines: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            *parents, name = header[2].split(".")
            table = ()
            for part in parents:
                table = _newest((*table, part.strip()), counts)
            table = (*table, name.strip())
            if header[1] == "[[":
                counts[table] = counts.get(table, 0) + 1
                lines.setdefault(table, number)
                table = _newest(table, counts)
            lines[table] = number
        elif key := _KEY.match(line):
            lines.setdefault((*table, key[1]), number)
    return lines


def _newest(table: Location, counts: dict[Location, int]) -> Location:
    """Return the location of the last element so far of an array of tables; of any other table, its own."""
    return (*table, counts[table] - 1) if table in counts else table


def _dotted(location: Location) -> str:
    """Return a location as `chargers[0].evses[1].meter`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(
        "."
    )


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
