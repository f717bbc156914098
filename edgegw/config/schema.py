"""Validates the configuration: one TOML file and its parts become one frozen tree, or a list of every fault.

Decides which keys exist, their defaults and limits. Never opens a file that a path names, except secrets, and never reads
the environment. Secrets are in files of their own. Chargers and meters may also be in `conf.d/*.toml` beside the file,
where `edgegw charger approve` writes them (`config.files` joins them).
Relative paths start at the folder of the file. Source: `configs/edgegw.toml` documents every key.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from edgegw.common.errors import ConfigError
from edgegw.config.faults import Location, form_faults
from edgegw.config.files import read_parts, read_text

SECRET_BYTES = 32


def _from_config_folder(path: Path, info: ValidationInfo) -> Path:
    return Path(os.path.normpath(info.context["folder"] / path)) if info.context else path


def _register_map(profile: str, info: ValidationInfo) -> str:
    """Resolve a path that ends in .json; any other text is the name of a bundled meter profile."""
    return str(_from_config_folder(Path(profile), info)) if profile.endswith(".json") else profile


def _at_least_one(evses: tuple["EvseConfig", ...]) -> tuple["EvseConfig", ...]:
    if not evses:
        raise ValueError("needs at least one [[chargers.evses]]")
    return evses


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("is not a time zone such as Asia/Seoul") from error
    return name


FilePath = Annotated[Path, AfterValidator(_from_config_folder)]
NAME = r"^[A-Za-z0-9*_=:+|@.-]{1,48}$"  # OCPP's identifier characters
Name = Annotated[str, Field(pattern=NAME)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,252})$|^[0-9A-Fa-f:.]{2,45}$")]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, gt=0)]


class Section(BaseModel):
    """A table of the file: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StationConfig(Section):
    """The station's identity, and the folders of its data."""

    id: Name
    zone: Name
    data_dir: FilePath
    key_file: FilePath
    run_dir: FilePath | None = None
    site_w_max: Positive | None = None


class StorageConfig(Section):
    """How many days without the ledger the disk must hold, and how many backups of the journal are kept."""

    offline_days: Annotated[int, Field(strict=True, ge=1, le=14)] = 7
    backups_kept: Annotated[int, Field(strict=True, ge=1, le=100)] = 5


class TlsConfig(Section):
    """OCPP security profile 2: a TLS port beside the plaintext one. The RSA pair is for chargers without ECDSA."""

    port: Port = 8443
    certificate: FilePath
    key_file: FilePath
    rsa_certificate: FilePath | None = None
    rsa_key_file: FilePath | None = None


class OcppConfig(Section):
    """The OCPP listener, and the networks that may connect without TLS."""

    host: str = "127.0.0.1"
    port: Port = 8887
    public_host: str | None = None
    default_version: Literal["1.6", "2.0.1", "2.1"] = "1.6"
    sample_interval_s: Annotated[int, Field(strict=True, ge=1, le=900)] = 60
    accept_unknown: StrictBool = True
    plaintext_networks: tuple[IPv4Network | IPv6Network, ...] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    tls: TlsConfig | None = None


class EvseConfig(Section):
    """One EVSE of a charger, and the meter that bills it."""

    number: Positive
    id: Name
    meter: Name
    rated_w: Positive
    discharge_w: Count = 0
    standby_w: Count = 5


class ChargerConfig(Section):
    """One charger: its OCPP identity, credentials and EVSEs. `dialect`: how it accepts a discharge limit below OCPP 2.1."""

    id: Name
    password_hash: Annotated[str, Field(pattern=r"^\$argon2id\$\S+$")]
    version: Literal["1.6", "2.0.1", "2.1"] | None = None
    dialect: Literal["negative_limit_w", "negative_limit_a", "none"] = "negative_limit_w"
    evses: Annotated[tuple[EvseConfig, ...], AfterValidator(_at_least_one)]


class MeterConfig(Section):
    """One Modbus meter; `profile` is a file, or the name of a bundled meter profile. `swapped`: import and export are exchanged."""

    id: Name
    profile: Annotated[str, AfterValidator(_register_map)]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 502
    unit: Annotated[int, Field(strict=True, ge=0, le=247)] = 1
    poll_s: Annotated[int, Field(strict=True, ge=1, le=900)] = 60
    swapped: StrictBool = False


class LedgerPlace(Section):
    """The peer, the identity that signs requests to it, and the certificate authorities that its answers are verified with."""

    endpoint: str = "127.0.0.1:7051"
    other_endpoints: tuple[str, ...] = ()
    tls_ca_file: FilePath | None = None
    tls_name: str | None = None
    channel: str = "energych"
    chaincode: str = "token"
    identity: FilePath
    trust_file: FilePath
    cutoff_s: Annotated[int, Field(strict=True, ge=1, le=7200)] = 300


