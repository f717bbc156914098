"""Set a second time limit for each test, which no test can outlive (a pytest plugin).

At the first limit (pytest-timeout's `timeout`) a signal fails the test, and the next test runs. A test that survives it,
because it swallows the failure, or hangs in its teardown or in C code, reaches the second limit `time_limit_grace` seconds
later: a watchdog thread writes all stacks to standard error and ends the process. Under xdist the test then counts as
failed and a new worker runs the rest.
"""

import contextlib
import faulthandler
import os
from collections.abc import Generator

import pytest

GRACE_S = 60

_STDERR = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("time_limit_grace", "Seconds that a test may outlive its timeout.", default=str(GRACE_S))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep the process's standard error, which capturing replaces."""
    capturing = config.pluginmanager.getplugin("capturemanager")
    with capturing.global_and_fixture_disabled() if capturing else contextlib.nullcontext():
        config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the whole test, including set-up and teardown."""
    _watch(item)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Watch the teardown of a failed test, which pytest-timeout does not."""
    if isinstance(node, pytest.Item):
        _watch(node)


def _watch(item: pytest.Item) -> None:
    own = item.get_closest_marker("timeout")
    limit_s = float(own.args[0] if own else item.config.getini("timeout"))
    after_s = limit_s + float(item.config.getini("time_limit_grace"))
    faulthandler.dump_traceback_later(after_s, exit=True, file=item.config.stash[_STDERR])
