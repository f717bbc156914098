"""An office for tests: the real store and the real contract in memory, asked in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.ledger import Unavailable
from edgegw.office import Newcomer, Office, Profile, Refusal
from edgegw.participants.office import LocalOffice
from tests.unit.participants_host import MONDAY_S, MemoryPeer, StepClock

KEY = bytes(range(32))
PASSWORD = "correct horse battery"
SOURCE = "192.0.2.7"


class Cut:
    """A ledger that can be away: before a call reaches it, or after it has done what was asked."""

    def __init__(self, peer: MemoryPeer) -> None:
        self.port = peer.port("EVUserMSP", "representative")
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
    """Two stations' offices over one representative (in one process they are the same), and its world."""

    office: Office
    elsewhere: Office
    local: LocalOffice
    peer: MemoryPeer
    ledger: Cut
    clock: StepClock
    store: Path
    monotonic_s: float = 0.0


@asynccontextmanager
async def local_desk(folder: Path) -> AsyncIterator[Desk]:
    """The representative itself."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("ProducerMSP", "admin").execute("Configure", {"channel": "test"})
    ledger = Cut(peer)
    store = folder / "members.db"
    local = LocalOffice(store, KEY, ledger, now_ns=clock.now_ns, monotonic_s=lambda: desk.monotonic_s)
    desk = Desk(
        office=local, elsewhere=local, local=local, peer=peer, ledger=ledger, clock=clock, store=store
    )  # fmt: skip
    try:
        yield desk
    finally:
        await local.close()


def form(login: str = "jimin", **other: Any) -> Newcomer:
    """A sign-up form; the contact follows from the login."""
    told = {"password": PASSWORD, "name": "김지민", "contact": f"{login}@example.org"} | other
    return Newcomer(login=login, **told)


async def joined(office: Office, login: str = "jimin", **other: Any) -> Profile:
    """A member."""
    profile = await office.sign_up(form(login, **other))
    assert isinstance(profile, Profile), profile
    return profile


def code(answer: object) -> str:
    """Of a refusal; empty where it is none."""
    return answer.code if isinstance(answer, Refusal) else ""
