"""A charging point's page: what everybody sees, what only its driver sees, its living part, and stopping."""

import asyncio
from dataclasses import replace

import pytest

from edgegw.common.units import SECOND_NS
from edgegw.core.events import ChargingState, ConnectorStatus, OrderStopped
from edgegw.core.orders import REFUSALS, Aim, OrderState
from edgegw.core.state import Phase
from edgegw.web.catalogues import catalogue
from edgegw.web.driver.order_messages import refusal_words, remark_words
from tests.support.driver_world import ATTACKS, Place, heard, listening, ordered, running
from tests.support.web_site import station

PRIVATE = ("7.4 kW", "64%", "4.32 kWh", "540 tokens", "Charging order", "BAY-1.t1")


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            [
                "BAY-1",
                "match the label",
                "Free",
                "Charge and sell automatically",
                "You can also charge with a card",
            ],
        ),
        ("ko", ["BAY-1", "라벨의 이름", "이용 가능", "자동 충·방전", "카드로도 충전할 수 있습니다"]),
    ],
)
async def test_the_page_names_the_point_and_three_ways(place: Place, language: str, words: list[str]) -> None:
    """Name, state, prices, and charge, sell or work; no script is needed for any of it."""
    answer = await place.browser(language).get("/evse/BAY-1")
    assert answer.status == 200
    for word in words:
        assert word in answer.words
    for aim in Aim:
        assert f'href="/evse/BAY-1/{aim.value}"' in answer.text
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    assert 'sse-connect="/evse/BAY-1/live"' in answer.text


async def test_a_point_that_cannot_discharge_offers_no_sale(place: Place) -> None:
    """An EVSE that cannot discharge offers no sale."""
    settings = place.world.present.settings
    only_in = {key: replace(evse, discharge_w=0) for key, evse in settings.evses.items()}
    place.world.present = replace(place.world.present, settings=replace(settings, evses=only_in))
    answer = await place.browser().get("/evse/BAY-1")
    assert "/evse/BAY-1/sell" not in answer.text
    assert "/evse/BAY-1/charge" in answer.text


@pytest.mark.parametrize("attack", [*ATTACKS, "BAY-3", "bay-1", ""])
@pytest.mark.parametrize("page", ["/evse/{}", "/evse/{}/live", "/kiosk/{}", "/go/{}", "/evse/{}/label"])
async def test_an_unknown_point_is_no_page(place: Place, attack: str, page: str) -> None:
    """An EVSE id is looked up and nothing else; what it holds never comes back as markup."""
    answer = await place.browser().get(page.format(attack.replace("?", "%3F")))
    assert answer.status == 404
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text
    assert "<svg" not in answer.text


async def test_names_from_outside_are_escaped(place: Place) -> None:
    """A station whose name and EVSE id are markup shows them as text."""
    nasty = '"><script>alert(1)<'
    place.world.settings = replace(place.world.settings, title=nasty)
    place.world.present = station((nasty,))
    browser = place.browser()
    path = "/evse/" + nasty
    for page in ("/", path, f"{path}/label", path.replace("/evse/", "/kiosk/")):
        answer = await browser.get(page)
        assert answer.status == 200
        assert "<script>alert" not in answer.text


async def test_the_driver_sees_what_runs(place: Place) -> None:
    """Direction in word and icon, power, state of charge, energy, tokens, next price and Stop."""
    browser = place.browser()
    profile = await place.driver(browser)
    place.world.present = running(place.world.present, ordered(profile.member_id))
    answer = await browser.get("/evse/BAY-1")
    for word in (*PRIVATE[:-1], "↓ Charging", "Ordered 20.00 kWh", "buy 125 tokens/kWh (fixed)", "Stop"):
        assert word in answer.words
    place.world.present = running(
        place.world.present, ordered(profile.member_id, aim=Aim.SELL), power_w=-9_000
    )
    words = (await browser.get("/evse/BAY-1")).words
    assert "↑ Selling 9.0 kW" in words
    assert "Lowest state of charge 30%" in words


async def test_a_stranger_sees_only_that_it_is_in_use(place: Place) -> None:
    """Others see no power, state of charge, energy or tokens, logged in or not, and cannot stop the session."""
    profile = await place.driver(place.browser())
    place.world.present = running(place.world.present, ordered(profile.member_id))
    other = place.browser()
    await place.driver(other, "jun")
    for browser in (other, place.browser()):
        answer = await browser.get("/evse/BAY-1")
        assert "In use" in answer.words
        for word in (*PRIVATE, profile.member_id, "/stop"):
            assert word not in answer.text
        assert "/evse/BAY-1/charge" not in answer.text


