"""Creates everything for `edgegw init`: secrets, certificates, a sandbox, and last the configuration.

Decides the order: every file exists before the configuration that names it, so that an interrupted run can be repeated and
keeps the secrets it finds. Each file is whole or absent, and a first run that fails removes what it made. Never changes an existing configuration.
"""

import contextlib
import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgegw.commissioning import addresses, market
from edgegw.commissioning.authority import Authority
from edgegw.commissioning.files import SECRET_FILES, Owner, replaced, write_secrets
from edgegw.commissioning.market import Market
from edgegw.commissioning.site import (
    CHAINCODE,
    CHANNEL,
    GATEWAY,
    OwnRepresentativeFiles,
    PeerPlace,
    Site,
)
from edgegw.commissioning.toml import explained, toml
from edgegw.common.bundled_files import configs
from edgegw.common.errors import ConfigError, EdgegwError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.sqlite import is_full
from edgegw.common.units import INTERVAL_S
from edgegw.common.whole_files import WholeFile, write_whole
from edgegw.config.faults import form_faults
from edgegw.config.schema import Config, OcppConfig, load
from edgegw.participants.settings import LOAD, SUN, TARIFF
from edgegw.participants.tariff_file import read_tariff
from edgegw.peer.membership import found
from edgegw.representative.members import MemberStatus, MemberStore
from edgegw.representative.posting_schedule import DAY_S

CONFIG = "edgegw.toml"
PARTICIPANTS = "participants.json"
OPERATOR_HASH = "operator.password"  # a file's name: edgegw operator password writes it
SANDBOX_CARD = "SANDBOX-CARD-1"
SANDBOX_DRIVER = "the sandbox's driver"
DRIVER_DEPOSIT_MTOK = 400_000_000  # 1 MWh at the hold's limit price
INDUSTRY_DEPOSIT_MTOK = 500_000_000
CUTOFF_S = 300
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
SYSTEM_CONFIG = Path("/etc/edgegw")
SYSTEM_DATA = Path("/var/lib/edgegw")
SYSTEM_RUN = Path("/run/edgegw")


class ExistsError(EdgegwError):
    """A configuration exists already."""

    hint = "edit it and run edgegw check --config FILE, or move it away to start over"


class FullDiskError(EdgegwError):
    """The disk has no room for what a station needs."""

    hint = "free disk space, then run edgegw init again; nothing half made is left"


class NoAuthorityError(EdgegwError):
    """The station has no certificate authority of its own."""

    hint = "issue new certificates with the CA that issued these"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The installer's choices. `peer` None: the daemon starts an embedded peer at `endpoint`."""

    folder: Path
    station_id: str
    zone: str
    geohash: str
    host: str
    port: int
    tls_port: int
    public_host: str | None
    plaintext_network: IPv4Network | IPv6Network | None
    endpoint: str
    peer: PeerPlace | None
    sandbox: bool
    health_port: int | None = None
    web_port: int = 8080
    operator_port: int = 8090

    @property
    def system(self) -> bool:
        """Whether this is the system installation, with the folders of the service unit."""
        return self.folder == SYSTEM_CONFIG

    @property
    def data_dir(self) -> Path:
        """The folder of journal, blocks and all other persistent data."""
        return SYSTEM_DATA if self.system else self.folder / "var"

    @property
    def config(self) -> Path:
        """The file of the configuration."""
        return self.folder / CONFIG

    @property
    def crypto(self) -> Path:
        """The folder of the embedded peer's identities."""
        return self.data_dir / "peer" / "crypto"


def install(wishes: Wishes, tell: Callable[[str], None]) -> Config:
    """Create everything and return the configuration; `tell` receives one line per step.

    Raises ExistsError and ConfigError before anything is written, FullDiskError, OSError, JournalError. A first run
    then leaves nothing; a repeat of an interrupted one leaves whole files for the next repeat.
    """
    if wishes.config.exists():
        raise ExistsError(f"{wishes.config} exists already; it is not changed")
    tables = _site(wishes).tables()
    _check(tables)
    with _all_or_nothing(wishes):
        return _made(wishes, tables, tell)


