"""The daemon as a service manager, a watcher and an operator see it: notified, watched, reloaded, drained, refused."""

import asyncio
import json
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgegw.commissioning.addresses import free_port
from edgegw.common.passwords import hash_password
from edgegw.config.schema import load
from tests.integration.test_full_disk import mounted
from tests.support.patience import PATIENCE_S
from tests.support.station import Daemon, daemon, edgegw

CHARGER = """\
[[chargers]]
id = "{name}"
password_hash = "{password_hash}"

[[chargers.evses]]
number = 1
id = "BAY-{name}"
meter = "M-{name}"
rated_w = 11000

[[meters]]
id = "M-{name}"
profile = "abb-b23"
port = 1
"""


async def installed(folder: Path, *options: str) -> Path:
    """A station with an embedded peer of its own."""
    await edgegw(
        *("init", "--embedded-peer", "--yes", "--dir", str(folder), "--station-id", "S-1", "--no-qr"),
        *("--ocpp-port", str(free_port()), "--tls-port", str(free_port()), "--health-port", "0"),
        *("--peer", f"127.0.0.1:{free_port()}", *options),
    )
    return folder / "edgegw.toml"


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.door.bind(str(path))
        self.door.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}

    async def hears(self, word: str) -> str:
        """The next message with this word."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = (await loop.sock_recv(self.door, 4096)).decode()
                if word in message:
                    return message


@asynccontextmanager
async def managed(config: Path, folder: Path) -> AsyncIterator[tuple[Daemon, Manager]]:
    manager = Manager(folder / "n")
    try:
        async with daemon(config, manager.environment) as running:
            yield running, manager
            running.process.send_signal(signal.SIGTERM)
            assert "draining" in await manager.hears("STOPPING=1")
    finally:
        manager.door.close()


def get(port: object, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


async def test_the_daemon_is_a_service(tmp_path: Path) -> None:
    """Ready once it serves, fed by progress, seen by its watchers, taught a charger by SIGHUP, drained by SIGTERM."""
    config = await installed(tmp_path)
    async with managed(config, tmp_path) as (running, manager):
        assert "0 of 0 EVSEs online" in await manager.hears("READY=1")
        (listening,) = await running.says("health.listening")
        port = listening["port"]
        assert await asyncio.to_thread(get, port, "/readyz") == (200, b'{"ok": true, "waits_for": []}\n')
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == 200
        _, metrics = await asyncio.to_thread(get, port, "/metrics")
        assert b"edgegw_build_info{" in metrics
        assert b"process_resident_memory_bytes" in metrics
        await manager.hears("WATCHDOG=1")

        told = await edgegw("status", "--config", str(config), status=1)
        assert {"daemon": "ok", "chargers": "degraded"}.items() <= levels(told).items()
        shown = json.loads((await asyncio.to_thread(get, port, "/status.json"))[1])
        assert (shown["station_id"], shown["pid"]) == ("S-1", running.process.pid)
        assert stat.S_IMODE((tmp_path / "var" / "control.sock").stat().st_mode) == 0o600

        await _is_taught(running, manager, config)
    assert [line["event"] for line in running.log][-1] == "gateway.drained"
    assert not (tmp_path / "var" / "control.sock").exists()


async def test_an_identity_is_renewed_without_a_restart(tmp_path: Path) -> None:
    """An identity is renewed beside the running daemon, which then signs with it and logs its new end."""
    config = await installed(tmp_path)
    option = ("--config", str(config))
    async with daemon(config) as running:
        await running.says("gateway.started")
        (listening,) = await running.says("health.listening")

        async def seconds_left() -> float:
            _, metrics = await asyncio.to_thread(get, listening["port"], "/metrics")
            (line,) = [
                one for one in metrics.decode().splitlines() if 'seconds{certificate="gateway"}' in one
            ]
            return float(line.split()[-1])

        assert await seconds_left() > 9 * 365 * 86_400
        asked = (await edgegw("enroll", *option))["request"]
        signed = tmp_path / "signed.pem"
        signed.write_text((await edgegw("enroll", "--sign", asked, "--days", "90", *option))["certificate"])
        assert (await edgegw("enroll", "--install", str(signed), *option))["in_use"] is True
        (renewed,) = await running.says("identity.renewed")
        assert renewed["folder"].endswith("EVUserMSP/gateway1")
        async with asyncio.timeout(PATIENCE_S):
            while await seconds_left() > 91 * 86_400:  # noqa: ASYNC110 - metrics tell nobody who waits
                await asyncio.sleep(0.1)


async def _is_taught(running: Daemon, manager: Manager, config: Path) -> None:
    """SIGHUP: a new charger is served at once, a faulty file changes nothing, and both are said."""
    parts = config.parent / "conf.d"
    parts.mkdir(exist_ok=True)
    password_hash = hash_password("s")
    (parts / "a.toml").write_text(CHARGER.format(name="CP-1", password_hash=password_hash))
    running.process.send_signal(signal.SIGHUP)
    await manager.hears("RELOADING=1")
    assert "0 of 1 EVSEs online" in await manager.hears("READY=1")
    (reloaded,) = await running.says("config.reloaded")
    assert (reloaded["changed"], reloaded["needs_restart"]) == ("meter M-CP-1, charger CP-1", "")
    listed = await edgegw("charger", "list", "--config", str(config))
    assert [one["id"] for one in listed["configured"]] == ["CP-1"]

    (parts / "b.toml").write_text(
        CHARGER.format(name="CP-2", password_hash=password_hash).replace("rated_w", "rated_watts")
    )
    running.process.send_signal(signal.SIGHUP)
    rejected = await running.says("config.rejected", count=2)
    assert any(
        "b.toml:9: " in line["fault"] and "did you mean rated_w?" in line["fault"] for line in rejected
    )
    assert "0 of 1 EVSEs online" in await manager.hears("READY=1")


def levels(status: dict[str, Any]) -> dict[str, str]:
    return {part["part"]: part["level"] for part in status["parts"]}


async def test_a_configuration_that_cannot_be_used_ends_with_78(tmp_path: Path) -> None:
    """Every fault at its line, with the nearest key; no traceback, and nothing was made."""
    config = await installed(tmp_path)
    good = config.read_text()
    config.write_text(good.replace("[ocpp]\nhost", "[ocpp]\nportt = 1\nhost"))
    said = await edgegw("check", "--config", str(config), status=78)
    assert "ocpp.portt: unknown key (did you mean port?)" in said
    config.write_text(good.replace("port = 8", "port 8", 1).replace("[ocpp]\n", "[ocpp]\nport 8887\n", 1))
    for command in ("run", "check"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgegw.cli", command, "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 78
        assert "Expected '=' after a key" in errors.decode()
        assert "line: port 8887" in errors.decode()
        assert "Traceback" not in errors.decode()
    assert not (tmp_path / "var" / "station.db").exists()


async def test_a_disk_too_small_for_the_promise_ends_with_78(tmp_path: Path) -> None:
    """Days, trades and bytes are named beside what the disk has; sessions never begin on it."""
    small = tmp_path / "small"
    small.mkdir()
    if why_not := mounted(small, "64m"):
        pytest.skip(why_not)
    try:
        config = await installed(tmp_path)
        (tmp_path / "conf.d").mkdir(exist_ok=True)
        (tmp_path / "conf.d" / "a.toml").write_text(
            CHARGER.format(name="CP-1", password_hash=hash_password("s"))
        )
        promise = "[storage]\noffline_days = 14\n\n[ocpp]\nsample_interval_s = 10\n"
        text = config.read_text().replace('data_dir = "var"', f'data_dir = "{small}"')
        config.write_text(text.replace("[ocpp]\n", promise, 1))
        for command in ("run", "check"):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgegw.cli", command, "--config", str(config)),
                stderr=asyncio.subprocess.STDOUT,
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
            assert process.returncode == 78
            assert "14 days x 96 trades x 101.4 kB needs 136 MB" in said.decode()
    finally:
        await asyncio.to_thread(subprocess.run, ["umount", "-l", str(small)], check=True)


async def test_a_second_daemon_is_kept_out(tmp_path: Path) -> None:
    """Two daemons on one journal would bill twice: the second says so and ends; the first does not notice."""
    config = await installed(tmp_path)
    async with daemon(config) as running:
        await running.says("gateway.started")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgegw.cli", "run", "--config", str(config)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 69
        assert "another edgegw" in errors.decode()
        await edgegw("status", "--config", str(config), status=1)


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """The first mistake of many: key, address and what to do, no traceback; the service manager tries again later."""
    config = await installed(tmp_path)
    ocpp = load(config).ocpp
    assert ocpp.tls is not None
    for key, port in (("ocpp.port", ocpp.port), ("ocpp.tls.port", ocpp.tls.port)):
        with socket.create_server((ocpp.host, port)):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edgegw.cli", "run", "--config", str(config)),
                stderr=asyncio.subprocess.PIPE,
            )
            _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 69
        assert f"ocpp.host, {key}" in errors.decode()
        assert f"127.0.0.1:{port}: Address already in use" in errors.decode()
        assert "ss -ltnp" in errors.decode()
        assert "Traceback" not in errors.decode()
