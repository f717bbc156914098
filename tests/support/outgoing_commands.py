"""List the places in the source that an outgoing OCPP command needs, in order, each with the check that finds it missing.

An outgoing command is an effect of the core that becomes one CALL or several. From `ChargerCommand` on nothing else
names it: `ports`, `gateway`, `chargers.charger_port` and `chargers.connection` take every member alike. Who may cause it and
within which limits is the decision of the core's function that emits it; operators have no commands to chargers of
their own. CONTRIBUTING.md holds the list as its recipe.

`python -m tests.support.outgoing_commands` prints as JSON what each check finds in the source tree it runs in.
"""

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from edgegw.chargers import command_queue, ocpp2_commands, ocpp16, versions
from edgegw.chargers.call_types import (
    Commands,
    Installed,
    ProfileStep,
    Request,
    SetpointRefusal,
)
from edgegw.core import effects, events, station
from edgegw.core.effects import (
    AllowEnergyTransfer,
    ApplySetpoint,
    ChargerCommand,
    StartRemotely,
    StopRemotely,
)
from firmware_sim.ocpp2_client import Point21, Point201
from firmware_sim.ocpp16_client import Point16
from firmware_sim.point import Handler
from tests.support.chargers_station import NOW_NS, command_context
from tests.support.closed_unions import table_faults, unlisted

ROOT = Path(__file__).parents[2]
VERSIONS = versions.load()
SIMULATED = {"1.6": Point16, "2.0.1": Point201, "2.1": Point21}

