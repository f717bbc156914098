"""Reads the configuration files as one tree: the main file, and `conf.d/*.toml` beside it with more chargers and meters.

Decides how the files are joined and which file contains a value. Does not know the meaning of a key.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.common.errors import ConfigError
from edgegw.config.faults import Location, fault_line

JOINED = (
    "chargers",
    "meters",
)  # arrays of tables that every part may extend; a part may contain nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file as read; `offsets` are the elements of each joined array in the files before it."""

    path: Path
    text: str
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tree of all files, and the files; `faults` are those of joining them."""

    tree: Mapping[str, object]
    parts: Sequence[Part]
    faults: tuple[str, ...] = field(default=())

    def fault_line(self, at: Location, message: str) -> str:
        """Return a fault at a location of the tree as one line, with the file and line that contain it."""
        match at:
            case (str(name), int(index), *rest) if name in JOINED:
                part = next(one for one in reversed(self.parts) if one.offsets.get(name, 0) <= index)
                inner: Location = (name, index - part.offsets.get(name, 0), *rest)
                return fault_line(part.path, part.text, at=inner, message=message)
            case _:
                return fault_line(self.parts[0].path, self.parts[0].text, at=at, message=message)


def part_folder(path: Path) -> Path:
    """Return the folder of a configuration file's parts."""
    return path.absolute().parent / "conf.d"


def read_parts(path: Path) -> Parts:
    """Read the file and its parts; raises ConfigError where one cannot be read or is not TOML."""
    tree, text = _read(path)
    parts = [Part(path=path, text=text, offsets={})]
    faults: list[str] = []
    for file in sorted(part_folder(path).glob("*.toml")):
        more, text = _read(file)
        offsets = {name: len(_rows(tree, name)) for name in JOINED}
        parts.append(Part(path=file, text=text, offsets=offsets))
        faults += (
            fault_line(
                file, text, at=(key,), message=f"belongs in {path.name}; here only: {', '.join(JOINED)}"
            )
            for key in more
            if key not in JOINED
        )
        tree |= {name: [*_rows(tree, name), *_rows(more, name)] for name in JOINED if name in more}
    return Parts(tree=tree, parts=parts, faults=tuple(faults))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise ConfigError((f"{path}: not UTF-8 text: {error.reason} at byte {error.start}",)) from error


def _read(path: Path) -> tuple[dict[str, Any], str]:
    text = read_text(path)
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+), column (\d+)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        lines = text.splitlines() or [""]
        shown = lines[min(line, len(lines)) - 1].strip()[:60]
        message = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigError((f"{path}:{line}:{column}: {message}; line: {shown}",)) from error


def _rows(tree: Mapping[str, Any], name: str) -> list[Any]:
    found = tree.get(name, [])
    return found if isinstance(found, list) else []
