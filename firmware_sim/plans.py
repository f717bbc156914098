"""The plans of a run: EVSEs, visits, faults, and the reading of such rows from tables.

Decides what may stand in a scenario. Never reads a file and never runs anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from firmware_sim.ev import Car
from firmware_sim.world import to_ns

VERSIONS = ("1.6", "2.0.1", "2.1")
FAULT_KINDS = (
    "socket_drop",
    "charger_reboot",
    "duplicate_messages",
    "late_messages",
    "silent_meter",
    "counter_reset",
)
Row = TypeVar("Row")


class ScenarioFault(Exception):  # noqa: N818 - the station's word for what is wrong
    """A scenario that cannot be run; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvsePlan:
    """One EVSE: its charger, its meter and its ratings. Empty `meter_profile`: no meter is served."""

    evse: str
    charger_id: str
    ocpp: str = "1.6"
    dialect: str = ""
    password: str = ""
    rated_w: int = 11_000
    default_limit_w: int | None = None
    standby_w: int = 5
    sample_interval_s: int = 300
    authorize: bool = True
    transfer: str = "AC"
    meter_profile: str = ""
    meter_host: str = "127.0.0.1"
    meter_port: int = 0
    unit_id: int = 1
    import_register_mwh: int = 0
    export_register_mwh: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPlan:
    """One car's visit. `wanted_wh` is import at the EVSE's meter; `refusal` set: it never gets to plug in.

    Without an `id_token` ("") nobody presents a card: the car stands plugged in and waits for a remote start.
    """

    evse: str
    arrival_ns: int
    departure_ns: int
    wanted_wh: int
    id_token: str
    car: Car
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """One thing that goes wrong at an EVSE, from a simulated instant for a simulated time."""

    kind: str
    evse: str
    at_ns: int
    duration_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it. `csms` is the WebSocket address below which each charger finds its own path.

    With wss:// the chargers trust the authority in `ca_file`, or, where it is empty, the system's.
    """

    seed: int
    utc_start_ns: int
    utc_end_ns: int
    csms: str
    answer_timeout_s: float
    evses: tuple[EvsePlan, ...]
    visits: tuple[VisitPlan, ...]
    faults: tuple[FaultPlan, ...]
    ca_file: str = ""


def take(row: Mapping[str, Any], kind: type[Row], where: str) -> Row:
    """Return a plan of `kind` from a table. ScenarioFault names unknown and missing keys and wrong types."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    if unknown := set(row) - set(known):
        raise ScenarioFault(f"{where}: unknown keys: {', '.join(sorted(unknown))}")
    needed = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if missing := needed - set(row):
        raise ScenarioFault(f"{where}: missing keys: {', '.join(sorted(missing))}")
    for name, value in row.items():
        wanted = str(known[name].type).split(" | ", maxsplit=1)[0]
        if wanted in {"int", "str", "bool"} and type(value).__name__ != wanted and value is not None:
            raise ScenarioFault(f"{where}.{name}: {wanted} expected, not {value!r}")
    return kind(**row)


def moment_ns(value: Any, where: str) -> int:
    """Return a TOML date-time or ISO text as UTC nanoseconds. ScenarioFault if it is neither."""
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ScenarioFault(f"{where}: a date and time expected, not {value!r}") from error
    return to_ns(moment)