class LedgerConfig(LedgerPlace):
    """The gateway's connection to the ledger."""

    gateway_id: Name


class PeerConfig(Section):
    """The embedded peer, which the daemon starts as a child process; it listens at `ledger.endpoint`."""

    data_dir: FilePath


class SessionConfig(Section):
    """Limits of a session, before the member's own terms."""

    start_answer_s: Annotated[int, Field(strict=True, ge=1, le=60)] = 8
    start_expiry_s: Positive = 900
    hold_wh: Positive = 100_000
    price_mtok_per_kwh_max: Positive = 400_000
    accept_retail: StrictBool = True


class SaleConfig(Section):
    """How a car's energy is sold."""

    guard_s: Annotated[int, Field(strict=True, ge=1, le=300)] = 30
    price_mtok_per_kwh_min: Count = 140_000
    soc_bp_min: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 3_000
    report_lead_s: Positive = 120


class SettlementConfig(Section):
    """How closed lines are submitted to the ledger."""

    lines_per_submission: Annotated[int, Field(strict=True, ge=1, le=100)] = 100
    stale_meter_s: Positive = 600


class RepresentativeConfig(Section):
    """The organisation's representative: in this process (`store`, `key_file`, `identity`), or a server (`url`)."""

    store: FilePath | None = None
    key_file: FilePath | None = None
    identity: FilePath | None = None
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#@]{1,253}$")] | None = None
    ca_file: FilePath | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        beside = {"store": self.store, "key_file": self.key_file, "identity": self.identity}
        elsewhere = {"url": self.url, "ca_file": self.ca_file}
        if any(beside.values()) and any(elsewhere.values()):
            raise ValueError("set either store, key_file and identity, or url and ca_file")
        if any(elsewhere.values()):
            if self.url is None:
                raise ValueError("ca_file needs url")
        elif missing := [name for name, path in beside.items() if path is None]:
            raise ValueError(f"needs {' and '.join(missing)}; or url, if the representative runs elsewhere")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRepresentative:
    """A representative in the gateway's process."""

    store: Path
    key_file: Path
    identity: Path


class ExchangeConfig(Section):
    """The exchange desk, which changes won into tokens and back. The only bank is simulated: for trials, never for real money."""

    identity: FilePath
    store: FilePath
    bank: Literal["simulated"] = "simulated"
    fee_bp: Annotated[int, Field(strict=True, ge=0, le=1_000)] = 0


class SandboxConfig(Section):
    """A child process with the roles of the other organisations: for trials, never for real money."""

    participants: FilePath


class MqttConfig(Section):
    """The broker to which the station publishes. No message from it moves energy or money."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 1883
    username: str | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{1,64}$")] = "edgegw"
    discovery_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{0,64}$")] = "homeassistant"
    price_topic: Annotated[str, Field(pattern=r"^[^#+\x00]{1,128}$")] | None = None


class HealthConfig(Section):
    """The address of /healthz, /readyz, /metrics and /status.json."""

    host: str = "127.0.0.1"
    port: Port = 9464


class ServedConfig(Section):
    """The address of a page server, its accepted host names, and its certificate; without one, plain HTTP."""

    host: str = "127.0.0.1"
    port: Port
    names: tuple[HostName, ...] = ()
    certificate: FilePath | None = None
    key_file: FilePath | None = None


class WebConfig(ServedConfig):
    """The drivers' pages; served where this table exists."""

    port: Port = 8080
    public_host: HostName | None = None
    title: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    time_zone: TimeZone = "Asia/Seoul"
    geohash: Annotated[str, Field(pattern=r"^[0-9b-hjkmnp-z]{0,12}$")] = ""
    presence_required: StrictBool = False
    screens: tuple[IPv4Address | IPv6Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class OperatorConfig(ServedConfig):
    """The operator's pages; served where this table exists."""

    port: Port = 8090
    password_file: FilePath


class LogConfig(Section):
    """Level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"


class Config(Section):
    """The whole configuration."""

    station: StationConfig
    ledger: LedgerConfig
    peer: PeerConfig | None = None
    storage: StorageConfig = StorageConfig()
    ocpp: OcppConfig = OcppConfig()
    chargers: tuple[ChargerConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()
    session: SessionConfig = SessionConfig()
    sale: SaleConfig = SaleConfig()
    settlement: SettlementConfig = SettlementConfig()
    representative: RepresentativeConfig | None = None
    exchange: ExchangeConfig | None = None
    sandbox: SandboxConfig | None = None
    mqtt: MqttConfig | None = None
    health: HealthConfig = HealthConfig()
    web: WebConfig | None = None
    operator: OperatorConfig | None = None
    log: LogConfig = LogConfig()

    @property
    def journal_path(self) -> Path:
        """The file of the station's journal."""
        return self.station.data_dir / "station.db"

    @property
    def own_representative(self) -> OwnRepresentative | None:
        """The representative in this process; None: it is a server, or there is none."""
        place = self.representative
        if place is None or place.store is None or place.key_file is None or place.identity is None:
            return None
        return OwnRepresentative(store=place.store, key_file=place.key_file, identity=place.identity)

    @property
    def run_dir(self) -> Path:
        """The folder of the control socket and of files that a restart may lose; by default the data folder."""
        return self.station.run_dir or self.station.data_dir


def load(path: Path) -> Config:
    """Read and validate a configuration file and its parts.

    Raises ConfigError with every fault, each as `file:line: key: message`.
    """
    parts = read_parts(path)
    faults = list(_reference_faults(parts.tree))
    try:
        config = Config.model_validate(parts.tree, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults = [*form_faults(error, Config), *faults]
    else:
        if not faults and not parts.faults:
            return config
    raise ConfigError((*parts.faults, *(parts.fault_line(location, message) for location, message in faults)))


def read_secret(path: Path) -> bytes:
    """Return a secret of 32 bytes, stored as hex in a file of mode 0600; raises ConfigError."""
    text = _read_private(path)
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * SECRET_BYTES}}}", text):
        raise ConfigError(
            (f"{path}: expected {2 * SECRET_BYTES} hexadecimal digits (openssl rand -hex {SECRET_BYTES})",)
        )
    return bytes.fromhex(text)


