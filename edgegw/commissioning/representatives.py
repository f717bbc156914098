"""Creates representative processes for trials: the configuration of each (`edgegw representative`), and members with logins.

Decides where a representative keeps its store and keys. The caller signs an added member up on the ledger with the returned
enrolment.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.commissioning.files import write_private
from edgegw.commissioning.site import CHAINCODE, CHANNEL, GATEWAY, ZONE
from edgegw.commissioning.toml import toml
from edgegw.common.errors import ConfigError
from edgegw.common.passwords import hash_password, password_fits
from edgegw.config.schema import read_secret
from edgegw.ports.representative import RefusalCode
from edgegw.representative.ledger_accounts import KIND_MSP, Enrolment
from edgegw.representative.logins import LoginStore
from edgegw.representative.members import MemberStatus
from edgegw.representative.person_fields import Person, fault_of, password_fault

EXCHANGE = Path("EVUserMSP") / "exchange"
"""The only identity of an embedded network that may mint and burn, for the members of every organisation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentativeFiles:
    """The files of one organisation's representative: all in `folder`, named after the organisation."""

    folder: Path
    msp_id: str
    crypto: Path
    endpoint: str
    zone: str = ZONE
    channel: str = CHANNEL
    chaincode: str = CHAINCODE
    cutoff_s: int | None = None
    listen_port: int = 0
    web_port: int = 0
    title: str | None = None

    @property
    def name(self) -> str:
        """The prefix of its files: producer, industry, evuser."""
        return self.msp_id.removesuffix("MSP").lower()

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / f"{self.name}.toml"

    @property
    def store(self) -> Path:
        """The member store."""
        return self.folder / f"{self.name}-members.db"

    @property
    def key_file(self) -> Path:
        """The organisation's secret, from which the pages' secret is derived."""
        return self.folder / f"{self.name}-members.key"

    @property
    def exchange_store(self) -> Path:
        """The store of the currency exchange."""
        return self.folder / f"{self.name}-exchange.db"


def representative_document(place: RepresentativeFiles) -> str:
    """Return the representative's configuration as TOML, with pages and a simulated exchange."""
    ledger: dict[str, Any] = {
        "endpoint": place.endpoint,
        "channel": place.channel,
        "chaincode": place.chaincode,
        "identity": str(place.crypto / place.msp_id / "representative"),
        "trust_file": str(place.crypto / "trust.json"),
    }
    if place.cutoff_s is not None:
        ledger["cutoff_s"] = place.cutoff_s
    web: dict[str, Any] = {"port": place.web_port}
    if place.title is not None:
        web["title"] = place.title
    return toml(
        {
            "representative": {
                "store": str(place.store),
                "key_file": str(place.key_file),
                "zone": place.zone,
                "gateways": [GATEWAY],  # accepted only if it belongs to this organisation
            },
            "listen": {"port": place.listen_port},
            "ledger": ledger,
            "web": web,
            "exchange": {"identity": str(place.crypto / EXCHANGE), "store": str(place.exchange_store)},
            "log": {"format": "json"},
        }
    )


def founded(place: RepresentativeFiles) -> None:
    """Create the folder, the secret unless it exists, and the configuration."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not place.key_file.exists():
        write_private(place.key_file, secrets.token_hex(32) + "\n")
    write_private(place.config, representative_document(place))


def adopted(place: RepresentativeFiles, person: Person, password: str) -> Enrolment:
    """Add a person with a login and return the enrolment, which the caller signs up on the ledger.

    A repeat with the same password returns the same enrolment. Until the sign-up, pages that need the ledger fail for this
    member. Raises ConfigError, JournalError.
    """
    fault = fault_of(person) or password_fault(password, person.login)
    if fault is not None:
        raise ConfigError((f"{place.msp_id}: {person.login}: {fault.code} {fault.detail}",))
    if KIND_MSP[person.kind] != place.msp_id:
        raise ConfigError((f"{place.msp_id} has no members of the kind {person.kind}",))
    store = LoginStore(place.store, read_secret(place.key_file))
    try:
        entered = store.enter(person, hash_password(password))
        if isinstance(entered, RefusalCode):
            raise ConfigError((f"{place.store}: {person.login}: {entered}",))
        if not entered.same_login or not password_fits(entered.password_hash, password):
            raise ConfigError((f"{place.store}: {person.login}: {RefusalCode.DUPLICATE_MEMBER}",))
        if entered.status is MemberStatus.NEW:
            store.set_status(entered.enrolment.member_id, MemberStatus.ACTIVE)
        return entered.enrolment
    finally:
        store.close()
