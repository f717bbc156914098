"""Read a scenario file into plans of EVSEs, visits and faults.

Decides how the TOML file's tables become plans; `sessions` maps a `[sessions]` table. Never runs anything. Each error
in the file raises a ScenarioFault that names the table and key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from firmware_sim.ev import PPM, Car
from firmware_sim.plans import (
    FAULT_KINDS,
    VERSIONS,
    EvsePlan,
    FaultPlan,
    Scenario,
    ScenarioFault,
    VisitPlan,
    moment_ns,
    take,
)
from firmware_sim.sessions import map_sessions
from firmware_sim.world import NS_PER_S


def read_scenario(path: Path) -> Scenario:
    """Return the scenario of a TOML file. Raise ScenarioFault if it is invalid."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ScenarioFault(f"{path}: {error}") from error
    return build_scenario(table, path.parent)


def build_scenario(table: Mapping[str, Any], folder: Path) -> Scenario:
    """Return the scenario of a table; file names are relative to `folder`. Raise ScenarioFault if it is invalid."""
    unknown = set(table) - {"world", "evse_defaults", "evses", "visits", "faults", "sessions"}
    if unknown:
        raise ScenarioFault(f"unknown tables: {', '.join(sorted(unknown))}")
    world = dict(table.get("world", {}))
    seed = int(world.get("seed", 1))
    defaults = table.get("evse_defaults", {})
    evses = [_evse({**defaults, **row}, folder) for row in table.get("evses", [])]
    visits = [_visit(row) for row in table.get("visits", [])]
    if "sessions" in table:
        more_evses, more_visits = map_sessions(table["sessions"], seed=seed, folder=folder, defaults=defaults)
        evses, visits = evses + [_evse(row, folder) for row in more_evses], visits + more_visits
    visits = refuse_overlaps(visits)
    start_ns, end_ns = _span(world, visits)
    scenario = Scenario(
        seed=seed,
        utc_start_ns=start_ns,
        utc_end_ns=end_ns,
        csms=str(world.get("csms", "ws://127.0.0.1:9000/ocpp")),
        answer_timeout_s=float(world.get("answer_timeout_s", 10)),
        evses=tuple(evses),
        visits=tuple(visits),
        faults=tuple(_fault(row) for row in table.get("faults", [])),
    )
    _check(scenario, world)
    return scenario


def refuse_overlaps(visits: list[VisitPlan]) -> list[VisitPlan]:
    """Return the visits in order of arrival; one that arrives at an occupied EVSE is refused with `EVSE_BUSY`."""
    free_ns: dict[str, int] = {}
    found = []
    for visit in sorted(visits, key=lambda each: (each.arrival_ns, each.evse, each.id_token)):
        if visit.refusal is None and visit.arrival_ns < free_ns.get(visit.evse, 0):
            found.append(replace(visit, refusal="EVSE_BUSY"))
            continue
        found.append(visit)
        if visit.refusal is None:
            free_ns[visit.evse] = visit.departure_ns
    return found


def _evse(row: Mapping[str, Any], folder: Path) -> EvsePlan:
    plan = take(row, EvsePlan, f"evses {row.get('evse', '?')}")
    if plan.ocpp not in VERSIONS:
        raise ScenarioFault(f"evses {plan.evse}.ocpp: one of {', '.join(VERSIONS)}")
    dialect = plan.dialect or ("setpoint" if plan.ocpp == "2.1" else "negative_limit")
    profile = str((folder / plan.meter_profile).resolve()) if plan.meter_profile else ""
    return replace(plan, dialect=dialect, meter_profile=profile)


def _visit(row: Mapping[str, Any]) -> VisitPlan:
    rest = dict(row)
    where = f"visits {rest.get('id_token', '?')}"
    try:
        times = {name: moment_ns(rest.pop(name), where) for name in ("arrival", "departure")}
        plan = {name: rest.pop(name) for name in ("evse", "wanted_wh", "id_token")}
    except KeyError as error:
        raise ScenarioFault(f"{where}: missing key {error}") from error
    for name in ("soc", "min_soc"):
        if f"{name}_percent" in rest:
            rest[f"{name}_ppm"] = rest.pop(f"{name}_percent") * PPM // 100
    car = take(rest, Car, where)
    return VisitPlan(**plan, arrival_ns=times["arrival"], departure_ns=times["departure"], car=car)


def _fault(row: Mapping[str, Any]) -> FaultPlan:
    where = f"faults {row.get('kind', '?')}"
    rest = dict(row)
    rest["at_ns"] = moment_ns(rest.pop("at", None), where)
    fault = take(rest, FaultPlan, where)
    if fault.kind not in FAULT_KINDS:
        raise ScenarioFault(f"{where}: kind is one of {', '.join(FAULT_KINDS)}")
    return fault


def _span(world: Mapping[str, Any], visits: list[VisitPlan]) -> tuple[int, int]:
    """Return the run's start and end: as configured, else from the hour before the first arrival to past the last departure."""
    hour_ns, quarter_ns = 3600 * NS_PER_S, 900 * NS_PER_S
    first_ns = min((visit.arrival_ns for visit in visits), default=0)
    last_ns = max((visit.departure_ns for visit in visits), default=0)
    start_ns = (first_ns // hour_ns - 1) * hour_ns
    end_ns = (last_ns // quarter_ns + 2) * quarter_ns
    if "utc_start" in world:
        start_ns = moment_ns(world["utc_start"], "world.utc_start")
    if "utc_end" in world:
        end_ns = moment_ns(world["utc_end"], "world.utc_end")
    return start_ns, end_ns


def _check(scenario: Scenario, world: Mapping[str, Any]) -> None:
    if unknown := set(world) - {"seed", "csms", "answer_timeout_s", "utc_start", "utc_end"}:
        raise ScenarioFault(f"world: unknown keys: {', '.join(sorted(unknown))}")
    names = [plan.evse for plan in scenario.evses]
    if len(set(names)) != len(names):
        raise ScenarioFault("evses: an EVSE is named twice")
    if len({plan.charger_id for plan in scenario.evses}) != len(names):
        raise ScenarioFault("evses: a charger_id is used twice; each charger serves one EVSE")
    for visit in scenario.visits:
        if visit.evse not in names:
            raise ScenarioFault(f"visits {visit.id_token}: no EVSE {visit.evse}")
        if visit.departure_ns <= visit.arrival_ns:
            raise ScenarioFault(f"visits {visit.id_token}: departure before arrival")
    for fault in scenario.faults:
        if fault.evse not in names:
            raise ScenarioFault(f"faults {fault.kind}: no EVSE {fault.evse}")
    if scenario.utc_end_ns <= scenario.utc_start_ns:
        raise ScenarioFault("world: it ends before it starts")
