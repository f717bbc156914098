"""Run all EVSEs of a scenario and write the sealed books.

Decides the order: meters listen, then chargers connect and serve visits while faults are injected; at the end of
simulated time the books are sealed while chargers and meters keep answering. Never decides what flows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_sim.evse_rig import build_rig
from firmware_sim.faults import inject
from firmware_sim.plans import Scenario
from firmware_sim.sealed_books import build_books, replace_file, write_books
from firmware_sim.world import Clock, iso

STATUS_EVERY_S = 1.0
DONE = ("served", "short", "refused")


class SimulatedStation:
    """A running scenario. With `chargers` False it serves only the meters."""

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        *,
        books: Path | None = None,
        status: Path | None = None,
        chargers: bool = True,
    ) -> None:
        self.scenario = scenario
        self.clock = clock
        self.rigs = {plan.evse: build_rig(plan, scenario, clock) for plan in scenario.evses}
        self._books = books
        self._status = status
        self._chargers = chargers

    async def run(self, stop: asyncio.Event, tell: Callable[[dict[str, Any]], None]) -> None:
        """Run until `stop` is set; call `tell` once the meters listen and once all chargers are connected."""
        for number, rig in enumerate(self.rigs.values()):
            await rig.serve_meter(self.clock, number)
        tell({"meters": self.meter_ports()})
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in self._lives()]
                tasks.append(group.create_task(self._announce(tell)))
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self.seal()
            for rig in self.rigs.values():
                if rig.meter is not None:
                    await rig.meter.stop()

    def meter_ports(self) -> dict[str, int]:
        """Return each served meter's port."""
        return {evse: rig.meter.port for evse, rig in self.rigs.items() if rig.meter is not None}

    def _lives(self) -> list[Any]:
        """Return the coroutines that run concurrently."""
        lives: list[Any] = [rig.client.run() for rig in self.rigs.values() if self._chargers]
        lives += [rig.charger.live() for rig in self.rigs.values() if rig.visits]
        lives += [inject(fault, self.rigs[fault.evse], self.clock) for fault in self.scenario.faults]
        lives.append(self._seal_at_end())
        if self._status is not None:
            lives.append(self._show_status(self._status))
        return lives

    async def _announce(self, tell: Callable[[dict[str, Any]], None]) -> None:
        for rig in self.rigs.values():
            if self._chargers:
                await rig.client.ready.wait()
        tell({"ready": True, "meters": self.meter_ports(), "clock": self.clock.to_text()})

    async def _seal_at_end(self) -> None:
        if self.clock.utc_end_ns is not None:
            await self.clock.sleep_until(self.clock.utc_end_ns)
            self.seal()

    def seal(self) -> dict[str, Any]:
        """Return the sealed books up to now, and write them if a path was given."""
        books = build_books(self.scenario, self.rigs.values(), self.clock)
        if self._books is not None:
            write_books(self._books, books)
        return books

    async def _show_status(self, path: Path) -> None:
        while True:
            replace_file(path, json.dumps(self.status()), durable=False)
            await asyncio.sleep(STATUS_EVERY_S)

    def status(self) -> dict[str, Any]:
        """Return the station's state for a live view, as JSON."""
        now_ns = self.clock.now_ns()
        powers_w = [rig.plant.registers(now_ns)[2] for rig in self.rigs.values()]
        visits = [visit for rig in self.rigs.values() for visit in rig.visits]
        return {
            "utc": iso(now_ns),
            "ended": self.clock.utc_end_ns is not None and now_ns >= self.clock.utc_end_ns,
            "online": sum(rig.client.online for rig in self.rigs.values()),
            "chargers": len(self.rigs),
            "plugged": sum(rig.plant.car is not None for rig in self.rigs.values()),
            "power_in_w": sum(power_w for power_w in powers_w if power_w > 0),
            "power_out_w": -sum(power_w for power_w in powers_w if power_w < 0),
            "visits": len(visits),
            "visits_done": sum(visit.outcome.startswith(DONE) for visit in visits),
            "waiting_messages": sum(rig.client.waiting for rig in self.rigs.values()),
        }
