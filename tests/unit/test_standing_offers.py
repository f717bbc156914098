"""Offers by hand: a member's own only, what must stand behind them, and what came of them."""

from typing import Any

import pytest

from edgegw.contract.stub import Creator
from edgegw.ledger import BusinessRefusal, Unavailable
from edgegw.ports.representative import (
    NewOffer,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from edgegw.representative import standing_offers as module
from edgegw.representative.standing_offers import OfferBook
from tests.support.contract_world import (
    DAY0,
    ECO,
    EVU,
    GATE,
    IND,
    LIGHT,
    QUARTER_S,
    RefusedError,
    World,
    digest,
    generate,
    line,
    session,
    sun_offer,
)

ZONE = "KR-CB-1"
NEW = NewOffer(
    limit_mtok_per_kwh=91_000, valid_from_s=DAY0, valid_to_s=DAY0 + 86_400, lot_id="L1", energy_wh=4000
)
BID = NewOffer(limit_mtok_per_kwh=160_000, valid_from_s=DAY0, valid_to_s=DAY0 + 86_400, tokens_mtok=1_000_000)


class Port:
    """LedgerPort over the contract's world; a test may have it fail."""

    def __init__(self, world: World, creator: Creator) -> None:
        self.world = world
        self.creator = creator
        self.fault: Exception | None = None

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        try:
            return self.world.call(self.creator, function, **args)
        except RefusedError as refused:
            raise BusinessRefusal(refused.code, "") from refused

    execute = evaluate


@pytest.fixture
def world() -> World:
    """PRO1 has a lot L1 of 20 kWh, half of it in offer O1, of which GW1 reserved 2 kWh."""
    return session()


@pytest.fixture
def eco(world: World) -> OfferBook:
    return OfferBook(ledger=Port(world, ECO), zone=ZONE)


@pytest.fixture
def ind(world: World) -> OfferBook:
    return OfferBook(ledger=Port(world, IND), zone=ZONE)


async def made(book: OfferBook, member_id: str, new: NewOffer) -> StandingOffer:
    offer = await book.offer(member_id, new)
    assert isinstance(offer, StandingOffer)
    return offer


async def test_a_producer_sells_out_of_its_lots(world: World, eco: OfferBook) -> None:
    """A producer sells what no offer holds of its lots; a closed offer returns its rest."""
    (lot,) = await eco.lots("PRO1")
    assert (lot.lot_id, lot.energy_wh, lot.unsold_wh, lot.expires_s) == ("L1", 20_000, 10_000, DAY0 + 86_400)
    offer = await made(eco, "PRO1", NEW)
    assert (offer.product, offer.amount, offer.left, offer.limit_mtok_per_kwh) == (
        "CHARGE",
        4000,
        4000,
        91_000,
    )
    assert (offer.lot_id, offer.status, offer.member_id) == ("L1", "OPEN", "PRO1")
    first, second = await eco.offers("PRO1")
    assert first == offer
    assert (second.offer_id, second.left) == ("O1", 8000)
    assert [one.unsold_wh for one in await eco.lots("PRO1")] == [6000]
    assert await eco.close("PRO1", offer.offer_id) is None
    assert await eco.close("PRO1", offer.offer_id) is None
    assert [one.offer_id for one in await eco.offers("PRO1")] == ["O1"]
    assert [one.unsold_wh for one in await eco.lots("PRO1")] == [10_000]


async def test_an_industrial_member_bids_tokens(world: World, ind: OfferBook) -> None:
    """An industrial member bids tokens, and sees no energy behind a bid."""
    offer = await made(ind, "IND1", BID)
    assert (offer.product, offer.amount, offer.lot_id) == ("DISCHARGE", 1_000_000, "")
    assert await ind.offers("IND1") == [offer]
    assert await ind.lots("IND1") == []


async def test_offers_that_nobody_lists_any_more_are_shown(world: World, eco: OfferBook) -> None:
    """An offer that ended, and one that is wholly reserved, are still shown, and their owner closes them."""
    world.now_s = LIGHT
    world.call(ECO, "Offer", **sun_offer("O2", wh="2000"))
    world.call(GATE, "Reserve", sliceId="S9", offerId="O2", interval=LIGHT + 1800, amount="2000")
    world.now_s = DAY0 + 2 * 86_400
    assert {one.offer_id: one.left for one in await eco.offers("PRO1")} == {"O2": 0, "O1": 8000}


async def test_old_offers_are_found_in_the_list(
    world: World, eco: OfferBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the history is too long to search, old offers are found in the contract's list."""
    monkeypatch.setattr(module, "_PAGE", 1)
    monkeypatch.setattr(module, "_PAGES_MOST", 1)
    generate(world, lot_id="L2", start_wh=20_500)
    assert [one.offer_id for one in await eco.offers("PRO1")] == ["O1"]
    assert [one.lot_id for one in await eco.lots("PRO1")] == ["L2"]


async def test_expired_lots_are_gone_once_they_are_said_to_be(world: World, eco: OfferBook) -> None:
    """An expired lot's rest is shown with its end until it is expired on the ledger; a lot wholly on offer has none unsold."""
    generate(world, lot_id="L2", start_wh=20_500, wh=1000)
    await made(eco, "PRO1", NEW)
    everything = NewOffer(
        limit_mtok_per_kwh=1, valid_from_s=DAY0, valid_to_s=DAY0 + 86_400, lot_id="L2", energy_wh=1000
    )
    await made(eco, "PRO1", everything)
    assert [one.lot_id for one in await eco.lots("PRO1")] == ["L1"]
    world.now_s = DAY0 + 86_400
    world.call(ECO, "ExpireLot", lotId="L1")
    assert await eco.lots("PRO1") == []


async def test_nobody_touches_anothers(world: World, eco: OfferBook, ind: OfferBook) -> None:
    """No member can touch another's offer or lot, also through another organisation's book."""
    world.sign_up("PRO2", "PRODUCER")
    assert await eco.offers("PRO2") == []
    assert await eco.lots("PRO2") == []
    assert await eco.close("PRO2", "O1") == RefusedRequest(code=RefusalCode.NOT_YOURS)
    assert await eco.offer("PRO2", NEW) == RefusedRequest(code=RefusalCode.NOT_YOURS)
    bid = await made(ind, "IND1", BID)
    assert await eco.close("PRO1", bid.offer_id) == RefusedRequest(code=RefusalCode.NOT_YOURS)
    with pytest.raises(RepresentativeError):
        await ind.offers("PRO1")
    assert world.record("offer~O1")["status"] == "OPEN"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"energy_wh": 0}, RefusalCode.BAD_FIELD),
        ({"energy_wh": -1}, RefusalCode.BAD_FIELD),
        ({"tokens_mtok": 5}, RefusalCode.BAD_FIELD),
        ({"lot_id": "L7"}, "LOT_UNKNOWN"),
        ({"lot_id": "<b>"}, "BAD_ARGUMENT"),
        ({"energy_wh": 10_001}, "INSUFFICIENT_ENERGY"),
        ({"valid_to_s": DAY0}, "BAD_ARGUMENT"),
        ({"limit_mtok_per_kwh": -1}, "BAD_ARGUMENT"),
    ],
)
async def test_a_producers_offer_is_refused(eco: OfferBook, change: dict[str, Any], code: str) -> None:
    """A producer's bad offer is refused with the field or the contract's code; nothing is written."""
    from dataclasses import replace

    refusal = await eco.offer("PRO1", replace(NEW, **change))
    assert isinstance(refusal, RefusedRequest)
    assert refusal.code == code
    assert [one.offer_id for one in await eco.offers("PRO1")] == ["O1"]


