"""The EV users' representative: last report per gateway, posted at once, coalesced; too late is counted."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edgegw.ledger import BusinessRefusal, Unavailable
from edgegw.representative.ledger_accounts import Enrolment, sign_up
from edgegw.representative.ledger_role import RepresentativeRole, StationListing
from edgegw.representative.posting_schedule import Schedule
from tests.support.participants_host import MONDAY_S, ZONE, MemoryPeer, StepClock, settle
from tests.support.patience import PATIENCE_S

INTERVAL = MONDAY_S + 3600


class Gate:
    """LedgerPort that holds every call until it is let through, and can be out of reach."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.open = asyncio.Event()
        self.away = False
        self.running = 0
        self.most_at_once = 0

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        self.calls.append((function, args))
        await self.open.wait()
        self.running -= 1
        if self.away:
            raise Unavailable("no peer")
        return {}


def representative(ledger: Any, clock: StepClock) -> RepresentativeRole:
    return RepresentativeRole(
        ledger, zone=ZONE, schedule=Schedule(clock=clock, cutoff_s=300, end_s=MONDAY_S + 86_400)
    )


async def test_reports_coalesce_while_one_post_is_in_flight() -> None:
    """However many reports come in while a post is under way, one more post with the last sum follows."""
    gate = Gate()
    ev_users = representative(gate, StepClock(MONDAY_S))
    posting = asyncio.create_task(ev_users.run())
    ev_users.report("CHARGE", INTERVAL, 1_000, gateway_id="a")
    await settle()
    for energy_wh in range(2_000, 3_000, 10):
        ev_users.report("CHARGE", INTERVAL, energy_wh, gateway_id="a")
        ev_users.report("CHARGE", INTERVAL, 500, gateway_id="b")
    await settle()
    assert gate.most_at_once == 1
    gate.open.set()
    await settle()
    assert [args["wh"] for _, args in gate.calls] == ["1000", "3490"]
    assert ev_users.counts == {"posted": 2}
    posting.cancel()


async def test_products_do_not_wait_for_each_other() -> None:
    """One post per product may be in flight: a slow one of charging does not hold back discharging."""
    gate = Gate()
    ev_users = representative(gate, StepClock(MONDAY_S))
    posting = asyncio.create_task(ev_users.run())
    ev_users.report("CHARGE", INTERVAL, 1)
    ev_users.report("DISCHARGE", INTERVAL, 2)
    await settle()
    assert gate.most_at_once == 2
    posting.cancel()


async def test_the_same_report_again_posts_nothing() -> None:
    """A gateway that repeats itself costs no transaction; zero after something is something new."""
    gate = Gate()
    gate.open.set()
    ev_users = representative(gate, StepClock(MONDAY_S))
    posting = asyncio.create_task(ev_users.run())
    for energy_wh in (700, 700, 0):
        ev_users.report("CHARGE", INTERVAL, energy_wh)
        await settle()
    assert [args["wh"] for _, args in gate.calls] == ["700", "0"]
    posting.cancel()


async def test_a_late_report_is_counted_never_an_error() -> None:
    """A report after the cut-off changes nothing and is counted, also if it came too late by waiting."""
    gate = Gate()
    clock = StepClock(MONDAY_S)
    ev_users = representative(gate, clock)
    posting = asyncio.create_task(ev_users.run())
    ev_users.report("CHARGE", INTERVAL, 1)
    await settle()
    ev_users.report("CHARGE", INTERVAL, 2)  # waits behind the first
    await clock.advance_to(INTERVAL - 300)
    ev_users.report("CHARGE", INTERVAL, 3)  # too late by itself
    gate.open.set()
    await settle()
    assert ev_users.counts == {"posted": 1, "late": 2}
    assert len(gate.calls) == 1
    assert not posting.done()
    posting.cancel()


async def test_the_ledger_s_own_cut_off_counts_as_late() -> None:
    """If the ledger's cut-off is earlier than the representative's, its refusal is counted as late too."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy", "cutoffS": 3600})
    ev_users = representative(peer.port("EVUserMSP", "representative"), clock)
    posting = asyncio.create_task(ev_users.run())
    ev_users.report("CHARGE", INTERVAL, 5)
    ev_users.report("CHARGE", INTERVAL + 900, 5)
    await settle()
    assert ev_users.counts == {"late": 1, "posted": 1}
    assert [load["wh"] for load in peer.records("load")] == ["5"]
    posting.cancel()


async def test_a_ledger_out_of_reach_is_asked_again() -> None:
    """A post without an answer is repeated with the newest sum until its cut-off."""
    gate = Gate()
    gate.open.set()
    gate.away = True
    ev_users = representative(gate, StepClock(MONDAY_S))
    posting = asyncio.create_task(ev_users.run())
    ev_users.report("CHARGE", INTERVAL, 1)
    await settle()
    gate.away = False
    ev_users.report("CHARGE", INTERVAL, 2)
    async with asyncio.timeout(PATIENCE_S):
        while "posted" not in ev_users.counts:  # noqa: ASYNC110 - counts are no event
            await asyncio.sleep(0.01)
    assert [args["wh"] for _, args in gate.calls] == ["1", "2"]
    assert ev_users.counts == {"unreachable": 1, "posted": 1}
    posting.cancel()


async def test_members_stations_and_gateways_stand_on_the_ledger() -> None:
    """Sign-up, a changed commitment, a station and its gateway pass the real contract, and may be repeated."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
    ev_users = representative(peer.port("EVUserMSP", "representative"), clock)
    members = [
        Enrolment(
            member_id=f"m{number}", kind="EV", commitment=f"{number:064x}", dup_tag=f"{number + 9:064x}"
        )
        for number in range(20)
    ]
    station = StationListing(station_id="s1", geohash="wydm9q", evses=4, products=("CHARGE", "DISCHARGE"))
    for _ in range(2):
        await ev_users.sign_up(members)
        await ev_users.register_station(station)
        await ev_users.register_gateway("gateway1", certificate_sha256="ab" * 32, stations=["s1"])
        await ev_users.register_meter("box1", epoch=0, gateway_id="gateway1", rated_w=11_000)
    await ev_users.change("m3", expected_version=1, commitment="cd" * 32)
    by_id = {member["memberId"]: member for member in peer.records("mem")}
    assert len(by_id) == 20
    assert (by_id["m3"]["version"], by_id["m3"]["commitment"]) == (2, "cd" * 32)
    assert await ev_users.sweep("m3") == 0


async def test_another_identity_under_a_known_id_is_refused() -> None:
    """A repeated sign-up is quiet only for the same member; another tag under its id stays a conflict."""
    clock = StepClock(MONDAY_S)
    peer = MemoryPeer(clock)
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
    port = peer.port("EVUserMSP", "representative")
    member = Enrolment(member_id="m", kind="EV", commitment="ab" * 32, dup_tag="cd" * 32)
    await sign_up(port, member)
    with pytest.raises(BusinessRefusal, match="ID_CONFLICT"):
        await sign_up(port, replace(member, dup_tag="ef" * 32))
    with pytest.raises(BusinessRefusal, match="DUPLICATE_MEMBER"):
        await sign_up(port, replace(member, member_id="n"))
