"""Closed unions are handled whole: a table has a row for each member, a match ends in `assert_never`."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, get_args

import pytest

from edgegw.chargers import command_queue
from edgegw.core import correlation, effects, events, internal_events, ledger_replies, sale, session, station
from firmware_sim import faults
from firmware_sim.plans import FAULT_KINDS
from tests.support.closed_unions import table_faults, unlisted
from tests.unit.test_tidy import CODE, name_of

TABLES: Mapping[str, tuple[Mapping[Any, object], object]] = {
    "core.station.HANDLERS": (station.HANDLERS, events.Event),
    "core.session.TRANSITIONS": (
        {event: phase for phase, event in session.TRANSITIONS},
        session.DeviceEvent | session.StationEvent,
    ),
    "core.sale.TRANSITIONS": ({event: stage for stage, event in sale.TRANSITIONS}, sale.SaleEvent),
    "core.ledger_replies.MOVES": (ledger_replies.MOVES, events.LedgerAnswer),
    "chargers.command_queue.RULES": (command_queue.RULES, command_queue.Command),
}
UNIONS: Mapping[ModuleType, tuple[object, ...]] = {
    events: (events.Event,),
    effects: (effects.Effect,),
    correlation: (correlation.TimerKey, correlation.QueryKey),
    internal_events: (session.StationEvent, sale.SaleEvent),
}


@pytest.mark.parametrize(("table", "union"), TABLES.values(), ids=TABLES)
def test_a_table_covers_its_union(table: Mapping[Any, object], union: object) -> None:
    """Each member has a row, and each row is for a member."""
    assert table_faults(table, union) == []


@pytest.mark.parametrize(("module", "unions"), UNIONS.items(), ids=[item.__name__ for item in UNIONS])
def test_a_union_has_every_class_of_its_module(module: ModuleType, unions: tuple[object, ...]) -> None:
    """A class that is in no union, and no part of a member, was forgotten."""
    assert unlisted(module, *unions) == []


def test_effects_are_commands_or_the_gateways_own() -> None:
    """A command is an effect, and an effect names nothing that is not one."""
    assert set(get_args(effects.ChargerCommand)) < set(get_args(effects.Effect))
    assert set(get_args(events.MeterReading)) < set(get_args(events.Event))


def test_the_simulator_has_every_fault_of_a_scenario() -> None:
    """A fault that a scenario may name has a function that makes it happen."""
    assert faults.INJECTORS.keys() == set(FAULT_KINDS)


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_match_forgets_nothing(path: Any) -> None:
    """Every match has a last case for all the rest; over classes or enums of this program that is `assert_never`."""
    assert open_matches(ast.parse(path.read_text())) == []


def open_matches(tree: ast.AST) -> list[str]:
    """The matches that drop what none of their cases names."""
    own = set(own_classes(tree))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Match):
            *cases, last = node.cases
            is_closed = any(name in own for case in cases for name in pattern_classes(case.pattern))
            is_default = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
            if not is_default or last.guard is not None:
                found.append(f"line {node.lineno}: no last case")
            elif is_closed and not ast.unparse(last.body[0]).startswith("assert_never("):
                found.append(f"line {node.lineno}: no assert_never")
    return found


def own_classes(tree: ast.AST) -> Iterator[str]:
    """Names of classes that are defined here, or come from this program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("edgegw", "firmware_sim")):
            yield from (alias.asname or alias.name for alias in node.names)


def pattern_classes(pattern: ast.pattern) -> Iterator[str]:
    """The classes and enums at the top of a pattern."""
    match pattern:
        case ast.MatchOr(patterns=patterns):
            for inner in patterns:
                yield from pattern_classes(inner)
        case ast.MatchAs(pattern=ast.pattern() as inner):
            yield from pattern_classes(inner)
        case (
            ast.MatchClass(cls=ast.Name(id=name))
            | ast.MatchValue(value=ast.Attribute(value=ast.Name(id=name)))
        ):
            yield name
        case _:
            pass


CLASSES = "class A: ...\nclass B: ...\n"
OPEN = {
    "no last case": f"{CLASSES}match x:\n    case A(): f()\n    case B(): g()\n",
    "a silent last case": f"{CLASSES}match x:\n    case A(a=1) | B() as b: f()\n    case _: pass\n",
    "a guarded last case": "match x:\n    case 1: f()\n    case _ if y: g()\n",
    "an enum": "class E: ...\nmatch x:\n    case E.A: f()\n    case other: g()\n",
}
CLOSED = {
    "classes": f"{CLASSES}match x:\n    case A(): f()\n    case B(): g()\n    case _: assert_never(x)\n",
    "open values": "match x:\n    case [1, *rest]: f()\n    case str(): g()\n    case _: h()\n",
    "foreign classes": "from other import A\nmatch x:\n    case A(): f()\n    case _: g()\n",
}


@pytest.mark.parametrize("source", OPEN.values(), ids=OPEN)
def test_a_match_that_forgets_is_found(source: str) -> None:
    """Each way to drop a member silently is a finding."""
    assert len(open_matches(ast.parse(source))) == 1


@pytest.mark.parametrize("source", CLOSED.values(), ids=CLOSED)
def test_a_match_that_forgets_nothing_passes(source: str) -> None:
    """A match over external input may have any shape, if its last case handles the rest."""
    assert open_matches(ast.parse(source)) == []


@dataclass(frozen=True)
class Part:
    number: int


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Other:
    number: int


def test_a_forgotten_row_or_class_is_found() -> None:
    """A member without a row, a row without a member, and a class in no union; a part of a member is in it."""
    assert table_faults({Whole: 1}, Whole | Other) == ["Other has no row"]
    assert table_faults({Whole: 1, Other: 1, Part: 1}, Whole | Other) == ["Part is not in the union"]
    module = ModuleType(__name__)
    vars(module).update({"Part": Part, "Whole": Whole, "Other": Other})
    assert unlisted(module, Whole | events.ClockTicked) == ["Other is in no union"]
    assert unlisted(module, Whole | Other) == []
    assert table_faults({}, Whole | Other) == ["Other has no row", "Whole has no row"]
