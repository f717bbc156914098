"""What all tests share: Hypothesis without randomness, coverage inside pytest's own processes, limits, long tests first.

Coverage starts here (EDGEGW_COVERAGE=1) so that each xdist worker measures itself and the daemons that tests start
run at full speed.
"""

import os
from collections.abc import Sequence

import coverage
import hypothesis
import pytest

pytest_plugins = ("tests.support.time_limit",)

_measured: coverage.Coverage | None = None
if "PYTEST_XDIST_WORKER" in os.environ and os.environ.pop("EDGEGW_COVERAGE", ""):
    _measured = coverage.Coverage(data_suffix=True)
    _measured.start()

hypothesis.settings.register_profile(
    "short", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("short")

LONG_S = {
    "browser/": 45,
    "scenario/": 60,
    "integration/test_package_": 60,
    "integration/test_power_cut.py": 40,
    "integration/test_first_trade.py": 35,
}
"""Seconds of a test, or of a group's set-up, that mostly waits; in files that begin so, below tests/."""

LONG_LIMIT_S = 1200
"""The time limit of those tests; pyproject.toml has that of all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the long tests, so that none of them is left alone at the end."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    spent_s = [0] * workers
    short: list[pytest.Item] = []
    for name, tests in sorted(files.items(), key=lambda one: -_long_s(*one)):
        seconds = _long_s(name, tests)
        if not seconds:
            short += tests
            continue
        for item in tests:
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(LONG_LIMIT_S))
        least = spent_s.index(min(spent_s))
        shares[least] += tests
        spent_s[least] += seconds
    size = -(-len(items) // workers)
    ordered: list[pytest.Item] = []
    for share in shares:
        taken = max(0, size - len(share))
        ordered += [*share, *short[:taken]]
        short = short[taken:]
    items[:] = [*ordered, *short]


def _long_s(name: str, tests: Sequence[pytest.Item]) -> int:
    """Seconds that a file's tests take, where they are long; at most so many of its tests wait."""
    each_s = next((seconds for prefix, seconds in LONG_S.items() if name.startswith(f"tests/{prefix}")), 0)
    return each_s * min(len(tests), 2)


def pytest_sessionfinish() -> None:
    if _measured is not None:
        _measured.stop()
        _measured.save()
