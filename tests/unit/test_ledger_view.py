"""What pages see of the ledger: prices kept while they hold, trades with their block, and checks that can each fail."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.errors import JournalError
from edgegw.fabric import block as blocks
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import MalformedMessageError, encode
from edgegw.ledger import BusinessRefusal, Receipt, Unavailable
from edgegw.ledger.receipt import receipt_of
from edgegw.ledger.view import AT_ONCE, ClientView
from edgegw.peer import membership
from edgegw.ports.representative import CHECKS, Checked, RepresentativeError
from tests.support.audit_world import SIX_PM, Run, tiny_day
from tests.support.contract_world import EVU, LIGHT
from tests.unit.test_block_view import DIRECT, MARKET, RETAIL
from tests.unit.test_proof import Peer as ProofPeer

ZONE = "KR-CB-1"


class Peer(ProofPeer):
    """A run's blocks and state; a test may have it tell something else, be slow, or be gone."""

    def __init__(self, run: Run, folder: Path) -> None:
        super().__init__(run, folder)
        self.told: dict[str, dict[str, Any]] = {}
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.running = self.most = 0

    async def evaluate(self, function: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the contract, or what the test would have it say."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.fault is not None:
                raise self.fault
            return self.told.get(function) or await super().evaluate(function, args)
        finally:
            self.running -= 1

    async def receipt(self, tx_id: str) -> Receipt:
        """The first block that has it."""
        for raw in self.raw:
            try:
                return receipt_of(raw, tx_id)
            except MalformedMessageError:
                continue
        raise BusinessRefusal("", "no such transaction")


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_day(tmp_path_factory.mktemp("day"))


@pytest.fixture
def peer(day: Run, tmp_path: Path) -> Peer:
    return Peer(day, tmp_path)


def view_of(peer: Peer, **more: Any) -> ClientView:
    return ClientView(peer, membership.load_roots(peer.run.world.crypto), zone=ZONE, **more)


# --- prices and stations ------------------------------------------------------------------------------------------


async def test_a_fixed_price_is_asked_for_once(peer: Peer) -> None:
    """A fixed price never changes: it is queried once, with its record."""
    view = view_of(peer, kept_s=0)
    first = await view.price("CHARGE", LIGHT)
    assert await view.price("CHARGE", LIGHT) == first
    assert peer.asked == ["GetPrice"]
    assert first is not None
    assert (first.is_fixed, first.period, first.floor_mtok_per_kwh, first.ceiling_mtok_per_kwh) == (
        *(True, "light", 90_000, 98_300),
    )
    assert (first.supply_wh, first.demand_wh, first.weight_ppm) == (24_000, 14_000, 368_421)
    assert first.price_mtok_per_kwh is not None


async def test_a_price_that_may_change_is_kept_for_seconds(peer: Peer) -> None:
    """A price that is not fixed is computed from the posted loads, and queried again after some seconds."""
    now_s = [0.0]
    view = view_of(peer, kept_s=5, real_s=lambda: now_s[0])
    shown = await view.price("DISCHARGE", SIX_PM + 86_400)
    assert shown is not None
    assert (shown.is_fixed, shown.period, shown.supply_wh) == (False, "peak", 0)
    now_s[0] = 4.9
    await view.price("DISCHARGE", SIX_PM + 86_400)
    assert peer.asked == ["GetPrice", "DetermineCost"]
    now_s[0] = 5.0
    await view.price("DISCHARGE", SIX_PM + 86_400)
    assert peer.asked == ["GetPrice", "DetermineCost"] * 2


async def test_an_empty_window(peer: Peer) -> None:
    """A window that is fixed as empty is shown with its bounds; before that the contract returns no price."""
    peer.told["GetPrice"] = {
        **await peer.evaluate("GetPrice", {"zone": ZONE, "product": "CHARGE", "interval": LIGHT}),
        "refusal": "PRICE_WINDOW_EMPTY",
    }
    del peer.told["GetPrice"]["price"]
    shown = await view_of(peer).price("CHARGE", LIGHT)
    assert shown is not None
    assert (shown.price_mtok_per_kwh, shown.is_fixed, shown.ceiling_mtok_per_kwh) == (None, True, 98_300)
    peer.fault = BusinessRefusal("PRICE_WINDOW_EMPTY", "")
    assert await view_of(peer).price("CHARGE", LIGHT) is None


async def test_stations_are_found_page_after_page(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stations are found below a geohash prefix and by product; another text finds none; the number is limited."""
    from edgegw.ledger import view as module

    for n in range(5):
        products = ["CHARGE"] if n % 2 else ["CHARGE", "DISCHARGE"]
        station = {
            "stationId": f"ST{n}",
            "zone": ZONE,
            "geohash": f"wydm{n}",
            "evses": n,
            "products": products,
        }
        peer.run.world.call(EVU, "RegisterStation", **station)
    monkeypatch.setattr(module, "_PAGE", 2)
    view = view_of(peer)
    found = await view.stations("wyd")
    assert [(one.station_id, one.evses) for one in found] == [(f"ST{n}", n) for n in range(5)]
    assert [one.station_id for one in await view.stations("wyd", "DISCHARGE")] == ["ST0", "ST2", "ST4"]
    assert await view.stations("wydm1") == [found[1]]
    assert await view.stations("aaa!") == []
    monkeypatch.setattr(module, "STATIONS_MOST", 3)
    assert len(await view_of(peer).stations("wyd")) == 4  # whole pages


# --- many at once, and nobody there -------------------------------------------------------------------------------


async def test_equal_questions_share_one_answer(peer: Peer) -> None:
    """Two hundred pages ask the price at once: one call. One that gives up leaves the others their answer."""
    peer.gate = asyncio.Event()
    view = view_of(peer)
    pages = [asyncio.create_task(view.price("CHARGE", LIGHT)) for _ in range(200)]
    await asyncio.sleep(0)
    pages[0].cancel()
    peer.gate.set()
    answers = await asyncio.gather(*pages, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert len({repr(answer) for answer in answers[1:]}) == 1
    assert peer.asked == ["GetPrice"]


async def test_calls_on_their_way_are_bounded(peer: Peer) -> None:
    """However many different questions there are."""
    peer.gate = asyncio.Event()
    view = view_of(peer)
    pages = [asyncio.create_task(view.price("CHARGE", LIGHT + n * 900)) for n in range(50)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert peer.running == AT_ONCE
    peer.gate.set()
    await asyncio.gather(*pages)
    assert peer.most == AT_ONCE


async def test_what_is_kept_is_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is bounded: the least recently used answers are removed."""
    from edgegw.ledger import view as module

    monkeypatch.setattr(module, "PRICES_KEPT", 2)
    view = view_of(peer, kept_s=1000)
    for interval in (LIGHT, LIGHT + 900, LIGHT, LIGHT + 1800, LIGHT):
        await view.price("CHARGE", interval)
    assert len(view._prices) == 2
    assert peer.asked.count("GetPrice") == 3


@pytest.mark.parametrize("fault", [Unavailable("gone"), BusinessRefusal("NOT_CONFIGURED", "")])
async def test_a_ledger_that_cannot_be_asked_is_a_fault(peer: Peer, fault: Exception) -> None:
    """Every method raises a fault if the ledger cannot be reached; the next call works, and nothing is cached."""
    view = view_of(peer)
    peer.fault = fault
    for ask in (
        view.price("CHARGE", LIGHT),
        view.stations("wyd"),
        view.trade(MARKET),
        view.check(MARKET),
    ):
        with pytest.raises(RepresentativeError, match="cannot be queried"):
            await ask
    assert view._asked == {}
    peer.fault = None
    assert await view.price("CHARGE", LIGHT) is not None


# --- trades and their proof ---------------------------------------------------------------------------------------


async def test_a_trade_is_shown_with_its_block(peer: Peer) -> None:
    """A trade is shown as on the ledger, and queried once."""
    view = view_of(peer)
    shown = await view.trade(MARKET)
    assert shown is not None
    assert await view.trade(MARKET) == shown
    assert peer.asked == ["GetTrade"]
    assert (shown.kind, shown.buyer, shown.seller, shown.start_wh, shown.end_wh) == (
        *("MARKET", "EVA", "PRO1", 1000, 2940),
    )
    assert shown.block == peer.run.find(f"trade~{MARKET}")[0]
    assert shown.at_ns == (LIGHT + 900) * 1_000_000_000


def evidence_of(run: Run, trade_id: str) -> dict[str, Any]:
    facts = [one["body"] for one in run.facts if one["kind"] == "evidence"]
    found: dict[str, Any] = next(one for one in facts if one["trade_id"] == trade_id)
    return found


async def checked(peer: Peer, trade_id: str, fact: Mapping[str, object] | None = None) -> Checked:
    async def known(_: str) -> Mapping[str, object] | None:
        return fact

    found = await view_of(peer, evidence_of=known).check(trade_id)
    assert isinstance(found, Checked)
    return found


def failing(found: Checked) -> list[str]:
    return [check.name for check in found.checks if not check.holds]


@pytest.mark.parametrize("trade_id", [MARKET, RETAIL, DIRECT])
async def test_an_honest_trade_checks_out(peer: Peer, trade_id: str) -> None:
    """For an honest trade every check holds; each has a listed name and comes once, and the five fields are there."""
    fact = None if trade_id == DIRECT else evidence_of(peer.run, trade_id)
    found = await checked(peer, trade_id, fact)
    assert failing(found) == []
    names = [check.name for check in found.checks]
    wanted = set(CHECKS) - {"orderer_signature"}  # the embedded peer's blocks carry none
    assert len(names) == len(set(names))
    assert set(names) == (wanted if fact else {name for name in wanted if not name.startswith("evidence")})
    assert list(found.fields) == ["KEY", "Value", "Timestamp", "Prev_Hash", "Proof"]
    assert found.fields["KEY"] == f"trade~{trade_id}"
    assert json.loads(found.fields["Value"])["trade"]["tradeId"] == trade_id
    assert (found.trade_id, found.block) == (trade_id, peer.run.find(f"trade~{trade_id}")[0])


async def test_a_retail_price_without_a_rate_is_not_said_to_be_checked(peer: Peer) -> None:
    """If the contract has no ceiling for the interval, that check is left out and the others are made."""
    inner = peer.evaluate

    async def refusing(function: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        if function in {"GetPrice", "DetermineCost"}:
            raise BusinessRefusal("PRICE_WINDOW_EMPTY", "")
        return await inner(function, args)

    peer.evaluate = refusing  # type: ignore[method-assign]  # a peer of this test
    found = (await checked(peer, RETAIL)).checks
    assert "price" not in {check.name for check in found}
    assert {"amount", "fee", "energy"} <= {check.name for check in found if check.holds}
    assert failing(await checked(peer, MARKET)) == ["price"]  # which has no price without its record


Spoil = Callable[[common_pb2.Block], None]


def at(offset: int, spoil: Spoil) -> Callable[[Peer, int], None]:
    """Return a change of the raw block at `offset` from the trade's block."""

    def change(peer: Peer, number: int) -> None:
        block = blocks.parse_block(peer.raw[number + offset])
        spoil(block)
        peer.raw[number + offset] = encode(block)

    return change


def spoil_previous(block: common_pb2.Block) -> None:
    block.header.previous_hash = b"other"


def spoil_data_hash(block: common_pb2.Block) -> None:
    block.header.data_hash = b"other"


def spoil_codes(block: common_pb2.Block) -> None:
    blocks.set_codes(block, [0, 0, 0])


def invalid(block: common_pb2.Block) -> None:
    blocks.set_codes(block, [11])


def spoil_number(block: common_pb2.Block) -> None:
    block.header.number += 1


def spoil_signature(block: common_pb2.Block) -> None:
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    envelope.signature = envelope.signature[:-1] + bytes([envelope.signature[-1] ^ 1])
    block.data.data[0] = encode(envelope)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (at(+1, spoil_previous), ["block_hash"]),
        (at(-1, spoil_data_hash), ["prev_hash"]),
        (at(0, spoil_previous), ["block_hash", "prev_hash"]),
        (at(0, spoil_data_hash), ["block_hash", "data_hash"]),
        (at(0, spoil_number), ["prev_hash", "record"]),  # what stands under the number it claims is looked at
        (at(0, spoil_signature), ["data_hash", "creator_signature"]),
        (at(0, spoil_codes), ["validation_codes", "record"]),
        (at(0, invalid), ["validation_code", "record"]),
    ],
)
async def test_a_changed_block_does_not_check_out(
    peer: Peer, change: Callable[[Peer, int], None], names: list[str]
) -> None:
    """Whatever the peer changes in the block or its neighbours is named."""
    change(peer, peer.run.find(f"trade~{MARKET}")[0])
    assert failing(await checked(peer, MARKET)) == names


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"amount": "1"}, ["amount"]),
        ({"wh": "1"}, ["energy"]),
        ({"price": "99000", "amount": "192060"}, ["price"]),
        ({"fee": "0"}, ["fee"]),
        ({"ledgerTimeMs": LIGHT * 1000}, ["timestamp"]),
        ({"ledgerTimeMs": (LIGHT - 1) * 1000}, ["timestamp"]),
        ({"meterRef": "M-GW2"}, ["key"]),
    ],
)
async def test_changed_figures_do_not_check_out(
    day: Run, tmp_path: Path, change: dict[str, Any], names: list[str]
) -> None:
    """Changed figures fail the check, even if every organisation signed them and the peer returns them everywhere."""
    run = day.copy()
    run.forge(f"trade~{MARKET}", lambda records: records[f"trade~{MARKET}"].update(change))
    peer = Peer(run, tmp_path)
    record = run.world.call(EVU, "GetTrade", tradeId=MARKET)
    peer.told["GetTrade"] = {**record, **change}
    assert failing(await checked(peer, MARKET)) == names


