"""Renders the daemon's state as one JSON value: for `edgegw status`, /status.json and `edgegw demo`.

Decides the form only; `ports.station_health` assesses. The value is also written each second to `status.json` in the run
folder; nothing depends on whether that succeeds.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from edgegw import __version__
from edgegw.common.trade_terms import PRODUCTS
from edgegw.common.units import SECOND_NS, interval_of
from edgegw.core.market import key
from edgegw.core.state import Evse, Station
from edgegw.gateway.row_codec import encode_row
from edgegw.meters.meter_status import present as meter_present
from edgegw.ops.logs import log_event
from edgegw.ops.loop_lag import LagProbe
from edgegw.ports.station_health import Part, Signs, assess, with_since, worst

EVERY_S = 1.0
ALIVE_S = 5.0
LAG_PERCENTILES = (50, 99, 100)
_WORDS = {
    "vacant": "free",
    "starting": "waits for its hold",
    "active": "in a session",
    "stopping": "refused, is being stopped",
}


class Board:
    """The latest state, renewed once a second on the loop; other threads may read every public attribute.

    `signs`: the inputs of the assessment. `parts`: its result, the worst first. `lag_ns`: delay of the loop by percentile.
    Each attribute is replaced, never modified.
    """

    def __init__(
        self,
        path: Path,
        *,
        lag: LagProbe,
        signs: Callable[[], Signs],
        polls: Callable[[], tuple[int, int]],
    ) -> None:
        self._path = path
        self._lag = lag
        self._signs = signs
        self._polls = polls
        self._parts: Mapping[str, Part] = {}
        self._one_at_a_time = threading.Lock()
        self._is_written = True
        self.renewed()

    async def run(self) -> None:
        """Renew and write the state each second until cancelled."""
        while True:
            text = json.dumps(self.renewed(), sort_keys=True)
            await asyncio.to_thread(self._replace, text)  # a rename may wait for the disk
            await asyncio.sleep(EVERY_S)

    def write(self) -> None:
        """Renew and write the state once."""
        self._replace(json.dumps(self.renewed(), sort_keys=True))

    def alive(self) -> dict[str, object]:
        """Return whether the loop has renewed the state within `ALIVE_S`; for /healthz."""
        age_s = time.monotonic() - self._turned_s
        return {"ok": age_s < ALIVE_S, "loop_turned_s_ago": round(age_s, 3)}

    def present(self) -> Mapping[str, object]:
        """Return the state as last renewed."""
        return self._present

    def renewed(self) -> Mapping[str, object]:
        """Renew the state and return it; call it on the loop only."""
        self.signs = signs = self._signs()
        self.lag_ns = {percent: self._lag.percentile_ns(percent) for percent in LAG_PERCENTILES}
        parts = with_since(assess(signs), self._parts, signs.now_ns)
        self._parts = {part.part: part for part in parts}
        self.parts = parts
        self._present = {
            "version": __version__,
            "station_id": signs.station.settings.station_id,
            "level": worst(parts),
            "parts": [asdict(part) for part in parts],
            **present(signs.station, signs.now_ns, polls=self._polls()),
            "grid_price": signs.grid_price,
            "clock_lag_s": {
                name: lag_ns // 1_000_000 / 1000
                for name, lag_ns in zip(("p50", "p99", "max"), self.lag_ns.values(), strict=True)
            },
        }
        self._turned_s = time.monotonic()
        return self._present

    def _replace(self, text: str) -> None:
        """Replace the file; log the first failure (a full disk, no descriptor left) and continue."""
        waiting = self._path.with_suffix(".new")
        with self._one_at_a_time:
            try:
                waiting.write_text(text)
                waiting.replace(self._path)
            except OSError as error:
                if self._is_written:
                    details = {
                        "file": str(self._path),
                        "reason": str(error.strerror),
                        "remedy": "see station.run_dir",
                    }
                    log_event("status.failed", details, level="warning")
                self._is_written = False
            else:
                self._is_written = True


def present(station: Station, now_ns: int, *, polls: tuple[int, int]) -> dict[str, object]:
    """Return sessions, power, prices and open items as JSON values; `polls`: done and lost polls of the meters."""
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
