"""Copy-on-write tables and the step that uses them: the base is never touched, changes are remembered."""

import pytest

from edgegw.core.correlation import SessionCredits
from edgegw.core.events import ClockTicked
from edgegw.core.state import TABLES
from edgegw.core.step_context import StepContext
from edgegw.core.table import Table
from tests.support.core_bench import Bench


def test_a_step_sees_its_own_changes_and_the_base_does_not() -> None:
    """Reads after writes see the writes; the frozen mapping below stays as it was."""
    base = {"a": 1, "b": 2}
    table = Table(base)
    assert table.rows is base
    table.put("c", 3)
    table.drop("a")
    assert (table.get("a"), table["b"], "c" in table, list(table), table.values()) == (
        None,
        2,
        True,
        ["b", "c"],
        [2, 3],
    )
    assert base == {"a": 1, "b": 2}
    assert table.changes == {"c": 3, "a": None}


def test_dropping_what_is_not_there_changes_nothing() -> None:
    """A missing row is fine and leaves no trace for the journal."""
    table: Table[int] = Table({})
    table.drop("x")
    assert table.changes == {}
    with pytest.raises(KeyError):
        table["x"]


def test_changes_are_named_by_table_and_key() -> None:
    """The journal learns `table/key`; members and questions are not journalled."""
    bench = Bench()
    context = StepContext(bench.station, bench.now_ns)
    asked = SessionCredits(evse_id="A1", session_id="A1.t1")
    context.queries.add(asked)
    context.prices.drop("none")
    context.tally = context.tally
    assert set(context.outcome().changes) == {"tally/all"}
    assert context.outcome().station.queries == {asked}
    assert {key.split("/")[0] for key in bench.send(ClockTicked()).changes} <= set(TABLES)


def test_a_step_changes_no_older_station() -> None:
    """Every state is a value: what a step was given is the same after it."""
    bench = Bench()
    before, rows = bench.station, {name: dict(getattr(bench.station, name)) for name in TABLES}
    bench.active()
    assert bench.station is not before
    assert {name: dict(getattr(before, name)) for name in TABLES} == rows
