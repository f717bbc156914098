"""Install the packages of Fabric's official Node client, once per lock file and by one test process at a time."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.patience import LONG_PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "integration" / "node"
HOME = ROOT / "build" / "node"
INSTALLED_FOR = HOME / ".installed-for"


def installed() -> Path:
    """Return the folder with the client's packages; skip the test if they cannot be installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    if int(subprocess.check_output(["node", "--version"], text=True)[1:].split(".")[0]) < 20:
        pytest.skip("node is older than 20")
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".lock").open("w") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        lock = (SOURCE / "package-lock.json").read_text()
        if not INSTALLED_FOR.exists() or INSTALLED_FOR.read_text() != lock:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SOURCE / name, HOME / name)
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts"],
                cwd=HOME,
                capture_output=True,
                text=True,
                timeout=LONG_PATIENCE_S,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"npm ci failed: {done.stderr.strip().splitlines()[-1:]}")
            INSTALLED_FOR.write_text(lock)
    return HOME
