"""Participants without an end: in real time, over days, through restarts and gaps, one role at a time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgegw.ledger import BusinessRefusal
from edgegw.participants.consortium import ROLES, SEATS, Consortium, Role, Span
from edgegw.participants.load_profiles import read_sun
from edgegw.participants.producer import Plant
from edgegw.participants.retrying_ledger import RetryingLedger
from edgegw.participants.runner import Changes
from edgegw.participants.settings import Settings
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import NEVER_S
from edgegw.representative.token_issuance import Deposit, ExchangeDesk, Teller
from tests.support.participants_host import (
    MONDAY_S,
    OFFSET_S,
    MemoryPeer,
    StepClock,
    settle,
)
from tests.unit.test_participants_day import DAY_S, settings

NOON_S = MONDAY_S + 12 * 3600


def sandbox(**changes: Any) -> Settings:
    """As a sandbox is set up: constants of its own, a stored begin, no wall box, no end."""
    plain = settings().producer.model_dump() | {"wall_box": None}
    opening = {"constants": {}, "begin_s": MONDAY_S, "effective_from": MONDAY_S - DAY_S, "changes": []}
    return settings(**opening | {"producer": plain} | changes)


def consortium(peer: MemoryPeer, told: Settings, *, roles: tuple[Role, ...] = ROLES) -> Consortium:
    def connect(msp_id: str, name: str) -> LedgerPort:
        return peer.port(msp_id, name)

    return Consortium(
        told,
        connect=connect,
        clock=peer.clock,
        span=Span(begin_s=told.begin_s or MONDAY_S, end_s=NEVER_S),
        roles=roles,
    )


async def serve(peer: MemoryPeer, told: Settings, until_s: int) -> Consortium:
    """Open, run to an instant, and be killed there."""
    process = consortium(peer, told)
    await process.open()
    running = asyncio.create_task(process.run())
    await peer.clock.advance_to(until_s)
    await settle()
    assert not running.done(), "a run without an end never ends by itself"
    running.cancel()
    return process


async def test_a_run_without_an_end_survives_days_and_gaps() -> None:
    """Started again in the same quarter hour, after an hour and after three days, it says the same things or new ones.

    No restart conflicts, floors stand a day ahead and no further, the plant's register goes on where the sun was.
    """
    peer = MemoryPeer(StepClock(NOON_S))
    told = sandbox()
    await serve(peer, told, NOON_S)
    stood = dict(peer.state)
    await serve(peer, told, NOON_S)
    assert peer.state == stood
    for begin_s in (NOON_S + 3600, NOON_S + 3 * DAY_S):
        peer.clock = StepClock(begin_s)
        process = await serve(peer, told, begin_s + 2 * 3600)
        refused = {name: dict(counts) for name, counts in process.counts.items()}
        assert refused["producer"].keys() <= {"posted", "late", "OFFER_UNKNOWN"}, refused
    hours = {record["hour"] for record in peer.records("floor")}
    assert max(hours) <= NOON_S + 3 * DAY_S + 2 * 3600 + DAY_S
    lots = sorted(int(lot["startWh"]) for lot in peer.records("lot"))
    assert len(lots) == len(set(lots)) > 10
    (plant,) = (lot for lot in peer.records("lot") if int(lot["startWh"]) == lots[-1])
    assert plant["interval"] == NOON_S + 3 * DAY_S + 2 * 3600 - 900


async def test_offers_that_ended_are_closed() -> None:
    """The day after, also for a process that was started meanwhile, no offer of the day before is listed any more."""
    peer = MemoryPeer(StepClock(NOON_S))
    told = sandbox()
    await serve(peer, told, NOON_S + 3600)
    peer.clock = StepClock(NOON_S + 2 * 3600)
    await serve(peer, told, MONDAY_S + DAY_S + 2 * 3600)
    offers = peer.records("offer")
    assert {offer["status"] for offer in offers if offer["product"] == "CHARGE"} == {"CLOSED"}
    assert {offer["status"] for offer in offers if offer["product"] == "DISCHARGE"} == {"OPEN"}


async def test_every_role_plays_alone() -> None:
    """Five consortia of one role each do together what one of all roles does, each with its own identities only."""
    peer = MemoryPeer(StepClock(NOON_S))
    told = sandbox()
    asked: dict[str, set[tuple[str, str]]] = {}
    for role in ROLES:
        keys = asked.setdefault(role, set())

        def connect(msp_id: str, name: str, keys: set[tuple[str, str]] = keys) -> LedgerPort:
            keys.add((msp_id, name))
            return peer.port(msp_id, name)

        one = Consortium(
            told,
            connect=connect,
            clock=peer.clock,
            span=Span(begin_s=MONDAY_S, end_s=NEVER_S),
            roles=(role,),
        )
        await one.open()
    assert asked == {
        "representative": {("EVUserMSP", "representative"), ("EVUserMSP", "admin")},
        "oracle": {("ProducerMSP", "oracle")},
        "producer": {("ProducerMSP", "representative")},
        "industry": {("IndustryMSP", "representative")},
        "desk": {("EVUserMSP", "exchange")},
    }
    together = MemoryPeer(StepClock(NOON_S))
    await consortium(together, told).open()
    kinds = {key.partition("~")[0] for key in together.state}
    assert kinds - {key.partition("~")[0] for key in peer.state} <= {"offer", "of", "pos"}, (
        "the mill bids once it has tokens"
    )
    assert set(SEATS.values()) <= set(ROLES)


async def test_the_desk_mints_what_is_listed_later() -> None:
    """A deposit of a member who is yet to sign up waits for that, one added later is minted once, a bad one is counted."""
    peer = MemoryPeer(StepClock(NOON_S))
    told = sandbox()
    teller = Teller(desk=ExchangeDesk(ledger=peer.port("EVUserMSP", "exchange")), listed=lambda: more)
    deposits = [Deposit(member_id="depot", amount_mtok=5, ref="a")]
    more: list[Deposit] | None = None
    await teller.open(deposits)
    assert teller.counts == {"UNKNOWN_MEMBER": 1}
    await consortium(peer, told, roles=("representative",)).open()
    clash = Deposit(member_id="depot", amount_mtok=6, ref="a")
    more = [*deposits, Deposit(member_id="depot", amount_mtok=7, ref="b")]
    await teller.look(deposits)
    await teller.look(deposits)
    assert teller.counts == {"UNKNOWN_MEMBER": 1, "minted": 2}
    other = Teller(desk=teller.desk, listed=lambda: None)
    assert await other.look([clash]) == [clash]
    assert other.counts == {"REF_USED": 1}
    with pytest.raises(ExceptionGroup) as caught:
        await Teller(desk=teller.desk, listed=lambda: None).open([clash])
    assert caught.group_contains(BusinessRefusal, match="REF_USED")
    assert [account["tokens"] for account in peer.records("acc") if account["tokens"] != "0"] == ["12"]


def test_deposits_are_read_again_when_the_file_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deposits of a changed settings file are minted; an unchanged file changes nothing, and a broken one is reported."""
    path = tmp_path / "participants.json"
    path.write_text(sandbox().model_dump_json())
    changes = Changes(path)
    assert changes.deposits() is None
    later = sandbox(deposits=[{"member_id": "depot", "amount_mtok": 9, "ref": "later"}])
    path.write_text(later.model_dump_json() + " ")
    assert changes.deposits() == later.all_deposits
    assert later.all_deposits[-1] == Deposit(member_id="depot", amount_mtok=9, ref="later")
    path.write_text("{")
    assert changes.deposits() is None
    assert "deposits stay as they were" in capsys.readouterr().err


