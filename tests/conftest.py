"""Configure all tests: deterministic Hypothesis, coverage of the xdist workers, time limits, and long tests first.

Coverage starts here (EDGEGW_COVERAGE=1), so that each xdist worker measures itself while the daemons that tests start
run at full speed.
"""

import os
from collections.abc import Iterator

import coverage
import hypothesis
import pytest
import structlog

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
    "scenario/test_peer_outage.py": 120,
    "scenario/": 60,
    "integration/test_package_deb.py": 100,
    "integration/test_package_": 20,
    "browser/test_pages.py": 60,
    "browser/": 40,
    "integration/test_power_cut.py": 45,
    "integration/test_service.py": 45,
    "integration/test_first_trade.py": 40,
}
"""Seconds of a file whose tests mostly wait, by the beginning of its path below tests/; the first match counts."""

LONG_LIMIT_S = 1200
SOAK_LIMIT_S = 7200
"""The time limit of a test in those files, and of a soak test; pyproject.toml has the limit of all others."""


@pytest.hookimpl(trylast=True)
@pytest.fixture(autouse=True)
def _logging_of_one_test() -> Iterator[None]:
    """Forget a test's log configuration at its end: the stream it names is closed by then, and the next test would fail."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the long tests, so that none runs alone at the end.

    It is the last hook, so that the shares leave out the tests that a marker deselects.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    spent_s = [0] * workers
    short: list[pytest.Item] = []
    for name, tests in sorted(files.items(), key=lambda one: -_long_s(one[0])):
        seconds = _long_s(name)
        if not seconds:
            short += tests
            continue
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
    for item in items:
        limit_s = _limit_s(item)
        if limit_s and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(limit_s))


def _limit_s(item: pytest.Item) -> int:
    """Return a test's time limit in seconds, or 0 for the common one."""
    if item.get_closest_marker("soak"):
        return SOAK_LIMIT_S
    return LONG_LIMIT_S if _long_s(item.nodeid) else 0


def _long_s(name: str) -> int:
    """Return the seconds of a long file, or 0."""
    return next((seconds for prefix, seconds in LONG_S.items() if name.startswith(f"tests/{prefix}")), 0)


def pytest_sessionfinish() -> None:
    if _measured is not None:
        _measured.stop()
        _measured.save()
