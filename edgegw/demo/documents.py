"""Write the documents of the demo's processes: the scenario, the daemon's configuration, the participants' settings.

Pure: takes a plan, places and ports, returns text. Keys of the station and its members are in separate files. A charger's
password is in the scenario, because the charger must know it, and as a hash in the configuration.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgegw.commissioning.market import Market, member
from edgegw.commissioning.representatives import RepresentativeFiles
from edgegw.commissioning.site import (
    CHAINCODE,
    CHANNEL,
    GATEWAY,
    ZONE,
    OwnRepresentativeFiles,
    PeerPlace,
    Site,
)
from edgegw.commissioning.toml import toml
from edgegw.demo.plan import DISCHARGE_W, DayPlan, EvsePlan, Fault, Visit
from edgegw.representative.ledger_accounts import Enrolment

STATION = "demo-station"
GEOHASH = "wydm6"  # Seoul; five characters are about 5 km
SELLER_SOC_BP_MIN = 3_000
SELLER_PRICE_MIN_MTOK = 140_000  # above every mid-load ceiling for discharged energy, below every peak price
WALL_BOX_WH = 2_000
DEPOSIT_MTOK = 40_000_000  # 100 kWh at the hold's limit price
INDUSTRY_DEPOSIT_MTOK = 500_000_000
SUN_HOURS = 6  # of full sun per day, in which the plant's peak power yields what the cars want
SOLAR_PEAK_W_MIN = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The paths of one run."""

    root: Path
    configs: Path

    @property
    def profiles(self) -> Path:
        """The folder of the sun and load profiles."""
        return self.configs / "scenarios" / "data"

    @property
    def peer(self) -> Path:
        """The peer's data."""
        return self.root / "peer"

    @property
    def crypto(self) -> Path:
        """The three organisations' identities."""
        return self.peer / "crypto"

    @property
    def config(self) -> Path:
        """Configuration of the run's daemon, whose peer is already running."""
        return self.root / "daemon.toml"

    @property
    def tools_config(self) -> Path:
        """Configuration for commands, and for a daemon that starts the peer itself."""
        return self.root / "edgegw.toml"

    @property
    def operator_hash(self) -> Path:
        """The hash of the operator's password."""
        return self.root / "operator.password"

    @property
    def station(self) -> Path:
        """The daemon's data."""
        return self.root / "station"

    @property
    def books(self) -> Path:
        """The witness's sealed books."""
        return self.root / "books.json"

    @property
    def world_status(self) -> Path:
        """The simulator's status, rewritten each second."""
        return self.root / "world-status.json"

    @property
    def blocks(self) -> Path:
        """All raw blocks, as exported for the auditor."""
        return self.root / "blocks.bin"

    @property
    def facts(self) -> Path:
        """The station's facts, as exported for the auditor."""
        return self.root / "station-facts.jsonl"

    def identity(self, msp_id: str, name: str) -> Path:
        """Return the folder of one identity."""
        return self.crypto / msp_id / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The port that chargers connect to, and the port of each EVSE's meter."""

    ocpp: int
    meters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """The members of the run: the drivers in the order of the plan's visits, and the others."""

    drivers: tuple[Enrolment, ...]
    supplier: Enrolment
    guest: Enrolment  # charges at the producer's own wall box
    guest_moved: str  # the guest's commitment (hex) once the profile has changed
    producer: Enrolment
    industry: Enrolment


def scenario(plan: DayPlan, places: Places, ports: Ports) -> str:
    """Return the simulator's scenario, as TOML."""
    return toml(
        {
            "world": {
                "seed": plan.seed,
                "csms": f"ws://127.0.0.1:{ports.ocpp}/ocpp",
                "utc_start": _utc(plan.begin_s),
                "utc_end": _utc(plan.end_s),
            },
            "evses": [_sim_evse(evse, places, ports) for evse in plan.evses],
            "visits": [_sim_visit(visit) for visit in plan.played],
            "faults": [_sim_fault(fault) for fault in plan.faults],
        }
    )


def _sim_evse(evse: EvsePlan, places: Places, ports: Ports) -> dict[str, Any]:
    return {
        "evse": evse.evse_id,
        "charger_id": evse.charger_id,
        "ocpp": evse.version,
        "dialect": "setpoint" if evse.version == "2.1" else "negative_limit",
        "password": evse.password,
        "rated_w": evse.rated_w,
        "meter_profile": str(places.configs / "meters" / f"{evse.profile}.json"),
        "meter_port": ports.meters[evse.evse_id],
        "import_register_mwh": evse.import_mwh,
        "export_register_mwh": evse.export_mwh,
    }


def _sim_fault(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind,
        "evse": fault.evse_id,
        "at": _utc(fault.at_s),
        "duration_s": fault.duration_s,
    }


def _sim_visit(visit: Visit) -> dict[str, Any]:
    row: dict[str, Any] = {
        "evse": visit.evse_id,
        "id_token": visit.id_token,
        "arrival": visit.arrival.isoformat(),
        "departure": visit.departure.isoformat(),
        "wanted_wh": visit.wanted_wh,
        "capacity_wh": visit.capacity_wh,
        "soc_ppm": visit.soc_ppm,
        "min_soc_ppm": 200_000,
        "max_charge_w": visit.charge_w,
    }
    return row | ({"max_discharge_w": DISCHARGE_W} if visit.sells else {})


