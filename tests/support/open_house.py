"""The demo's open house for tests: real processes, simulated chargers with cars at their plugs, and the station's own pages."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from edgegw.commissioning.files import write_private
from edgegw.common.bundled_files import configs
from edgegw.demo.documents import Places
from edgegw.demo.hosting import listening
from edgegw.demo.interactive import plan_open_house
from edgegw.demo.orchestrator import Orchestrator, setup_estimate_s
from edgegw.demo.processes import nursery
from tests.support.operator_fake import stored

SPEED = 160  # an hour and a half of charging and selling in half a minute
# Than the demo expects: nobody waits for it, because the pages are there before the afternoon begins.
SLOWER = 2


@contextlib.asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[str]:
    """A station at whose plugs cars wait, a quarter to two in the afternoon; gives how its pages' addresses begin."""
    plan, places = plan_open_house(speed=SPEED), Places(root=folder, configs=configs())
    write_private(places.operator_hash, stored() + "\n")
    async with nursery(folder / "logs") as children:
        stage = Orchestrator(
            plan=plan,
            places=places,
            children=children,
            tell=lambda _: None,
            watch=lambda _: None,
            setup_s=SLOWER * setup_estimate_s(plan),
        )
        await stage.set_up()
        yield listening(places, "daemon")["drivers"]
