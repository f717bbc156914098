"""Measure the daemon's resident memory with 2 and with 200 chargers, and the time from its start to READY.

Measured: Rss of /proc/PID/smaps_rollup of a real `edgegw run`, shared libraries included, after every meter was read and
registered and every charger has booted, been configured and been quiet for some seconds. Two daemons are compared: one
configured for 2 chargers and one for 200, each charger with its EVSE and meter, so that the cost of a further charger
includes these; the cost of a connection compares the large daemon with 3 and with all of its chargers connected.
No TLS; the chargers offer no compression (it would add some 14 KiB each). The embedded peer is a separate process and
not counted, nor are MQTT and the sandbox. READY is the daemon's notification of its service manager.
"""

import contextlib
import time
from pathlib import Path

from tests.bench.daemon import Daemon, daemon
from tests.bench.figures import Figure
from tests.bench.processes import part

FEW, MANY = 2, 200
FIRST = 3  # one of each version: the first of a version also loads validators and code, which is no cost of a connection
QUIET_S = 9.0
MB, KIB = 1_000_000, 1024


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure a small and a large station."""
    many, quiet_s = (5, 0.1) if short else (MANY, QUIET_S)
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(part("tests.bench.ocpp_load"))
        with daemon(folder / "few", chargers=FEW, poll_s=60) as small:
            ready_s = small.ready_s
            small.connect(load)
            few_bytes = _resident(small, quiet_s)
        with daemon(folder / "many", chargers=many, poll_s=60) as large:
            large.connect(load, until=FIRST)
            first_bytes = _resident(large, quiet_s)
            large.connect(load, already=FIRST)
            many_bytes = _resident(large, quiet_s)
    further = (many_bytes - few_bytes) / (many - FEW)
    connection = (many_bytes - first_bytes) / (many - FIRST)
    return [
        Figure(name="memory.two_chargers", value=few_bytes / MB, unit="MB"),
        Figure(name="memory.two_hundred_chargers", value=many_bytes / MB, unit="MB"),
        Figure(name="memory.further_charger", value=further / KIB, unit="KiB"),
        Figure(name="memory.further_connection", value=connection / KIB, unit="KiB"),
        Figure(name="start.ready", value=ready_s, unit="s"),
    ]


def _resident(station: Daemon, quiet_s: float) -> int:
    time.sleep(quiet_s)
    return station.process.rss_bytes()
