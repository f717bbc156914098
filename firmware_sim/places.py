"""Where the meters' register maps stand that a person may name instead of giving a file.

Decides between a checkout and an installation. Never reads a map.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

_PACKAGE = Path(__file__).resolve().parent
_SHARED = Path("share/edgegw/configs/meters")


def meter_profiles() -> dict[str, Path]:
    """Every register map that was brought along, by its name."""
    prefixes = (Path(sys.prefix), *_PACKAGE.parents[:5])
    folders = (_PACKAGE.parent / "configs" / "meters", *(prefix / _SHARED for prefix in prefixes))
    found = (sorted(folder.glob("*.json")) for folder in folders)
    return {path.stem: path for path in next((files for files in found if files), [])}


class MeterProfile(click.ParamType[Path]):
    """A register map: its file, or the name of one that was brought along."""

    name = "profile"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The file."""
        path, known = Path(value), meter_profiles()
        if not path.is_file() and str(value) not in known:
            self.fail(f"{value!r} is no file, and none of: {', '.join(known)}", param, ctx)
        return path if path.is_file() else known[str(value)]
