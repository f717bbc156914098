"""The wheel, installed in an environment of its own: everything that edgegw brings is there, and nothing needs a checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import edgegw
from tests.support.clean_root import ROOT, wheel

PROBE = """
import json
from pathlib import Path
import edgegw, firmware_sim
from edgegw.meters.profile import load_profile
from edgegw.participants.settings import Settings
from edgegw.participants.tariff_file import read_tariff
from edgegw.common.bundled_files import configs
from firmware_sim.places import meter_profiles
print(json.dumps({
    "package": edgegw.__file__,
    "files": sorted(str(file.relative_to(configs())) for file in configs().rglob("*") if file.is_file()),
    "meter": load_profile(configs() / "meters" / "eastron-sdm630.json").profile_id,
    "tariff": str(read_tariff(Settings.model_fields["tariff"].get_default(call_default_factory=True)))[:4],
    "named": str(meter_profiles()["abb-b23"]),
    "unit": (configs().parent / "systemd" / "edgegw.service").is_file(),
}))
"""

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EDGEGW"))}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its libraries are those of the tests, so that nothing is downloaded."""
    place = tmp_path_factory.mktemp("wheel") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--python",
        place / "bin" / "python",
    )
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel()], env=CLEAN, check=True)
    site = next(place.glob("lib/python3*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return place


def run(environment: Path, program: str, *arguments: str) -> str:
    """What a program of the environment prints, started elsewhere."""
    ended = subprocess.run(
        [environment / "bin" / program, *arguments],
        cwd=environment, env=CLEAN, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_programs_start(environment: Path) -> None:
    """`edgegw` and `firmware-sim` are there and know their version and help."""
    assert run(environment, "edgegw", "--version").strip() == f"edgegw, version {edgegw.__version__}"
    assert (
        run(environment, "firmware-sim", "--version").strip() == f"firmware-sim, version {edgegw.__version__}"
    )
    assert "--v2g-share" in run(environment, "edgegw", "demo", "--help")
    assert "charger" in run(environment, "firmware-sim", "--help")


def test_everything_that_edgegw_brings_is_there(environment: Path) -> None:
    """Each file of configs/ and the unit; meters and tariff are read by name from the environment, not from a checkout."""
    seen = json.loads(run(environment, "python", "-c", PROBE))
    assert Path(seen["package"]).is_relative_to(environment)
    assert seen["named"].startswith(str(environment))
    configs = ROOT / "configs"
    assert seen["files"] == sorted(
        str(file.relative_to(configs)) for file in configs.rglob("*") if file.is_file()
    )
    assert (seen["meter"], seen["unit"], bool(seen["tariff"])) == ("eastron-sdm630", True, True)


def test_the_wheel_brings_all_that_pages_are_made_of() -> None:
    """The wheel has every template, static file with its licence and compiled catalogue, and no catalogue's source."""
    web = ROOT / "edgegw" / "web"
    made_of = {
        file.relative_to(ROOT).as_posix()
        for pattern in ("templates/**/*", "static/**/*", "locales/*/LC_MESSAGES/*.mo")
        for file in web.glob(pattern)
        if file.is_file()
    }
    with zipfile.ZipFile(wheel()) as packed:
        names = set(packed.namelist())
        assert all(packed.read(name) == (ROOT / name).read_bytes() for name in made_of & names)
    assert made_of <= names, made_of - names
    assert {Path(name).suffix for name in made_of} >= {".html", ".css", ".js", ".svg", ".txt", ".mo"}
    assert not [name for name in names if name.endswith((".po", ".pot"))]
