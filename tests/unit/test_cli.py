"""The command line: fast help, exit codes that scripts can rely on, one JSON value with --json."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit, exit_code, lines_of
from edgegw.common.errors import (
    ConfigError,
    DeviceError,
    EdgegwError,
    JournalError,
    LedgerError,
)
from edgegw.ports.gateway import Fact
from edgegw.store.journal import SqliteJournal

WITHOUT_STATION = {"chaincode", "devnet"}
"""Groups for machines that have no station: an organisation's peers."""
CONFIG = """\
[station]
id = "S-1"
zone = "KR-SEOUL"
data_dir = "var"
key_file = "station.key"

[ledger]
gateway_id = "gateway1"
endpoint = "127.0.0.1:1"
identity = "crypto/EVUserMSP/gateway1"
trust_file = "crypto/trust.json"

[representative]
store = "members.db"
key_file = "members.key"
identity = "crypto/EVUserMSP/representative"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgegw.toml"
    path.write_text(CONFIG)
    key = tmp_path / "members.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_loads_nothing_heavy() -> None:
    """`edgegw --help` imports no network, database or contract code."""
    heavy = (
        "grpc",
        "sqlite_utils",
        "cryptography",
        "pymodbus",
        "websockets",
        "rich",
        "structlog",
        "edgegw.contract.functions",
    )
    probe = f"import sys; import edgegw.cli; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_command_explains_itself() -> None:
    """Each command and subcommand has help and answers --help with status 0."""
    for name, command in main.commands.items():
        assert run(name, "--help").exit_code == Exit.DONE, name
        assert command.help, name
        for inner, subcommand in getattr(command, "commands", {}).items():
            assert run(name, inner, "--help").exit_code == Exit.DONE, inner
            assert subcommand.help, inner
            if name not in WITHOUT_STATION:
                assert {"config", "as_json"} <= {parameter.name for parameter in subcommand.params}, inner


def test_a_bad_configuration_ends_with_78_and_all_faults(config: Path) -> None:
    """All faults are on standard error, one per line, with file and line; standard output is empty."""
    config.write_text(CONFIG.replace("zone", "zoen") + "[log]\nlevel = 'loud'\n")
    result = run("ledger", "supply", "--config", str(config), "--json")
    assert result.exit_code == Exit.CONFIGURATION
    assert result.stdout == ""
    assert f"{config}:3: station.zoen: unknown key (did you mean zone?)" in result.stderr
    assert "log.level" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledger", "nothing"),
        ("nothing",),
        ("ledger", "price", "CHARGE", "2026-13-01"),
        ("ledger", "block", "-1"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], config: Path) -> None:
    """Unknown commands and impossible values are usage errors."""
    more = ("--config", str(config)) if len(arguments) > 2 else ()
    assert run(*arguments, *more).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ConfigError(("x",)), 78),
        (JournalError("x"), 75),
        (LedgerError("x"), 69),
        (DeviceError("x"), 69),
        (EdgegwError("x"), 1),
    ],
)
def test_each_fault_has_its_exit_code(fault: EdgegwError, code: int) -> None:
    """The class of a fault decides the exit code; a refused file is 77 whatever it was for."""
    assert exit_code(fault) == code
    fault.__cause__ = PermissionError()
    assert exit_code(fault) == Exit.NOT_ALLOWED


def test_trades_are_listed_from_the_journal(config: Path) -> None:
    """Settled trades in order, then the lines on their way; without a journal a clear message."""
    absent = run("trade", "list", "--config", str(config))
    assert absent.exit_code == Exit.TRY_AGAIN
    assert "there is no station journal here" in absent.stderr

    async def write() -> None:
        journal = SqliteJournal(config.parent / "var" / "station.db")
        facts = [Fact(kind="trade", body={"trade_id": f"t{n}", "status": "RECORDED"}) for n in (1, 2)]
        await journal.commit(facts, {"lines/t3": json.dumps({"trade_id": "t3"}), "linesmen/1": "x"})
        journal.close()

    asyncio.run(write())
    result = run("trade", "list", "--config", str(config), "--json")
    assert [(one["trade_id"], one["status"]) for one in json.loads(result.stdout)] == [
        ("t1", "RECORDED"), ("t2", "RECORDED"), ("t3", "OPEN"),
    ]  # fmt: skip
    missing = run("trade", "show", "t9", "--config", str(config))
    assert (missing.exit_code, "no trade t9" in missing.stderr) == (Exit.PROBLEMS, True)
    shown = run("trade", "show", "t3", "--config", str(config), "--json")
    assert json.loads(shown.stdout) == {
        "evidence": None,
        "journal": {"status": "OPEN", "trade_id": "t3"},
        "ledger": None,
        "receipt": None,
    }


def test_a_member_waits_for_the_ledger(config: Path) -> None:
    """A sign-up that the ledger did not take leaves the member NEW, and a card cannot lead to it yet."""
    added = run("member", "add", "--identity", "somebody", "--config", str(config))
    assert added.exit_code == Exit.CONFIGURATION  # no identity to speak to the ledger with
    listed = json.loads(run("member", "list", "--config", str(config), "--json").stdout)
    assert [(one["status"], one["cards"]) for one in listed] == [("NEW", 0)]
    linked = run("member", "link", listed[0]["member_id"], "--id-token", "04A2", "--config", str(config))
    assert (linked.exit_code, "is not an active member" in linked.stderr) == (Exit.PROBLEMS, True)


def test_results_are_readable_without_json() -> None:
    """Nested results become indented lines; None is a dash."""
    result = {
        "supply": "5",
        "tokens": {"held": None, "ok": True},
        "trades": [{"a": 1, "b": [2, 3]}, "x"],
        "none": [],
    }
    assert lines_of(result) == [
        "supply: 5", "tokens:", "  held: -", "  ok: yes", "trades:", "  - a: 1", "    b:", "      - 2", "      - 3", "  - x", "none: []",
    ]  # fmt: skip