def test_a_plant_s_register_is_the_same_however_it_is_asked() -> None:
    """A plant's register is the sum of its quarter hours, in whatever order it is queried."""
    sun = read_sun(settings().producer.sun, peak_w=300_000, performance_bp=8_500)

    def plant() -> Plant:
        return Plant(
            meter_ref="p", epoch=0, sun=sun, utc_offset_s=OFFSET_S, begin_s=MONDAY_S, evidence_key=b"k"
        )

    at = [MONDAY_S + step for step in (3 * DAY_S, 900, 0, 5 * DAY_S + 4500, 5 * DAY_S + 4500)]
    one = plant()
    assert [one.register_wh(at_s) for at_s in at] == [plant().register_wh(at_s) for at_s in at]
    assert one.register_wh(MONDAY_S + 3 * DAY_S) == sum(
        one.energy_wh(interval) for interval in range(MONDAY_S, MONDAY_S + 3 * DAY_S, 900)
    )


async def test_a_channel_without_constants_is_waited_for() -> None:
    """A role that starts before the channel is configured waits; a patience that ends gives the refusal."""
    peer = MemoryPeer(StepClock(NOON_S))
    floor = {"zone": "z", "product": "CHARGE", "hour": NOON_S + 7200, "floor": "1"}
    hasty = RetryingLedger(ledger=peer.port("ProducerMSP", "oracle"), patience_s=0, pause_s=0)
    with pytest.raises(BusinessRefusal, match="NOT_CONFIGURED"):
        await hasty.execute("PostFloor", floor)
    waiting = asyncio.create_task(
        RetryingLedger(ledger=peer.port("ProducerMSP", "oracle"), pause_s=0).execute("PostFloor", floor)
    )
    await settle()
    assert not waiting.done()
    await peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
    assert (await waiting)["floor"] == "1"
