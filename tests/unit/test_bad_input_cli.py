"""Bad input at the command line: a command that cannot be done says what, where and what now, by its exit status too; never a traceback.

The statuses are those of docs/cli.md: 1 found problems, 2 usage, 69, 77, 78.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.ports.gateway import Fact
from edgegw.store.journal import SqliteJournal
from tests.support.patience import PATIENCE_S
from tests.unit.test_cli import CONFIG

ROOT = Path(__file__).parents[2]
TRADE = {
    "trade_id": "ref:1:import:1000",
    "evse_id": "E-1",
    "session_id": "s",
    "direction": "import",
    "kind": "RETAIL",
    "reason": "NO_SLICE",
    "interval": 1_795_538_700,
    "start_wh": 1000,
    "end_wh": 1500,
    "amount_mtok": 90_000,
    "evidence_hash": "00",
    "tx_id": "x",
    "block": 5,
    "status": "RECORDED",
}


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    (tmp_path / "var").mkdir()
    journal = SqliteJournal(tmp_path / "var" / "station.db")
    await journal.commit([Fact(kind="trade", body=TRADE)], {})
    journal.close()
    return path


def edgegw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgegw.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=PATIENCE_S,
    )  # fmt: skip


def test_an_unknown_trade_is_answered_with_the_nearest(config: Path) -> None:
    """Exit 1: the message names where was searched and which trade may have been meant."""
    done = edgegw("trade", "show", "ref:1:import:1001", "--config", str(config))
    assert done.returncode == 1
    assert "no trade ref:1:import:1001 in " in done.stderr
    assert "the nearest id is ref:1:import:1000" in done.stderr
    assert "Traceback" not in done.stderr
    other = edgegw("trade", "show", "T-xyz", "--config", str(config))
    assert "edgegw trade list shows all trades" in other.stderr


def test_trades_are_a_table_for_people(config: Path) -> None:
    """Without a terminal, each trade is one line with its quarter hour, energy and cost."""
    done = edgegw("trade", "list", "--config", str(config))
    heads, row = done.stdout.splitlines()
    assert heads.split() == [
        "INTERVAL",
        "EVSE",
        "WHAT",
        "WH",
        "KIND",
        "TOKENS",
        "STATUS",
        "BLOCK",
        "TRADE_ID",
    ]
    assert row.split()[2:] == [
        "E-1", "delivered", "500", "RETAIL", "90.000", "RECORDED", "5", "ref:1:import:1000",
    ]  # fmt: skip


def test_a_month_that_does_not_exist_is_a_usage_error(config: Path) -> None:
    """Exit 2: what is wrong with it, and the form that was expected."""
    done = edgegw("ledger", "price", "CHARGE", "2026-13-01", "--config", str(config))
    assert done.returncode == 2
    assert "month must be in 1..12" in done.stderr
    assert "2026-11-22T17:00Z" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a command as another user")
def test_another_user_is_told_as_whom_to_run(tmp_path: Path) -> None:
    """Exit 77: a configuration that only root and the service may read."""
    folder = Path("/etc") / f"edgegw-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        path = folder / "edgegw.toml"
        path.write_text(CONFIG)
        path.chmod(0o600)
        code = f"import sys; sys.argv = ['edgegw', 'trade', 'list', '--config', {str(path)!r}]\n"
        code += "from edgegw.cli import main\nimport os\nos.setgid(65534); os.setuid(65534)\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=PATIENCE_S,
        )
    finally:
        path.unlink()
        folder.rmdir()
    assert done.returncode == 77, done.stderr
    assert "sudo -u edgegw edgegw" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("status",), ("charger", "list"), ("charger", "reject", "CP-1")])
def test_a_daemon_that_does_not_run_is_named(config: Path, command: tuple[str, ...]) -> None:
    """Exit 69: the socket that was tried, and where to look."""
    done = edgegw(*command, "--config", str(config))
    assert done.returncode == 69
    assert "the daemon is not running (socket " in done.stderr
    assert "systemctl status edgegw" in done.stderr


def test_a_place_that_cannot_be_written_is_named(config: Path, tmp_path: Path) -> None:
    """A folder that is not there, or not ours: the file and the system's own words, no traceback."""
    place = tmp_path / "nowhere" / "bundle.tar.gz"
    done = edgegw("support", "--output", str(place), "--config", str(config))
    assert done.returncode == 1
    assert f"{place}: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr
