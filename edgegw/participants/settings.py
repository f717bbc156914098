"""What the participants' process is told: one JSON file, checked whole.

Decides nothing. Names carry their units. Source: HOUSE, Libraries (pydantic for configuration only).
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgegw.errors import ConfigError
from edgegw.participants.accounts import Enrolment
from edgegw.participants.representative import Station
from edgegw.places import configs

PERFORMANCE_BP = 8_500


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberSettings(_Table):
    """A member to sign up, and the deposit it brings (0: none)."""

    member_id: str
    kind: Literal["PRODUCER", "EV", "SUPPLIER", "INDUSTRY"]
    commitment: str
    dup_tag: str
    deposit_mtok: int = Field(default=0, ge=0)
    deposit_ref: str | None = None

    @property
    def enrolment(self) -> Enrolment:
        """What the ledger learns."""
        return Enrolment(
            member_id=self.member_id, kind=self.kind, commitment=self.commitment, dup_tag=self.dup_tag
        )


class ChangeSettings(_Table):
    """A member whose profile changed after signing up: the new commitment."""

    member_id: str
    expected_version: int = Field(ge=1)
    commitment: str


class StationSettings(_Table):
    """A station to register."""

    station_id: str
    geohash: str
    evses: int = Field(ge=1)
    products: tuple[Literal["CHARGE", "DISCHARGE"], ...] = ("CHARGE", "DISCHARGE")

    @property
    def station(self) -> Station:
        """What the ledger learns."""
        return Station(
            station_id=self.station_id, geohash=self.geohash, evses=self.evses, products=self.products
        )


class GatewaySettings(_Table):
    """A gateway to register, by the hex SHA-256 of its certificate (DER)."""

    gateway_id: str
    certificate_sha256: str
    stations: tuple[str, ...]


class WallBoxSettings(_Table):
    """The producer's own charging point; `gateway_id` must be registered, `buyer_id` an EV member with tokens."""

    buyer_id: str
    gateway_id: str
    meter_ref: str
    epoch: int = 0
    rated_w: int = Field(default=11_000, gt=0)
    energy_wh: int = Field(default=2_000, gt=0)


class ProducerSettings(_Table):
    """The solar plant, and its wall box (None: no direct sale)."""

    member_id: str
    meter_ref: str
    evidence_key_hex: str
    epoch: int = 0
    peak_w: int = Field(default=300_000, gt=0)
    performance_bp: int = Field(default=PERFORMANCE_BP, gt=0, le=10_000)
    wall_box: WallBoxSettings | None = None
    sun: Path = Field(default_factory=lambda: configs() / "scenarios/data/tmy3_723170_june_week_ghi.csv")


class IndustrySettings(_Table):
    """The industrial complex: its yearly consumption, and the tokens behind each of its bids."""

    member_id: str
    annual_mwh: int = Field(default=500, gt=0)
    offer_mtok: int = Field(default=50_000_000, gt=0)
    load: Path = Field(default_factory=lambda: configs() / "scenarios/data/bdew_g25_july_workday_15min.csv")


class Settings(_Table):
    """The whole file. Paths are relative to the working directory, and those left out are edgegw's own files.

    `end_s`: UTC, default the clock's end.
    """

    endpoint: str
    channel: str
    chaincode: str
    crypto: Path
    zone: str
    cutoff_s: int = Field(default=300, ge=0)
    end_s: int | None = None
    tariff: Path = Field(default_factory=lambda: configs() / "tariffs/kr-2026-06-summer.toml")
    utc_offset_s: int | None = None
    """Of local hours in this run; default the tariff's."""
    effective_from: int | None = None
    """UTC epoch second, a quarter hour; default the earlier of the tariff's own and the day before the run."""
    members: tuple[MemberSettings, ...]
    changes: tuple[ChangeSettings, ...] = ()
    stations: tuple[StationSettings, ...] = ()
    gateways: tuple[GatewaySettings, ...] = ()
    producer: ProducerSettings
    industry: IndustrySettings


def read_settings(path: Path) -> Settings:
    """The settings in a file; raises ConfigError with all its faults."""
    try:
        return Settings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(tuple(f"{path.name}: {fault}" for fault in faults)) from error
