"""Validates the settings of the participants' process: one JSON file; reports every fault at once.

Names end in their units; relative paths start at the folder of the file.
Source: DECISIONS.md, 13 (pydantic in configuration only).
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from edgegw.common.bundled_files import configs
from edgegw.common.errors import ConfigError
from edgegw.common.trade_terms import PRODUCTS, Product
from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.ledger_role import StationListing
from edgegw.representative.token_issuance import Deposit

PERFORMANCE_BP = 8_500
SUN = "scenarios/data/tmy3_723170_june_week_ghi.csv"
LOAD = "scenarios/data/bdew_g25_july_workday_15min.csv"
TARIFF = "tariffs/kr-2026-06-summer.toml"


def _from_settings_folder(path: Path, info: ValidationInfo) -> Path:
    return Path(os.path.normpath(info.context["folder"] / path)) if info.context else path


FilePath = Annotated[Path, AfterValidator(_from_settings_folder)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemberSettings(_Table):
    """A member to sign up, and its first deposit (0: none)."""

    member_id: str
    kind: Literal["PRODUCER", "EV", "SUPPLIER", "INDUSTRY"]
    commitment: str
    dup_tag: str
    deposit_mtok: int = Field(default=0, ge=0)
    deposit_ref: str | None = None

    @property
    def enrolment(self) -> Enrolment:
        """What the ledger stores of the member."""
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
    products: tuple[Product, ...] = PRODUCTS

    @property
    def station(self) -> StationListing:
        """What the ledger stores of the station."""
        return StationListing(
            station_id=self.station_id, geohash=self.geohash, evses=self.evses, products=self.products
        )


class GatewaySettings(_Table):
    """A gateway to register, by the hex SHA-256 of its certificate (DER)."""

    gateway_id: str
    certificate_sha256: str
    stations: tuple[str, ...]


class WallBoxSettings(_Table):
    """The producer's own EVSE; `gateway_id` must be registered, `buyer_id` is an EV member with tokens."""

    buyer_id: str
    gateway_id: str
    meter_ref: str
    epoch: int = 0
    rated_w: int = Field(default=11_000, gt=0)
    energy_wh: int = Field(default=2_000, gt=0)


class ProducerSettings(_Table):
    """The solar plant and its wall box (None: no direct sale)."""

    member_id: str
    meter_ref: str
    evidence_key_hex: str
    epoch: int = 0
    peak_w: int = Field(default=300_000, gt=0)
    performance_bp: int = Field(default=PERFORMANCE_BP, gt=0, le=10_000)
    wall_box: WallBoxSettings | None = None
    sun: FilePath = Field(default_factory=lambda: configs() / SUN)


class IndustrySettings(_Table):
    """The industrial complex: its yearly consumption, and the tokens of each bid."""

    member_id: str
    annual_mwh: int = Field(default=500, gt=0)
    offer_mtok: int = Field(default=50_000_000, gt=0)
    load: FilePath = Field(default_factory=lambda: configs() / LOAD)


class DepositSettings(_Table):
    """A further deposit of a member, who may be signed up elsewhere; its reference mints once."""

    member_id: str
    amount_mtok: int = Field(gt=0)
    ref: str


class TimeSettings(_Table):
    """How the ledger of a sandbox maps real time to simulated time."""

    real_origin_ms: int
    ledger_origin_ms: int
    speed: int = Field(ge=1)


class ConstantsSettings(_Table):
    """The channel's constants beside its cut-off; the role `representative` writes them once."""

    time: TimeSettings | None = None


class Settings(_Table):
    """The whole file.

    `end_s`: UTC epoch second; default the clock's end, or none. `constants` absent: another process writes them.
    """

    endpoint: str
    tls_ca_file: FilePath | None = None
    """CA certificate of the peer's server; absent: no TLS, for loopback."""
    channel: str
    chaincode: str
    crypto: FilePath
    zone: str
    cutoff_s: int = Field(default=300, ge=0)
    constants: ConstantsSettings | None = None
    begin_s: int | None = None
    """Start (UTC epoch seconds) of the quarter hour in which the plant's register was zero; default the clock's origin, or now."""
    end_s: int | None = None
    tariff: FilePath = Field(default_factory=lambda: configs() / TARIFF)
    utc_offset_s: int | None = None
    """UTC offset of local hours in this run; default the tariff's."""
    effective_from: int | None = None
    """UTC epoch second of a quarter hour; default the earlier of the tariff's own date and the day before the run."""
    members: tuple[MemberSettings, ...]
    deposits: tuple[DepositSettings, ...] = ()
    changes: tuple[ChangeSettings, ...] = ()
    stations: tuple[StationSettings, ...] = ()
    gateways: tuple[GatewaySettings, ...] = ()
    producer: ProducerSettings
    industry: IndustrySettings

    @property
    def all_deposits(self) -> tuple[Deposit, ...]:
        """The first deposits of members, and the further deposits."""
        brought = (
            Deposit(
                member_id=member.member_id,
                amount_mtok=member.deposit_mtok,
                ref=member.deposit_ref or f"deposit:{member.member_id}:1",
            )
            for member in self.members
            if member.deposit_mtok
        )
        listed = (
            Deposit(member_id=one.member_id, amount_mtok=one.amount_mtok, ref=one.ref)
            for one in self.deposits
        )
        return (*brought, *listed)


def read_settings(path: Path) -> Settings:
    """Read and validate the settings; raises ConfigError with every fault."""
    try:
        return Settings.model_validate_json(path.read_bytes(), context={"folder": path.absolute().parent})
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror}",)) from error
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(tuple(f"{path.name}: {fault}" for fault in faults)) from error
