"""The demo's open house for tests: real processes, simulated chargers with cars at their plugs, and the station's own pages."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from edgegw.demo.documents import Places
from edgegw.demo.open_house import plan_open_house
from edgegw.demo.processes import nursery
from edgegw.demo.stage import Stage, setup_estimate_s
from edgegw.places import configs

SPEED = 160  # an hour and a half of charging and selling in half a minute
# Than the demo expects: nobody waits for it, because the pages are there before the afternoon begins.
SLOWER = 2


@contextlib.asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[str]:
    """A station whose cars wait, a quarter past one in the afternoon; gives where its pages are."""
    plan = plan_open_house(speed=SPEED)
    async with nursery(folder / "logs") as children:
        stage = Stage(
            plan=plan,
            places=Places(root=folder, configs=configs()),
            children=children,
            tell=lambda _: None,
            watch=lambda _: None,
            setup_s=SLOWER * setup_estimate_s(plan),
        )
        await stage.set_up()
        yield pages_origin(folder / "logs" / "daemon.log")


def pages_origin(log: Path) -> str:
    """Where a daemon said that it serves drivers' pages."""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if "web.listening" in line]
    told = [entry["origin"] for entry in map(json.loads, lines) if entry["pages"] == "drivers"]
    assert told, "the daemon serves no pages"
    parts = urlsplit(told[-1])
    return f"{parts.scheme}://127.0.0.1:{parts.port}"
