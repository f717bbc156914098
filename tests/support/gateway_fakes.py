"""Fake each port of the gateway; all requests are recorded in one list, in their order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgegw.common.errors import JournalError
from edgegw.core.effects import Effect
from edgegw.ports.gateway import Fact
from tests.support.core_bench import T0_NS, S


@dataclass
class FakeJournal:
    """ports.Journal in memory: records every commit; `gate` delays one, `fault` fails it."""

    story: list[object]
    stored: dict[str, str] = field(default_factory=dict)
    commits: list[tuple[Sequence[Fact], Mapping[str, str | None]]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    fault: JournalError | None = None

    async def commit(self, facts: Sequence[Fact], rows: Mapping[str, str | None]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.commits.append((facts, rows))
        self.story.append("commit")
        for key, row in rows.items():
            if row is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = row

    def rows(self, prefix: str) -> Mapping[str, str]:
        return {key: row for key, row in self.stored.items() if key.startswith(prefix)}


class FakeClock:
    """A clock that only the test advances; sleepers wake when it passes their instant."""

    def __init__(self) -> None:
        self.at_ns = T0_NS + 60 * S
        self._moved = asyncio.Condition()

    def now_ns(self) -> int:
        return self.at_ns

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / S

    async def sleep_until(self, at_ns: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self.at_ns >= at_ns)

    async def set(self, at_s: int) -> None:
        async with self._moved:
            self.at_ns = T0_NS + at_s * S
            self._moved.notify_all()


class Everything:
    """Every outgoing port: appends each request to the story."""

    def __init__(self, story: list[object]) -> None:
        self._story = story

    def answer(self, effect: Effect) -> None:
        self._story.append(effect)

    command = endorse = submit = query = answer

    def request(self, meter_id: str) -> None:
        self._story.append(("read", meter_id))

    def report(self, product: str, interval: int, energy_wh: int) -> None:
        self._story.append(("report", product, interval, energy_wh))
