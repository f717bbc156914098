"""Map the recorded sessions of a day to a plan of EVSEs, visits and refusals.

Decides which charger a car comes to, the car's properties, which cars sell, and when the simulated day begins and ends.
Every session becomes a visit; one that arrives at an occupied EVSE has a refusal code. A car wants exactly its
session's delivered energy. Pure except `read_sessions`; the same seed gives the same plan.
Source: columns of ACN-Data as in configs/scenarios/data.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from edgegw.common.errors import ConfigError
from edgegw.common.units import INTERVAL_S

Version = Literal["1.6", "2.0.1", "2.1"]
VERSIONS: tuple[Version, ...] = ("1.6", "2.0.1", "2.1")
BUSY, NO_STAY = "EVSE_BUSY", "NO_STAY"

PEAK_HOUR = 15  # local, by the demo's tariff
LADDER_W = (7_400, 11_000, 22_000, 50_000, 150_000, 400_000)
DISCHARGE_W = 7_000
MARGIN_PERCENT = 90  # the share of a car's stay in which full power must yield its energy
START_REAL_S = 1.0  # until energy flows, with as much again for delays
CAPACITIES_WH = (40_000, 52_000, 64_000, 77_000, 82_000)
SELLER_CAPACITIES_WH = (62_000, 77_000, 82_000, 95_000)
FULL_PPM = 780_000  # below the taper, for which the stay may be too short
EFFICIENCY_PERCENT = 95
CUTOFF_REAL_S = 1.75
LEAD_S = 2_700
PROFILES = (
    "eastron-sdm630",
    "siemens-pac2200",
    "carlo-gavazzi-em340",
    "schneider-iem3x55",
    "sunspec-203",
    "sunspec-213",
)  # meters that count single Wh, as the witness does


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One line of the file; times have the file's UTC offset."""

    arrival: datetime
    departure: datetime
    wanted_wh: int
    evse: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The command line's options. `chargers` 0: one per EVSE of the file."""

    ocpp: Version | Literal["mixed"] = "mixed"
    v2g_share: Decimal = Decimal("0.3")
    chargers: int = 0
    seed: int = 1
    speed: int = 360


@dataclass(frozen=True, slots=True, kw_only=True)
class EvsePlan:
    """One charger with one EVSE and its meter."""

    evse_id: str
    charger_id: str
    meter_id: str
    version: Version
    rated_w: int
    profile: str
    password: str
    import_mwh: int
    export_mwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One car's visit. `refusal`: the code of a visit that is known beforehand not to be served."""

    evse_id: str
    id_token: str
    arrival: datetime
    departure: datetime
    wanted_wh: int
    capacity_wh: int
    soc_ppm: int
    charge_w: int
    sells: bool
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault at an EVSE; `kind` is one of the simulator's."""

    kind: str
    evse_id: str
    at_s: int
    duration_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesPlan:
    """The web pages' ports on the loopback interface (0: any free one), and their title."""

    web_port: int = 0
    operator_port: int = 0
    title: str = "Harbour"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPlan:
    """The whole plan. `begin_s` and `end_s` are UTC quarter hours."""

    evses: tuple[EvsePlan, ...]
    visits: tuple[Visit, ...]
    begin_s: int
    end_s: int
    utc_offset_s: int
    cutoff_s: int
    speed: int
    seed: int
    faults: tuple[Fault, ...] = ()
    pages: PagesPlan | None = None

    @property
    def carded(self) -> tuple[Visit, ...]:
        """The visits of drivers with a card; the other cars wait to be started from a page."""
        return tuple(visit for visit in self.visits if visit.id_token)

    @property
    def wanted_wh(self) -> int:
        """The energy that all cars want, including those that are refused."""
        return sum(visit.wanted_wh for visit in self.visits)

    @property
    def played(self) -> tuple[Visit, ...]:
        """The visits that the simulator can play: those that depart after they arrive."""
        return tuple(visit for visit in self.visits if visit.refusal != NO_STAY)


