"""What all tests share: Hypothesis without randomness, and coverage inside pytest's own processes.

Coverage starts here (EDGEGW_COVERAGE=1) so that each xdist worker measures itself and the daemons that tests start
run at full speed.
"""

import os

import coverage
import hypothesis

_measured: coverage.Coverage | None = None
if "PYTEST_XDIST_WORKER" in os.environ and os.environ.pop("EDGEGW_COVERAGE", ""):
    _measured = coverage.Coverage(data_suffix=True)
    _measured.start()

hypothesis.settings.register_profile(
    "short", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("short")


def pytest_sessionfinish() -> None:
    if _measured is not None:
        _measured.stop()
        _measured.save()
