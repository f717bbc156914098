"""Find the register maps that a command may name instead of a file.

Decides between those of a checkout and those of an installation. Never reads a map.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

_PACKAGE = Path(__file__).resolve().parent
_SHARED = Path("share/edgegw/configs/meters")


def meter_profiles() -> dict[str, Path]:
    """Return the path of every bundled register map by its name."""
    prefixes = (Path(sys.prefix), *_PACKAGE.parents[:5])
    folders = (_PACKAGE.parent / "configs" / "meters", *(prefix / _SHARED for prefix in prefixes))
    found = (sorted(folder.glob("*.json")) for folder in folders)
    return {path.stem: path for path in next((files for files in found if files), [])}


class MeterProfile(click.ParamType[Path]):
    """A command line parameter: a register map's file, or the name of a bundled one."""

    name = "profile"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the file; a usage error lists the known names."""
        path, known = Path(value), meter_profiles()
        if not path.is_file() and str(value) not in known:
            self.fail(f"{value!r} is no file, and none of: {', '.join(known)}", param, ctx)
        return path if path.is_file() else known[str(value)]
