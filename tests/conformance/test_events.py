"""Events of committed transactions come from any start position on, in order, each once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from edgegw.ledger import Committed, LedgerClient, LedgerEvent
from tests.support.conformance_network import LedgerNetwork, client_of, fresh
from tests.support.patience import PATIENCE_S


async def seen(events: AsyncIterator[LedgerEvent], key: str, count: int) -> list[LedgerEvent]:
    """The next events about a key; others' are passed over."""
    found: list[LedgerEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            if event.payload.get("key") == key:
                found.append(event)
            if len(found) == count:
                break
    return found


async def added(client: LedgerClient, key: str) -> int:
    """Add one to a key; gives the block."""
    endorsed = await client.endorse("Add", {"key": key, "n": 1})
    await client.submit(endorsed.envelope)
    outcome = await client.commit_status(endorsed.tx_id)
    assert isinstance(outcome, Committed)
    return outcome.block


async def test_events_are_replayed_from_a_block(ledger_network: LedgerNetwork) -> None:
    """All events since a block come in order, with block, transaction and content; then new ones."""
    key = fresh()
    async with client_of(ledger_network) as client:
        blocks = [await added(client, key) for _ in range(3)]
        async with aclosing(client.events(blocks[0])) as events:
            found = await seen(events, key, 3)
            assert [(event.name, event.payload["value"], event.block) for event in found] == [
                ("toy.added", value, block) for value, block in zip((1, 2, 3), blocks, strict=True)
            ]
            later = await added(client, key)
            assert [(event.block, event.payload["value"]) for event in await seen(events, key, 1)] == [
                (later, 4)
            ]


async def test_events_go_on_behind_a_checkpoint(ledger_network: LedgerNetwork) -> None:
    """Block and transaction of the last one seen lead to the one after it, in the same block or a later one."""
    key = fresh()
    async with client_of(ledger_network) as client:
        await added(client, key)
        both = [await client.endorse("Add", {"key": f"{key}-{n}", "n": n}) for n in (1, 2)]
        await asyncio.gather(*(client.submit(one.envelope) for one in both))
        outcomes = [await client.commit_status(one.tx_id) for one in both]
        await added(client, key)
        assert all(isinstance(one, Committed) for one in outcomes)
        start = min(one.block for one in outcomes if isinstance(one, Committed))
        async with aclosing(client.events(start)) as events, asyncio.timeout(PATIENCE_S):
            whole: list[LedgerEvent] = []
            async for event in events:
                whole.append(event)
                if event.payload.get("key") == key:
                    break
        for position, event in enumerate(whole[:-1]):
            async with aclosing(client.events(event.block, after_tx_id=event.tx_id)) as events:
                async with asyncio.timeout(PATIENCE_S):
                    following = await anext(events)
            assert following == whole[position + 1]


async def test_what_is_invalid_announces_nothing(ledger_network: LedgerNetwork) -> None:
    """Of two transactions that conflict, only the valid one has an event."""
    key = fresh()
    async with client_of(ledger_network) as client:
        start = await client.height()
        both = [await client.endorse("Add", {"key": key, "n": 1}) for _ in range(2)]
        for one in both:
            await client.submit(one.envelope)
        for one in both:
            await client.commit_status(one.tx_id)
        await added(client, key)
        async with aclosing(client.events(start)) as events:
            assert [event.payload["value"] for event in await seen(events, key, 2)] == [1, 2]


async def test_events_from_now_on(ledger_network: LedgerNetwork) -> None:
    """Without a start position only events committed after the request come."""
    key = fresh()
    async with client_of(ledger_network) as client:
        await added(client, key)
        async with aclosing(client.events()) as events:
            following = asyncio.ensure_future(seen(events, key, 1))
            while not following.done():
                await added(client, key)
                await asyncio.sleep(0.05)
            (event,) = await following
        assert event.payload["value"] > 1