def read_password(path: Path) -> str:
    """Return a password, stored as one line in a file of mode 0600; raises ConfigError."""
    text = _read_private(path)
    if not text or not text.isprintable():
        raise ConfigError((f"{path}: expected one line with the password",))
    return text


def _read_private(path: Path) -> str:
    text = read_text(path).strip()
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError((f"{path}: mode {mode:04o}, expected 0600: chmod 600 {path}",))
    return text


def _reference_faults(raw: Mapping[str, object]) -> Iterator[tuple[Location, str]]:
    """Yield the faults between keys, such as repeated and unknown names; accepts a tree of any shape."""
    for *path, kind in (
        ("chargers", "*", "id", "charger"),
        ("chargers", "*", "evses", "*", "id", "EVSE"),
        ("meters", "*", "id", "meter"),
    ):
        names = dict(_values(raw, *path))
        repeated = {name for name, count in Counter(names.values()).items() if count > 1}
        yield from (
            (at, f"{kind} {name!r} is named more than once") for at, name in names.items() if name in repeated
        )
    ocpp = raw.get("ocpp")
    tls = ocpp.get("tls") if isinstance(ocpp, Mapping) else None
    if isinstance(ocpp, Mapping) and isinstance(tls, Mapping):
        port = ocpp.get("port", OcppConfig.model_fields["port"].default)
        if port and port == tls.get("port", TlsConfig.model_fields["port"].default):
            yield ("ocpp", "tls", "port"), f"{port} is ocpp.port already; set another port for TLS"
    yield from _half_pairs(raw)
    yield from _unrepresented(raw)
    meters = {name for _, name in _values(raw, "meters", "*", "id")}
    serving: dict[str, Location] = {}
    for location, name in _values(raw, "chargers", "*", "evses", "*", "meter"):
        if name not in meters:
            yield location, f"no [[meters]] has the id {name!r}"
        elif serving.setdefault(name, location) != location:
            yield location, f"meter {name!r} bills another EVSE already"


def _half_pairs(raw: Mapping[str, object]) -> Iterator[tuple[Location, str]]:
    """Yield page servers that have only one of certificate and key."""
    for name in ("web", "operator"):
        table = raw.get(name)
        given = {key for key in ("certificate", "key_file") if isinstance(table, Mapping) and key in table}
        if len(given) == 1:
            yield (name, *given), "set both certificate and key_file, or neither"


def _unrepresented(raw: Mapping[str, object]) -> Iterator[tuple[Location, str]]:
    """Yield page servers without a representative, which knows the members, and an exchange beside a remote representative."""
    service = raw.get("representative")
    if service is None:
        for name in ("web", "operator", "exchange"):
            if name in raw:
                yield (name,), "needs [representative]"
    elif "exchange" in raw and isinstance(service, Mapping) and "url" in service:
        yield ("exchange",), "configure it at the representative of representative.url"


def _values(node: object, *path: str, at: Location = ()) -> Iterator[tuple[Location, str]]:
    """Yield the strings at a path, with their locations; "*" in the path matches every element of a list."""
    if not path:
        if isinstance(node, str):
            yield at, node
    elif path[0] == "*" and isinstance(node, list):
        for index, element in enumerate(node):
            yield from _values(element, *path[1:], at=(*at, index))
    elif isinstance(node, dict) and path[0] in node:
        yield from _values(node[path[0]], *path[1:], at=(*at, path[0]))
