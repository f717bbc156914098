"""The service's unit: what it promises to systemd, and how little it lets the daemon do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgegw.daemon.child_processes import END_S
from edgegw.daemon.running import DRAIN_S

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "edgegw.service"
REPRESENTATIVE = ROOT / "systemd" / "edgegw-representative.service"
UNITS = pytest.mark.parametrize("path", [UNIT, REPRESENTATIVE], ids=lambda path: path.stem)
EXPOSURE_MAX = 15  # tenths
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here: apt-get install systemd"
)


def directives(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", path.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_unit_keeps_its_promises() -> None:
    """The unit notifies readiness, is watched, is not restarted for a bad configuration, and needs one to start."""
    unit = directives(UNIT)
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "WatchdogSec": "30s",
        "Restart": "always",
        "RestartPreventExitStatus": "78",
        "StartLimitIntervalSec": "0",
        "ConditionPathExists": "/etc/edgegw/edgegw.toml",
        "ExecStart": "/usr/bin/edgegw run --config /etc/edgegw/edgegw.toml",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "User": "edgegw",
        "UMask": "0077",
        "StateDirectory": "edgegw",
        "RuntimeDirectory": "edgegw",
        "ConfigurationDirectory": "edgegw",
        "WantedBy": "multi-user.target",
    }
    assert {name: unit.get(name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert "ExecStartPre" not in unit  # its failure would be tried again for ever, whatever its status
    assert "time-sync.target" not in unit["After"][0]  # energy flows before the clock is right


def test_the_daemon_has_time_to_settle() -> None:
    """SIGTERM reaches the daemon alone, so that its peer outlives the drain, and systemd waits longer than all of it takes."""
    unit = directives(UNIT)
    assert unit["KillMode"] == ["mixed"]
    assert int(unit["TimeoutStopSec"][0].removesuffix("s")) > DRAIN_S + 2 * END_S  # peer and participants


def test_the_representative_is_told_when_ready_and_ends_in_time() -> None:
    """The representative's unit has its own folder, notifies readiness and ends in time."""
    unit = directives(REPRESENTATIVE)
    expected = {
        "Type": "notify",
        "Restart": "always",
        "RestartPreventExitStatus": "78",
        "ConditionPathExists": "/etc/edgegw/representative.toml",
        "ExecStart": "/usr/bin/edgegw representative --config /etc/edgegw/representative.toml",
        "UMask": "0077",
        "StateDirectory": "edgegw-representative",
        "StateDirectoryMode": "0700",
    }
    assert {name: unit.get(name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert "WatchdogSec" not in unit  # nobody would feed it


@UNITS
def test_nothing_is_allowed_that_the_daemon_does_without(path: Path) -> None:
    """No privilege, no device, no writable code, no other user's files, nothing outside its own folders to write to."""
    unit = directives(path)
    yes = (
        "NoNewPrivileges RestrictSUIDSGID LockPersonality RestrictRealtime RestrictNamespaces ProtectHome PrivateTmp "
        "PrivateDevices PrivateUsers PrivateMounts ProtectKernelTunables ProtectKernelModules ProtectKernelLogs "
        "ProtectControlGroups ProtectClock ProtectHostname MemoryDenyWriteExecute RemoveIPC"
    )
    assert {name: unit.get(name) for name in yes.split()} == {name: ["yes"] for name in yes.split()}
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert "ReadWritePaths" not in unit
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]


@needs_systemd
@UNITS
def test_the_unit_is_hardened(path: Path) -> None:
    """The exposure that systemd itself reckons is 1.5 or better."""
    judged = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


@needs_systemd
@UNITS
def test_systemd_understands_unit_and_example(tmp_path: Path, path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about the unit with the example drop-in, its program being there."""
    program = tmp_path / "edgegw"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / path.name
    text = path.read_text().replace("/usr/bin/edgegw", str(program))
    unit.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    drop_in = tmp_path / f"{path.name}.d" / "lan.conf"
    drop_in.parent.mkdir()
    shutil.copy(ROOT / "systemd" / "edgegw-lan.conf", drop_in)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
