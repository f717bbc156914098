"""Back, forward and reload at every step of the main forms: each shows a page of ours, and nothing is sent a second time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Request

from edgegw.core.events import OrderPlaced, OrderStopped
from tests.support.chromium import Visit, visit
from tests.support.driver_walk import SALE
from tests.support.operator_fake import APPROVAL, NOTICE, Operator
from tests.support.operator_fake import PASSWORD as OPERATORS
from tests.support.web_served import Drivers, local, serving, somebody
from tests.support.web_site import PASSWORD, World
from tests.unit.test_web_market import BUYING, SELLING, Market

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOVES = ("reload", "go_back", "go_forward", "reload")


@dataclass(kw_only=True)
class Walker:
    """Somebody who sends forms, and then goes back, forward and reloads."""

    there: Visit
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.there.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.method == "POST":
            self.sent.append(request.url)

    async def send(self, action: str, *, secrets: Sequence[str] = (), **fields: str) -> str:
        """Fill in the form that goes to `action` and send it once; gives what the page says then, which stays."""
        page = self.there.page
        form = page.locator(f'main form[action="{action}"]').first
        for name, text in fields.items():
            part = form.locator(f'[name="{name}"]:not([type="hidden"])')
            match await part.first.evaluate("one => one.type"):
                case "checkbox" | "radio":
                    await form.locator(f'[name="{name}"][value="{text}"]').check()
                case "select-one":
                    await part.select_option(text)
                case _:
                    await part.fill(text)
        await form.evaluate("one => one.noValidate = true")
        self.sent.clear()
        async with page.expect_navigation():
            await form.locator("button").first.click()
        assert len(self.sent) == 1, self.sent
        for text in (*fields.values(), *secrets):
            assert len(text) < 5 or text not in page.url, page.url
        return await self.stays()

    async def stays(self) -> str:
        """What the page says, after every move again."""
        page = self.there.page
        said, url = await self._says(), page.url
        for move in MOVES:
            await getattr(page, move)()
            assert page.url.startswith(self.there.origin), (url, move, page.url)
            assert await page.locator("header.top").count() == 1, (url, move)
        assert page.url == url
        assert await self._says() == said
        assert len(self.sent) == 1, self.sent
        return said

    async def _says(self) -> str:
        return await self.there.page.locator("main h1").first.inner_text()


async def test_a_driver_goes_back_from_every_form(browser: Browser) -> None:
    """Sign-up, exchange, order, profile, cards and leaving: faults and results stay, one order and one exchange are made."""
    drivers = Drivers(World())
    await somebody(drivers)
    async with drivers.served() as origin, visit(browser, origin) as there:
        walker, page = Walker(there=there), there.page
        await there.go("/login")
        await walker.send("/login", login="nobody.here", password="wrong password")
        assert await page.locator("[name=login]").input_value() == "nobody.here"
        assert await page.locator("[name=password]").input_value() == ""
        await there.go("/signup")
        about = {"name": "Jonas Han", "contact": "jonas@example.org", "login": "jonas"}
        await walker.send("/signup", **about, password="short")
        assert await page.locator("[name=name]").input_value() == "Jonas Han"
        assert await page.locator(".fault").count() == 2
        await walker.send("/signup", **about, password=PASSWORD, consent="1")

        await there.go("/exchange")
        await walker.send("/exchange/quote", tokens="many", way="buy")
        assert await page.locator("[name=tokens]").input_value() == "many"
        await walker.send("/exchange/quote", tokens="10000", way="buy")
        await walker.send("/exchange/confirm")
        await page.go_back()  # to the quote, whose confirmation is sent again
        await walker.send("/exchange/confirm")
        await there.go("/account")
        assert "10,000 tokens" in await page.locator(".figure").first.inner_text()

        for aim, fields in (("charge", {"kwh": "10", "price_max": "400"}), ("sell", SALE)):
            here = f"/evse/BAY-1/{aim}"
            await there.go(here)
            await walker.send(here, kwh="lots of it")
            assert await page.locator("[name=kwh]").input_value() == "lots of it"
            await walker.send(here, **fields)
            await walker.send(f"{here}/change")
            assert await page.locator("[name=kwh]").input_value() == fields["kwh"]
            await walker.send(here)
            await walker.send(f"{here}/confirm")
            await page.go_back()
            await walker.send(f"{here}/confirm")
        assert [type(one) for one in drivers.world.placed] == [OrderPlaced] * 2
        await walker.send("/evse/BAY-1/stop")
        assert [type(one) for one in drivers.world.placed[2:]] == [OrderStopped]

        await there.go("/profile")
        await walker.send("/profile", name="", contact="nowhere at all")
        await walker.send("/profile/defaults", soc_min="much of it")
        await walker.send("/profile/password", current="not the right one", new_password="another password")
        await there.go("/cards")
        await walker.send("/cards", label="My very own card")
        await there.go("/leave")
        await walker.send("/leave")
        await walker.send("/leave/now", password="not the right one")


async def test_a_member_who_left_is_a_stranger_on_the_way_back(browser: Browser) -> None:
    """The last page stays, and no page before it shows anything of the member any more."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    member = await drivers.world.representative.who(token)
    assert member is not None
    async with drivers.served() as origin, visit(browser, origin) as there:
        walker, page = Walker(there=there), there.page
        await there.log_in(token)
        await there.go("/exchange")
        await walker.send("/exchange/quote", tokens="1000", way="sell")
        kept = page.url
        balance = await drivers.world.representative.balance(member.member_id)
        quote = await drivers.world.representative.exchange_quote(
            member.member_id, buys=False, tokens_mtok=balance.available_mtok
        )
        await drivers.world.representative.exchange(member.member_id, getattr(quote, "quote_id", ""))
        await there.go("/leave")
        await walker.send("/leave")
        await walker.send("/leave/now", password=PASSWORD, sure="1")
        assert page.url == f"{origin}/left"
        await page.goto(kept)
        assert page.url.startswith(f"{origin}/login")


