"""The daemon's present as one JSON value: for `edgegw status`, /status.json, `edgegw demo` and people.

Decides the form only; `condition` judges. The same value is rewritten each second as `status.json` in the run folder.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from edgegw import __version__
from edgegw.condition import Part, Signs, assess, with_since, worst
from edgegw.core.market import PRODUCTS, key
from edgegw.core.state import Evse, Station
from edgegw.meters.present import present as meter_present
from edgegw.ops.lag import LagProbe
from edgegw.rows import encode_row
from edgegw.units import SECOND_NS, interval_of

EVERY_S = 1.0
ALIVE_S = 5.0
_WORDS = {
    "vacant": "free",
    "starting": "waits for its hold",
    "active": "in a session",
    "stopping": "refused, is being stopped",
}


class Board:
    """The newest present, renewed once a second; `alive` tells whether the loop still comes round to it."""

    def __init__(self, path: Path, *, lag: LagProbe, signs: Callable[[], Signs]) -> None:
        self._path = path
        self._lag = lag
        self._signs = signs
        self._polls: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._parts: Mapping[str, Part] = {}
        self._turned_s = time.monotonic()
        self.signs = signs()

    async def run(self, polls: Callable[[], tuple[int, int]]) -> None:
        """Renew until cancelled."""
        self._polls = polls
        while True:
            text = json.dumps(self.renewed(), sort_keys=True)
            await asyncio.to_thread(self._replace, text)  # a rename may wait for the disk
            await asyncio.sleep(EVERY_S)

    def write(self) -> None:
        """Renew and write once."""
        self._replace(json.dumps(self.renewed(), sort_keys=True))

    def alive(self) -> dict[str, object]:
        """Whether the loop came round lately; may be asked from any thread."""
        age_s = time.monotonic() - self._turned_s
        return {"ok": age_s < ALIVE_S, "loop_turned_s_ago": round(age_s, 3)}

    def renewed(self) -> dict[str, object]:
        """The present as of now."""
        self.signs = self._signs()
        self._turned_s = time.monotonic()
        return self.present()

    def present(self) -> dict[str, object]:
        """The present as last renewed; may be asked from any thread."""
        signs = self.signs
        parts = with_since(assess(signs), self._parts, signs.now_ns)
        self._parts = {part.part: part for part in parts}
        return {
            "version": __version__,
            "station_id": signs.station.settings.station_id,
            "level": worst(parts),
            "parts": [asdict(part) for part in parts],
            **present(signs.station, signs.now_ns, polls=self._polls()),
            "clock_lag_s": {
                name: self._lag.percentile_ns(percent) // 1_000_000 / 1000
                for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
            },
        }

    def _replace(self, text: str) -> None:
        """A file that cannot be written (a full disk, no descriptor left) costs its readers, never the daemon."""
        waiting = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            waiting.write_text(text)
            waiting.replace(self._path)


def present(station: Station, now_ns: int, *, polls: tuple[int, int]) -> dict[str, object]:
    """Sessions, power, prices, and what is open."""
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
        "evses": [_evse(station, evse) for evse in station.evses.values()],
        "sessions": sum(1 for evse in station.evses.values() if evse.session or evse.ending),
        "chargers_online": sum(1 for evse in station.evses.values() if evse.online),
        "members": len(station.members),
        "meters": {
            meter_id: meter_present(account, now_ns, station.settings.stale_ns)
            for meter_id, account in station.meters.items()
        },
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
        "tally": json.loads(encode_row(station.tally["all"])),
        "interval": interval,
        "second": now_ns // SECOND_NS,
    }


def _evse(station: Station, evse: Evse) -> Mapping[str, object]:
    settings = station.settings.evses[evse.evse_id]
    account = station.meters[settings.meter_id]
    return {
        "evse_id": evse.evse_id,
        "charger_id": settings.charger_id,
        "meter_id": settings.meter_id,
        "online": evse.online,
        "phase": evse.phase.value,
        "state": _WORDS[evse.phase.value] if evse.online else "not connected",
        "power_w": account.power_w,
        "import_mwh": None if account.last is None else account.last.import_mwh,
        "export_mwh": None if account.last is None else account.last.export_mwh,
        "meter_read_ns": None if account.last is None else account.last.at_ns,
        "soc_bp": None if evse.session is None else evse.session.soc_bp,
        "session_id": None if evse.session is None else evse.session.session_id,
    }
