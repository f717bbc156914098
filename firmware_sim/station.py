"""The station: all posts of a scenario in one world, from the first listening meter to the sealed books.

Decides the order: meters listen, then chargers connect and live, faults happen, and at the world's end the books are
sealed while everything keeps answering. Never decides what flows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firmware_sim.evse_rig import build_post
from firmware_sim.faults import happen
from firmware_sim.plans import Scenario
from firmware_sim.sealed_books import build_books, replace_file, write_books
from firmware_sim.world import Clock, iso

STATUS_EVERY_S = 1.0
DONE = ("served", "short", "refused")


class SimulatedStation:
    """A scenario that runs. Without `chargers` only its meters are there."""

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
        self.posts = {plan.evse: build_post(plan, scenario, clock) for plan in scenario.evses}
        self._books = books
        self._status = status
        self._chargers = chargers

    async def run(self, stop: asyncio.Event, tell: Callable[[dict[str, Any]], None]) -> None:
        """Run until `stop` is set; `tell` hears of listening meters and connected chargers."""
        for number, post in enumerate(self.posts.values()):
            await post.serve_meter(self.clock, number)
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
            for post in self.posts.values():
                if post.meter is not None:
                    await post.meter.stop()

    def meter_ports(self) -> dict[str, int]:
        """Return each served meter's port."""
        return {evse: post.meter.port for evse, post in self.posts.items() if post.meter is not None}

    def _lives(self) -> list[Any]:
        """Return everything that goes on by itself."""
        lives: list[Any] = [post.client.run() for post in self.posts.values() if self._chargers]
        lives += [post.charger.live() for post in self.posts.values() if post.visits]
        lives += [happen(fault, self.posts[fault.evse], self.clock) for fault in self.scenario.faults]
        lives.append(self._seal_at_end())
        if self._status is not None:
            lives.append(self._show_status(self._status))
        return lives

    async def _announce(self, tell: Callable[[dict[str, Any]], None]) -> None:
        for post in self.posts.values():
            if self._chargers:
                await post.client.ready.wait()
        tell({"ready": True, "meters": self.meter_ports(), "clock": self.clock.to_text()})

    async def _seal_at_end(self) -> None:
        if self.clock.utc_end_ns is not None:
            await self.clock.sleep_until(self.clock.utc_end_ns)
            self.seal()

    def seal(self) -> dict[str, Any]:
        """Return the sealed books as they stand now, and write them where that was asked."""
        books = build_books(self.scenario, self.posts.values(), self.clock)
        if self._books is not None:
            write_books(self._books, books)
        return books

    async def _show_status(self, path: Path) -> None:
        while True:
            replace_file(path, json.dumps(self.status()), durable=False)
            await asyncio.sleep(STATUS_EVERY_S)

    def status(self) -> dict[str, Any]:
        """Return what a live view shows."""
        now_ns = self.clock.now_ns()
        powers_w = [post.plant.registers(now_ns)[2] for post in self.posts.values()]
        visits = [visit for post in self.posts.values() for visit in post.visits]
        return {
            "utc": iso(now_ns),
            "ended": self.clock.utc_end_ns is not None and now_ns >= self.clock.utc_end_ns,
            "online": sum(post.client.online for post in self.posts.values()),
            "chargers": len(self.posts),
            "plugged": sum(post.plant.car is not None for post in self.posts.values()),
            "power_in_w": sum(power_w for power_w in powers_w if power_w > 0),
            "power_out_w": -sum(power_w for power_w in powers_w if power_w < 0),
            "visits": len(visits),
            "visits_done": sum(visit.outcome.startswith(DONE) for visit in visits),
            "waiting_messages": sum(post.client.waiting for post in self.posts.values()),
        }
