"""What the daemon costs when nobody charges: its CPU share with 2 connected chargers and 2 meters.

Measured: user and system time of a real `edgegw run` over wall time, once with meters that are read each second and once
each minute, both daemons at once for half a minute. All that runs by itself is in it: status, ticks, journal, heartbeats.
Not measured: the peer, which waits; sessions; what an MQTT broker or a scraper of metrics would add.
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
    """Both daemons, side by side."""
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
