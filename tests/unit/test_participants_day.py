"""A day of the other organisations on the real contract in memory: what they post and sell, and what is returned."""

import asyncio
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.clock import ClockMapping, StationClock
from edgegw.common.errors import ConfigError
from edgegw.ledger import BusinessRefusal, Unavailable
from edgegw.participants.consortium import Consortium, Span
from edgegw.participants.retrying_ledger import RetryingLedger
from edgegw.participants.settings import Settings, read_settings
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import NEVER_S
from tests.support.participants_host import MONDAY_S, OFFSET_S, ZONE, MemoryPeer, StepClock

DAY_S = 86_400
END_S = MONDAY_S + DAY_S
KINDS = {"sun": "PRODUCER", "mill": "INDUSTRY", "grid": "SUPPLIER", "depot": "EV"}
DEPOSITS = {"mill": 200_000_000, "depot": 1_000_000}


def settings(**changes: Any) -> Settings:
    members = [
        {
            "member_id": member_id,
            "kind": kind,
            "commitment": f"{number:064x}",
            "dup_tag": f"{number + 16:064x}",
            "deposit_mtok": DEPOSITS.get(member_id, 0),
        }
        for number, (member_id, kind) in enumerate(KINDS.items())
    ]
    return Settings.model_validate(
        {
            "endpoint": "127.0.0.1:1",
            "channel": "energy",
            "chaincode": "edgegw",
            "crypto": "crypto",
            "zone": ZONE,
            "utc_offset_s": OFFSET_S,
            "members": members,
            "changes": [{"member_id": "depot", "expected_version": 1, "commitment": "ee" * 32}],
            "stations": [{"station_id": "s1", "geohash": "wydm9q", "evses": 4}],
            "gateways": [{"gateway_id": "gateway1", "certificate_sha256": "ab" * 32, "stations": ["s1"]}],
            "producer": {
                "member_id": "sun",
                "meter_ref": "plant",
                "evidence_key_hex": "00" * 32,
                "wall_box": {"buyer_id": "depot", "gateway_id": "gateway1", "meter_ref": "box"},
            },
            "industry": {"member_id": "mill"},
        }
        | changes
    )


class Run:
    """A consortium on a fresh ledger."""

    def __init__(self, *, speed: int = 1200, at_s: int = MONDAY_S, **changes: Any) -> None:
        self.clock = StepClock(at_s, speed=speed)
        self.peer = MemoryPeer(self.clock)
        self.settings = settings(**changes)
        self.consortium = self.consortium_again()

    def consortium_again(self) -> Consortium:
        return Consortium(
            self.settings,
            connect=self.connect,
            clock=self.clock,
            span=Span(begin_s=MONDAY_S, end_s=END_S),
        )

    def connect(self, msp_id: str, name: str) -> LedgerPort:
        return self.peer.port(msp_id, name)

    async def open(self) -> None:
        await self.peer.port("EVUserMSP", "admin").execute("Configure", {"channel": "energy"})
        await self.consortium.open()

    async def day(self, until_s: int = END_S) -> None:
        task = asyncio.create_task(self.consortium.run())
        await self.clock.advance_to(until_s)
        if until_s >= END_S:
            await task
        task.cancel()

    def posted(self, product: str, msp_id: str) -> dict[int, int]:
        loads = {
            key: json.loads(raw)
            for key, raw in self.peer.state.items()
            if key.startswith(f"load~{ZONE}~{product}~")
        }
        return {
            int(key.split("~")[3]): int(load["wh"]) for key, load in loads.items() if load["msp"] == msp_id
        }


@pytest.fixture(scope="module")
def full_day() -> tuple[Run, dict[str, Any]]:
    async def whole() -> tuple[Run, dict[str, Any]]:
        run = Run()
        await run.open()
        await run.day()
        return run, await run.consortium.close()

    return asyncio.run(whole())


def test_each_interval_has_both_posts_of_the_day_in_time(full_day: tuple[Run, dict[str, Any]]) -> None:
    """At 1200 times real time every interval with an open cut-off gets the producer's supply and the industry's demand."""
    run, _ = full_day
    expected = set(range(MONDAY_S + 900, END_S, 900))
    assert set(run.posted("CHARGE", "ProducerMSP")) == expected
    demand = run.posted("DISCHARGE", "IndustryMSP")
    assert set(demand) == expected
    assert len(set(demand.values())) > 50
    assert run.consortium.counts["producer"]["late"] == 0
    assert run.consortium.counts["industry"]["late"] == 0


