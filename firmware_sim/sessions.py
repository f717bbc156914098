"""Map recorded charging sessions in a CSV file to a scenario's EVSEs and visits.

Decides which charger each car comes to, the car's properties, and which cars discharge. Every session of the chosen day
becomes a visit; `scenario` refuses those whose EVSE is occupied. A car wants exactly the file's delivered energy as
import at its EVSE's meter. Columns: arrival, departure, delivered_energy_kwh, evse.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from firmware_sim.ev import PPM, Car
from firmware_sim.plans import VERSIONS, ScenarioFault, VisitPlan, take
from firmware_sim.world import NS_PER_S, stream, to_ns

CAPACITIES_WH = (40_000, 52_000, 60_000, 64_000, 77_000, 82_000)
SELLER_CAPACITIES_WH = (62_000, 77_000, 82_000, 95_000)
CHARGE_POWERS_W = (7_400, 11_000)
TIGHT_PERCENT = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsPlan:
    """The `[sessions]` table. `chargers` 0: one per EVSE of the day; `ocpp` may be `mixed`; `day` is local."""

    file: str
    day: dt.date | str
    ocpp: str = "mixed"
    chargers: int = 0
    v2g_share_ppm: int = 0
    max_discharge_w: int = 10_000
    meter_profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One line of the file."""

    arrival: dt.datetime
    departure: dt.datetime
    wanted_wh: int
    evse: str


def map_sessions(
    table: Mapping[str, Any], *, seed: int, folder: Path, defaults: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[VisitPlan]]:
    """Return EVSE tables and visits of a day's sessions. `v2g_share` is the share of cars that discharge, 0 to 1."""
    row = dict(table)
    row["v2g_share_ppm"] = int(Decimal(str(row.pop("v2g_share", 0))) * PPM)
    plan = take(row, SessionsPlan, "sessions")
    sessions = read_sessions(folder / plan.file, str(plan.day))
    names = _evse_names(sessions, plan.chargers)
    sellers = _sellers(sessions, plan, stream(seed, "sellers"))
    visits = [
        _visit(
            session,
            names[session.evse],
            plan=plan,
            sells=index in sellers,
            chance=stream(seed, f"car/{index}"),
        )
        for index, session in enumerate(sessions)
    ]
    evses = [
        _evse_row(name, number, plan=plan, seed=seed, defaults=defaults)
        for number, name in enumerate(sorted(set(names.values())))
    ]
    return evses, visits


def read_sessions(path: Path, day: str) -> list[Session]:
    """Return the sessions that arrive on a local day, in the file's order. Raise ScenarioFault if there are none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["arrival"][:10] == day]
        sessions = [
            Session(
                arrival=dt.datetime.fromisoformat(row["arrival"]),
                departure=dt.datetime.fromisoformat(row["departure"]),
                wanted_wh=int(Decimal(row["delivered_energy_kwh"]) * 1000),
                evse=row["evse"],
            )
            for row in rows
        ]
    except (OSError, KeyError, ArithmeticError, ValueError) as error:
        raise ScenarioFault(f"sessions {path}: {error!r}") from error
    if not sessions:
        raise ScenarioFault(f"sessions {path}: no session arrives on {day}")
    return sessions


def _evse_names(sessions: list[Session], chargers: int) -> dict[str, str]:
    """Return the simulated EVSE of each EVSE in the file; with fewer chargers, several share one."""
    names = sorted({session.evse for session in sessions})
    count = min(chargers, len(names)) or len(names)
    return {name: names[index % count] for index, name in enumerate(names)}


def _sellers(sessions: list[Session], plan: SessionsPlan, chance: random.Random) -> set[int]:
    count = (len(sessions) * plan.v2g_share_ppm + PPM // 2) // PPM
    return set(chance.sample(range(len(sessions)), count))


def _evse_row(
    name: str, number: int, *, plan: SessionsPlan, seed: int, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    chance = stream(seed, f"evse/{name}")
    profiles = plan.meter_profiles
    return {
        "charger_id": f"CP-{name}",
        "ocpp": VERSIONS[number % len(VERSIONS)] if plan.ocpp == "mixed" else plan.ocpp,
        "password": f"{chance.getrandbits(80):020x}",
        "meter_profile": profiles[number % len(profiles)] if profiles else "",
        "import_register_mwh": chance.randrange(5_000_000_000),
        "export_register_mwh": chance.randrange(1_000_000_000),
        **defaults,
        "evse": name,
    }


def _visit(
    session: Session, evse: str, *, plan: SessionsPlan, sells: bool, chance: random.Random
) -> VisitPlan:
    arrival_ns, departure_ns = to_ns(session.arrival), to_ns(session.departure)
    average_w = session.wanted_wh * 3600 * NS_PER_S // max(1, departure_ns - arrival_ns)
    needed_w = average_w * TIGHT_PERCENT // 100
    powers_w = [power_w for power_w in CHARGE_POWERS_W if power_w >= needed_w] or [CHARGE_POWERS_W[-1]]
    return VisitPlan(
        evse=evse,
        arrival_ns=arrival_ns,
        departure_ns=departure_ns,
        wanted_wh=session.wanted_wh,
        id_token=f"{chance.getrandbits(56):014X}",
        car=_car(
            session,
            chance.choice(powers_w),
            needed_w,
            sells=plan.max_discharge_w if sells else None,
            chance=chance,
        ),
    )


def _car(session: Session, charge_w: int, needed_w: int, *, sells: int | None, chance: random.Random) -> Car:
    """Return a car with room for the wanted energy; it ends above 80 % only if there is time for the taper."""
    sizes = CAPACITIES_WH if sells is None else SELLER_CAPACITIES_WH
    capacity_wh = max(chance.choice(sizes), session.wanted_wh * 3 // 2)
    hurried = needed_w * 2 > charge_w
    target_ppm = chance.randrange(650_000, 780_000 if hurried or sells else 930_000)
    soc_ppm = max(50_000, target_ppm - session.wanted_wh * PPM * 95 // 100 // capacity_wh)
    return Car(
        capacity_wh=capacity_wh,
        soc_ppm=soc_ppm,
        min_soc_ppm=chance.choice((200_000, 250_000, 300_000)),
        max_charge_w=charge_w,
        max_discharge_w=sells,
    )