async def test_the_operator_goes_back_from_every_form(browser: Browser) -> None:
    """Login, notices and approval: one charger is approved once, and its password can be read again by its operator alone."""
    operator = Operator()
    local(operator.world)
    async with (
        serving(operator.browser().app, operator.world) as origin,
        visit(browser, origin) as there,
        visit(browser, origin) as stranger,
    ):
        walker, page = Walker(there=there), there.page
        await there.go("/login")
        await walker.send("/login", password="not the right one")
        await walker.send("/login", password=OPERATORS)
        await there.go("/notices")
        await walker.send("/notices", title_ko="only a title")
        assert await page.locator("[name=title_ko]").input_value() == "only a title"
        await walker.send("/notices", **{**NOTICE, "until": ""})
        await walker.send("/notices/withdraw")
        await there.go("/chargers/CP-9/approve?evses=2")
        form = {name: text for name, text in APPROVAL.items() if name not in {"evses", "unit_1"}}
        here = "/chargers/CP-9/approve"
        await walker.send(here, **{**form, "rated_w": "0"})
        assert await page.locator("[name=rated_w]").input_value() == "0"
        await walker.send(here, **form, new_password="1", secrets=["made-up"])
        assert "made-up" in await page.locator("main").inner_text()
        assert len(operator.operator_port.wishes) == 1
        answer = await stranger.page.goto(page.url)
        assert answer is not None
        assert "made-up" not in await answer.text()


@pytest.mark.parametrize(("kind", "fields"), [("PRODUCER", SELLING), ("INDUSTRY", BUYING)])
async def test_the_market_goes_back_from_every_form(
    browser: Browser, kind: str, fields: dict[str, str]
) -> None:
    """One offer is made and closed once, whichever way somebody goes."""
    market = Market(local(World()))
    mine, _ = await market.browser(kind)
    async with serving(market.app, market.world) as origin, visit(browser, origin) as there:
        walker, page = Walker(there=there), there.page
        await there.log_in(mine.cookies["edgegw_login"])
        await there.go("/offers")
        await walker.send("/offers", price="not a price")
        assert await page.locator("[name=price]").input_value() == "not a price"
        await walker.send("/offers", **fields)
        assert len(market.book.made) == 1
        assert await page.locator('form[action="/offers/close"]').count() == 1
        await walker.send("/offers/close")
