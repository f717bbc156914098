"""Host the real contract in memory for the participants' tests, with a clock that a test advances."""

import asyncio
import heapq
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgegw.common.units import SECOND_NS
from edgegw.contract import invoke
from edgegw.contract.stub import Creator
from edgegw.ledger import BusinessRefusal

MONDAY_S = 1_560_150_000  # 2019-06-10 00:00 at UTC-7
OFFSET_S = -25_200
ZONE = "KR-CB-1"


class StepClock:
    """ports.Clock that only the test advances; `speed` only scales real durations."""

    def __init__(self, at_s: int, *, speed: int = 1) -> None:
        self._now_ns = at_s * SECOND_NS
        self._speed = speed
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        return self._now_ns

    def real_seconds(self, duration_ns: int) -> float:
        return duration_ns / (self._speed * SECOND_NS)

    async def sleep_until(self, at_ns: int) -> None:
        if at_ns > self._now_ns:
            wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (at_ns, next(self._order), wake))
            await wake

    async def advance_to(self, at_s: int) -> None:
        """Advance the time; wake sleepers in order of time, each after the tasks before it have come to rest."""
        await settle()
        while self._sleepers and self._sleepers[0][0] <= at_s * SECOND_NS:
            self._now_ns, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await settle()
        self._now_ns = at_s * SECOND_NS


async def settle() -> None:
    """Run all tasks until they wait for time or input."""
    for _ in range(40):
        await asyncio.sleep(0)


@dataclass(kw_only=True)
class _Transaction:
    tx_id: str
    timestamp_ms: int
    creator: Creator
    state: Mapping[str, bytes]
    writes: dict[str, bytes | None] = field(default_factory=dict)

    def get(self, key: str) -> bytes | None:
        return self.state.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.writes[key] = value

    def delete(self, key: str) -> None:
        self.writes[key] = None

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        found = sorted(key for key in self.state if start <= key < end)
        return iter([(key, self.state[key]) for key in found[:limit]])

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        pass

    def set_event(self, name: str, payload: bytes) -> None:
        pass


class MemoryPeer:
    """One world state; every submission is committed at once."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self.state: dict[str, bytes] = {}
        self.log: list[tuple[str, dict[str, Any]]] = []
        self._count = itertools.count(1)

    def port(self, msp_id: str, role: str, *, gateway_id: str = "") -> "MemoryPort":
        return MemoryPort(self, Creator(msp_id=msp_id, role=role, gateway_id=gateway_id))

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [json.loads(raw) for key, raw in sorted(self.state.items()) if key.startswith(f"{kind}~")]

    def call(
        self, creator: Creator, function: str, args: Mapping[str, Any], *, commit: bool
    ) -> dict[str, Any]:
        transaction = _Transaction(
            tx_id=f"{next(self._count):064x}",
            timestamp_ms=self.clock.now_ns() // 1_000_000,
            creator=creator,
            state=self.state,
        )
        text = json.dumps({"v": 1} | dict(args), sort_keys=True, separators=(",", ":"))
        response = invoke(transaction, function, [text])
        if response.status != 200:
            code, _, detail = response.message.partition(": ")
            raise BusinessRefusal(code, detail)
        if commit:
            self.log.append((function, dict(args)))
            for key, value in transaction.writes.items():
                if value is None:
                    self.state.pop(key, None)
                else:
                    self.state[key] = value
        payload: dict[str, Any] = json.loads(response.payload)
        return payload


@dataclass
class MemoryPort:
    """LedgerPort of one identity."""

    peer: MemoryPeer
    creator: Creator

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        return self.peer.call(self.creator, function, args, commit=False)

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self.peer.call(self.creator, function, args, commit=True)
