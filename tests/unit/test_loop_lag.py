"""How late the process runs: percentiles of the latest probes, whatever came before."""

import asyncio

import pytest

from edgegw.common.units import SECOND_NS
from edgegw.ops import loop_lag
from edgegw.ops.loop_lag import LagProbe
from tests.support.gateway_fakes import FakeClock
from tests.support.patience import PATIENCE_S


def test_percentiles_are_of_the_latest_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest probe gives way to the newest, so that a bad hour long ago does not stay; no probe is no lag."""
    monkeypatch.setattr(loop_lag, "SAMPLES_MOST", 100)
    probe = LagProbe(FakeClock())
    assert probe.percentile_ns(99) == 0
    for lag_ns in [9_000] * 7 + list(range(100, 0, -1)):
        probe.note(lag_ns)
    assert [probe.percentile_ns(percent) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]
    for _ in range(150):
        probe.note(7)
    assert [probe.percentile_ns(percent) for percent in (0, 100)] == [7, 7]


async def test_a_probe_measures_by_how_much_it_overslept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe measures the station time between the requested instant and the end of the sleep."""
    clock, noted = FakeClock(), asyncio.Event()
    probe = LagProbe(clock)

    async def oversleep(at_ns: int) -> None:
        clock.at_ns = at_ns + 3 * SECOND_NS
        noted.set()

    monkeypatch.setattr(clock, "sleep_until", oversleep)
    running = asyncio.create_task(probe.run())
    async with asyncio.timeout(PATIENCE_S):
        await noted.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert probe.percentile_ns(100) == 3 * SECOND_NS
