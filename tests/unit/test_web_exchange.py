"""The exchange pages: tokens for won and back, each once, with the words of every refusal."""

import re

import pytest

from edgegw.ports.representative import (
    RefusalCode,
    RefusedRequest,
)
from edgegw.web import driver
from edgegw.web.application import application
from edgegw.web.driver import home
from tests.support.web_site import Browser, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Browser:
    return Browser(application(world.site(), {"home": home.routes, "driver": driver.routes}))


async def test_tokens_are_bought_once(world: World, browser: Browser) -> None:
    """Quote, confirmation, result; the same confirmation again shows the same result and exchanges nothing."""
    profile = await browser.sign_up(world.representative)
    await browser.get("/exchange")
    quote = await browser.send("/exchange/quote", way="buy", tokens="5000.5")
    assert "5,001 KRW" in quote.words, "what does not come out even is rounded up"
    assert "5,000.5 tokens" in quote.words
    assert "1 won for one token" in quote.words
    assert world.representative.tokens == {}
    quote_id = re.findall(r'name="quote_id" value="(\w+)"', quote.text)[0]
    results = [await browser.send("/exchange/confirm", quote_id=quote_id) for _ in range(2)]
    assert results[0].words == results[1].words
    assert f"dep:{quote_id}" in results[0].words
    assert "committed in block 1" in results[0].words
    assert world.representative.tokens == {profile.member_id: 5_000_500}


async def test_tokens_are_sold(world: World, browser: Browser) -> None:
    """Tokens are sold; more than the member has is refused beside the field, or at the confirmation."""
    profile = await browser.sign_up(world.representative)
    world.representative.tokens[profile.member_id] = 7_000_000
    await browser.get("/exchange")
    over = await browser.send("/exchange/quote", way="sell", tokens="7001")
    assert over.status == 422
    assert "You do not have enough available tokens." in over.words
    late = await browser.send("/exchange/quote", way="sell", tokens="7000")
    quote_id = re.findall(r'name="quote_id" value="(\w+)"', late.text)[0]
    world.representative.tokens[profile.member_id] = 6_999_000
    late = await browser.send("/exchange/confirm", quote_id=quote_id)
    assert (late.status, world.representative.tokens) == (422, {profile.member_id: 6_999_000})
    assert "You do not have enough available tokens." in late.words
    world.representative.tokens[profile.member_id] = 7_000_000
    await browser.get("/exchange")
    quote = await browser.send("/exchange/quote", way="sell", tokens="7000")
    quote_id = re.findall(r'name="quote_id" value="(\w+)"', quote.text)[0]
    done = await browser.send("/exchange/confirm", quote_id=quote_id)
    assert "7,000 KRW are pending." in done.words
    assert world.representative.tokens == {profile.member_id: 0}


@pytest.mark.parametrize("typed", ["-5", "1e9", "5,5", "٣", "", "0", "0.5", "1000001", "9" * 40, "1.2345"])
async def test_a_bad_amount_is_told_beside_its_field(world: World, browser: Browser, typed: str) -> None:
    """No entry is guessed at; it is kept as it was typed, and no quote is made."""
    await browser.sign_up(world.representative)
    await browser.get("/exchange")
    answer = await browser.send("/exchange/quote", way="buy", tokens=typed)
    assert (answer.status, f'value="{typed}"' in answer.text) == (422, True)
    assert "Enter tokens between 1 and 1,000,000" in answer.words
    assert world.representative.quotes == {}


async def test_quotes_are_the_members_own_and_end(world: World, browser: Browser) -> None:
    """A quote of another member, an unknown and an old one do nothing and are explained; a direction must be chosen."""
    await browser.sign_up(world.representative)
    other = Browser(browser.app)
    await other.sign_up(world.representative, "nari")
    await browser.get("/exchange")
    assert (
        "Choose whether to buy tokens or to exchange them for won."
        in (await browser.send("/exchange/quote", tokens="5")).words
    )
    quote = await browser.send("/exchange/quote", way="buy", tokens="5000")
    quote_id = re.findall(r'name="quote_id" value="(\w+)"', quote.text)[0]
    await other.get("/exchange")
    assert "This quote is unknown" in (await other.send("/exchange/confirm", quote_id=quote_id)).words
    assert (await browser.send("/exchange/confirm", quote_id="")).status == 422
    world.clock.at_ns += 301 * 10**9
    late = await browser.send("/exchange/confirm", quote_id=quote_id)
    assert (late.status, "This quote has expired" in late.words) == (422, True)
    assert world.representative.tokens == {}


async def test_a_code_without_words_is_told_as_itself(world: World, browser: Browser) -> None:
    """A refusal that these pages do not know is not hidden."""
    await browser.sign_up(world.representative)

    async def refuse(*_: object, **__: object) -> RefusedRequest:
        return RefusedRequest(code="BRAND_NEW")

    world.representative.exchange_quote = refuse  # type: ignore[method-assign]  # this desk says something new
    await browser.get("/exchange")
    assert "(BRAND_NEW)" in (await browser.send("/exchange/quote", way="buy", tokens="5")).words
    assert RefusalCode.NO_DESK not in (await browser.get("/exchange")).text


async def test_who_came_for_tokens_is_led_back(world: World, browser: Browser) -> None:
    """A page that sends for tokens names how many and where to go afterwards; only pages of ours are gone to."""
    await browser.sign_up(world.representative)
    form = await browser.get("/exchange?tokens=12&next=/evse/BAY-1/charge")
    assert 'value="12"' in form.text
    quote = await browser.send("/exchange/quote", way="buy", tokens="12", next="/evse/BAY-1/charge")
    quote_id = re.findall(r'name="quote_id" value="(\w+)"', quote.text)[0]
    done = await browser.send("/exchange/confirm", quote_id=quote_id, next="/evse/BAY-1/charge")
    assert 'href="/evse/BAY-1/charge"' in done.text
    stray = await browser.send("/exchange/confirm", quote_id=quote_id, next="//evil.example")
    assert "evil.example" not in stray.text
    assert "evil.example" not in (await browser.get("/exchange?next=https://evil.example")).text


async def test_an_exchange_that_is_not_decided_can_be_asked_for_again(world: World, browser: Browser) -> None:
    """If the exchange is not decided, the same confirmation is offered again, and nothing is exchanged twice."""
    await browser.sign_up(world.representative)

    async def wait(*_: object) -> RefusedRequest:
        return RefusedRequest(code=RefusalCode.PENDING)

    world.representative.exchange = wait  # type: ignore[method-assign,assignment]  # this bank takes its time
    await browser.get("/exchange")
    answer = await browser.send("/exchange/confirm", quote_id="q1")
    assert answer.status == 202
    assert "not complete yet" in answer.words
    assert 'name="quote_id" value="q1"' in answer.text
