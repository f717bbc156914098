"""NOTICE: what is another's in this checkout is named there, with its sum, and was not changed since."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUMS = dict(
    re.findall(r"^(\S+/\S+)\n  ([0-9a-f]{64})$", (ROOT / "NOTICE").read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize("name", sorted(SUMS))
def test_a_named_file_is_as_it_was(name: str) -> None:
    """A file that NOTICE names has the checksum that is given there."""
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == SUMS[name]


def test_every_script_of_others_is_named_with_its_licence() -> None:
    """Each vendored script is in NOTICE and in the package's copyright file, beside its licence."""
    vendor = ROOT / "edgegw" / "web" / "static" / "vendor"
    scripts = {file.relative_to(ROOT).as_posix() for file in vendor.glob("*.js")}
    assert scripts
    copyright_file = (ROOT / "deb" / "copyright").read_text(encoding="utf-8")
    for script in scripts:
        assert script in SUMS
        assert script in copyright_file
        assert (
            vendor / f"LICENSE.{re.sub('-[0-9.]+$', '', Path(script).name.removesuffix('.min.js'))}.txt"
        ).is_file()
