"""The consortium before the day: the channel's constants, who takes part, and the drivers' cards.

Decides nothing about the market. Drivers are made up; of each only what a representative would keep is kept.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import argon2
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgegw.core.events import MemberTerms
from edgegw.demo.documents import (
    CHAINCODE,
    CHANNEL,
    GATEWAY,
    SELLER_PRICE_MIN_MTOK,
    SELLER_SOC_BP_MIN,
    Parties,
    Places,
)
from edgegw.demo.plan import DayPlan, EvsePlan, Visit
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.participants.accounts import Enrolment
from edgegw.participants.members import MemberStatus, MemberStore
from edgegw.pseudonyms import commitment, new_salt

# The passwords are 80 random bits and live for one run: nobody has to be slowed down.
_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The real instant at which the simulated day begins, on both clocks."""

    monotonic_ns: int
    utc_ms: int


@asynccontextmanager
async def client(places: Places, endpoint: str, *, msp_id: str, name: str) -> AsyncIterator[LedgerClient]:
    """A client of the run's ledger with one of its identities."""
    signer = load_signer(places.identity(msp_id, name))
    roots = load_trust(places.crypto / "trust.json")
    async with LedgerClient(endpoint, signer, roots, channel=CHANNEL, chaincode=CHAINCODE) as found:
        yield found


async def configure(plan: DayPlan, places: Places, *, endpoint: str, origin: Origin) -> None:
    """Write the channel's constants, the accelerated day's time mapping among them."""
    time = {
        "realOriginMs": origin.utc_ms,
        "ledgerOriginMs": plan.begin_s * 1000,
        "speed": plan.speed,
    }
    async with client(places, endpoint, msp_id="EVUserMSP", name="admin") as admin:
        await admin.execute("Configure", {"channel": CHANNEL, "cutoffS": plan.cutoff_s, "time": time})


def write_secrets(places: Places) -> None:
    """Fresh secrets of the station and of the representative."""
    for name in ("station.key", "members.key"):
        write_private(places.root / name, secrets.token_hex(32) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def password_hashes(evses: Sequence[EvsePlan]) -> dict[str, str]:
    """What the daemon keeps of the chargers' passwords."""
    return {evse.charger_id: _HASHER.hash(evse.password) for evse in evses}


def certificate_sha256(places: Places) -> str:
    """The digest by which the gateway is registered."""
    pem = (places.identity("EVUserMSP", GATEWAY) / "cert.pem").read_bytes()
    return sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()


@asynccontextmanager
async def member_store(places: Places) -> AsyncIterator[MemberStore]:
    """The representative's store."""
    key = bytes.fromhex((places.root / "members.key").read_text(encoding="ascii").strip())
    store = MemberStore(places.root / "members.db", key)
    try:
        yield store
    finally:
        store.close()


def enter(store: MemberStore, visits: Sequence[Visit]) -> Parties:
    """Enter the drivers and the station's other members; the other organisations' members come without a store."""

    def added(identity: str, kind: str = "EV") -> Enrolment:
        enrolment = store.add(identity, kind="SUPPLIER" if kind == "SUPPLIER" else "EV")
        assert enrolment is not None
        return enrolment

    return Parties(
        drivers=tuple(added(f"driver of {visit.id_token}") for visit in visits),
        supplier=added("the supplier", "SUPPLIER"),
        guest=added("guest of the producer"),
        guest_moved=commitment(new_salt(), "guest of the producer, who has moved"),
        producer=_stranger("PRODUCER"),
        plant_key_hex=secrets.token_hex(32),
        industry=_stranger("INDUSTRY"),
    )


def _stranger(kind: str) -> Enrolment:
    return Enrolment(
        member_id=secrets.token_hex(13),
        kind="PRODUCER" if kind == "PRODUCER" else "INDUSTRY",
        commitment=secrets.token_hex(32),
        dup_tag=secrets.token_hex(32),
    )


async def link(store: MemberStore, visits: Sequence[Visit], parties: Parties) -> None:
    """The ledger took the sign-ups: activate the drivers and let their cards lead to them, on their terms."""
    for visit, driver in zip(visits, parties.drivers, strict=True):
        store.set_status(driver.member_id, MemberStatus.ACTIVE)
        store.link(visit.id_token, _terms(visit, driver.member_id))
        await asyncio.sleep(0)


def _terms(visit: Visit, member_id: str) -> MemberTerms:
    return MemberTerms(
        member_id=member_id,
        sells=visit.sells,
        price_mtok_per_kwh_min=SELLER_PRICE_MIN_MTOK,
        soc_bp_min=SELLER_SOC_BP_MIN,
        battery_wh=visit.capacity_wh,
    )
