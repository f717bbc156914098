"""Producers' and industrial members' pages: each member sells or buys, and sees only its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.daemon.representative_pages import market_application
from edgegw.ports.representative import (
    LotShown,
    NewOffer,
    Profile,
    RefusalCode,
    RefusedRequest,
    StandingOffer,
    TradeShown,
    TradesShown,
)
from edgegw.web.application import for_members, page
from edgegw.web.market.market_port import MarketPort
from edgegw.web.pages import Pages
from edgegw.web.site import Site
from tests.support.representative_fake import NOW_S, FakeOffice
from tests.support.web_site import Browser, World

LOT = LotShown(
    lot_id="lot-1", interval=NOW_S - 1800, energy_wh=5_000, unsold_wh=4_000, expires_s=NOW_S + 86_400
)
SELLING = {
    "lot": "lot-1",
    "energy": "2.5",
    "price": "140.5",
    "valid_from": "2026-06-10T12:15",
    "valid_to": "2026-06-11T12:15",
}
BUYING = {"tokens": "5000", "price": "180", "valid_from": "2026-06-10T12:15", "valid_to": "2026-06-10T18:00"}
PAGES = ("/", "/offers", "/generation", "/sold")
NASTY = "<script>alert(1)</script>"


@dataclass
class FakeBook:
    """The book over the fake representative."""

    representative: FakeOffice
    lot: Sequence[LotShown] = (LOT,)
    trades: Sequence[TradeShown] = ()
    made: list[NewOffer] = field(default_factory=list)
    refusal: RefusedRequest | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        return await self.representative.offers(member_id)

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        self.made.append(new)
        return self.refusal or await self.representative.offer(member_id, new)

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        return await self.representative.close_offer(member_id, offer_id)

    async def lots(self, member_id: str) -> Sequence[LotShown]:
        self.asked.append(("lots", member_id))
        return self.lot

    async def sold(self, member_id: str, *, bookmark: str = "", size: int = 20) -> TradesShown:
        self.asked.append((f"sold {bookmark} {size}", member_id))
        return TradesShown(trades=self.trades, bookmark="" if bookmark else "next&page")


def shared(pages: Pages) -> Sequence[BaseRoute]:
    """A page of the drivers' own, as the representative serves it too."""

    async def history(request: Request) -> Response:
        return await pages.answer(request, "driver/frame.html")

    return [page("/history", for_members(pages, history))]


@dataclass
class Market:
    """A representative's site, without a station."""

    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.book = FakeBook(self.world.representative)
        port: MarketPort = self.book
        told = self.world.site()
        site: Site = replace(told, station=None, place=None)
        self.app = market_application(site, port, shared={"shared": shared})

    async def browser(self, kind: str, language: str = "en") -> tuple[Browser, Profile]:
        browser = Browser(self.app, language=language)
        profile = await browser.sign_up(self.world.representative, login=f"a-{kind.lower()}", kind=kind)
        if kind == "PRODUCER":
            self.world.representative.lots[LOT.lot_id] = (profile.member_id, LOT.unsold_wh)
        if kind == "INDUSTRY":
            self.world.representative.tokens[profile.member_id] = 9_000_000
        return browser, profile


@pytest.fixture
def market() -> Market:
    return Market()


