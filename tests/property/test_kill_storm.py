"""After kills at any moment and in every state of a submission, restarts included, the books agree at the end."""

import json
from collections.abc import Mapping

import pytest

from tests.support.days import differences, plan, play
from tests.support.universe import Universe

OPEN_STATES = ("new", "endorsing", "prepared", "in_doubt")


def is_waiting(rows: Mapping[str, str], *, function: str, state: str) -> bool:
    """Return whether a submission of `function` is in `state` in what was committed."""
    submissions = [json.loads(text) for key, text in rows.items() if key.startswith("submissions/")]
    return any(item["function"] == function and item["state"] == state for item in submissions)


def killed_at(seed: int, *, function: str, state: str) -> Universe:
    """A day whose gateway dies at most once, at the first commit with a submission of `function` in `state`."""
    universe = Universe(seed, fault_rate=0.3)
    plan(universe, seed)
    universe.add_driver("cy")
    for _ in range(3):
        universe.plug_in("E1", "cy", wanted_wh=300)  # three at once: a row of holds in one lane
        universe.leave("E1")
    universe.kill_when = lambda rows: is_waiting(rows, function=function, state=state)
    universe.close(18)
    return universe


@pytest.mark.parametrize(
    ("function", "state"),
    [
        *[("Hold", state) for state in OPEN_STATES],
        *[("Release", state) for state in OPEN_STATES],
        # alone in their lanes, these are endorsed in the step that makes them
        *[("RecordTrades", state) for state in OPEN_STATES[1:]],
        *[("Reserve", state) for state in OPEN_STATES[1:]],
        *[("RegisterMeter", state) for state in OPEN_STATES[1:]],
        *[("AttestAvailability", state) for state in OPEN_STATES[1:]],
    ],
)
def test_killed_in_each_state(function: str, state: str) -> None:
    """The process dies right after the commit that brought a submission into a state; nothing is lost or doubled."""
    for seed in range(7, 15):
        universe = killed_at(seed, function=function, state=state)
        assert differences(universe) == []
        if universe.kills:
            assert universe.killed_in[state] >= 1
            return
    pytest.fail("no day came into this state")


@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_storm(seed: int) -> None:
    """Kills at random steps of a random day with faults: the books agree at the end."""
    universe = play(seed, fault_rate=0.1, kill_rate=0.012)
    assert universe.kills > 0
    assert differences(universe) == []


@pytest.mark.soak
def test_many_storms() -> None:
    """The long form: four hundred days, thousands of kills."""
    wrong = {}
    for seed in range(400):
        universe = play(2_000 + seed, fault_rate=0.15, kill_rate=0.01 + seed % 4 * 0.01, echo=seed % 3 == 0)
        if found := differences(universe):
            wrong[2_000 + seed] = found
    assert wrong == {}
