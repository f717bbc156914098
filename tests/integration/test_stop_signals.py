"""Commands that run until stopped end at Ctrl-C, also if a shell started them with SIGINT ignored.

Daemon, representative, participants, chaincode service, demo, `mqtt watch` and `firmware-sim charger` are started like
this by their own tests; this module tests the others, and what all of them share.
"""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.background import in_background
from tests.support.modbus_bus import serve_bus

ROOT = Path(__file__).parents[2]
TUNED = """
import asyncio, sys
from pathlib import Path
from edgegw.cli.demo import _host
from edgegw.demo import hosting

class OpenHouse:
    def __init__(self, **_): ...

    async def run(self):
        print("ready", flush=True)
        await asyncio.Event().wait()

hosting.OpenHouse = OpenHouse
_host(Path("."), 1)
"""
COMMANDS = {
    "demo --stay": (sys.executable, "-c", TUNED),
    "edgegw peer": (sys.executable, "-m", "edgegw.cli", "peer", "--data", "peer"),
    "firmware-sim meter": (sys.executable, "-m", "firmware_sim", "meter", "--profile", "abb-b23"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it(name: str, number: signal.Signals, tmp_path: Path) -> None:
    """Ready with SIGINT ignored and standard input closed, it ends at the signal with status 0 and no traceback."""
    with subprocess.Popen(
        in_background(*COMMANDS[name]),
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        first = running.stdout.readline()
        running.send_signal(number)
        _, errors = running.communicate()
    assert first, errors
    assert running.returncode == 0, errors
    assert "Traceback" not in errors


async def test_watching_a_meter_ends_at_ctrl_c() -> None:
    """`meter read --watch` as a background job reads, and Ctrl-C is its ordinary end."""
    async with serve_bus(a="abb-b23") as bus:
        watching = await asyncio.create_subprocess_exec(
            *in_background(sys.executable, "-m", "edgegw.cli", "meter", "read", "--watch"),
            *("--profile", "abb-b23", "--host", "127.0.0.1", "--port", str(bus.port)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert watching.stdout is not None
        assert await watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        await watching.communicate()
    assert watching.returncode == 0


def test_one_module_hears_sigint() -> None:
    """In edgegw only `common.stop_signals` names SIGINT, and nothing waits for a KeyboardInterrupt."""
    hearing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edgegw").rglob("*.py")
        if re.search(
            r"signal\.SIGINT|except .*KeyboardInterrupt|suppress\(KeyboardInterrupt", path.read_text()
        )
    }
    assert hearing == {"edgegw/common/stop_signals.py"}


@pytest.mark.parametrize(
    "arguments",
    [("operator", "password"), ("init", "here"), ("charger", "add", "CP-9"), ("db", "restore", "x")],
)
def test_a_question_without_standard_input_ends_the_command(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """If the parent closed standard input, a command that would ask ends with a message and no traceback."""
    done = subprocess.run(
        in_background(sys.executable, "-m", "edgegw.cli", *arguments),
        cwd=tmp_path, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode in {1, 2, 78}, done.stderr
    assert "Traceback" not in done.stderr
