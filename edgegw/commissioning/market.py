"""The other organisations of a run: who takes part, and what their process is told.

Decides what a member brings and what every such settings' file says. Of people it keeps what a representative keeps.
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
    """A settings' file but for its members: the way to the ledger, the station, its gateway, its plant."""

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
        """All of it, as the participants' settings are read."""
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
    """A member as the settings list it."""
    return {
        "member_id": enrolment.member_id,
        "kind": enrolment.kind,
        "commitment": enrolment.commitment,
        "dup_tag": enrolment.dup_tag,
        "deposit_mtok": deposit_mtok,
    }


def unnamed(kind: str) -> Enrolment:
    """A member of another organisation, whose representative's store is not ours."""
    return Enrolment(
        member_id=secrets.token_hex(13),
        kind="PRODUCER" if kind == "PRODUCER" else "INDUSTRY",
        commitment=secrets.token_hex(32),
        dup_tag=secrets.token_hex(32),
    )


def entered(store: MemberStore, identity: str, kind: str = "EV") -> Enrolment:
    """A new member of ours, entered in the store."""
    enrolment = store.add(identity, kind="SUPPLIER" if kind == "SUPPLIER" else "EV")
    assert enrolment is not None, "nobody is entered twice"
    return enrolment


def certificate_sha256(identity: Path) -> str:
    """The digest by which a gateway is registered."""
    pem = (identity / "cert.pem").read_bytes()
    return sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()