def read_sessions(path: Path, day: str | None = None) -> list[Session]:
    """Return the sessions that arrive on a local day (None: any), by arrival. Raise ConfigError for a bad file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.DictReader(file) if day is None or row["arrival"][:10] == day]
        sessions = [
            Session(
                arrival=_moment(row["arrival"]),
                departure=_moment(row["departure"]),
                wanted_wh=int((Decimal(row["delivered_energy_kwh"]) * 1000).to_integral_value()),
                evse=row["evse"],
            )
            for row in rows
        ]
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except KeyError as error:
        raise ConfigError((f"{path}: no column {error}",)) from error
    except (ValueError, TypeError, InvalidOperation, csv.Error) as error:
        raise ConfigError((f"{path}: not a table of sessions: {error}",)) from error
    if not sessions:
        raise ConfigError((f"{path}: no session starts" + (f" on {day}" if day else ""),))
    if any(session.wanted_wh < 0 for session in sessions):
        raise ConfigError((f"{path}: delivered_energy_kwh below zero",))
    return sorted(sessions, key=lambda session: session.arrival)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no UTC offset")
    return moment


def plan_day(sessions: Sequence[Session], wishes: Wishes) -> DayPlan:
    """Return the plan of the sessions, which are in order of arrival."""
    names = _evse_names(sessions, wishes.chargers)
    sellers = _sellers(sessions, wishes)
    visits = [
        _visit(session, names[session.evse], index=index, sells=index in sellers, wishes=wishes)
        for index, session in enumerate(sessions)
    ]
    visits = _refuse(visits)
    cutoff_s = cutoff_for(wishes.speed)
    lead_s = max(LEAD_S, 2 * INTERVAL_S + cutoff_s)
    first_s = int(sessions[0].arrival.timestamp())
    last_s = max(int(session.departure.timestamp()) for session in sessions)
    offset = sessions[0].arrival.utcoffset()
    assert offset is not None
    return DayPlan(
        evses=tuple(
            _evse(name, number, visits=visits, wishes=wishes)
            for number, name in enumerate(sorted(set(names.values())))
        ),
        visits=tuple(visits),
        begin_s=(first_s - lead_s) // INTERVAL_S * INTERVAL_S,
        end_s=-(-max(last_s, first_s) // INTERVAL_S) * INTERVAL_S + INTERVAL_S,
        utc_offset_s=int(offset.total_seconds()),
        cutoff_s=cutoff_s,
        speed=wishes.speed,
        seed=wishes.seed,
    )


def cutoff_for(speed: int) -> int:
    """Return the cut-off before an interval in simulated s: five minutes, or what a peer needs to commit in time."""
    needed_s = int(CUTOFF_REAL_S * speed)
    return max(300, -(-needed_s // 60) * 60)


def _evse_names(sessions: Sequence[Session], chargers: int) -> dict[str, str]:
    """Return the simulated EVSE of each EVSE in the file; with fewer chargers, several share one."""
    names = sorted({session.evse for session in sessions})
    count = min(chargers, len(names)) or len(names)
    return {name: f"E{index % count + 1:03d}" for index, name in enumerate(names)}


def _refuse(visits: Sequence[Visit]) -> list[Visit]:
    """Refuse visits that arrive at an occupied EVSE, and those that do not depart after they arrive."""
    free_at: dict[str, datetime] = {}
    found = []
    for visit in visits:
        if visit.departure <= visit.arrival:
            found.append(replace(visit, refusal=NO_STAY))
        elif visit.evse_id in free_at and visit.arrival < free_at[visit.evse_id]:
            found.append(replace(visit, refusal=BUSY))
        else:
            free_at[visit.evse_id] = visit.departure
            found.append(visit)
    return found


def _sellers(sessions: Sequence[Session], wishes: Wishes) -> set[int]:
    """Choose the cars that also sell, first among those that are there at peak with time to spare."""
    count = int((len(sessions) * wishes.v2g_share).to_integral_value())
    chance = random.Random(f"{wishes.seed}/sellers")  # noqa: S311 - seeded on purpose
    order = list(range(len(sessions)))
    chance.shuffle(order)
    order.sort(key=lambda index: not _can_sell(sessions[index]))
    return set(order[:count])


def _can_sell(session: Session) -> bool:
    """Return whether an hour of peak is left once the car has its energy."""
    charged = session.arrival + timedelta(seconds=_full_power_s(session.wanted_wh, LADDER_W[0]) + INTERVAL_S)
    peak = session.arrival.replace(hour=PEAK_HOUR, minute=0, second=0)
    return (
        session.departure - max(charged, peak) >= timedelta(hours=1) and session.departure.hour >= PEAK_HOUR
    )


def _full_power_s(energy_wh: int, power_w: int) -> int:
    return energy_wh * 3600 // power_w


def _visit(session: Session, evse_id: str, *, index: int, sells: bool, wishes: Wishes) -> Visit:
    chance = random.Random(f"{wishes.seed}/car/{index}")  # noqa: S311 - seeded on purpose
    sizes = SELLER_CAPACITIES_WH if sells else CAPACITIES_WH
    needed_wh = session.wanted_wh * EFFICIENCY_PERCENT // 100
    capacity_wh = max(chance.choice(sizes), needed_wh * 100 // 60)
    full_ppm = FULL_PPM if sells else chance.randrange(650_000, FULL_PPM)
    return Visit(
        evse_id=evse_id,
        id_token=f"{chance.getrandbits(56):014X}",
        arrival=session.arrival,
        departure=session.departure,
        wanted_wh=session.wanted_wh,
        capacity_wh=capacity_wh,
        soc_ppm=full_ppm - needed_wh * 1_000_000 // capacity_wh,
        charge_w=_charge_w(session, wishes.speed),
        sells=sells,
    )


def _charge_w(session: Session, speed: int) -> int:
    """Return the lowest rating in W that leaves a margin for the start, whose real time the speed multiplies."""
    stay_s = int((session.departure - session.arrival).total_seconds())
    usable_s = max(1, (stay_s - int(START_REAL_S * speed)) * MARGIN_PERCENT // 100)
    needed_w = session.wanted_wh * 3600 // usable_s
    return next((power_w for power_w in LADDER_W if power_w >= needed_w), LADDER_W[-1])


def _evse(name: str, number: int, *, visits: Sequence[Visit], wishes: Wishes) -> EvsePlan:
    chance = random.Random(f"{wishes.seed}/evse/{name}")  # noqa: S311 - seeded on purpose
    return EvsePlan(
        evse_id=name,
        charger_id=f"CP-{name}",
        meter_id=f"M-{name}",
        version=VERSIONS[number % len(VERSIONS)] if wishes.ocpp == "mixed" else wishes.ocpp,
        rated_w=max((visit.charge_w for visit in visits if visit.evse_id == name), default=LADDER_W[0]),
        profile=PROFILES[number % len(PROFILES)],
        password=f"{chance.getrandbits(80):020x}",
        import_mwh=chance.randrange(5_000_000_000),
        export_mwh=chance.randrange(1_000_000_000),
    )
