"""Order signed transactions into blocks, validate and store the blocks, and wake waiting callers.

Decides the order (arrival) and where a block ends (count or time). An acknowledged transaction is only in memory until
its block is on disk, as in a real orderer. Source: Fabric block cutter and committer.
"""

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from edgegw.fabric import block as blocks
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.rwset import Version
from edgegw.fabric.wire import encode
from edgegw.peer.store import StateRow, Store
from edgegw.peer.validate import Rules, Verdict, validate
from edgegw.peer.world_state import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """When a block is cut: after `count` transactions, or `timeout_s` after its first one."""

    count: int = 50
    timeout_s: float = 0.002


class Chain:
    """Blocks, outcomes and the world state of one channel. Everything but disk access runs on the event loop."""

    def __init__(self, store: Store, rules: Rules, cutting: Cutting) -> None:
        """Load the store's content; raise MalformedMessageError if its last block is damaged."""
        self.rules = rules
        self.world = World()
        self._store = store
        self._cutting = cutting
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chain")
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._filling: list[bytes] = []
        self._waiting: defaultdict[str, list[asyncio.Future[tuple[int, int]]]] = defaultdict(list)
        self._grown = asyncio.Event()
        self._outcomes = {tx_id: (number, code) for tx_id, number, code in store.outcomes()}
        for row in store.state():
            self.world.put(row.key, row.value or b"", row.version)
            if row.policy is not None:
                self.world.set_policy(row.key, row.policy)
        self.height = store.height()
        last = store.block(self.height - 1)
        self.last_hash = b"" if last is None else blocks.header_hash(blocks.parse_block(last).header)

    def outcome(self, tx_id: str) -> tuple[int, int] | None:
        """Return (block, validation code) of the id's first occurrence, or None if no block contains it."""
        return self._outcomes.get(tx_id)

    def known(self, tx_id: str) -> bool:
        """Return whether a block contains this transaction id, valid or not."""
        return tx_id in self._outcomes

    def order(self, envelope: bytes) -> None:
        """Queue a signed transaction for the next block, in memory only."""
        self._queue.put_nowait(envelope)

    async def wait_outcome(self, tx_id: str) -> tuple[int, int]:
        """Wait, without limit, until a block contains the id; return (block, validation code)."""
        known = self._outcomes.get(tx_id)
        if known is not None:
            return known
        waiter: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting[tx_id].append(waiter)
        try:
            return await waiter
        finally:
            left = self._waiting.get(tx_id)
            if left is not None and waiter in left:
                left.remove(waiter)
                if not left:
                    del self._waiting[tx_id]

    async def wait_block(self, number: int) -> bytes:
        """Wait until the block is on disk and return its bytes."""
        while self.height <= number:
            await self._grown.wait()
        raw = await self.block(number)
        assert raw is not None
        return raw

    async def block(self, number: int) -> bytes | None:
        """Return the raw block, or None if it does not exist yet."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, self._store.block, number)

    async def run(self) -> None:
        """Cut and commit blocks until cancelled; raise sqlite3.Error if the disk fails (the process must then end)."""
        while True:
            await self._fill()
            await self._commit()

    async def close(self) -> None:
        """Commit all acknowledged transactions and close the file; `run` must have ended."""
        self._filling += [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        if self._filling:
            await self._commit()
        await asyncio.get_running_loop().run_in_executor(self._disk, self._store.close)
        self._disk.shutdown()

    async def _fill(self) -> None:
        self._filling.append(await self._queue.get())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._cutting.timeout_s):
                while len(self._filling) < self._cutting.count:
                    self._filling.append(await self._queue.get())

    async def _commit(self) -> None:
        """Validate, store, then publish, so that no caller sees a state that a power cut could undo."""
        envelopes, self._filling = self._filling, []
        number = self.height
        built = blocks.build_block(number, self.last_hash, envelopes)
        verdicts = validate(envelopes, self.rules, self.world, known=self.known)
        blocks.set_codes(built, [verdict.code for verdict in verdicts])
        outcomes = [(verdict.tx_id, verdict.code) for verdict in verdicts if verdict.tx_id]
        changes = self._changes(number, verdicts)
        loop = asyncio.get_running_loop()
        append = loop.run_in_executor(
            self._disk, lambda: self._store.append(number, encode(built), outcomes=outcomes, state=changes)
        )
        # Finish a block that is being written even if this task is cancelled.
        try:
            await asyncio.shield(append)
        except asyncio.CancelledError:
            await append
            self._show(built.header, verdicts, outcomes)
            raise
        self._show(built.header, verdicts, outcomes)

    def _changes(self, number: int, verdicts: list[Verdict]) -> list[StateRow]:
        """Return the rows the block changes, computed on a world state of the touched keys only."""
        accepted = [(at, entry.rwset) for at, entry in enumerate(verdicts) if entry.rwset is not None]
        after = World()
        for _, recorded in accepted:
            for key in {*recorded.writes, *recorded.policies}:
                current = self.world.get(key)
                if current is not None:
                    after.put(key, *current)
                    own = self.world.policy(key)
                    if own is not None:
                        after.set_policy(key, own)
        rows = []
        for key in sorted(after.apply(number, accepted)):
            entry = after.get(key)
            policy = after.policy(key)
            version = Version(number, 0) if entry is None else entry[1]
            rows.append(StateRow(key=key, value=entry and entry[0], policy=policy, version=version))
        return rows

    def _show(
        self, header: common_pb2.BlockHeader, verdicts: list[Verdict], outcomes: list[tuple[str, int]]
    ) -> None:
        number = header.number
        self.world.apply(
            number, [(at, entry.rwset) for at, entry in enumerate(verdicts) if entry.rwset is not None]
        )
        self.last_hash = blocks.header_hash(header)
        self.height = number + 1
        for tx_id, code in outcomes:
            first = self._outcomes.setdefault(tx_id, (number, code))
            for waiter in self._waiting.pop(tx_id, ()):
                if not waiter.done():
                    waiter.set_result(first)
        self._grown.set()
        self._grown = asyncio.Event()
