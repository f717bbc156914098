"""Run the demo's interactive station for tests: real processes, simulated chargers with plugged cars, and the pages."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from edgegw.commissioning.files import write_private
from edgegw.common.bundled_files import configs
from edgegw.demo.documents import Places
from edgegw.demo.hosting import listening
from edgegw.demo.interactive import plan_open_house
from edgegw.demo.orchestrator import Orchestrator, TooSlowError, setup_estimate_s
from edgegw.demo.processes import nursery
from edgegw.demo.run import empty
from tests.support.operator_fake import stored

SPEED = 160  # an hour and a half of charging and selling in half a minute
# Multiple of the demo's estimated set-up time, so that the pages are ready before the simulated afternoon begins.
TRIES = (2, 4, 8)


@contextlib.asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[str]:
    """Run a station with waiting cars, from a quarter to two in the afternoon; yield the origin of its pages."""
    plan, places = plan_open_house(speed=SPEED), Places(root=folder, configs=configs())
    write_private(places.operator_hash, stored() + "\n")
    async with contextlib.AsyncExitStack() as stack:
        for number, times in enumerate(TRIES, start=1):
            stage = Orchestrator(
                plan=plan,
                places=places,
                children=await stack.enter_async_context(nursery(folder / "logs")),
                tell=lambda _: None,
                watch=lambda _: None,
                setup_s=times * setup_estimate_s(plan),
            )
            try:
                await stage.set_up()
                break
            except TooSlowError:
                if number == len(TRIES):
                    raise
                await stack.aclose()
                empty(places)
                write_private(places.operator_hash, stored() + "\n")
        yield listening(places, "daemon")["drivers"]
