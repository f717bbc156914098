"""Every page in a real browser, in both languages and at both sizes: nothing foreign is asked for, axe finds nothing."""

import pytest
from playwright.async_api import Browser

from tests.chromium import DEVICES, LOCALES, Device, slug, visit, wire_bytes
from tests.receipt_double import FakeBook
from tests.web_served import pages_of, served, somebody
from tests.web_site import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOR_STRANGERS = {"/", "/login", "/signup", "/stations", "/evse/BAY-1"}


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
async def test_every_page_can_be_read_by_everybody(browser: Browser, device: Device, language: str) -> None:
    """No page has a violation of WCAG 2.2 AA that axe can see, asks another host, or breaks its own policy."""
    world, book = World(), FakeBook()
    token = await somebody(world, book)
    every = pages_of(world)
    assert set(every) >= FOR_STRANGERS
    async with (
        served(world, book) as origin,
        visit(browser, origin, device=device, language=language) as there,
    ):
        for path in sorted(FOR_STRANGERS):
            await there.go(path)
            await there.look(f"stranger-{slug(path)}")
        await there.go("/nowhere", status=404)
        await there.look("refused")
        await there.log_in(token)
        for path in every:
            await there.go(path)
            await there.look(slug(path))
        await there.go("/receipts/BAY-1.77?check=1")
        await there.look("receipts-BAY-1-77-checked")


async def test_a_first_visit_is_small(browser: Browser) -> None:
    """Each page, with everything that a browser loads for it the first time, is at most 60 kB over the wire."""
    world, book = World(), FakeBook()
    token = await somebody(world, book)
    async with served(world, book) as origin:
        for path in pages_of(world):
            async with visit(browser, origin) as there:
                await there.log_in(token)
                assert 1_000 < await wire_bytes(there, path) <= 60_000, path


async def test_the_pages_work_without_scripts(browser: Browser) -> None:
    """With JavaScript turned off every page still opens, and says what it is in a heading."""
    world, book = World(), FakeBook()
    token = await somebody(world, book)
    async with served(world, book) as origin, visit(browser, origin, scripts=False) as there:
        await there.log_in(token)
        for path in pages_of(world):
            await there.go(path)
            assert await there.page.get_by_role("heading", level=1).count() == 1, path