EXAMPLES: tuple[ChargerCommand, ...] = (
    ApplySetpoint(
        evse_id="evse-1",
        setpoint_id=1,
        transaction_id="7",
        power_w=7_000,
        ends_ns=NOW_NS + 900_000_000_000,
        fallback_w=0,
    ),
    AllowEnergyTransfer(evse_id="evse-1", transaction_id="7", bidirectional=True),
    StartRemotely(evse_id="evse-1", id_token="04A1", remote_start_id=1),
    StopRemotely(evse_id="evse-1", transaction_id="7"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place that a command needs in the source; `check` returns a line for each thing that is missing there."""

    name: str
    where: str
    what: str
    check: Callable[[], list[str]]


def command_faults() -> list[str]:
    """Return effects outside the union, and commands without an EVSE."""
    nameless = [
        f"{command.__name__} has no evse_id"
        for command in get_args(ChargerCommand)
        if "evse_id" not in {item.name for item in fields(command)}
    ]
    return nameless + unlisted(effects, effects.Effect)


def emission_faults() -> list[str]:
    """Return commands that no function of the core emits."""
    made = {name for path in (ROOT / "edgegw" / "core").glob("*.py") for name in _called(path.read_text())}
    return [
        f"{one.__name__} is never emitted" for one in get_args(ChargerCommand) if one.__name__ not in made
    ]


def example_faults() -> list[str]:
    """Return commands without an example."""
    return table_faults({type(example): example for example in EXAMPLES}, ChargerCommand)


def rule_faults() -> list[str]:
    """Return commands without a rule for waiting and ending."""
    return table_faults(command_queue.RULES, command_queue.Command)


def ocpp16_faults() -> list[str]:
    """Return commands that 1.6 does not send or refuse."""
    return table_faults(ocpp16.COMMANDS, ChargerCommand)


def ocpp2_faults() -> list[str]:
    """Return commands that 2.0.1 or 2.1 does not send or refuse."""
    tables = (ocpp2_commands.COMMANDS_201, ocpp2_commands.COMMANDS_21)
    return [fault for table in tables for fault in table_faults(table, ChargerCommand)]


def request_faults() -> list[str]:
    """Return examples whose CALLs are not actions of their row, violate the schema, or are sent by no version."""
    found = [
        f"{type(example).__name__} is sent by no version"
        for example in EXAMPLES
        if not any(_actions(version.commands, example) for version in VERSIONS.values())
    ]
    for version in VERSIONS.values():
        for example in EXAMPLES:
            found += [f"{version.name}: {fault}" for fault in _request_faults(version, example)]
    return found


def acceptance_faults() -> list[str]:
    """Return actions whose result has no status, and that have no rule for when they are accepted."""
    found = []
    for version in VERSIONS.values():
        for action in sorted(version.sent - versions.ACCEPTANCE.keys()):
            schema = json.loads(version.schemas._responses[action].read_text("utf-8-sig"))
            if "status" not in schema.get("required", ()):
                found.append(f"{version.name}: the result of {action} has no status")
    return found


def event_faults() -> list[str]:
    """Return events outside the union, including those that end a command."""
    ends = {type(event) for example in EXAMPLES for event in _answered(example)}
    strange = sorted(event.__name__ for event in ends - set(get_args(events.Event)))
    return unlisted(events, events.Event) + [f"{name} ends a command and is no event" for name in strange]


def handler_faults() -> list[str]:
    """Return events that the core does not handle."""
    return table_faults(station.HANDLERS, events.Event)


def simulator_faults(*names: str) -> list[str]:
    """Return actions that the simulated charger of these versions answers with NotImplemented."""
    found = []
    for name in names:
        point = SIMULATED[name]
        handled: dict[str, Handler] = object.__new__(point).handlers()
        if point is Point21:
            handled |= object.__new__(point).handlers21()
        found += [f"{name}: {action}" for action in sorted(VERSIONS[name].sent - handled.keys())]
    return found


def readme_faults() -> list[str]:
    """Return versions for which README does not list exactly the actions that are sent."""
    row = re.search(
        r"^\| sent \| (.+) \| (.+) \| also (.+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert row is not None
    old, new, also = (set(cell.split(", ")) for cell in row.groups())
    told = {"1.6": old, "2.0.1": new, "2.1": new | also}
    return [
        f"{name}: {', '.join(sorted(told[name] ^ version.sent))}"
        for name, version in VERSIONS.items()
        if told[name] != version.sent
    ]


PLACES = (
    Place(
        name="command",
        where="edgegw/core/effects.py",
        what="a frozen dataclass with `evse_id`, and its name in the union `ChargerCommand`.",
        check=command_faults,
    ),
    Place(
        name="emission",
        where="edgegw/core/",
        what="the function that decides on it, within which limits and for whom, and emits it.",
        check=emission_faults,
    ),
    Place(
        name="example",
        where="tests/support/outgoing_commands.py",
        what="one command in `tests.support.outgoing_commands.EXAMPLES`, which the checks below send.",
        check=example_faults,
    ),
    Place(
        name="rule",
        where="edgegw/chargers/command_queue.py",
        what="its row in `RULES`: which older command it replaces, how urgent it is, which event ends it.",
        check=rule_faults,
    ),
    Place(
        name="ocpp16",
        where="edgegw/chargers/ocpp16.py",
        what="its row in `COMMANDS`: the function that builds its CALLs, or `UNSUPPORTED`.",
        check=ocpp16_faults,
    ),
    Place(
        name="ocpp2",
        where="edgegw/chargers/ocpp2_commands.py",
        what="its row in `COMMANDS_201`, and in `COMMANDS_21` where 2.1 differs.",
        check=ocpp2_faults,
    ),
    Place(
        name="actions",
        where="edgegw/chargers/ocpp16.py, ocpp2_commands.py",
        what="every action that the function may use, in `actions` of the row; the standard's schema accepts the CALL.",
        check=request_faults,
    ),
    Place(
        name="acceptance",
        where="edgegw/chargers/versions.py",
        what="where the result has no `status`: the action's row in `ACCEPTANCE`.",
        check=acceptance_faults,
    ),
    Place(
        name="event",
        where="edgegw/core/events.py",
        what="where an event ends it: a frozen dataclass, and its name in the union `Event`.",
        check=event_faults,
    ),
    Place(
        name="handler",
        where="edgegw/core/station.py",
        what="the event's row in `HANDLERS`.",
        check=handler_faults,
    ),
    Place(
        name="simulator16",
        where="firmware_sim/ocpp16_client.py",
        what="the simulated charger's answer, in `firmware_sim.ocpp16_client.Point16.handlers`.",
        check=lambda: simulator_faults("1.6"),
    ),
    Place(
        name="simulator2",
        where="firmware_sim/ocpp2_calls.py",
        what="the simulated charger's answer, in `firmware_sim.ocpp2_calls.Calls2.handlers`, or in `handlers21` for 2.1 alone.",
        check=lambda: simulator_faults("2.0.1", "2.1"),
    ),
    Place(
        name="readme",
        where="README.md",
        what="the action in the row `sent` of the table of OCPP coverage.",
        check=readme_faults,
    ),
)


def recipe() -> str:
    """Return the list as it is in CONTRIBUTING.md."""
    return "\n".join(f"{number}. `{it.where}`: {it.what}" for number, it in enumerate(PLACES, start=1))


def findings() -> Mapping[str, list[str]]:
    """Return what each place lacks, by its name."""
    return {place.name: place.check() for place in PLACES}


def _called(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _actions(table: Commands, command: ChargerCommand) -> frozenset[str]:
    outgoing = table.get(type(command))
    return frozenset() if outgoing is None else outgoing.actions


def _answered(command: ChargerCommand) -> tuple[events.Event, ...]:
    return command_queue.answered(command, "") if type(command) in command_queue.RULES else ()


def _request_faults(version: versions.Version, command: ChargerCommand) -> Iterator[str]:
    actions = _actions(version.commands, command)
    installed: Installed | None = None
    is_last = type(command) not in version.commands
    while not is_last:
        step = version.commands[type(command)].build(command, command_context(installed=installed))
        if isinstance(step, SetpointRefusal):
            if actions:
                yield f"{type(command).__name__} is refused: {step.reason}"
            return
        request = step if isinstance(step, Request) else step.request
        if request.action in actions:
            version.schemas.assert_request(request.action, request.payload)
        else:
            yield f"{request.action} is not among the actions of {type(command).__name__}"
        is_last = not isinstance(step, ProfileStep) or step.is_last
        installed = step.installed if isinstance(step, ProfileStep) else None


if __name__ == "__main__":
    json.dump(findings(), sys.stdout)
