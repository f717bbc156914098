"""Builds the settings file of the participants' process: station, gateway, members and deposits.

Decides what every such file contains. It contains no personal data, only what the ledger stores of a member.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.members import MemberStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The settings without the members: connection to the ledger, station, gateway and constants."""

    endpoint: str
    channel: str
    chaincode: str
    crypto: str
    zone: str
    cutoff_s: int
    tariff: str
    station_id: str
    geohash: str
    evses: int
    gateway_id: str
    certificate_sha256: str
    constants: dict[str, Any]

    def settings(
        self, members: Iterable[dict[str, Any]], *, producer: dict[str, Any], industry: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the whole settings, as `participants.settings` reads them."""
        return {
            "endpoint": self.endpoint,
            "channel": self.channel,
            "chaincode": self.chaincode,
            "crypto": self.crypto,
            "zone": self.zone,
            "cutoff_s": self.cutoff_s,
            "constants": self.constants,
            "tariff": self.tariff,
            "members": list(members),
            "stations": [{"station_id": self.station_id, "geohash": self.geohash, "evses": self.evses}],
            "gateways": [
                {
                    "gateway_id": self.gateway_id,
                    "certificate_sha256": self.certificate_sha256,
                    "stations": [self.station_id],
                }
            ],
            "producer": {"meter_ref": "plant-1", "evidence_key_hex": secrets.token_hex(32)} | producer,
            "industry": industry,
        }


def member(enrolment: Enrolment, deposit_mtok: int = 0) -> dict[str, Any]:
    """Return a member's entry in the settings."""
    return {
        "member_id": enrolment.member_id,
        "kind": enrolment.kind,
        "commitment": enrolment.commitment,
        "dup_tag": enrolment.dup_tag,
        "deposit_mtok": deposit_mtok,
    }


def unnamed(kind: str) -> Enrolment:
    """Return a random enrolment for a member of another organisation, which is in no store here."""
    return Enrolment(
        member_id=secrets.token_hex(13),
        kind="PRODUCER" if kind == "PRODUCER" else "INDUSTRY",
        commitment=secrets.token_hex(32),
        dup_tag=secrets.token_hex(32),
    )


def entered(store: MemberStore, identity: str, kind: str = "EV") -> Enrolment:
    """Add a new member of this organisation to the store."""
    enrolment = store.add(identity, kind="SUPPLIER" if kind == "SUPPLIER" else "EV")
    assert enrolment is not None, "the member exists already"
    return enrolment


def certificate_sha256(identity: Path) -> str:
    """Return the SHA-256 in hex of a gateway's certificate (DER), by which it is registered."""
    pem = (identity / "cert.pem").read_bytes()
    return sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()
