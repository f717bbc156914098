"""Run a real `edgegw run` for a benchmark, with any number of chargers, EVSEs and meters, and its own peer.

Every charger has one EVSE and every EVSE its meter; up to 32 meters share a connection, as on an RS-485 line behind a
gateway. The peer, the meters and the chargers are separate processes. Passwords are hashed as `edgegw` hashes them.
"""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgegw.commissioning.addresses import free_port
from edgegw.commissioning.files import write_secrets
from edgegw.commissioning.toml import toml
from edgegw.common.passwords import hash_password
from tests.bench.ledger_world import GATEWAY, STATION, ZONE, peer_arguments, world_of
from tests.bench.ocpp_load import PASSWORD
from tests.bench.ocpp_messages import VERSIONS
from tests.bench.processes import Part, part

METERS_A_LINE = 32
READY_S = 60.0
HEARTBEAT_S = 300  # the interval in the daemon's answer to a BootNotification


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running daemon; `ready_s` is the time from its start to READY=1."""

    process: Part
    port: int
    ready_s: float
    chargers: int
    status_file: Path
    pages_port: int

    def status(self) -> dict[str, Any]:
        """Return its last status; empty before the first."""
        try:
            said: dict[str, Any] = json.loads(self.status_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said

    def wait_for(self, **counts: int) -> None:
        """Wait until its status has these values. Raise TimeoutError if it takes too long."""
        deadline_s = time.monotonic() + READY_S
        while any(self.status().get(name) != count for name, count in counts.items()):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"wanted {counts}, have {self.status()}")
            time.sleep(0.1)

    def connect(self, load: Part, *, already: int = 0, until: int | None = None, start: bool = False) -> None:
        """Connect chargers up to number `until` (default all), which boot and send heartbeats or `start` a transaction."""
        wanted, there = _shares(self.chargers if until is None else until), _shares(already)
        for version, count in wanted.items():
            first = there.get(version, 0)
            order = {"name": f"{self.port}/{version}/{first}", "port": self.port, "version": version}
            beating = {"first": first, "count": count - first, "start": start}
            if not start:
                beating["beats_s"] = HEARTBEAT_S
            load.ask(open={**order, **beating})
        self.wait_for(chargers_online=sum(wanted.values()))


@contextlib.contextmanager
def daemon(folder: Path, *, chargers: int, poll_s: int, pages: bool = False) -> Iterator[Daemon]:
    """Run a daemon until the end of the block; yield it when all meters are registered, before any charger connects.

    `pages`: with its representative, an exchange, and drivers' pages.
    """
    folder.mkdir()
    data = folder / "peer"
    with contextlib.ExitStack() as stack:
        lines = -(-chargers // METERS_A_LINE)
        meters = [
            stack.enter_context(part("tests.bench.modbus_meters", "eastron-sdm630")) for _ in range(lines)
        ]
        world = world_of(stack.enter_context(part(*peer_arguments(data))), data)
        asyncio.run(world.found(0))
        port = free_port()
        pages_port = free_port() if pages else 0
        config = folder / "edgegw.toml"
        tables = _tables(world.endpoint, port=port, meters=[meter.hear()["port"] for meter in meters])
        tables |= _equipment(chargers, [table["port"] for table in tables.pop("lines")], poll_s)
        if pages:
            tables |= _pages(pages_port)
        config.write_text(toml(tables), encoding="utf-8")
        write_secrets(folder)
        manager = stack.enter_context(_service_manager(folder / "notify"))
        began = time.monotonic()
        process = stack.enter_context(
            part(
                *("edgegw.cli", "run", "--config", str(config)),
                environment={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
                log=folder / "daemon.log",
            )
        )
        _wait_ready(manager)
        ready_s = time.monotonic() - began
        running = Daemon(
            process=process, port=port, ready_s=ready_s, chargers=chargers,
            status_file=folder / "data" / "status.json", pages_port=pages_port,
        )  # fmt: skip
        running.wait_for(meters_read=chargers)
        yield running


@contextlib.contextmanager
def _service_manager(path: Path) -> Iterator[socket.socket]:
    """Yield the socket on which systemd would listen (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(READY_S)
        yield listener


def _wait_ready(manager: socket.socket) -> None:
    while b"READY=1" not in manager.recv(4096).split(b"\n"):
        pass


def _shares(chargers: int) -> dict[str, int]:
    """Return the number of chargers per version, as equal as possible, the oldest version first."""
    share, rest = divmod(chargers, len(VERSIONS))
    return {version: count for number, version in enumerate(VERSIONS) if (count := share + (number < rest))}


def _tables(endpoint: str, *, port: int, meters: list[int]) -> dict[str, Any]:
    crypto = Path("peer") / "crypto"
    return {
        "station": {"id": STATION, "zone": ZONE, "data_dir": "data", "key_file": "station.key"},
        "ocpp": {"port": port},
        "ledger": {
            "gateway_id": GATEWAY,
            "endpoint": endpoint,
            "identity": str(crypto / "EVUserMSP" / GATEWAY),
            "trust_file": str(crypto / "trust.json"),
        },
        "health": {"port": 0},
        "log": {"format": "json"},
        "lines": [{"port": number} for number in meters],
    }


def _pages(port: int) -> dict[str, Any]:
    identities = Path("peer") / "crypto" / "EVUserMSP"
    return {
        "web": {"port": port},
        "exchange": {"identity": str(identities / "exchange"), "store": "exchange.db"},
        "representative": {
            "store": "members.db",
            "key_file": "members.key",
            "identity": str(identities / "representative"),
        },
    }


def _equipment(chargers: int, lines: list[int], poll_s: int) -> dict[str, Any]:
    names = [f"{version}-{number}" for version, count in _shares(chargers).items() for number in range(count)]
    return {
        "chargers": [
            {
                "id": f"CP-{name}",
                "password_hash": _password_hash(),
                "evses": [{"number": 1, "id": f"E-{name}", "meter": f"M-{name}", "rated_w": 11_000}],
            }
            for name in names
        ],
        "meters": [
            {
                "id": f"M-{name}",
                "profile": "eastron-sdm630",
                "port": lines[at // METERS_A_LINE],
                "unit": at % METERS_A_LINE + 1,
                "poll_s": poll_s,
            }
            for at, name in enumerate(names)
        ],
    }


@cache
def _password_hash() -> str:
    return hash_password(PASSWORD)
