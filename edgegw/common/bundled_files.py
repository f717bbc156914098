"""Finds the files that are installed with edgegw: meter profiles, tariffs, scenarios, examples.

Decides between a checkout (`configs/` beside the package) and an installation (`share/edgegw` of the Python environment,
or of the prefix that contains the package, where the two differ: `pip install --user`).
"""

import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_EXAMPLE = "edgegw.toml"  # without this file, a `configs` folder belongs to another program


@cache
def configs() -> Path:
    """Return the folder `configs` of this installation."""
    return find_configs(PACKAGE, Path(sys.prefix))


def find_configs(package: Path, prefix: Path) -> Path:
    """Return the folder beside `package`, else the one in the environment `prefix`, else in a prefix above the package."""
    beside = package.parent / "configs"
    shared = prefix / "share" / "edgegw" / "configs"
    around = [parent / "share" / "edgegw" / "configs" for parent in package.parents[:5]]
    return next((place for place in (beside, shared, *around) if (place / _EXAMPLE).is_file()), shared)
