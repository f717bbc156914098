"""The daemon's present in one small file, rewritten each second: for `edgegw demo` and people."""

import asyncio
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from edgegw.core.market import PRODUCTS, key
from edgegw.core.state import Station
from edgegw.ops.lag import LagProbe
from edgegw.ports import Clock
from edgegw.rows import encode_row
from edgegw.units import SECOND_NS, interval_of

EVERY_S = 1.0


class Board:
    """Writes `path` atomically."""

    def __init__(self, path: Path, *, clock: Clock, lag: LagProbe) -> None:
        self._path = path
        self._clock = clock
        self._lag = lag
        self._writing = threading.Lock()

    async def run(self, station: Callable[[], Station], polls: Callable[[], tuple[int, int]]) -> None:
        """Rewrite until cancelled."""
        while True:
            text = json.dumps(self._present(station(), polls()), sort_keys=True)
            await asyncio.to_thread(self._replace, text)  # a rename may wait for the disk
            await asyncio.sleep(EVERY_S)

    def write(self, station: Station, polls: tuple[int, int]) -> None:
        """Write once."""
        self._replace(json.dumps(self._present(station, polls), sort_keys=True))

    def _replace(self, text: str) -> None:
        waiting = self._path.with_suffix(".new")
        with self._writing:
            waiting.write_text(text)
            waiting.replace(self._path)

    def _present(self, station: Station, polls: tuple[int, int]) -> dict[str, object]:
        now_ns = self._clock.now_ns()
        interval = interval_of(now_ns)
        prices = {
            product: price.price_mtok_per_kwh
            for product in PRODUCTS
            if (price := station.prices.get(key(product, interval))) is not None
        }
        powers = [account.power_w for account in station.meters.values()]
        done, lost = polls
        return {
            "now_ns": now_ns,
            "pid": os.getpid(),
            "sessions": sum(1 for evse in station.evses.values() if evse.session or evse.ending),
            "chargers_online": sum(1 for evse in station.evses.values() if evse.online),
            "members": len(station.members),
            "meters": len(station.meters),
            "meters_read": sum(1 for account in station.meters.values() if account.registered),
            "meters_cut_ns": min(
                (account.last.at_ns if account.last else 0 for account in station.meters.values()), default=0
            ),
            "lines_open": len(station.lines),
            "submissions_open": len(station.submissions),
            "holds_open": len(station.holds),
            "slices_open": len(station.slices),
            "import_w": sum(power for power in powers if power > 0),
            "export_w": -sum(power for power in powers if power < 0),
            "prices": prices,
            "polls": {"done": done, "lost": lost},
            "clock_lag_s": {
                name: self._lag.percentile_ns(percent) // 1_000_000 / 1000
                for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
            },
            "tally": json.loads(encode_row(station.tally["all"])),
            "interval": interval,
            "second": now_ns // SECOND_NS,
        }
