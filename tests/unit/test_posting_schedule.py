"""When participants act: leads that hold at any speed, quarter hours that are never skipped."""

import asyncio

import pytest

from edgegw.representative.posting_schedule import Schedule, hours
from tests.support.participants_host import MONDAY_S, StepClock


def schedule(clock: StepClock, *, cutoff_s: int = 300, end_s: int = MONDAY_S + 86_400) -> Schedule:
    return Schedule(clock=clock, cutoff_s=cutoff_s, end_s=end_s)


@pytest.mark.parametrize(("speed", "lead_s"), [(1, 60), (30, 60), (600, 1200), (1200, 2400)])
def test_the_lead_is_a_minute_and_two_real_seconds(speed: int, lead_s: int) -> None:
    """A post is sent at least 60 s, and at least two real seconds of an accelerated clock, before its cut-off."""
    assert schedule(StepClock(MONDAY_S, speed=speed)).lead_s == lead_s


@pytest.mark.parametrize("speed", [1, 60, 600, 1200, 2400])
@pytest.mark.parametrize("cutoff_s", [0, 300, 2700])
def test_ahead_is_the_first_interval_that_leaves_the_lead(speed: int, cutoff_s: int) -> None:
    """The interval posted now leaves the lead before its cut-off, the one before it would not."""
    plan = schedule(StepClock(MONDAY_S, speed=speed), cutoff_s=cutoff_s)
    assert plan.ahead * 900 - cutoff_s >= plan.lead_s
    assert (plan.ahead - 1) * 900 - cutoff_s < plan.lead_s


@pytest.mark.parametrize("start_s", [MONDAY_S, MONDAY_S + 1, MONDAY_S + 700, MONDAY_S + 899])
@pytest.mark.parametrize("speed", [1, 1200])
async def test_opening_and_quarter_hours_post_every_open_interval(start_s: int, speed: int) -> None:
    """Opening and the first quarter hour together leave no interval out whose cut-off is still to come."""
    clock = StepClock(start_s, speed=speed)
    plan = schedule(clock)
    posted = [*plan.opening(), MONDAY_S + 900 + plan.ahead * 900]
    intervals = range(MONDAY_S, posted[-1] + 1, 900)
    assert posted == [interval for interval in intervals if start_s < interval - plan.cutoff_s]


async def test_no_quarter_hour_is_skipped_however_late() -> None:
    """A participant that was held up still works through each quarter hour, in order, to the end of the run."""
    clock = StepClock(MONDAY_S + 10)
    plan = schedule(clock, end_s=MONDAY_S + 4 * 900)
    seen: list[int] = []

    async def work() -> None:
        async for interval in plan.quarter_hours():
            seen.extend([interval - MONDAY_S])

    task = asyncio.create_task(work())
    await clock.advance_to(MONDAY_S + 899)
    assert seen == []
    await clock.advance_to(MONDAY_S + 900)
    assert seen == [900]
    clock._now_ns = (MONDAY_S + 5000) * 1_000_000_000
    await clock.advance_to(MONDAY_S + 5001)
    await task
    assert seen == [900, 1800, 2700, 3600]


def test_closed_begins_at_the_cut_off() -> None:
    """An interval closes at its cut-off, not a second earlier."""
    plan = schedule(StepClock(MONDAY_S + 599))
    assert not plan.closed(MONDAY_S + 900)
    assert schedule(StepClock(MONDAY_S + 600)).closed(MONDAY_S + 900)


def test_hours_touch_the_span() -> None:
    """Every UTC hour that holds a part of the span, none beyond it."""
    assert list(hours(MONDAY_S + 1, MONDAY_S + 3600)) == [MONDAY_S]
    assert list(hours(MONDAY_S + 3599, MONDAY_S + 3601)) == [MONDAY_S, MONDAY_S + 3600]