async def test_other_refusals(world: World, ind: OfferBook) -> None:
    """A bid without tokens, with a lot, or beyond the account; a driver; an offer that is none."""
    from dataclasses import replace

    for change, code in (
        ({"tokens_mtok": 0}, RefusalCode.BAD_FIELD),
        ({"lot_id": "L1"}, RefusalCode.BAD_FIELD),
        ({"tokens_mtok": 10**10}, "INSUFFICIENT_TOKENS"),
    ):
        refusal = await ind.offer("IND1", replace(BID, **change))
        assert isinstance(refusal, RefusedRequest)
        assert refusal.code == code
    drivers = OfferBook(ledger=Port(world, EVU), zone=ZONE)
    assert await drivers.offer("EVA", BID) == RefusedRequest(code="WRONG_KIND")
    assert await drivers.offers("EVA") == []
    assert await ind.close("IND1", "never") == RefusedRequest(code="OFFER_UNKNOWN")


async def test_what_was_sold_comes_page_by_page(world: World, eco: OfferBook) -> None:
    """Every trade once, newest first, with Wh, price and amount; pages that hold no trade are passed by."""
    for n, wh in enumerate((100, 200, 300)):
        start = 1000 + sum((100, 200, 300)[:n])
        trade = line(LIGHT, start, start + wh, evidenceHash=digest(str(n)))
        assert world.call(GATE, "RecordTrades", lines=[trade])["results"][0]["status"] == "RECORDED"
        world.now_s += 1
    generate(world, lot_id="L2", start_wh=20_500)
    world.now_s += 1
    generate(world, lot_id="L3", start_wh=40_500, interval=world.now_s // QUARTER_S * QUARTER_S)
    sold_wh: list[int] = []
    bookmark = ""
    while True:
        page = await eco.sold("PRO1", bookmark=bookmark, size=1)
        sold_wh += [one.end_wh - one.start_wh for one in page.trades]
        bookmark = page.bookmark
        if not bookmark:
            break
    assert sold_wh == [300, 200, 100]
    (first, *_) = (await eco.sold("PRO1", size=1000)).trades
    assert (first.seller, first.buyer, first.block) == ("PRO1", "EVA", None)
    assert first.amount_mtok == (first.price_mtok_per_kwh * 300 + 500) // 1000


@pytest.mark.parametrize("fault", [Unavailable("gone"), BusinessRefusal("NOT_AUTHORISED", "")])
async def test_a_ledger_that_cannot_be_asked_is_a_fault(
    world: World, eco: OfferBook, fault: Exception
) -> None:
    """Every method raises a fault if the ledger refuses or cannot be reached."""
    assert isinstance(eco.ledger, Port)
    eco.ledger.fault = fault
    for ask in (
        eco.offers("PRO1"),
        eco.offer("PRO1", NEW),
        eco.close("PRO1", "O1"),
        eco.lots("PRO1"),
        eco.sold("PRO1"),
    ):
        with pytest.raises(RepresentativeError):
            await ask
