"""Measure the first contentful paint of the drivers' first page, in a Chromium as slow as an old phone on a poor network.

Measured: the page's paint timing in a fresh visit (no cache, connection included), median of the rounds. The network is
Chromium's own emulation (CDP Network.emulateNetworkConditions): Lighthouse's slow 4G (150 ms, 1,638 kbit/s), and the preset
of that name in DevTools, which is slower (562.5 ms, 1,440 kbit/s). The processor is four times slower.
Not measured: a real radio, a real phone, TLS. The pages show a small station in memory, in this process.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from playwright.async_api import Browser

from tests.bench.figures import Figure
from tests.support.chromium import Network, chromium, missing, painted_ms, visit
from tests.support.web_served import Drivers
from tests.support.web_site import World

NETWORKS: Mapping[str, Network] = {
    "pages.paint": Network(latency_ms=150, bytes_a_second=1_638_400 // 8),
    "pages.paint.devtools": Network(latency_ms=562.5, bytes_a_second=1_440_000 // 8),
}
SLOWER = 4


def measure(folder: Path, *, short: bool) -> list[Figure]:
    """Measure one figure per network; none without a browser."""
    if reason := missing():
        sys.stderr.write(f"pages: {reason}\n")
        return []
    return asyncio.run(_measure(rounds=1 if short else 7))


async def _measure(rounds: int) -> list[Figure]:
    async with Drivers(World()).served() as origin, chromium() as browser:
        await _paint(browser, origin, NETWORKS["pages.paint"])  # warms server and browser up
        found = {
            name: [await _paint(browser, origin, network) for _ in range(rounds)]
            for name, network in NETWORKS.items()
        }
    return [Figure(name=name, value=median(times) / 1000, unit="s") for name, times in found.items()]


async def _paint(browser: Browser, origin: str, network: Network) -> float:
    async with visit(browser, origin) as there:
        return await painted_ms(there, "/", network=network, slower=SLOWER)
