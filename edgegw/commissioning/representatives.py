"""Representatives on their own for trying out: the file of each (`edgegw representative`), and members who can log in.

Decides where such a representative keeps its store and keys, and that whoever is entered here is known by a person's own
login. What stands on the ledger is signed up by whoever is given the enrolment.
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
"""The one identity of an embedded network that may mint and burn, whoever's member it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepresentativeFiles:
    """One organisation's representative on this machine: everything of it lies in `folder`, named after the organisation."""

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
        """How its files begin: producer, industry, evuser."""
        return self.msp_id.removesuffix("MSP").lower()

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / f"{self.name}.toml"

    @property
    def store(self) -> Path:
        """Who is who."""
        return self.folder / f"{self.name}-members.db"

    @property
    def key_file(self) -> Path:
        """Its secret, of which the pages' own is derived."""
        return self.folder / f"{self.name}-members.key"

    @property
    def exchange_store(self) -> Path:
        """Its exchanges on their way."""
        return self.folder / f"{self.name}-exchange.db"


def representative_document(place: RepresentativeFiles) -> str:
    """The representative's file, with pages and a simulated exchange, as TOML."""
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
                "gateways": [GATEWAY],  # heard only where it is of this organisation
            },
            "listen": {"port": place.listen_port},
            "ledger": ledger,
            "web": web,
            "exchange": {"identity": str(place.crypto / EXCHANGE), "store": str(place.exchange_store)},
            "log": {"format": "json"},
        }
    )


def founded(place: RepresentativeFiles) -> None:
    """Its folder, its secret where it has none yet, and its file."""
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not place.key_file.exists():
        write_private(place.key_file, secrets.token_hex(32) + "\n")
    write_private(place.config, representative_document(place))


def adopted(place: RepresentativeFiles, person: Person, password: str) -> Enrolment:
    """Enter a person who can log in from then on; whoever is given the enrolment signs it up on the ledger.

    The same person with the same password gives the same enrolment again. Until the sign-up its pages say that the
    representative cannot be asked. Raises ConfigError, JournalError.
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
