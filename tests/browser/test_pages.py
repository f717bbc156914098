"""Every page in a real browser, in both languages and sizes, requests nothing foreign and has no axe violation."""

import pytest
from playwright.async_api import Browser

from edgegw.core.events import OrderPlaced
from edgegw.core.orders import Aim
from tests.support.chromium import (
    DESKTOP,
    DEVICES,
    LOCALES,
    PHONE,
    Device,
    slug,
    visit,
    wire_bytes,
)
from tests.support.driver_walk import SALE, Driver
from tests.support.operator_fake import PASSWORD as OPERATORS
from tests.support.operator_fake import Operator
from tests.support.web_served import Drivers, local, pages_of, serving, somebody
from tests.support.web_site import World
from tests.unit.test_web_market import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOR_STRANGERS = {"/", "/login", "/signup", "/stations", "/evse/BAY-1"}

# Each size and each language once; the other two pairs are nightly.
FIRST = ((PHONE, "ko"), (DESKTOP, "en"))

everywhere = pytest.mark.parametrize(
    ("device", "language"),
    [
        pytest.param(device, language, marks=() if (device, language) in FIRST else pytest.mark.nightly)
        for device in DEVICES
        for language in LOCALES
    ],
    ids=lambda one: getattr(one, "name", one),
)


@everywhere
async def test_every_page_can_be_read_by_everybody(browser: Browser, device: Device, language: str) -> None:
    """No page violates a WCAG 2.2 AA rule that axe checks, requests another host, or violates its own policy."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    assert set(drivers.pages) >= FOR_STRANGERS
    async with (
        drivers.served() as origin,
        visit(browser, origin, device=device, language=language) as there,
    ):
        for path in sorted(FOR_STRANGERS):
            await there.go(path)
            await there.look(f"stranger-{slug(path)}")
        await there.go("/nowhere", status=404)
        await there.look("refused")
        await there.log_in(token)
        for path in drivers.pages:
            await there.go(path)
            await there.look(slug(path))
        await there.go("/receipts/BAY-1.77?check=1")
        await there.look("receipts-BAY-1-77-checked")


@everywhere
async def test_an_operator_can_read_every_page(browser: Browser, device: Device, language: str) -> None:
    """The operator's pages keep the same rules, from the login on."""
    operator = Operator()
    local(operator.world)
    app = operator.browser().app
    async with (
        serving(app, operator.world) as origin,
        visit(browser, origin, device=device, language=language) as there,
    ):
        await there.go("/login")
        await there.look("operator-login")
        await there.page.locator("[name=password]").fill(OPERATORS)
        await there.page.locator("main form button").click()
        await there.page.wait_for_url(origin + "/")
        for path in pages_of(app):
            await there.go(path)
            await there.look(f"operator-{slug(path)}")


@everywhere
@pytest.mark.parametrize("kind", ["PRODUCER", "INDUSTRY"])
async def test_producers_and_industry_can_read_every_page(
    browser: Browser, device: Device, language: str, kind: str
) -> None:
    """Their pages keep the same rules."""
    market = Market(local(World()))
    mine, _ = await market.browser(kind)
    async with (
        serving(market.app, market.world) as origin,
        visit(browser, origin, device=device, language=language) as there,
    ):
        await there.log_in(mine.cookies["edgegw_login"])
        for path in pages_of(market.app):
            if (kind, path) != ("INDUSTRY", "/generation"):  # nothing is generated there
                await there.go(path)
                await there.look(f"{kind.lower()}-{slug(path)}")


async def test_a_first_visit_is_small(browser: Browser) -> None:
    """Each page, with everything that a browser loads for it the first time, is at most 60 kB over the wire."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.log_in(token)
        for path in drivers.pages:
            assert 1_000 < await wire_bytes(there, path) <= 60_000, path


async def test_the_pages_work_without_scripts(browser: Browser) -> None:
    """Without JavaScript every page opens, and has a heading."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    async with drivers.served() as origin, visit(browser, origin, scripts=False) as there:
        await there.log_in(token)
        for path in drivers.pages:
            await there.go(path)
            assert await there.page.get_by_role("heading", level=1).count() == 1, path


async def test_the_main_path_works_without_scripts(browser: Browser) -> None:
    """Signing up, exchanging and ordering need forms alone; what is ordered reaches the station once."""
    drivers = Drivers(World())
    async with drivers.served() as origin, visit(browser, origin, scripts=False) as there:
        driver = Driver(there=there, login="mina", evse_id="BAY-1", looks=False)
        await driver.sign_up()
        await driver.exchange(10_000)
        await driver.order("charge", kwh="10", price_max="400")
        await driver.order("sell", **SALE)
    charge, sale = drivers.world.placed
    assert isinstance(charge, OrderPlaced)
    assert isinstance(sale, OrderPlaced)
    assert (charge.order.aim, charge.order.energy_wh) == (Aim.CHARGE, 10_000)
    assert (sale.order.aim, sale.order.energy_wh) == (Aim.SELL, 5_500)
