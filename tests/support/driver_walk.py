"""Walk a driver through the pages by fields, buttons and links, in the visitor's language.

A step that does not end at the expected page fails with the page's text. The texts come from the pages' catalogues, so
that a changed translation breaks no test.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.async_api import Locator, expect
from playwright.async_api import TimeoutError as NotSeenError

from edgegw.ports.representative import Language
from edgegw.web.catalogues import catalogue
from tests.support.chromium import Visit
from tests.support.patience import PATIENCE_MS, PATIENCE_S

PASSWORD = "correct horse battery staple"
AGAIN_S = 0.5
QUOTES_MAX = 10


@dataclass(kw_only=True)
class Driver:
    """A new visitor with a browser."""

    there: Visit
    login: str
    evse_id: str
    looks: bool = True  # at each step, with axe and a picture

    async def look(self, name: str) -> None:
        """Take a picture of the current page, and check it with axe."""
        if self.looks:
            await self.there.look(name)

    def word(self, text: str) -> str:
        """Return a text of the pages in the driver's language."""
        language: Language = "ko" if self.there.language == "ko" else "en"
        return catalogue(language).gettext(text)

    async def sign_up(self) -> None:
        """Follow the charger's QR code, create an account, and return to the charger."""
        await self.there.go(f"/evse/{self.evse_id}")
        await self.choose("charge")
        await self.follow("Open an account")
        await self.look("signup")
        await self.fill(
            name="김미나" if self.there.language == "ko" else "Mina Kim",
            contact=f"{self.login}@example.org",
            login=self.login,
            password=PASSWORD,
        )
        await self.field("consent").check()
        await self.press("Open an account")
        await self.arrives(f"/evse/{self.evse_id}/charge")

    async def exchange(self, tokens: int) -> None:
        """Buy tokens for won, after a look at rate and fee."""
        await self.there.go("/exchange")
        await self.look("exchange")
        await self.field("way", value="buy").check()
        await self.fill(tokens=str(tokens))
        await self.press("Show the quote")
        await self.look("exchange-quote")
        await self.press("Confirm")
        await self.arrives("/exchange/confirm")
        await self.look("exchanged")
        await self.there.go("/account")
        await self.sees(f"{tokens:,}")

    async def quote(self, aim: str, **fields: str) -> None:
        """Fill in the form of an aim and get the station's quote."""
        await self.there.go(f"/evse/{self.evse_id}")
        await self.look("evse")
        await self.choose(aim)
        await self.fill(**fields)
        await self.look(f"{aim}-form")
        await self.form(f"/evse/{self.evse_id}/{aim}").get_by_role("button").first.click()
        await self.shown(self.there.page.locator("main h1"))
        await self.shown(self.form(f"/evse/{self.evse_id}/{aim}/change"))
        await self.look(f"{aim}-quote")

    async def order(self, aim: str, **fields: str) -> None:
        """Get a quote and confirm it; ends at the charger's page."""
        await self.quote(aim, **fields)
        await self.shown(self.form(f"/evse/{self.evse_id}/{aim}/confirm"))
        await self.confirm(aim)

    async def confirm(self, aim: str) -> None:
        """Confirm the quote; if price or charger have changed meanwhile, confirm the new quote."""
        here, confirmation = f"/evse/{self.evse_id}", self.form(f"/evse/{self.evse_id}/{aim}/confirm")
        for _ in range(QUOTES_MAX):
            async with self.there.page.expect_navigation():
                await confirmation.get_by_role("button").first.click()
            if not urlsplit(self.there.page.url).path.endswith("/confirm"):
                break
        await self.arrives(here)

    async def plugs_in(self) -> None:
        """Wait until the charger's page shows the plugged car, without a reload."""
        await self.there.go(f"/evse/{self.evse_id}")
        await self.shown(self.there.page.locator(".live .state-plugged"))

    async def flows(self, direction: str) -> None:
        """Wait until the page shows energy in this direction, without a reload."""
        await self.shown(self.there.page.locator(f".live .power-{direction}"))

    async def is_done(self) -> None:
        """Wait until the page shows that the order is done, without a reload."""
        await self.shown(self.there.page.locator('.live a[href^="/receipts"]'))

    async def has_sold(self, kwh: int) -> None:
        """Wait until the page shows that `kWh` or a fraction more were sold, without a reload."""
        tile = self.there.page.locator(".live .tiles > div", has_text=self.word("Energy sold"))
        try:
            await expect(tile.locator("dd")).to_have_text(
                re.compile(rf"^{kwh}\.\d+ kWh"), timeout=PATIENCE_MS
            )
        except AssertionError as error:
            raise AssertionError(f"{kwh} sold: {await self._says()}") from error

    async def stop(self) -> None:
        """Stop the session."""
        await self.form(f"/evse/{self.evse_id}/stop").get_by_role("button").click()

    async def reads_receipts(self) -> tuple[int, int, list[str]]:
        """Recompute every receipt once it is committed; return Wh bought, Wh sold, and the times of the sales."""
        addresses = await self._receipts()
        bought_wh = sold_wh = 0
        sold_at: list[str] = []
        for number, address in enumerate(addresses):
            await self._until_committed(address)
            await self.look(f"receipt-{number + 1}")
            for line in await self.there.page.locator("main ol.cards > li").all():
                energy_wh = _wh(await line.locator("strong").first.inner_text())
                if await line.locator(".sell").count():
                    sold_wh += energy_wh
                    sold_at.append(await line.get_by_role("heading").inner_text())
                else:
                    bought_wh += energy_wh
            await self._checks(number + 1)
        return bought_wh, sold_wh, sold_at

    async def _receipts(self) -> list[str]:
        await self.there.go("/receipts")
        await self.look("receipts")
        links = await self.there.page.locator('main a[href^="/receipts/"]').all()
        found = [await link.get_attribute("href") for link in links]
        assert found, await self.there.page.locator("main").inner_text()
        return [address for address in found if address]

    async def _until_committed(self, address: str) -> None:
        """Reload the receipt until no line is waiting."""
        for _ in range(int(PATIENCE_S / AGAIN_S)):
            await self.there.go(address)
            text = await self.there.page.locator("main").inner_text()
            if await self.there.page.locator("main ol.cards > li").count() and "⏳" not in text:
                break
            await self.there.page.wait_for_timeout(AGAIN_S * 1000)
        text = await self.there.page.locator("main").inner_text()
        assert "⏳" not in text, text
        assert "✗" not in text, text

    async def _checks(self, number: int) -> None:
        """Recompute a receipt and check that everything is confirmed."""
        await self.follow("Check it yourself")
        await self.shown(self.there.page.locator("#proof"))
        for part in await self.there.page.locator("#proof details").all():
            if await part.get_attribute("open") is None:
                await part.locator("summary").click()
        await self.look(f"receipt-{number}-checked")
        assert await self.there.page.locator("#proof .fails").count() == 0
        assert await self.there.page.locator("#proof h3 .holds").count() > 0
        assert await self.there.page.locator("#proof .checks li").count() >= 6
        for name in ("KEY", "Value", "Timestamp", "Prev_Hash", "Proof"):
            assert await self.there.page.locator("#proof dt").get_by_text(name, exact=True).count() > 0

    async def choose(self, aim: str) -> None:
        """Choose one of the three aims."""
        await self.there.page.locator(f'main a[href$="/{self.evse_id}/{aim}"]').click()

    async def follow(self, words: str) -> None:
        """Follow a link in the content, by its text."""
        link = self.there.page.locator("main").get_by_role("link", name=self.word(words), exact=True)
        await self.click(link.first)

    async def press(self, words: str) -> None:
        """Press a button in the content, by its text."""
        button = self.there.page.locator("main").get_by_role("button", name=self.word(words), exact=True)
        await self.click(button)

    async def click(self, part: Locator) -> None:
        """Click an element once it is visible."""
        try:
            await part.click()
        except NotSeenError as error:
            raise AssertionError(f"{part}: {await self._says()}") from error

    async def fill(self, **fields: str) -> None:
        """Fill in fields by name."""
        for name, text in fields.items():
            await self.field(name).fill(text)

    def field(self, name: str, *, value: str = "") -> Locator:
        """Return a field by name, and by its value if several have that name."""
        chosen = f'[value="{value}"]' if value else ""
        return self.there.page.locator(f'main [name="{name}"]{chosen}:not([type="hidden"])')

    def form(self, address: str) -> Locator:
        """Return the form that is sent to an address."""
        return self.there.page.locator(f'main form[action="{address}"]')

    async def arrives(self, path: str) -> None:
        """Wait until the browser is at a page."""
        try:
            await expect(self.there.page).to_have_url(re.compile(re.escape(path) + r"(\?.*)?$"))
        except AssertionError as error:
            raise AssertionError(f"{path}: {await self._says()}") from error

    async def sees(self, text: str) -> None:
        """Wait until the content has a text."""
        assert text in await self._says()

    async def shown(self, part: Locator) -> None:
        """Wait until an element is visible."""
        try:
            await part.first.wait_for(state="visible", timeout=PATIENCE_MS)
        except NotSeenError as error:
            raise AssertionError(f"{part}: {await self._says()}") from error

    async def _says(self) -> str:
        return f"{self.there.page.url}: {await self.there.page.locator('main').inner_text()}"


def _wh(text: str) -> int:
    """Return the Wh of a text such as `1.234 kWh`."""
    number = re.search(r"([\d,]+)(?:\.(\d+))?\s*kWh", text)
    assert number, text
    return int(number[1].replace(",", "")) * 1000 + int((number[2] or "").ljust(3, "0")[:3])


# Half a kWh more than is waited for: the station does not use an interval for a smaller rest of a sale.
SALE: Mapping[str, str] = {
    "kwh": "5.5",
    "soc_min": "40",
    "soc_wanted": "50",
    "ready_by": "20:00",
    "price_min": "140",
    "battery": "77",
    "soc_told": "62",
}
WORK: Mapping[str, str] = {
    "soc_min": "40",
    "soc_wanted": "80",
    "ready_by": "22:00",
    "price_min": "140",
    "price_max": "300",
    "battery": "77",
    "soc_told": "62",
}
