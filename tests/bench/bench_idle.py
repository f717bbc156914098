"""Measure the idle daemon's CPU share, with 2 connected chargers, 2 meters and no session.

Measured: user and system time of a real `edgegw run` over wall time, with meters that are read each second and each
minute, both daemons at once for half a minute. This includes all periodic work: status, ticks, journal, heartbeats.
Not measured: the peer, which is idle; sessions; the cost of an MQTT broker or of scraping metrics.
"""

import contextlib
import time
from pathlib import Path

from tests.bench.daemon import daemon
from tests.bench.figures import Figure
from tests.bench.processes import part

NAMES = {"idle.each_second": 1, "idle.each_minute": 60}
LONG_S, SHORT_S = 30.0, 0.2
SETTLE_S = 5.0


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure both daemons side by side."""
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(part("tests.bench.ocpp_load"))
        stations = {}
        for name, poll_s in NAMES.items():
            stations[name] = stack.enter_context(daemon(folder / name, chargers=2, poll_s=poll_s))
            stations[name].connect(load)
        time.sleep(0 if short else SETTLE_S)
        before_s = {name: station.process.cpu_s() for name, station in stations.items()}
        began = time.monotonic()
        time.sleep(SHORT_S if short else LONG_S)
        used_s = {name: station.process.cpu_s() - before_s[name] for name, station in stations.items()}
        wall_s = time.monotonic() - began
    return [Figure(name=name, value=100 * used / wall_s, unit="% of a core") for name, used in used_s.items()]
