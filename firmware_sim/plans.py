"""Define the plans of a run (EVSEs, visits, faults) and read them from tables.

Decides which keys and types a scenario may have. Never reads a file and never runs anything.
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


class ScenarioFault(Exception):  # noqa: N818 - errors of this package are called faults
    """A scenario is invalid; the message names the place and the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvsePlan:
    """One EVSE: its charger, its meter and its ratings. With an empty `meter_profile` no meter is served."""

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
    """One car's visit. `wanted_wh` is import at the EVSE's meter; a visit with a `refusal` never plugs in.

    With an empty `id_token` no card is presented: the car is plugged in and waits for a remote start.
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
    """One fault at an EVSE, from simulated `at_ns` for `duration_s` simulated seconds."""

    kind: str
    evse: str
    at_ns: int
    duration_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole scenario. `csms` is the WebSocket address; each charger appends its id as the last path segment.

    With wss:// the chargers trust the authority in `ca_file` or, if it is empty, the system's authorities.
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
    """Return a plan of `kind` from a table. Raise ScenarioFault for unknown or missing keys and wrong types."""
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # each kind is a dataclass
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
    """Return a TOML date-time or ISO 8601 string as UTC nanoseconds. Raise ScenarioFault if it is neither."""
    try:
        moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ScenarioFault(f"{where}: a date and time expected, not {value!r}") from error
    return to_ns(moment)