def trade(seller: str, buyer: str, trade_id: str = "T1") -> TradeShown:
    return TradeShown(
        trade_id=trade_id,
        kind="MARKET",
        product="CHARGE",
        interval=NOW_S - 900,
        buyer=buyer,
        seller=seller,
        start_wh=1_000,
        end_wh=2_250,
        price_mtok_per_kwh=162_600,
        amount_mtok=203_250,
        fee_mtok=1_000,
        evidence_hash="",
        tx_id="",
        at_ns=0,
    )


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("kind", ["PRODUCER", "INDUSTRY"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_in_both_languages(market: Market, path: str, kind: str, language: str) -> None:
    """One main heading, in the reader's language; the member's own kind of words."""
    browser, profile = await market.browser(kind, language)
    market.book.trades = [
        trade(profile.member_id, "b") if kind == "PRODUCER" else trade("s", profile.member_id)
    ]
    answer = await browser.get(path)
    if (path, kind) == ("/generation", "INDUSTRY"):  # nothing is generated there
        assert answer.status == 404
        return
    assert answer.status == 200
    assert f'<html lang="{language}">' in answer.text
    assert answer.text.count("<h1") == 1
    title = re.search(r"<title>(.*?) ·", answer.text)
    assert title is not None
    assert bool(re.search("[가-힣]", title[1])) == (language == "ko")
    assert ("/generation" in answer.text) == (kind == "PRODUCER")


@pytest.mark.parametrize("path", PAGES[1:])
async def test_nobody_else_is_let_in(market: Market, path: str) -> None:
    """A stranger is led to the login; a driver has no page here."""
    pending = Browser(market.app)
    assert (await pending.get(path)).headers["location"] == f"/login?next={path}"
    driver, _ = await market.browser("EV")
    assert (await driver.get(path)).status == 404
    await driver.get("/")
    assert (await driver.send("/offers", **SELLING)).status == 404
    assert (market.book.made, market.book.asked) == ([], [])


async def test_a_stranger_sees_prices_only(market: Market) -> None:
    """The price now, and the way in."""
    words = (await Browser(market.app).get("/")).words
    assert "125 tokens/kWh" in words or "95 tokens/kWh" in words or "165 tokens/kWh" in words
    assert "Your account" not in words


async def test_a_producer_offers_energy_of_a_lot(market: Market) -> None:
    """A producer offers energy of a lot with lowest price and validity, sees what is left, and closes the offer."""
    browser, profile = await market.browser("PRODUCER")
    shown = await browser.get("/offers")
    assert "Wed 10 Jun 2026 11:30–11:45: 4.000 kWh" in shown.words  # noqa: RUF001 - an en dash, as spans have it
    answer = await browser.send("/offers", **SELLING)
    (new,) = market.book.made
    assert (new.lot_id, new.energy_wh, new.limit_mtok_per_kwh, new.tokens_mtok) == (
        "lot-1",
        2_500,
        140_500,
        0,
    )
    assert (new.valid_from_s, new.valid_to_s) == (NOW_S + 900, NOW_S + 900 + 86_400)
    assert "2.500 kWh" in answer.words
    assert "140.5 tokens/kWh" in answer.words
    (offer,) = await market.world.representative.offers(profile.member_id)
    answer = await browser.send("/offers/close", offer_id=offer.offer_id)
    assert "no open offer" in answer.words


async def test_an_industrial_member_offers_tokens(market: Market) -> None:
    """Tokens and highest price; what a producer's form has is not taken from it."""
    browser, _ = await market.browser("INDUSTRY")
    await browser.get("/offers")
    answer = await browser.send("/offers", **{**BUYING, "lot": "lot-1", "energy": "1"})
    (new,) = market.book.made
    assert (new.lot_id, new.energy_wh, new.tokens_mtok) == ("", 0, 5_000_000)
    assert "5,000 tokens" in answer.words
    assert "Highest price 180 tokens/kWh" in answer.words
    assert ("lots",) not in [(name,) for name, _ in market.book.asked]


@pytest.mark.parametrize(
    ("kind", "name", "typed"),
    [
        ("PRODUCER", "lot", "lot-2"),
        ("PRODUCER", "energy", "4.001"),
        ("PRODUCER", "energy", "0"),
        ("PRODUCER", "energy", "1,5"),
        ("PRODUCER", "price", "0"),
        ("PRODUCER", "price", "-1"),
        ("PRODUCER", "price", "140.5001"),
        ("PRODUCER", "valid_from", "2026-06-10T12:10"),
        ("PRODUCER", "valid_to", "2026-06-10T12:15"),
        ("PRODUCER", "valid_to", "2026-08-10T12:15"),
        ("PRODUCER", "valid_to", "soon"),
        ("INDUSTRY", "tokens", ""),
        ("INDUSTRY", "tokens", "0.5"),
        ("INDUSTRY", "tokens", NASTY),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_offered(
    market: Market, kind: str, name: str, typed: str
) -> None:
    """A bad field is explained beside it, entries are kept, and nothing is offered."""
    browser, _ = await market.browser(kind)
    await browser.get("/offers")
    answer = await browser.send("/offers", **{**(SELLING if kind == "PRODUCER" else BUYING), name: typed})
    assert (answer.status, f'id="{name}-fault"' in answer.text) == (422, True)
    assert NASTY not in answer.text
    assert market.book.made == []


async def test_an_offer_that_ended_before_now_is_not_made(market: Market) -> None:
    """Validity may begin earlier, but not end so."""
    browser, _ = await market.browser("PRODUCER")
    await browser.get("/offers")
    past = {"valid_from": "2026-06-10T10:00", "valid_to": "2026-06-10T11:00"}
    assert (await browser.send("/offers", **{**SELLING, **past})).status == 422
    assert market.book.made == []


async def test_another_members_offer_is_neither_seen_nor_closed(market: Market) -> None:
    """Another member's offer is not found."""
    browser, profile = await market.browser("PRODUCER")
    await browser.get("/offers")
    await browser.send("/offers", **SELLING)
    (offer,) = await market.world.representative.offers(profile.member_id)
    other, _ = await market.browser("INDUSTRY")
    assert offer.offer_id not in (await other.get("/offers")).text
    answer = await other.send("/offers/close", offer_id=offer.offer_id)
    assert (answer.status, "This offer does not exist or is not yours." in answer.words) == (422, True)
    assert await market.world.representative.offers(profile.member_id)


@pytest.mark.parametrize(
    "code", ["INSUFFICIENT_ENERGY", "ENERGY_EXPIRED", "SOMETHING_NEW", RefusalCode.NOT_YOURS]
)
async def test_the_ledgers_no_is_told_in_words(market: Market, code: str) -> None:
    """A code without words is shown as itself; the form stays as it was."""
    browser, _ = await market.browser("PRODUCER")
    await browser.get("/offers")
    market.book.refusal = RefusedRequest(code=code)
    answer = await browser.send("/offers", **SELLING)
    assert (answer.status, 'role="alert"' in answer.text, 'value="2.5"' in answer.text) == (422, True, True)
    assert ("SOMETHING_NEW" in answer.words) == (code == "SOMETHING_NEW")


async def test_lots_that_are_sold_or_over_are_not_offered(market: Market) -> None:
    """Only lots with energy that can be sold are offered; the page of generation shows the others as over."""
    market.book.lot = (replace(LOT, unsold_wh=0), replace(LOT, expires_s=NOW_S))
    browser, _ = await market.browser("PRODUCER")
    assert "no generated energy" in (await browser.get("/offers")).words
    assert (await browser.send("/offers", **SELLING)).status == 422
    assert "(expired)" in (await browser.get("/generation")).words


async def test_trades_are_the_members_own_page_by_page(market: Market) -> None:
    """Trades have the ledger's energy, price, amount and fee; another member's trade is not shown."""
    browser, profile = await market.browser("PRODUCER")
    market.book.trades = [trade(profile.member_id, "buyer", NASTY), trade("other", "another", "T2")]
    answer = await browser.get("/sold")
    for text in ("sold 1.250 kWh 162.6 tokens/kWh 203.25 tokens 1 token", "11:45"):
        assert text in answer.words
    assert "T2" not in answer.words
    assert NASTY not in answer.text
    assert 'href="/sold?from=next%26page"' in answer.text
    older = await browser.get("/sold?from=next%26page")
    assert market.book.asked[-1] == ("sold next&page 20", profile.member_id)
    assert "Newest" in older.words


async def test_shared_pages_stand_in_this_frame(market: Market) -> None:
    """A driver's page shows this area's navigation, and needs no station."""
    browser, _ = await market.browser("PRODUCER")
    answer = await browser.get("/history")
    assert answer.status == 200
    assert "/generation" in answer.text
    assert "/stations" not in answer.text