def _made(wishes: Wishes, tables: dict[str, Any], tell: Callable[[str], None]) -> Config:
    wishes.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    wishes.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secrets(wishes.folder)
    tell(f"keys of the station: {wishes.folder}/*.key")
    authority = Authority(folder=wishes.folder / "tls")
    authority.found(wishes.station_id)
    authority.issue(addresses.server_names(addresses.public_host(_ocpp(wishes)), wishes.host))
    tell(f"CA and server certificates: {authority.folder}")
    if wishes.peer is None:
        found(wishes.crypto)
        tell(f"embedded peer with three organisations: {wishes.crypto.parent}")
    if wishes.sandbox:
        _make_sandbox(wishes)
        tell(f"sandbox: {wishes.folder / PARTICIPANTS}")
    owner = Owner.of_daemon() if wishes.system else None
    if owner is not None:
        _hand_over(wishes, owner, authority)
    remarks = explained((configs() / CONFIG).read_text(encoding="utf-8"))
    head = f"# Written by edgegw init for station {wishes.station_id}. All keys: {configs() / CONFIG}\n"
    head += "# Chargers and meters are in conf.d/*.toml beside this file: edgegw charger approve ID\n"
    with replaced(wishes.config, head + toml(tables, remarks), owner=owner) as partial:
        config = load(partial)
    tell(f"configuration: {wishes.config}")
    return config


@contextlib.contextmanager
def _all_or_nothing(wishes: Wishes) -> Iterator[None]:
    """Remove what a failed block made, where nothing of it was there before; never a file that init does not make."""
    store = wishes.data_dir / "members.db"
    made = [
        *(wishes.folder / name for name in (*SECRET_FILES, "tls", "sandbox", PARTICIPANTS)),
        wishes.crypto.parent,
        *(store.with_name(store.name + suffix) for suffix in ("", "-wal", "-shm")),
    ]
    is_first = not any(path.exists() for path in made)
    folders = [
        folder
        for place in (wishes.data_dir, wishes.folder)
        for folder in (place, *place.parents)
        if not folder.exists()
    ]
    try:
        yield
    except BaseException as fault:
        for path in made if is_first else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for folder in folders:
            with contextlib.suppress(OSError):  # not empty, or not made
                folder.rmdir()
        if is_full(fault) or is_full(fault.__cause__):
            raise FullDiskError(
                f"{wishes.folder} or {wishes.data_dir}: {os.strerror(errno.ENOSPC)}"
            ) from fault
        raise


def _check(tables: dict[str, Any]) -> None:
    """Validate the tables of the new configuration; raises ConfigError."""
    try:
        Config.model_validate(tables)
    except ValidationError as error:
        faults = form_faults(error, Config)
        raise ConfigError(tuple(f"{'.'.join(map(str, at))}: {message}" for at, message in faults)) from error


def reissue(place: Path) -> Authority:
    """Issue new server certificates for this machine's present names, under the authority that chargers trust already.

    Raises ConfigError, NoAuthorityError.
    """
    config = load(place)
    tls = config.ocpp.tls
    authority = None if tls is None else Authority(folder=tls.certificate.parent)
    if authority is None or not authority.key.exists():
        raise NoAuthorityError(f"{place}: its certificates were not made by edgegw init")
    authority.issue(addresses.server_names(addresses.public_host(config.ocpp), config.ocpp.host))
    owner = Owner.of_daemon() if place.parent == SYSTEM_CONFIG else None
    if owner is not None:
        owner.take(*authority.server_keys)
    return authority


def _site(wishes: Wishes) -> Site:
    inside = wishes.crypto
    own = PeerPlace(
        endpoint=wishes.endpoint,
        identity=inside / "EVUserMSP" / GATEWAY,
        trust_file=inside / "trust.json",
        own=inside.parent,
    )
    desk = OwnRepresentativeFiles(
        store=wishes.data_dir / "members.db",
        key_file=wishes.folder / "members.key",
        identity=inside / "EVUserMSP" / "representative",
    )
    return Site(
        folder=wishes.folder,
        station_id=wishes.station_id,
        zone=wishes.zone,
        data_dir=wishes.data_dir,
        key_file=wishes.folder / "station.key",
        run_dir=SYSTEM_RUN if wishes.system else None,
        peer=wishes.peer or own,
        ocpp=_ocpp_table(wishes),
        representative=desk if wishes.peer is None else None,
        participants=wishes.folder / PARTICIPANTS if wishes.sandbox else None,
        health={} if wishes.health_port is None else {"port": wishes.health_port},
        web=_web_table(wishes) if wishes.peer is None else {},
        operator={"port": wishes.operator_port, "password_file": OPERATOR_HASH}
        if wishes.peer is None
        else {},
        exchange=inside / "EVUserMSP" / "exchange" if wishes.sandbox else None,
    )


def _web_table(wishes: Wishes) -> dict[str, Any]:
    """Return the table of the drivers' pages, at the chargers' host; beyond loopback with the station's certificate."""
    table: dict[str, Any] = {"port": wishes.web_port, "geohash": wishes.geohash}
    if not addresses.is_loopback(wishes.host):
        table |= {"host": wishes.host, "certificate": "tls/ecdsa.pem", "key_file": "tls/ecdsa.key"}
    return table