async def test_too_few_endorsements_do_not_check_out(day: Run, tmp_path: Path) -> None:
    """One organisation's word is no trade."""
    run = day.copy()
    run.forge(f"trade~{MARKET}", lambda _: None, msps=["EVUserMSP"])
    assert failing(await checked(Peer(run, tmp_path), MARKET)) == ["endorsements"]


async def test_a_peer_that_tells_one_thing_and_stores_another_is_found(peer: Peer) -> None:
    """The record that is shown must be the one in the block."""
    record = await peer.evaluate("GetTrade", {"tradeId": MARKET})
    peer.told["GetTrade"] = {**record, "seller": "PRO2"}
    assert failing(await checked(peer, MARKET)) == ["record"]


async def test_changed_inputs_of_a_price_do_not_check_out(peer: Peer) -> None:
    """The price's record must be the trade's, fixed, add up its loads, and make this price by the channel's constants."""
    place = {"zone": ZONE, "product": "CHARGE", "interval": LIGHT}
    honest = await peer.evaluate("GetPrice", place)
    for change in (
        {"supplyWh": "1"},
        {"floor": "1"},
        {"final": False},
        {"priceId": "other"},
        {"price": "99000"},
        {"ceiling": "much"},
    ):
        peer.told["GetPrice"] = {**honest, **change}
        assert failing(await checked(peer, MARKET)) == ["price"], change


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"signature": "30"}, ["evidence_signature"]),
        ({"signature": "no hex"}, ["evidence_hash"]),
        ({"evidence": {}}, ["evidence_hash"]),
        ({"evidence": 7}, ["evidence_hash"]),
    ],
)
async def test_changed_evidence_does_not_check_out(
    peer: Peer, change: dict[str, Any], names: list[str]
) -> None:
    """A signature that is another's; evidence that cannot be read."""
    assert failing(await checked(peer, MARKET, {**evidence_of(peer.run, MARKET), **change})) == names


