"""The outbox of a connection: order, bound, and a taker that waits."""

import asyncio

from edgegw.chargers.send_queue import SendQueue


async def test_texts_come_out_in_their_order() -> None:
    """First in, first out; a taker that waits is woken by the first text."""
    outbox = SendQueue(2)
    taker = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    assert outbox.offer("a")
    assert outbox.offer("b")
    assert await taker == "a"
    assert await outbox.get() == "b"


async def test_a_full_outbox_refuses_or_makes_wait() -> None:
    """`offer` says no, `put` waits until there is room."""
    outbox = SendQueue(1)
    assert outbox.offer("a")
    assert not outbox.offer("b")
    putters = [asyncio.create_task(outbox.put(text)) for text in ("c", "d")]
    await asyncio.sleep(0)
    assert not any(putter.done() for putter in putters)
    taken = [await outbox.get() for _ in range(3)]
    assert taken == ["a", "c", "d"]
    await asyncio.gather(*putters)


async def test_a_taker_may_be_cancelled() -> None:
    """A cancelled taker takes nothing with it."""
    outbox = SendQueue(1)
    taker = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    taker.cancel()
    await asyncio.wait((taker,))
    await outbox.put("a")
    assert await outbox.get() == "a"
