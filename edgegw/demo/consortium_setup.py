"""Set up the consortium before the day: the channel's constants, the members and the drivers' cards.

Decides nothing about the market. Drivers are generated; of each only what a representative would store is stored.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from edgegw.commissioning.market import entered, unnamed
from edgegw.commissioning.representatives import RepresentativeFiles, adopted, founded
from edgegw.commissioning.site import CHAINCODE, CHANNEL
from edgegw.common.member_terms import MemberTerms
from edgegw.common.passwords import hash_random_password
from edgegw.common.pseudonyms import commitment, new_salt
from edgegw.demo.documents import (
    SELLER_PRICE_MIN_MTOK,
    SELLER_SOC_BP_MIN,
    Parties,
    Places,
)
from edgegw.demo.plan import DayPlan, EvsePlan, Visit
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.members import MemberStatus, MemberStore
from edgegw.representative.person_fields import Person

PLAYERS = {
    "ProducerMSP": Person(
        login="producer",
        name="Demo Solar Plant",
        contact="producer@example.org",
        language="en",
        kind="PRODUCER",
    ),
    "IndustryMSP": Person(
        login="industry",
        name="Demo Works",
        contact="industry@example.org",
        language="en",
        kind="INDUSTRY",
    ),
}
"""The person of the producer and of the industry, by organisation, who can log in to their representative's pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The real instant at which the simulated day begins, on both clocks."""

    monotonic_ns: int
    utc_ms: int

    def constants(self, plan: DayPlan) -> dict[str, Any]:
        """Return the channel's constants: the mapping from real to simulated time."""
        time = {
            "real_origin_ms": self.utc_ms,
            "ledger_origin_ms": plan.begin_s * 1000,
            "speed": plan.speed,
        }
        return {"time": time}


@asynccontextmanager
async def client(places: Places, endpoint: str, *, msp_id: str, name: str) -> AsyncIterator[LedgerClient]:
    """Open a client of the run's ledger with one of its identities."""
    signer = load_signer(places.identity(msp_id, name))
    roots = load_trust(places.crypto / "trust.json")
    async with LedgerClient(endpoint, signer, roots, channel=CHANNEL, chaincode=CHAINCODE) as found:
        yield found


def password_hashes(evses: Sequence[EvsePlan]) -> dict[str, str]:
    """Return the password hashes for the daemon's configuration, by charger id."""
    return {evse.charger_id: hash_random_password(evse.password) for evse in evses}


@asynccontextmanager
async def member_store(places: Places) -> AsyncIterator[MemberStore]:
    """Open the representative's member store."""
    key = bytes.fromhex((places.root / "members.key").read_text(encoding="ascii").strip())
    store = MemberStore(places.root / "members.db", key)
    try:
        yield store
    finally:
        store.close()


def enter(
    store: MemberStore,
    visits: Sequence[Visit],
    *,
    producer: Enrolment | None = None,
    industry: Enrolment | None = None,
) -> Parties:
    """Enter the drivers and the station's other members in the store.

    `producer` and `industry` are given if their own representatives have entered them (`played`); otherwise they have
    no store.
    """
    return Parties(
        drivers=tuple(entered(store, f"driver of {visit.id_token}") for visit in visits),
        supplier=entered(store, "the supplier", "SUPPLIER"),
        guest=entered(store, "guest of the producer"),
        guest_moved=commitment(new_salt(), "guest of the producer, who has moved"),
        producer=producer or unnamed("PRODUCER"),
        industry=industry or unnamed("INDUSTRY"),
    )


def played(place: RepresentativeFiles, password: str) -> Enrolment:
    """Enter the producer or the industry in its own representative's store, with that login name and `password`."""
    founded(place)
    return adopted(place, PLAYERS[place.msp_id], password)


async def link(store: MemberStore, visits: Sequence[Visit], parties: Parties) -> None:
    """Activate the drivers, once the ledger has their sign-ups, and link their cards and terms to them."""
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