def test_supply_is_expected_generation_and_what_is_unsold(full_day: tuple[Run, dict[str, Any]]) -> None:
    """Without a buyer the supply is the expected generation plus what is unsold, and 0 before the sun rises."""
    run, _ = full_day
    supply = run.posted("CHARGE", "ProducerMSP")
    lots = {lot["interval"]: int(lot["wh"]) for lot in run.peer.records("lot")}
    assert supply[MONDAY_S + 4 * 3600] == 0
    interval = MONDAY_S + 11 * 3600
    ahead_s = 3 * 900  # at 1200x: 2400 s of lead and 300 s of cut-off
    offered_wh = sum(wh for at, wh in lots.items() if at + 900 < interval - ahead_s)
    assert supply[interval] - lots[interval] in {offered_wh, offered_wh + lots[interval - ahead_s - 900]}


def test_every_hour_but_the_one_that_began_has_floors(full_day: tuple[Run, dict[str, Any]]) -> None:
    """Both products get the oracle's floor for each hour whose first cut-off is open; the other hour is counted."""
    run, _ = full_day
    floors = Counter(floor["hour"] for floor in run.peer.records("floor"))
    assert floors == dict.fromkeys(range(MONDAY_S + 3600, END_S, 3600), 2)
    assert run.consortium.counts["oracle"] == {"posted": 46, "late": 2}


def test_all_generation_is_registered_offered_and_accounted_for(full_day: tuple[Run, dict[str, Any]]) -> None:
    """The lots continue one register without gap; unsold energy of an expired lot leaves as exported."""
    run, _ = full_day
    lots = sorted(run.peer.records("lot"), key=lambda lot: int(lot["interval"]))
    assert int(lots[0]["startWh"]) == 0
    for earlier, later in pairwise(lots):
        assert earlier["endWh"] == later["startWh"]
    hours_wh = [
        300_000 * ghi * 8_500 // 10_000_000
        for ghi in (31, 160, 358, 564, 743, 835, 926, 1013, 852, 799, 649, 465, 246, 94, 9)
    ]
    assert int(lots[-1]["endWh"]) == sum(hours_wh)
    energy = run.peer.call(run.peer.port("EVUserMSP", "auditor").creator, "AuditTotals", {}, commit=False)[
        "energy"
    ]
    assert int(energy["generation"]) == sum(hours_wh)
    assert int(energy["expired"]) == sum(hours_wh) - 2_000
    assert (energy["held"], energy["available"], energy["pending"]) == ("0", "0", "2000")


def test_one_direct_sale_at_noon(full_day: tuple[Run, dict[str, Any]]) -> None:
    """The wall box takes 2 kWh in the first quarter hour after noon, at that interval's fixed price."""
    run, _ = full_day
    (trade,) = run.peer.records("trade")
    assert (trade["kind"], trade["interval"], trade["wh"]) == ("DIRECT", MONDAY_S + 12 * 3600, "2000")
    price = next(record for record in run.peer.records("price") if record["interval"] == trade["interval"])
    assert trade["price"] == price["price"]
    assert int(trade["amount"]) == (int(trade["price"]) * 2_000 + 500) // 1000


def test_closing_pays_the_producer_out(full_day: tuple[Run, dict[str, Any]]) -> None:
    """Credits are swept, offers closed, the producer's tokens burned; supply is what was minted less that."""
    run, closed = full_day
    (trade,) = run.peer.records("trade")
    assert closed["paid_out_mtok"] == int(trade["amount"])
    assert closed["supply_mtok"] == sum(DEPOSITS.values()) - int(trade["amount"])
    assert closed["producer_history"]["trade.recorded"] == 1
    accounts = {account["memberId"]: int(account["tokens"]) for account in run.peer.records("acc")}
    assert accounts["sun"] == 0
    assert accounts["mill"] == DEPOSITS["mill"]
    assert {offer["status"] for offer in run.peer.records("offer")} == {"CLOSED"}


def test_no_call_was_refused(full_day: tuple[Run, dict[str, Any]]) -> None:
    """On an undisturbed day the contract accepts every call of the participants."""
    _, closed = full_day
    assert closed["counts"]["producer"].keys() == {"posted"}
    assert closed["counts"]["industry"].keys() == {"posted"}


