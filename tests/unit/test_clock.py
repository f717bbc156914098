"""The station's clock is exact, never returns early, does not drift, and can be cancelled."""

import asyncio
import time

import pytest

from edgegw.common.clock import VARIABLE, Clock, ClockMapping, StationClock
from edgegw.common.errors import ConfigError
from edgegw.common.units import SECOND_NS
from tests.support.patience import PATIENCE_S

DAY_NS = 1_560_150_000 * SECOND_NS


def accelerated(*, speed: int, origin_in_ns: int = 0) -> StationClock:
    return StationClock(
        ClockMapping(
            monotonic_origin_ns=time.monotonic_ns() + origin_in_ns, utc_origin_ns=DAY_NS, speed=speed
        )
    )


def test_real_time_without_the_variable() -> None:
    """Without STATION_CLOCK the clock is UTC at speed 1."""
    clock: Clock = StationClock.from_environment({})
    before_ns = time.time_ns()
    assert before_ns <= clock.now_ns() <= time.time_ns()
    assert clock.real_seconds(3 * SECOND_NS) == 3


def test_the_mapping_is_exact_and_stands_still_before_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now = origin + elapsed * speed, to the nanosecond, and the origin itself before it; the end binds the world only."""
    clock = StationClock.from_environment({VARIABLE: f"1000:{DAY_NS}:2400:{DAY_NS + 1}"})
    for monotonic_ns, expected_ns in (
        (0, DAY_NS),
        (1000, DAY_NS),
        (1001, DAY_NS + 2400),
        (2000, DAY_NS + 2_400_000),
    ):
        monkeypatch.setattr(time, "monotonic_ns", lambda at_ns=monotonic_ns: at_ns)
        assert clock.now_ns() == expected_ns
    assert clock.real_seconds(2400 * SECOND_NS) == 1
    assert clock.speed == 2400


@pytest.mark.parametrize("text", ["5:6:2400:-", "5:6:1:7"])
def test_the_variable_reads_back_as_written(text: str) -> None:
    """Parsing and printing are inverse."""
    assert str(ClockMapping.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "1:2:3", "1:2:0:-", "1:2:1.5:-", "1:2:-3:-", "a:2:3:-", "1:20:3:20", " 1:2:3:-"]
)
def test_a_bad_variable_is_a_configuration_fault(text: str) -> None:
    """A malformed STATION_CLOCK names itself instead of running at the wrong time."""
    with pytest.raises(ConfigError, match=VARIABLE):
        StationClock.from_environment({VARIABLE: text})


@pytest.mark.parametrize("clock", [StationClock(), accelerated(speed=2400)], ids=["real", "accelerated"])
async def test_sleep_never_returns_early_and_does_not_drift(clock: StationClock) -> None:
    """Forty sleeps in a row each return at or after their instant, and their lateness does not add up.

    Lateness that added up would grow by the machine's own with each sleep; a busy machine is late now and then, so that
    the least of the last ten is what counts.
    """
    step_ns = int(0.005 * SECOND_NS) * clock.speed
    start_ns = clock.now_ns()
    lateness_ns = []
    for step in range(1, 41):
        await clock.sleep_until(start_ns + step * step_ns)
        lateness_ns.append(clock.now_ns() - start_ns - step * step_ns)
    assert min(lateness_ns) >= 0
    assert min(lateness_ns[-10:]) < 10 * step_ns


async def test_sleep_spans_the_standstill_before_the_origin() -> None:
    """An instant after the origin is waited for from before the origin; the origin itself is already there."""
    an_hour_off = accelerated(speed=100, origin_in_ns=3600 * SECOND_NS)
    clock = accelerated(speed=100, origin_in_ns=50_000_000)
    earliest_s = (
        time.monotonic() + 0.01
    )  # the origin lies 40 to 50 ms behind this, the instant 10 ms after the origin
    async with asyncio.timeout(PATIENCE_S):
        await an_hour_off.sleep_until(DAY_NS)
        await clock.sleep_until(DAY_NS + SECOND_NS)
    assert clock.now_ns() >= DAY_NS + SECOND_NS
    assert time.monotonic() >= earliest_s


async def test_a_past_instant_returns_at_once_and_a_sleep_can_be_cancelled() -> None:
    """The past needs no waiting; cancellation passes through."""
    clock = StationClock()
    await clock.sleep_until(0)
    sleeping = asyncio.create_task(clock.sleep_until(clock.now_ns() + 3600 * SECOND_NS))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
