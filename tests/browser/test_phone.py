"""What a phone shows first, and what an open page shows later: little above the content, whole figures, the present price."""

import pytest
from playwright.async_api import Browser, expect

from edgegw.common.units import INTERVAL_S, SECOND_NS
from tests.support.chromium import LOCALES, Visit, visit
from tests.support.operator_fake import PASSWORD as OPERATORS
from tests.support.operator_fake import Operator
from tests.support.patience import PATIENCE_MS
from tests.support.web_served import Drivers, local, pages_of, serving, somebody
from tests.support.web_site import World
from tests.unit.test_web_market import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABOVE_PX = 120
# Text that breaks has line boxes below each other; a smaller unit on the same line overlaps its figure.
BROKEN = """
() => [...document.querySelectorAll('.figure')].filter(one => {
  const range = document.createRange();
  range.selectNodeContents(one);
  const boxes = [...range.getClientRects()].filter(box => box.width);
  return boxes.length && Math.max(...boxes.map(box => box.top)) >= Math.min(...boxes.map(box => box.bottom));
}).map(one => one.innerText)
"""
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
languages = pytest.mark.parametrize("language", LOCALES)


def everything(world: World) -> World:
    """A world in which a page has all that can stand above its content: no TLS, simulated time, a simulated bank."""
    local(world)
    fields = {name: getattr(world.settings, name) for name in world.settings.__dataclass_fields__}
    world.settings = type(world.settings)(
        **{
            **fields,
            "host": "127.0.0.1",
            "title": "Harbour Bridge Parking and Charging",
            "time_simulated": True,
            "bank_simulated": True,
        }
    )
    return world


async def fits(there: Visit, path: str) -> None:
    """Header, notices and menu leave the phone to the content; no figure breaks, nothing is wider than the phone."""
    await there.go(path)
    box = await there.page.locator("main").bounding_box()
    assert box is not None
    assert box["y"] <= ABOVE_PX, (path, box["y"])
    assert await there.page.evaluate(BROKEN) == [], path
    assert await there.page.evaluate(WIDE) <= 0, path


@languages
async def test_a_phone_shows_the_drivers_page_itself(browser: Browser, language: str) -> None:
    """At most 120 of 844 px are above the content of each driver's page; the way in stays in sight."""
    drivers = Drivers(everything(World()))
    token = await somebody(drivers)
    async with drivers.served() as origin, visit(browser, origin, language=language) as there:
        await fits(there, "/")
        await expect(there.page.locator('.areas a[href="/login"]')).to_be_in_viewport(ratio=1)
        await there.log_in(token)
        for path in drivers.pages:
            await fits(there, path)
        await expect(there.page.locator(".areas form button")).to_be_in_viewport(ratio=1)


@languages
async def test_a_phone_shows_the_other_pages_themselves(browser: Browser, language: str) -> None:
    """The operator's pages and those of producers keep the same bound."""
    operator, market = Operator(), Market(everything(World()))
    everything(operator.world)
    mine, _ = await market.browser("PRODUCER")
    app = operator.browser().app
    async with serving(app, operator.world) as origin, visit(browser, origin, language=language) as there:
        await fits(there, "/login")
        await there.page.locator("[name=password]").fill(OPERATORS)
        await there.page.locator("main form button").click()
        await there.page.wait_for_url(origin + "/")
        for path in pages_of(app):
            await fits(there, path)
    async with (
        serving(market.app, market.world) as origin,
        visit(browser, origin, language=language) as there,
    ):
        await there.log_in(mine.cookies["edgegw_login"])
        for path in pages_of(market.app):
            await fits(there, path)


@pytest.mark.parametrize("path", ["/", "/evse/BAY-1"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
async def test_an_open_page_shows_the_price_of_the_next_quarter_hour(
    browser: Browser, path: str, *, scripts: bool
) -> None:
    """When the quarter hour is over, a page that somebody left open shows the next one's price by itself."""
    drivers = Drivers(World())
    clock = drivers.world.clock
    end_ns = (clock.at_ns // SECOND_NS // INTERVAL_S + 1) * INTERVAL_S * SECOND_NS
    clock.at_ns = end_ns - 2 * SECOND_NS
    async with drivers.served() as origin, visit(browser, origin, scripts=scripts) as there:
        await there.go(path)
        until = there.page.locator("#prices .until time")
        ends = await until.get_attribute("datetime")
        clock.at_ns = end_ns
        await expect(until).not_to_have_attribute("datetime", str(ends), timeout=PATIENCE_MS)
        assert await there.page.locator("#prices").count() == 1


async def test_an_open_page_asks_again_after_a_fault(browser: Browser) -> None:
    """A station that could not be reached at the quarter hour is asked again, until the price is there."""
    drivers = Drivers(World())
    clock = drivers.world.clock
    end_ns = (clock.at_ns // SECOND_NS // INTERVAL_S + 1) * INTERVAL_S * SECOND_NS
    clock.at_ns = end_ns - 2 * SECOND_NS
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.go("/")
        until = there.page.locator("#prices .until time")
        ends = await until.get_attribute("datetime")
        await there.page.route(f"{origin}/", lambda route: route.abort(), times=1)
        clock.at_ns = end_ns
        await expect(until).not_to_have_attribute("datetime", str(ends), timeout=PATIENCE_MS)
        assert len(there.faults) >= 1
        there.faults.clear()
