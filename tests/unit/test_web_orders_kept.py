"""Orders on pages: what is remembered, asked for again, and refused afterwards."""

import asyncio
from dataclasses import replace

import pytest

from edgegw.core.orders import Aim
from edgegw.ports.representative import Balance, RepresentativeError
from edgegw.web.driver import orders
from edgegw.web.live_updates import TooManyStreamsError
from tests.support.driver_world import (
    Place,
)
from tests.support.representative_fake import FakeOffice
from tests.unit.test_web_orders import CHARGE, carried, quoted


async def test_change_leads_back_with_everything(place: Place) -> None:
    """`Change` leads from the quote back to the form with all entries."""
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.SELL, kwh="9.25"))
    answer = await browser.send("/evse/BAY-1/sell/change", **fields)
    assert answer.status == 200
    for text in ("9.25", "07:30", "77.4", "75"):
        assert f'value="{text}"' in answer.text
    assert 'value="1" checked' not in answer.text


@pytest.fixture
def place() -> Place:
    return Place()


class _Away(FakeOffice):
    async def balance(self, member_id: str) -> Balance:  # noqa: ARG002 - the port's
        raise RepresentativeError("away")


async def test_an_office_that_is_away_is_said(place: Place) -> None:
    """Without the representative there is no quote, and the page says that cards still work."""
    place.world.representative = _Away()
    browser = place.browser()
    await place.driver(browser)
    answer = await quoted(browser, Aim.CHARGE)
    assert (answer.status, "EGW-3010" in answer.text) == (503, True)


async def test_placed_orders_are_remembered_for_a_while(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory that keeps a double click from ordering twice is bounded."""
    monkeypatch.setattr(orders, "PLACED_MAX", 2)
    memory = orders.Shared()
    assert [memory.enter(name) for name in ("a", "b", "a", "c", "a")] == [True, True, False, True, True]


async def test_presence_comes_first_where_it_is_asked_for(place: Place) -> None:
    """With `presence_required`, form, quote and confirmation need the screen's code."""
    place.world.settings = replace(place.world.settings, presence_required=True, screens=("192.0.2.1",))
    browser = place.browser()
    await place.driver(browser)
    page = await browser.get("/evse/BAY-1")
    assert "Scan the screen first" in page.words
    assert "/evse/BAY-1/charge" not in page.text
    away = await browser.get("/evse/BAY-1/charge")
    assert (away.status, away.headers["location"]) == (303, "/evse/BAY-1")
    for path in ("", "/confirm"):
        assert "Scan the screen first" in (await browser.send(f"/evse/BAY-1/charge{path}", **CHARGE)).words
    assert place.world.placed == []


async def test_a_quote_without_its_form_leads_to_the_form(place: Place) -> None:
    """A quote that is requested without its form leads to the form, in the requested language."""
    browser = place.browser()
    await place.driver(browser)
    for path in ("change", "confirm"):
        answer = await browser.get(f"/evse/BAY-1/charge/{path}?lang=ko")
        assert (answer.status, answer.headers["location"]) == (303, "/evse/BAY-1/charge")
    assert "견적 보기" in (await browser.get("/evse/BAY-1/charge")).words


async def test_one_member_cannot_have_all_plans_made() -> None:
    """A member with several waiting plans is refused another; other members are served."""
    shared = orders.Shared()
    entered: list[str] = []

    async def plan(member_id: str) -> None:
        async with shared.plans_of(member_id):
            entered.append(member_id)

    async with shared.plans_of("mallory"):
        waiting = [asyncio.ensure_future(plan("mallory")) for _ in range(orders.PLANS_OF_ONE - 1)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyStreamsError):
            await plan("mallory")
        waiting.append(asyncio.ensure_future(plan("mina")))
    await asyncio.gather(*waiting)
    assert entered.count("mina") == 1
    await plan("mallory")
