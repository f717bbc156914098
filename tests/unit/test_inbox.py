"""What waits for the core: order, bounded size, facts never dropped."""

import asyncio

import pytest

from edgegw.core.correlation import OrderStartDue
from edgegw.core.events import ClockTicked, Event, MeterReadFailed, RegisterRead, TimerFired
from edgegw.gateway.inbox import Inbox, InboxFullError


def reading(number: int) -> RegisterRead:
    return RegisterRead(
        meter_id="M", t0_ns=number, t1_ns=number, import_mwh=0, export_mwh=0, power_w=None, serial=None
    )


async def test_events_are_taken_in_order_and_in_batches() -> None:
    """At most `limit` events are taken, in order; the rest stays, and taking from an empty inbox waits."""
    inbox = Inbox()
    for number in range(3):
        inbox.put(reading(number))
    assert await inbox.take(2) == [reading(0), reading(1)]
    assert len(inbox) == 1
    assert await inbox.take(2) == [reading(2)]
    waiting = asyncio.create_task(inbox.take(2))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(ClockTicked())
    assert await waiting == [ClockTicked()]


async def test_a_full_inbox_gives_up_its_oldest_reading() -> None:
    """Readings and failed ones go first, oldest first, and are counted; facts stay."""
    inbox = Inbox(capacity=3)
    failed = MeterReadFailed(meter_id="M", at_ns=0, reason="x")
    timers = [TimerFired(key=OrderStartDue(order_id=order_id)) for order_id in "ab"]
    events: list[Event] = [ClockTicked(), failed, reading(1), *timers]
    for event in events:
        inbox.put(event)
    assert inbox.dropped == 2
    assert await inbox.take(9) == [ClockTicked(), *timers]


def test_facts_are_never_dropped() -> None:
    """An inbox full of facts refuses the next event: the station must stop rather than forget."""
    inbox = Inbox(capacity=1)
    inbox.put(ClockTicked())
    with pytest.raises(InboxFullError):
        inbox.put(reading(1))
