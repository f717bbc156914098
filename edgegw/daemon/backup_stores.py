"""The stores of a station as its configuration names them, for backups: which there are, which key opens which.

Decides the order of copying: the journal and the exchange name members, so the members' store comes after both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.error_codes import explained
from edgegw.common.errors import ConfigError, JournalError
from edgegw.config.schema import Config, read_secret
from edgegw.daemon.representative_link import LINKS_FILE
from edgegw.representative.exchange_store import EXCHANGES
from edgegw.representative.logins import require_opens
from edgegw.representative.members import MEMBERS
from edgegw.representative.station_client import require_links
from edgegw.store.bundles import DatabaseStore, KeyFile, SealedFile, Stores
from edgegw.store.hash_chain import require_chain
from edgegw.store.migrations import JOURNAL
from edgegw.store.security_profiles import CHARGERS_FILE, PROFILES

_STATION, _MEMBERS = "station", "members"


def stores_of(config: Config, *, config_path: Path) -> Stores:
    """All stores, whether or not their files exist. A key that cannot be read is part of the answer, not a fault."""
    data_dir, own = config.station.data_dir, config.own_representative
    keys = {_STATION: _key(config.station.key_file)}
    databases = {
        config.journal_path.name: DatabaseStore(
            path=config.journal_path, schema=JOURNAL, verify=require_chain, key=_STATION
        ),
    }
    if config.exchange is not None:
        databases["exchange.db"] = DatabaseStore(
            path=config.exchange.store, schema=EXCHANGES, verify=_nothing_sealed
        )
    if own is not None:
        keys[_MEMBERS] = _key(own.key_file)
        databases["members.db"] = DatabaseStore(
            path=own.store, schema=MEMBERS, verify=_opens(keys[_MEMBERS]), key=_MEMBERS
        )
    databases[CHARGERS_FILE] = DatabaseStore(
        path=data_dir / CHARGERS_FILE, schema=PROFILES, verify=_nothing_sealed, keeps_present=True
    )
    sealed: dict[str, SealedFile] = {}
    if config.representative is not None and config.representative.url is not None:
        sealed[LINKS_FILE] = SealedFile(path=data_dir / LINKS_FILE, verify=require_links, key=_STATION)
    if config.operator is not None:
        sealed["operator.password"] = SealedFile(
            path=config.operator.password_file, verify=_require_line, key=_STATION
        )
    return Stores(
        station_id=config.station.id,
        databases=databases,
        sealed=sealed,
        keys=keys,
        apart=[config_path, *_apart(config)],
    )


def _apart(config: Config) -> Iterator[Path]:
    """Secrets of the configuration that open no store, and still are needed to run."""
    yield config.ledger.identity
    if config.own_representative is not None:
        yield config.own_representative.identity
    if config.exchange is not None:
        yield config.exchange.identity
    if config.peer is not None:
        yield config.peer.data_dir
    if config.sandbox is not None:
        yield config.sandbox.participants
    tls = config.ocpp.tls
    for served in (tls, config.web, config.operator):
        if served is not None and served.key_file is not None:
            yield served.key_file
    if tls is not None and tls.rsa_key_file is not None:
        yield tls.rsa_key_file
    if config.mqtt is not None and config.mqtt.password_file is not None:
        yield config.mqtt.password_file


def _key(path: Path) -> KeyFile:
    try:
        return KeyFile(path=path, secret=read_secret(path))
    except ConfigError as fault:
        return KeyFile(path=path, secret=None, fault=str(fault))


def _opens(key: KeyFile) -> Callable[[Database], None]:
    """Open a value of each kind with the key; without one, only what is not sealed is checked."""

    def verify(db: Database) -> None:
        if key.secret is None:
            return
        try:
            require_opens(db, key=key.secret)
        except JournalError as fault:
            raise JournalError(explained("EGW-5006", f"{key.path}: {fault}")) from fault

    return verify


def _nothing_sealed(_db: Database) -> None:
    """No value in it is encrypted."""


def _require_line(content: bytes) -> None:
    """One line of text, as `edgegw operator password` writes it."""
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as fault:
        raise JournalError("operator.password: not a line of text") from fault
    if not text or not text.isprintable():
        raise JournalError("operator.password: not a line of text")