async def test_the_stream_tells_the_driver_and_nobody_else(place: Place) -> None:
    """The living part of the driver and that of others come from the same moment and share nothing private."""
    browser, pending = place.browser(), place.browser()
    profile = await place.driver(browser)
    place.world.present = running(place.world.present, ordered(profile.member_id))
    async with (
        listening(browser, "/evse/BAY-1/live") as own,
        listening(pending, "/evse/BAY-1/live") as foreign,
    ):
        mine, theirs = await heard(own), await heard(foreign)
        assert mine.startswith("retry: 2000")
        assert "event: live" in mine
        assert "7.4 kW" in mine
        assert "form_token" not in mine
        assert "In use" in theirs
        for word in (*PRIVATE, profile.member_id):
            assert word not in theirs
        place.world.present = running(place.world.present, ordered(profile.member_id), power_w=-3_000)
        place.live_updates.beat()
        assert "3.0 kW" in await heard(own)
        await asyncio.sleep(0)
        assert foreign.empty()
        place.world.present = running(place.world.present, ordered("somebody-else"))
        place.live_updates.beat()
        after = await heard(own)
        for word in PRIVATE:
            assert word not in after


async def test_many_watch_one_drawing(place: Place) -> None:
    """Strangers at one charging point share a channel; each language has its own."""
    watchers = [place.browser(language) for language in ("en", "en", "ko")]
    async with (
        listening(watchers[0], "/evse/BAY-1/live") as first,
        listening(watchers[1], "/evse/BAY-1/live") as second,
        listening(watchers[2], "/evse/BAY-1/live") as third,
    ):
        texts = [await heard(one) for one in (first, second, third)]
        assert texts[0] == texts[1] != texts[2]
        assert len(place.live_updates._channels) == 2


async def test_a_lost_stream_comes_back_with_the_newest(place: Place) -> None:
    """A stream that reconnects gets the current state, without requesting what was missed."""
    browser = place.browser()
    profile = await place.driver(browser)
    place.world.present = running(place.world.present, ordered(profile.member_id))
    async with listening(browser, "/evse/BAY-1/live") as sent:
        assert "7.4 kW" in await heard(sent)
    assert place.live_updates.viewers == 0
    place.world.present = running(place.world.present, ordered(profile.member_id), power_w=5_000)
    async with listening(browser, "/evse/BAY-1/live") as sent:
        again = await heard(sent)
    assert "5.0 kW" in again
    assert "7.4 kW" not in again


async def test_a_point_that_was_taken_away_is_drawn_as_nothing(place: Place) -> None:
    """An EVSE that a reload removes is drawn as nothing."""
    async with listening(place.browser(), "/evse/BAY-1/live") as sent:
        await heard(sent)
        place.world.present = station(("BAY-9",))
        place.live_updates.beat()
        assert await heard(sent) == "event: live\ndata: \n\n"


async def test_only_the_driver_stops(place: Place) -> None:
    """Stop is an event for the driver's own session; for anybody else's it is refused, and nothing is placed."""
    mine, other = place.browser(), place.browser()
    profile = await place.driver(mine)
    await place.driver(other, "jun")
    place.world.present = running(place.world.present, ordered(profile.member_id))
    await other.get("/evse/BAY-1")
    refused = await other.send("/evse/BAY-1/stop")
    assert (refused.status, "EGW-3005" in refused.text) == (403, True)
    assert place.world.placed == []
    pending = place.browser()
    await pending.get("/evse/BAY-1/label")
    assert (await pending.send("/evse/BAY-1/stop")).status in {403, 404}
    assert place.world.placed == []
    await mine.get("/evse/BAY-1")
    assert (await mine.send("/evse/BAY-1/stop")).status == 200
    assert place.world.placed == [OrderStopped(evse_id="BAY-1", member_id=profile.member_id)]
    place.take_in()
    words = (await mine.get("/evse/BAY-1")).words
    assert "Ending" in words
    await mine.send("/evse/BAY-1/stop")


