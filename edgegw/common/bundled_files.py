"""Where the files that edgegw brings along stand: register maps, tariffs, scenarios, examples.

Decides between a checkout (`configs/` beside the package) and an installation (`share/edgegw` of its Python environment,
or of the prefix that the package itself lies under, where those differ: `pip install --user`).
"""

import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_EXAMPLE = "edgegw.toml"  # without it, a folder of the name is somebody else's


@cache
def configs() -> Path:
    """The folder `configs`, wherever this edgegw is installed."""
    return find_configs(PACKAGE, Path(sys.prefix))


def find_configs(package: Path, prefix: Path) -> Path:
    """The folder for a package at a place: beside it, else in the environment, else in the prefix around the package."""
    beside = package.parent / "configs"
    shared = prefix / "share" / "edgegw" / "configs"
    around = [parent / "share" / "edgegw" / "configs" for parent in package.parents[:5]]
    return next((place for place in (beside, shared, *around) if (place / _EXAMPLE).is_file()), shared)