def _ocpp(wishes: Wishes) -> OcppConfig:
    return OcppConfig(host=wishes.host, public_host=wishes.public_host)


def _ocpp_table(wishes: Wishes) -> dict[str, Any]:
    table: dict[str, Any] = {"host": wishes.host, "port": wishes.port}
    if wishes.public_host:
        table["public_host"] = wishes.public_host
    networks = [*LOOPBACK_NETWORKS]
    if wishes.plaintext_network is not None:
        networks.append(str(wishes.plaintext_network))
    table["plaintext_networks"] = networks
    table["tls"] = {
        "port": wishes.tls_port,
        "certificate": "tls/ecdsa.pem",
        "key_file": "tls/ecdsa.key",
        "rsa_certificate": "tls/rsa.pem",
        "rsa_key_file": "tls/rsa.key",
    }
    return table


def _make_sandbox(wishes: Wishes) -> None:
    """Create the sandbox's members, its settings file with data, and the driver's card.

    The card is linked now, although the participants sign its member up at their first run: until then the ledger refuses
    a hold. An existing settings file is kept: its members are in the store.
    """
    place = wishes.folder / PARTICIPANTS
    key = bytes.fromhex((wishes.folder / "members.key").read_text(encoding="ascii").strip())
    store = MemberStore(wishes.data_dir / "members.db", key)
    try:
        if not place.exists():
            _copy_data(wishes.folder / "sandbox")
            settings = _sandbox_settings(wishes, store)
            with replaced(place, json.dumps(settings, indent=1) + "\n"):
                pass
        settings = json.loads(place.read_text(encoding="utf-8"))
        for one in settings["members"]:
            store.set_status(one["member_id"], MemberStatus.ACTIVE)
        driver = next(one["member_id"] for one in settings["members"] if one["kind"] == "EV")
        store.link(SANDBOX_CARD, MemberTerms(member_id=driver))
    finally:
        store.close()


def _copy_data(folder: Path) -> None:
    """Copy tariff, sun and load files: data behind the ledger must not change with a newer edgegw."""
    folder.mkdir(exist_ok=True)
    for name in (TARIFF, SUN, LOAD):
        content = (configs() / name).read_bytes()
        write_whole(WholeFile(path=folder / Path(name).name, content=content, mode=0o644))


def _sandbox_settings(wishes: Wishes, store: MemberStore) -> dict[str, Any]:
    begin_s = int(time.time()) // INTERVAL_S * INTERVAL_S
    tariff = read_tariff(configs() / TARIFF)
    own_s = int(tariff.effective_from.timestamp()) // INTERVAL_S * INTERVAL_S
    crypto = wishes.crypto
    base = Market(
        endpoint=wishes.endpoint,
        channel=CHANNEL,
        chaincode=CHAINCODE,
        crypto=str(crypto.relative_to(wishes.folder) if crypto.is_relative_to(wishes.folder) else crypto),
        zone=wishes.zone,
        cutoff_s=CUTOFF_S,
        tariff=f"sandbox/{Path(TARIFF).name}",
        station_id=wishes.station_id,
        geohash=wishes.geohash,
        evses=1,
        gateway_id=GATEWAY,
        certificate_sha256=market.certificate_sha256(crypto / "EVUserMSP" / GATEWAY),
        constants={},
    )
    producer, industry = market.unnamed("PRODUCER"), market.unnamed("INDUSTRY")
    members = [
        market.member(market.entered(store, SANDBOX_DRIVER), DRIVER_DEPOSIT_MTOK),
        market.member(market.entered(store, "the sandbox's supplier", "SUPPLIER")),
        market.member(producer),
        market.member(industry, INDUSTRY_DEPOSIT_MTOK),
    ]
    return base.settings(
        members,
        producer={"member_id": producer.member_id, "sun": f"sandbox/{Path(SUN).name}"},
        industry={"member_id": industry.member_id, "load": f"sandbox/{Path(LOAD).name}"},
    ) | {"begin_s": begin_s, "effective_from": min(own_s, begin_s - DAY_S), "deposits": []}


def _hand_over(wishes: Wishes, owner: Owner, authority: Authority) -> None:
    """Give data and secrets to the daemon and make its configuration readable; root keeps the authority's key."""
    owner.take(wishes.data_dir, *wishes.folder.glob("*.key"), *authority.server_keys)
    parts = wishes.folder / "conf.d"
    parts.mkdir(exist_ok=True)
    owner.may_read(wishes.folder, parts)
    if wishes.sandbox:
        owner.take(wishes.folder / PARTICIPANTS)
