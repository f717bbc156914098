"""The great walk: strangers at a running station, from the code on the charger to a receipt that was recomputed."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.support.chromium import DESKTOP, PHONE, Visit, visit
from tests.support.driver_walk import SALE, WORK, Driver
from tests.support.open_house import open_house

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOUGHT_WH, SOLD_WH = 10_000, 5_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def station(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A running station; not started where there is no browser."""
    async with open_house(tmp_path_factory.mktemp("open-house")) as origin:
        yield origin


async def walk(there: Visit, *, login: str, evse_id: str) -> None:
    """One stranger's afternoon."""
    driver = Driver(there=there, login=login, evse_id=evse_id)
    await driver.sign_up()
    await driver.exchange(10_000)
    await driver.plugs_in()
    await driver.quote("work", **WORK)
    await driver.order("charge", kwh=f"{BOUGHT_WH // 1000}", price_max="400")
    await driver.flows("in")
    await there.look("charging")
    await driver.is_done()
    await driver.order("sell", **SALE)
    await driver.flows("out")
    await there.look("selling")
    await driver.has_sold(SOLD_WH // 1000)
    await driver.stop()
    await driver.is_done()
    bought_wh, sold_wh, sold_at = await driver.reads_receipts()
    # Give or take what flows while a charger is told: a real second is nearly three minutes here.
    assert BOUGHT_WH * 98 // 100 <= bought_wh <= BOUGHT_WH * 102 // 100
    assert SOLD_WH <= sold_wh <= SOLD_WH * 12 // 10
    assert sold_at
    assert all(re.search(r"\b1[567]:\d\d", at) for at in sold_at), sold_at  # peak: 15 to 18 o'clock


async def test_strangers_buy_sell_and_check_their_receipts(browser: Browser, station: str) -> None:
    """Sign up, exchange, buy 10 kWh, sell 5 at peak, read and recompute: in Korean on a phone and in English on a desktop."""
    async with (
        visit(browser, station, device=PHONE, language="ko") as hers,
        visit(browser, station, device=DESKTOP, language="en") as his,
    ):
        await asyncio.gather(
            walk(hers, login="mina", evse_id="BAY-1"), walk(his, login="jonas", evse_id="BAY-2")
        )
