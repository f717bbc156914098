"""Run the demo from an empty folder to its settlement.

Decides that a set-up which takes too long for its clock is repeated once with twice the time, in an emptied folder.
"""

import asyncio
import json
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from edgegw.demo import closing
from edgegw.demo.books import StationBooks, refusals
from edgegw.demo.documents import Places
from edgegw.demo.functions import required
from edgegw.demo.live_view import View
from edgegw.demo.orchestrator import Orchestrator, TooSlowError, setup_estimate_s
from edgegw.demo.plan import NO_STAY, DayPlan
from edgegw.demo.processes import ChildProcesses, nursery
from edgegw.demo.report import Evidence, Settlement, settle


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: its plan, its files, its view, and the receiver of the settlement.

    `beside`: a coroutine to run during the day. `tries`: the set-up time of each try, in multiples of the estimate.
    """

    plan: DayPlan
    places: Places
    view: View
    settled: Callable[[Settlement], None]
    beside: Callable[[Orchestrator], Awaitable[None]] | None = None
    tries: tuple[int, ...] = (1, 2)

    async def run(self) -> None:
        """Run everything. Raise ChildFailedError, TooSlowError, or a ledger error."""
        setup_s, started_at = setup_estimate_s(self.plan), time.monotonic()
        *early, last = self.tries
        for times in early:
            try:
                await self._attempt(times * setup_s, started_at)
            except TooSlowError as late:
                self.view.tell(f"{late}; once more with twice the time")
                empty(self.places)
            else:
                return
        await self._attempt(last * setup_s, started_at)

    async def _attempt(self, setup_s: float, started_at: float) -> None:
        async with nursery(self.places.root / "logs") as children:
            stage = Orchestrator(
                plan=self.plan,
                places=self.places,
                children=children,
                tell=self.view.tell,
                watch=self.view.watch,
                setup_s=setup_s,
            )
            await stage.set_up()
            self.view.tell(f"ready {-stage.late_s():.1f} s before the day begins")
            await self._day(stage)
            await stage.close()
            self.settled(await self._settle(stage, children, started_at))

    async def _day(self, stage: Orchestrator) -> None:
        if self.beside is None:
            await stage.day()
            return
        other = asyncio.ensure_future(self.beside(stage))
        try:
            await stage.day()
            await other
        finally:
            other.cancel()

    async def _settle(self, stage: Orchestrator, children: ChildProcesses, started_at: float) -> Settlement:
        assert stage.parties is not None
        ledger = await closing.read_ledger(self.plan, self.places, stage.parties, endpoint=stage.endpoint)
        await stage.stop_simulator()
        books = StationBooks(self.places.station / "station.db")
        evse_of = {evse.meter_id: evse.evse_id for evse in self.plan.evses}
        books.export(self.places.facts, evse_of)
        stage.tell("the witness's auditor reads the blocks")
        audit = await closing.audit(children, self.places)
        sealed: dict[str, Any] = json.loads(self.places.books.read_text(encoding="utf-8"))
        not_played = Counter(visit.refusal for visit in self.plan.visits if visit.refusal == NO_STAY)
        served, refused = refusals(
            sealed, books.facts["refused"], {str(code): count for code, count in not_played.items()}
        )
        return settle(
            Evidence(
                sessions=len(self.plan.visits),
                served=served,
                refused=refused,
                wanted_wh=self.plan.wanted_wh,
                metered=books.metered_wh(),
                untraded=books.untraded_wh(),
                witness={name: sealed["witness"][f"{name}_wh"] for name in ("import", "export")},
                audit=audit,
                totals=ledger.totals,
                tally=asdict(books.tally),
                weights_ppm=ledger.weights_ppm,
                required=required(self.plan, self.places),
                asked=ledger.asked,
                boundaries=books.boundaries(sealed, evse_of, self.plan.speed),
                status=stage.status(),
                blocks=ledger.blocks,
                wall_seconds=time.monotonic() - started_at,
            )
        )


def empty(places: Places) -> None:
    """Delete all files of a run."""
    for path in places.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