async def test_stopping_what_does_not_run_changes_nothing(place: Place) -> None:
    """A Stop that comes too late is the core's to ignore and leads back to the page; one for no charging point is 404."""
    browser = place.browser()
    await place.driver(browser)
    await browser.get("/evse/BAY-1")
    before = place.world.present
    assert (await browser.send("/evse/BAY-1/stop")).status == 200
    assert (await browser.send("/evse/NONE/stop")).status == 404
    place.take_in()
    assert place.world.present == before


async def test_what_became_of_an_order_is_told(place: Place) -> None:
    """The page shows what became of an order (asked, refused with its reason, done with its receipt, stopped) for half a day."""
    browser = place.browser()
    profile = await place.driver(browser)
    free = place.world.present
    told = {
        OrderState.ASKED: ("", "Waiting for the charger"),
        OrderState.REFUSED: ("NO_START", "The charger did not start"),
        OrderState.DONE: ("", "Your session has ended"),
    }
    for state, (code, words) in told.items():
        order = ordered(profile.member_id, state=state, code=code)
        place.world.present = replace(free, orders={order.order_id: order})
        assert words in (await browser.get("/evse/BAY-1")).words
    assert 'href="/receipts/BAY-1.t1"' in (await browser.get("/evse/BAY-1")).text
    order = ordered(profile.member_id, state=OrderState.DONE, code="STOPPED")
    place.world.present = replace(free, orders={order.order_id: order})
    assert "You stopped the session. The receipt" in (await browser.get("/evse/BAY-1")).words
    order = replace(order, session_id=None)
    place.world.present = replace(free, orders={order.order_id: order})
    answer = await browser.get("/evse/BAY-1")
    assert "You stopped the order before the session started" in answer.words
    assert 'href="/receipts/' not in answer.text
    async with listening(browser, "/evse/BAY-1/live") as sent:
        assert "You stopped the order" in await heard(sent)
    place.world.clock.at_ns += 13 * 3600 * SECOND_NS
    assert "You stopped" not in (await browser.get("/evse/BAY-1")).words


async def test_why_nothing_flows_is_told(place: Place) -> None:
    """Starting, paused by the car, waiting for a price, not connected: each in words, with the session's figures."""
    browser = place.browser()
    profile = await place.driver(browser)
    base = running(place.world.present, ordered(profile.member_id, aim=Aim.WORK, energy_wh=None), power_w=0)
    one = base.evses["BAY-1"]
    assert one.session is not None
    assert one.setpoint is not None
    paused = replace(one.session, charging_state=ChargingState.SUSPENDED_EV)
    commanded = replace(one.setpoint, power_w=5_000)
    cases = {
        "The station takes the first meter reading": replace(one, phase=Phase.STARTING),
        "Your car has paused": replace(one, session=paused, setpoint=commanded),
        "waits for a price": one,
        "cannot reach the charger": replace(one, online=False),
    }
    for words, changed in cases.items():
        place.world.present = replace(base, evses={**base.evses, "BAY-1": changed})
        assert words in (await browser.get("/evse/BAY-1")).words


async def test_a_card_session_is_its_members_too(place: Place) -> None:
    """A session that began with a linked card has no order, and is shown to its driver."""
    browser = place.browser()
    profile = await place.driver(browser)
    order = ordered(profile.member_id)
    present = running(place.world.present, order)
    session = present.evses["BAY-1"].session
    assert session is not None
    alone = replace(present.evses["BAY-1"], session=replace(session, order_id=None, soc_bp=None))
    place.world.present = replace(
        present, orders={}, evses={**present.evses, "BAY-1": alone}, prices={}, estimates={}
    )
    words = (await browser.get("/evse/BAY-1")).words
    assert "Your session" in words
    assert "not reported by the car" in words
    assert "unknown yet" in words


async def test_what_is_wrong_with_a_point_is_told(place: Place) -> None:
    """An EVSE that reports a fault offers no way, and says why."""
    broken = replace(place.world.present.evses["BAY-1"], status=ConnectorStatus.FAULTED)
    place.world.present = replace(place.world.present, evses={"BAY-1": broken, "BAY-2": broken})
    answer = await place.browser().get("/evse/BAY-1")
    assert "reports a fault" in answer.words
    assert "/evse/BAY-1/charge" not in answer.text


def test_each_code_has_words() -> None:
    """Every code of the core has a text."""
    word = catalogue("ko").gettext
    for code in REFUSALS:
        told = remark_words(word, code)
        assert code not in (told if told != code else refusal_words(word, code))
    assert "SOMETHING_NEW" in refusal_words(word, "SOMETHING_NEW")