async def test_evidence_of_other_readings_does_not_check_out(peer: Peer) -> None:
    """One digit in a reading changes hash and signature; another trade's evidence is not this one's."""
    fact = evidence_of(peer.run.copy(), MARKET)
    changed = {**fact, "evidence": {**fact["evidence"], "end": [[0, 0, 0, 0], [0, 0, 2_900_000, 0]]}}
    assert failing(await checked(peer, MARKET, changed)) == list(CHECKS[-3:])
    assert failing(await checked(peer, MARKET, evidence_of(peer.run, RETAIL))) == ["evidence_hash"]


async def test_a_journal_that_cannot_be_read_is_a_fault(peer: Peer) -> None:
    """A journal that cannot be read is a fault, not a trade without evidence."""

    async def gone(_: str) -> Mapping[str, object] | None:
        raise JournalError("disk")

    with pytest.raises(RepresentativeError, match="disk"):
        await view_of(peer, evidence_of=gone).check(MARKET)


async def test_the_creator_must_be_one_of_ours(peer: Peer) -> None:
    """With other roots no signature counts, including the station's under its evidence."""
    from edgegw.fabric.trust import Roots

    async def known(trade_id: str) -> Mapping[str, object] | None:
        return evidence_of(peer.run, trade_id)

    found = await ClientView(peer, Roots({}), zone=ZONE, evidence_of=known).check(MARKET)
    assert isinstance(found, Checked)
    assert {"creator_signature", "endorsements", "evidence_signature"} <= set(failing(found))
