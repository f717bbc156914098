"""Write days of the real core into the real journal, to measure the disk space that it needs.

`size_of` writes a universe's commits one by one into a `SqliteJournal` and measures the growth of the file.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgegw.core.events import ChargingState, Event, TransactionUpdated
from edgegw.core.step_context import StepOutcome
from edgegw.gateway.row_codec import encode_row
from edgegw.ports.gateway import Fact
from edgegw.store.journal import SqliteJournal
from tests.support.plug import SECOND_NS as S
from tests.support.universe import Universe

# The MeterValues of a 1.6 charger that samples energy, power and state of charge (OCPP 1.6 §4.7).
SAMPLE = json.dumps(
    [2, "6d1e9c52-9f1c-4c43-8d53-0f6a1f0c2b11", "MeterValues", {
        "connectorId": 1, "transactionId": 1784041200, "meterValue": [{
            "timestamp": "2026-07-14T15:00:00.000Z", "sampledValue": [
                {"value": value, "context": "Sample.Periodic", "measurand": measurand, "unit": unit, "location": where}
                for value, measurand, unit, where in (
                    ("5096123", "Energy.Active.Import.Register", "Wh", "Outlet"),
                    ("2000456", "Energy.Active.Export.Register", "Wh", "Outlet"),
                    ("4000", "Power.Active.Import", "W", "Outlet"),
                    ("54", "SoC", "Percent", "EV"),
                )]}]}]
)  # fmt: skip


class JournalledUniverse(Universe):
    """A universe that records its commits, with frames as long as real ones."""

    def __init__(self, seed: int, **more: Any) -> None:
        self.commits: list[tuple[list[Fact], dict[str, str | None]]] = []
        super().__init__(seed, **more)

    def put(self, event: Event) -> None:
        super().put(replace(event, frame=SAMPLE) if isinstance(event, TransactionUpdated) else event)

    def _commit(self, outcome: StepOutcome) -> None:
        super()._commit(outcome)
        facts = [Fact(kind=note.kind, body=self._signed(note.body)) for note in outcome.facts]
        rows = {key: None if row is None else encode_row(row) for key, row in outcome.changes.items()}
        self.commits.append((facts, rows))

    @staticmethod
    def _signed(body: Any) -> dict[str, object]:
        """Add a signature as long as an ECDSA one, if the gateway would sign the fact."""
        return {**body, "signature": "30" * 71} if "evidence" in body else dict(body)


def offline_day(*, sample_s: int | None, hours: int = 24) -> JournalledUniverse:
    """Play drivers who charge at both EVSEs while no peer answers, with a sample each `sample_s` seconds or none."""
    universe = JournalledUniverse(1, hour=0)
    for number, evse_id in enumerate(universe.names):
        universe.plugs[evse_id].max_w = 4_000
        universe.add_driver(f"driver{number}", tokens=90_000_000)
        universe.plug_in(evse_id, f"driver{number}", wanted_wh=200_000, battery_wh=400_000)
    universe.run_until(0.1)
    universe.ledger.down = True
    universe.commits.clear()
    if sample_s is not None:
        for evse_id in universe.names:
            _report_every(universe, evse_id, sample_s)
    universe.run_until(0.1 + hours)
    return universe


def market_day(seed: int) -> JournalledUniverse:
    """Play four hours with a market: slices and retail while charging, sales, all of it settled."""
    from tests.support.days import plan

    universe = JournalledUniverse(seed, hour=14)
    plan(universe, seed)
    universe.close(18)
    return universe


def _report_every(universe: Universe, evse_id: str, period_s: int) -> None:
    def again() -> None:
        universe.report(evse_id, soc_bp=5_000, state=ChargingState.CHARGING)
        universe.at(universe.now_ns + period_s * S, again)

    universe.at(universe.now_ns + period_s * S, again)


def size_of(universe: JournalledUniverse, folder: Path) -> int:
    """Return the bytes by which a journal grows with these commits."""
    folder.mkdir()
    path = folder / "station.db"
    SqliteJournal(path).close()
    empty = path.stat().st_size

    async def write() -> None:
        journal = SqliteJournal(path)
        for facts, rows in universe.commits:
            await journal.commit(facts, rows)
        journal.close()

    asyncio.run(write())
    return path.stat().st_size - empty


def count(universe: JournalledUniverse, kind: str) -> int:
    """Return the number of committed facts of a kind."""
    return sum(fact.kind == kind for facts, _ in universe.commits for fact in facts)