async def test_opening_may_be_repeated() -> None:
    """A process that starts again opens again: the same ledger, nothing doubled."""
    run = Run()
    await run.open()
    before = dict(run.peer.state)
    await run.consortium_again().open()
    changed = {key for key in run.peer.state if run.peer.state[key] != before.get(key)}
    assert all(key.startswith("guard~") for key in changed), changed


async def test_a_bid_is_renewed_when_half_is_gone() -> None:
    """The mill's bid is one offer while more than half is left, and a second one after a gateway reserved more."""
    run = Run()
    await run.open()
    await run.day(MONDAY_S + 1800)
    offers = run.peer.records("offer")
    assert [offer["limitPrice"] for offer in offers] == ["169000"]
    await run.peer.port("EVUserMSP", "gateway", gateway_id="gateway1").execute(
        "Reserve",
        {"sliceId": "x", "offerId": offers[0]["offerId"], "interval": MONDAY_S + 3600, "amount": "25000001"},
    )
    await run.day(MONDAY_S + 3600)
    assert len(run.peer.records("offer")) == 2


async def test_a_buyer_without_tokens_bids_nothing() -> None:
    """No tokens, no bid: counted, never an error."""
    run = Run(members=[member.model_dump() | {"deposit_mtok": 0} for member in settings().members])
    await run.open()
    assert run.consortium.counts["industry"]["no_tokens"] == 1
    assert run.peer.records("offer") == []


async def test_without_a_price_the_noon_s_energy_is_offered() -> None:
    """Without a buyer with tokens for the direct sale, the whole lot is offered."""
    run = Run(members=[member.model_dump() | {"deposit_mtok": 0} for member in settings().members])
    await run.open()
    await run.day(MONDAY_S + 13 * 3600)
    assert run.peer.records("trade") == []
    assert run.consortium.counts["producer"]["ZERO_TOKENS"] == 4
    assert all(lot["free"] == "0" for lot in run.peer.records("lot"))


def test_the_span_comes_from_the_clock() -> None:
    """The begin is the quarter hour of the clock's origin, whenever the process starts; settings override it."""
    mapping = ClockMapping(
        monotonic_origin_ns=0, utc_origin_ns=(MONDAY_S + 7) * 10**9, speed=600, utc_end_ns=END_S * 10**9
    )
    assert Span.of(StationClock(mapping), settings()) == Span(begin_s=MONDAY_S, end_s=END_S)
    assert Span.of(StationClock(mapping), settings(end_s=99_999)).end_s == 99_999
    assert Span.of(StationClock(), settings(begin_s=MONDAY_S)) == Span(begin_s=MONDAY_S, end_s=NEVER_S)


def test_settings_name_every_fault(tmp_path: Path) -> None:
    """A file with two faults is refused with both, by name."""
    path = tmp_path / "participants.json"
    tables = settings().model_dump(mode="json")
    path.write_text(json.dumps(tables))
    assert read_settings(path) == settings(crypto=str(tmp_path / "crypto"))
    path.write_text(json.dumps(tables | {"zone": 5, "colour": "red"}))
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert sorted(fault.split(": ")[1] for fault in caught.value.faults) == ["colour", "zone"]


class Flaky:
    """A LedgerPort that raises the given faults before it answers."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        return await self.execute(function, args)

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        if self.faults:
            raise self.faults.pop(0)
        return args | {"function": function}


async def test_a_peer_that_is_away_is_waited_for_a_refusal_is_not() -> None:
    """Passing faults are repeated until patience ends; the contract's answer goes straight through."""
    away = Unavailable("no peer")
    patient = RetryingLedger(ledger=Flaky(away, away), pause_s=0.001)
    assert await patient.execute("Mint", {}) == {"function": "Mint"}
    assert await RetryingLedger(ledger=Flaky(away), pause_s=0.001).evaluate("x", {}) == {"function": "x"}
    with pytest.raises(BusinessRefusal):
        await RetryingLedger(ledger=Flaky(BusinessRefusal("REF_USED", ""))).execute("Mint", {})
    with pytest.raises(Unavailable):
        await RetryingLedger(ledger=Flaky(away, away), patience_s=0, pause_s=0).execute("Mint", {})
