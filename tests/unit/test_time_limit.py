"""A test that never ends fails by itself, whatever it hangs in, and those after it still run."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGING = """
import asyncio, subprocess, sys, threading
import pytest

@pytest.fixture(scope="session")
def stuck():
    threading.Event().wait()

@pytest.fixture
def stuck_at_its_end():
    yield
    threading.Event().wait()

async def test_loop_waits():
    await asyncio.Event().wait()

def test_session_fixture_waits(stuck): ...

def test_child_waits():
    subprocess.run([sys.executable, "-c", "import threading; threading.Event().wait()"])

def test_thread_waits():
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    thread.join()

def test_swallows_its_failure():
    while True:
        try:
            threading.Event().wait()
        except BaseException:
            pass

def test_teardown_waits_after_a_failure(stuck_at_its_end):
    raise AssertionError

def test_other(): ...
"""


def test_whatever_a_test_hangs_in_it_fails(tmp_path: Path) -> None:
    """A loop, a session's fixture, a child, a thread, a swallowed failure, a failed test's teardown: each test fails."""
    (tmp_path / "test_hanging.py").write_text(HANGING)
    plugins = (
        "xdist",
        "pytest_timeout",
        "pytest_asyncio.plugin",
        "tests.support.time_limit",
        "no:cacheprovider",
    )
    limits = ("timeout=2", "time_limit_grace=1", "addopts=")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)),
            *("-rfEp", "-n", "3", *(f"-p{name}" for name in plugins), *(f"-o{limit}" for limit in limits)),
            str(tmp_path),
        ],
        cwd=ROOT, env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended = re.findall(r"^(PASSED|FAILED|ERROR) \S*::(\w+)", done.stdout, re.MULTILINE)
    expected = dict.fromkeys(re.findall(r"def (test_\w+)", HANGING), "FAILED")
    expected |= {"test_session_fixture_waits": "ERROR", "test_other": "PASSED"}
    assert {name: word for word, name in ended} == expected, done.stdout + done.stderr
    assert "in test_swallows_its_failure" in done.stderr