def configuration(
    plan: DayPlan,
    places: Places,
    *,
    endpoint: str,
    ports: Ports,
    password_hashes: Mapping[str, str],
    own_peer: bool,
) -> str:
    """Return the daemon's configuration, as TOML; with `own_peer` the daemon starts the peer itself."""
    site = Site(
        folder=places.root,
        station_id=STATION,
        zone=ZONE,
        data_dir=places.station,
        key_file=places.root / "station.key",
        ocpp={"port": ports.ocpp},
        peer=PeerPlace(
            endpoint=endpoint,
            identity=places.identity("EVUserMSP", GATEWAY),
            trust_file=places.crypto / "trust.json",
            cutoff_s=plan.cutoff_s,
            own=places.peer if own_peer else None,
        ),
        representative=OwnRepresentativeFiles(
            store=places.root / "members.db",
            key_file=places.root / "members.key",
            identity=places.identity("EVUserMSP", "representative"),
        ),
        **_pages(plan, places),
    )
    return toml(
        site.tables()
        | {
            "health": {"port": 0},
            "log": {"format": "json"},
            "chargers": [_charger(evse, password_hashes[evse.charger_id]) for evse in plan.evses],
            "meters": [
                {
                    "id": evse.meter_id,
                    "profile": evse.profile,
                    "port": ports.meters[evse.evse_id],
                    "poll_s": max(60, plan.speed // 3),  # at most three per real second
                }
                for evse in plan.evses
            ],
        }
    )


def _pages(plan: DayPlan, places: Places) -> dict[str, Any]:
    """Return the site's pages and exchange, if the plan has pages."""
    if plan.pages is None:
        return {}
    return {
        "web": {"port": plan.pages.web_port, "title": plan.pages.title, "geohash": GEOHASH},
        "operator": {"port": plan.pages.operator_port, "password_file": places.operator_hash.name},
        "exchange": places.identity("EVUserMSP", "exchange"),
    }


def _charger(evse: EvsePlan, password_hash: str) -> dict[str, Any]:
    return {
        "id": evse.charger_id,
        "password_hash": password_hash,
        "version": evse.version,
        "evses": [
            {
                "number": 1,
                "id": evse.evse_id,
                "meter": evse.meter_id,
                "rated_w": evse.rated_w,
                "discharge_w": DISCHARGE_W,
            }
        ],
    }


def participants(plan: DayPlan, places: Places, parties: Parties, *, market: Mapping[str, Any]) -> str:
    """Return the other organisations' settings, as JSON; `market` has the values of the running peer and clock."""
    members = [
        *(member(driver, DEPOSIT_MTOK) for driver in parties.drivers),
        member(parties.supplier),
        member(parties.guest, DEPOSIT_MTOK),
        member(parties.producer),
        member(parties.industry, INDUSTRY_DEPOSIT_MTOK),
    ]
    run = Market(
        channel=CHANNEL,
        chaincode=CHAINCODE,
        crypto=str(places.crypto),
        zone=ZONE,
        cutoff_s=plan.cutoff_s,
        tariff=str(places.configs / "tariffs" / "kr-2026-06-summer.toml"),
        station_id=STATION,
        geohash=GEOHASH,
        evses=len(plan.evses),
        gateway_id=GATEWAY,
        **market,
    )
    producer = {
        "member_id": parties.producer.member_id,
        "peak_w": solar_peak_w(plan),
        "sun": str(sun_file(places)),
        "wall_box": {
            "buyer_id": parties.guest.member_id,
            "gateway_id": GATEWAY,
            "meter_ref": "wall-box-1",
            "energy_wh": WALL_BOX_WH,
        },
    }
    industry = {
        "member_id": parties.industry.member_id,
        "load": str(places.profiles / "bdew_g25_july_workday_15min.csv"),
    }
    moved = {
        "member_id": parties.guest.member_id,
        "expected_version": 1,
        "commitment": parties.guest_moved,
    }
    settings = run.settings(members, producer=producer, industry=industry) | {
        "end_s": plan.end_s,
        "utc_offset_s": plan.utc_offset_s,
        "changes": [moved],
    }
    return json.dumps(settings, indent=1)


def representative_files(
    places: Places, msp_id: str, *, endpoint: str, cutoff_s: int, web_port: int
) -> RepresentativeFiles:
    """Return the files of another organisation's representative with its own pages, in the run's folder."""
    return RepresentativeFiles(
        folder=places.root,
        msp_id=msp_id,
        crypto=places.crypto,
        endpoint=endpoint,
        cutoff_s=cutoff_s,
        web_port=web_port,
    )


def solar_peak_w(plan: DayPlan) -> int:
    """Return the peak power of a plant that yields on a sunny day what the cars want."""
    return max(SOLAR_PEAK_W_MIN, plan.wanted_wh // SUN_HOURS)


def sun_file(places: Places) -> Path:
    """Return the file of hourly irradiance."""
    return places.profiles / "tmy3_723170_june_week_ghi.csv"


def _utc(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()
