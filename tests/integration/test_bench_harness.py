"""Each benchmark's harness still runs: a few messages through its processes. No figure is judged and nothing is timed."""

import importlib
from pathlib import Path

import pytest

from tests.bench import figures
from tests.support.chromium import missing


@pytest.mark.parametrize("name", ["meters", "ocpp", "pages", "trades", "web"])
def test_a_harness_runs(tmp_path: Path, name: str) -> None:
    """A few messages through each benchmark give figures that can be written; their values are not checked."""
    if name == "pages" and (reason := missing()):
        pytest.skip(reason)
    measured = importlib.import_module(f"tests.bench.bench_{name}").measure(tmp_path, short=True)
    rows = figures.rows_of(measured)
    assert rows
    more = rows.pop("web.phones", None)  # a difference, which chance may turn around in so short a time
    assert all(row["value"] > 0 for row in rows.values())
    assert (more is not None) == (name == "web")
