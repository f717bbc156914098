"""Run the real representative over a store and the contract in memory, in this process or behind TLS."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.ledger import Unavailable
from edgegw.ledger.identity import Signer, load_signer, load_trust
from edgegw.ledger.request_signing import Callers
from edgegw.peer import membership
from edgegw.ports.representative import (
    Kind,
    Newcomer,
    Profile,
    RefusedRequest,
    Representative,
)
from edgegw.representative.client import RepresentativeClient, ServerConnection
from edgegw.representative.server import LinkBoard, Listening, RepresentativeServer, served
from edgegw.representative.service import RepresentativeService
from tests.support.certificates import Authority
from tests.support.participants_host import MONDAY_S, MemoryPeer, StepClock

KEY = bytes(range(32))
PASSWORD = "correct horse battery"
SOURCE = "192.0.2.7"


class Cut:
    """A ledger that can fail before a call reaches it, or after it has executed the call."""

    def __init__(self, peer: MemoryPeer, msp_id: str) -> None:
        self.port = peer.port(msp_id, "representative")
        self.away_before = self.away_after = False

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        if self.away_before:
            raise Unavailable("no peer")
        return await self.port.evaluate(function, args)

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        if self.away_before:
            raise Unavailable("no peer")
        done = await self.port.execute(function, args)
        if self.away_after:
            raise Unavailable("no answer")
        return done


@dataclass(kw_only=True)
class Desk:
    """One representative as two stations use it (in one process it is the same object), and its surroundings."""

    representative: Representative
    elsewhere: Representative
    local: RepresentativeService
    peer: MemoryPeer
    ledger: Cut
    clock: StepClock
    store: Path
    monotonic_s: float = 0.0


@asynccontextmanager
async def local_desk(folder: Path, *, msp_id: str = "EVUserMSP", kind: Kind = "EV") -> AsyncIterator[Desk]:
    """Run the representative in this process."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("ProducerMSP", "admin").execute("Configure", {"channel": "test"})
    ledger = Cut(peer, msp_id)
    store = folder / "members.db"
    local = RepresentativeService(
        store, KEY, ledger, now_ns=clock.now_ns, monotonic_s=lambda: desk.monotonic_s, kinds=(kind,)
    )
    desk = Desk(
        representative=local, elsewhere=local, local=local, peer=peer, ledger=ledger, clock=clock, store=store
    )  # fmt: skip
    try:
        yield desk
    finally:
        await local.close()


def form(login: str = "jimin", **other: Any) -> Newcomer:
    """Return a sign-up form; the contact follows from the login."""
    told = {"password": PASSWORD, "name": "김지민", "contact": f"{login}@example.org"} | other
    return Newcomer(login=login, **told)


async def joined(representative: Representative, login: str = "jimin", **other: Any) -> Profile:
    """Sign up a member and return the profile."""
    profile = await representative.sign_up(form(login, **other))
    assert isinstance(profile, Profile), profile
    return profile


def code(answer: object) -> str:
    """Return a refusal's code; empty for any other answer."""
    return answer.code if isinstance(answer, RefusedRequest) else ""


@dataclass(kw_only=True)
class Served:
    """A representative's server on a loopback port, and what its stations need to connect."""

    desk: Desk
    url: str
    crypto: Path
    ca_file: Path
    reports: list[tuple[str, int, int, str]]
    logged: list[Mapping[str, object]]

    def signer(self, member: str = "EVUserMSP/gateway1") -> Signer:
        """Return an identity of the network."""
        return load_signer(self.crypto / member)

    def way(self, member: str = "EVUserMSP/gateway1") -> ServerConnection:
        """Return a station's connection settings, with the server's authority pinned."""
        return ServerConnection(self.url, self.signer(member), ca_file=self.ca_file)


@asynccontextmanager
async def served_desk(folder: Path) -> AsyncIterator[Served]:
    """Serve the representative to two stations over TLS, each with its own identity."""
    crypto = folder / "crypto"
    membership.found(crypto)
    for name in ("gateway2", "gateway3"):
        enrolment = membership.Enrolment(msp_id="EVUserMSP", name=name, role="gateway", gateway=name)
        membership.enrol(crypto, enrolment)
    foreign = membership.Enrolment(msp_id="IndustryMSP", name="gateway1", role="gateway", gateway="gateway1")
    membership.enrol(crypto, foreign)
    authority = Authority(folder)
    pair = authority.issue("server")
    async with local_desk(folder) as desk:
        reports: list[tuple[str, int, int, str]] = []
        logged: list[Mapping[str, object]] = []
        server = RepresentativeServer(
            desk.local,
            LinkBoard(desk.local, wait_s=0.2),
            Callers(load_trust(crypto / "trust.json"), "EVUserMSP", ("gateway1", "gateway2")),
            report=lambda *told: reports.append(told),
            now_ns=desk.clock.now_ns,
            log=lambda _, fields: logged.append(fields),
        )
        place = Listening(host="127.0.0.1", port=0, certificate=pair.certificate, key_file=pair.key_file)
        async with served(server.app, place) as port:
            found = Served(
                desk=desk,
                url=f"https://127.0.0.1:{port}",
                crypto=crypto,
                ca_file=authority.ca_file,
                reports=reports,
                logged=logged,
            )
            desk.representative, desk.elsewhere = (
                RepresentativeClient(found.way(f"EVUserMSP/{name}")) for name in ("gateway1", "gateway2")
            )
            yield found
