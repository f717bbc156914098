"""Where the files that edgegw brings along stand: register maps, tariffs, scenarios, examples.

Decides between a checkout (`configs/` beside the package) and an installation (`share/edgegw` of its Python environment).
"""

import sys
from functools import cache
from pathlib import Path


@cache
def configs() -> Path:
    """The folder `configs`, wherever this edgegw is installed."""
    checkout = Path(__file__).resolve().parents[1] / "configs"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "edgegw" / "configs"
