"""Ordering: forms, faults beside fields, quotes, one confirmation, one order."""

from html import unescape

import pytest

from edgegw.common import pseudonyms
from edgegw.common.units import SECOND_NS
from edgegw.core.events import OrderPlaced
from edgegw.core.orders import Aim, Order, OrderState
from edgegw.ports.representative import Defaults, RepresentativeError
from tests.support.driver_world import (
    ATTACKS,
    NOW_NS,
    Place,
    heard,
    listening,
    ordered,
    repriced,
    running,
)
from tests.support.representative_fake import FakeOffice
from tests.support.web_site import Answer, Browser

SALE = {
    "kwh": "12",
    "soc_min": "40",
    "soc_wanted": "80",
    "ready_by": "07:30",
    "price_min": "140",
    "battery": "77.4",
    "soc_told": "75",
}
WORK = {name: text for name, text in SALE.items() if name != "kwh"} | {
    "price_max": "400",
    "accept_retail": "1",
}
CHARGE = {"kwh": "20", "price_max": "400", "accept_retail": "1"}
FORMS = {Aim.CHARGE: CHARGE, Aim.SELL: SALE, Aim.WORK: WORK}
READY_NS = NOW_NS + (19 * 3600 + 1800) * SECOND_NS  # 07:30 tomorrow


@pytest.fixture
def place() -> Place:
    return Place()


def carried(answer: Answer) -> dict[str, str]:
    """The hidden fields of the form that confirms."""
    form = answer.text.partition('/confirm">')[2].partition("</form>")[0]
    parts = form.split('type="hidden" name="')[1:]
    return {
        part.partition('"')[0]: unescape(part.partition('value="')[2].partition('"')[0])
        for part in parts
        if not part.startswith("form_token")
    }


async def quoted(browser: Browser, aim: Aim, **changes: str) -> Answer:
    """The quote of a form."""
    path = f"/evse/BAY-1/{aim.value}"
    await browser.get(path)
    return await browser.send(path, **{**FORMS[aim], **changes})


def placed(place: Place) -> Order:
    """The one order that was placed; its idToken is what its hash says."""
    (event,) = place.world.placed
    assert isinstance(event, OrderPlaced)
    assert event.order.id_token_hash == pseudonyms.hash_token(b"h" * 32, event.id_token)
    assert len(event.id_token) == 20
    assert event.id_token.startswith("W")
    assert event.id_token.isalnum()
    assert event.id_token not in repr(event)
    return event.order


@pytest.mark.parametrize("aim", list(Aim))
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_a_form_begins_with_what_was_wanted_last(place: Place, aim: Aim, language: str) -> None:
    """Each form is whole in both languages, and shows the driver's own defaults."""
    browser = place.browser(language)
    profile = await place.driver(browser)
    await place.world.representative.remember(
        profile.member_id, Defaults(charge_wh=7_500, soc_bp_min=4_250, sale_wh=3_000)
    )
    answer = await browser.get(f"/evse/BAY-1/{aim.value}")
    assert answer.status == 200
    assert ("Show the quote" if language == "en" else "견적 보기") in answer.words
    expected = {Aim.CHARGE: "7.5", Aim.SELL: "3", Aim.WORK: "42.5"}[aim]
    assert f'value="{expected}"' in answer.text
    for name in FORMS[aim]:
        assert f'name="{name}"' in answer.text


@pytest.mark.parametrize("aim", list(Aim))
async def test_ordering_asks_for_a_login(place: Place, aim: Aim) -> None:
    """Without a login the form leads to the login and back; nothing is placed."""
    browser = place.browser()
    answer = await browser.get(f"/evse/BAY-1/{aim.value}")
    assert (answer.status, answer.headers["location"]) == (303, f"/login?next=/evse/BAY-1/{aim.value}")
    await browser.get("/")
    for path in ("", "/confirm", "/change"):
        sent = await browser.ask(
            "POST",
            f"/evse/BAY-1/{aim.value}{path}",
            headers={
                "origin": "http://station.test:8080",
                "content-type": "application/x-www-form-urlencoded",
            },
            body=f"form_token={browser.token}".encode(),
        )
        assert sent.status in {303, 403}
    assert place.world.placed == []


@pytest.mark.parametrize("path", ["", "/confirm", "/change"])
async def test_there_is_no_order_where_there_is_no_point(place: Place, path: str) -> None:
    """Forms of an EVSE that this station has not are 404."""
    browser = place.browser()
    await place.driver(browser)
    assert (await browser.get("/evse/NONE/charge")).status == 404
    await browser.get("/")
    assert (await browser.send(f"/evse/NONE/charge{path}", **CHARGE)).status == 404


@pytest.mark.parametrize(
    "typed", ["-5", "1e9", "5,5", "٣", "", "0.5", "100.5", "5.5555", "five", "0x10", "1_0"]
)
async def test_a_wrong_energy_is_told_beside_its_field(place: Place, typed: str) -> None:
    """422 with what to enter, and what was typed stays in the field."""
    browser = place.browser()
    await place.driver(browser)
    answer = await quoted(browser, Aim.CHARGE, kwh=typed)
    assert answer.status == 422
    assert "Enter kWh between 1 and 100, e.g. 5.5" in answer.words
    assert f'name="kwh" type="text" autocomplete="off"\n value="{typed}"' in unescape(answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert 'id="kwh-fault"' in answer.text


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("kwh", "0.4", "Enter kWh between 0.5 and 100, e.g. 5.5"),
        ("soc_min", "101", "Enter a percentage between 0 and 100, e.g. 40"),
        ("soc_wanted", "-1", "Enter a percentage between 0 and 100, e.g. 80"),
        ("soc_wanted", "39", "This is below your lowest state of charge."),
        ("ready_by", "24:00", "Enter a time of day, e.g. 07:30"),
        ("ready_by", "", "Enter a time of day, e.g. 07:30"),
        ("price_min", "1e3", "Enter tokens per kWh between 0 and 2,000, e.g. 140"),
        ("battery", "4", "Enter kWh between 5 and 300, e.g. 77.4"),
        ("soc_told", "half", "Enter a percentage between 0 and 100, e.g. 55"),
    ],
)
async def test_each_field_has_its_fault(place: Place, name: str, typed: str, told: str) -> None:
    """Each fault is shown beside its own field; other entries are kept."""
    browser = place.browser()
    await place.driver(browser)
    answer = await quoted(browser, Aim.SELL, **{name: typed})
    assert answer.status == 422
    assert f'id="{name}-fault">{told}<' in unescape(answer.text)
    assert answer.text.count('class="fault"') == 1
    assert place.world.placed == []


@pytest.mark.parametrize("attack", ATTACKS)
async def test_every_field_is_text(place: Place, attack: str) -> None:
    """Whatever is typed into any field comes back escaped, and never becomes an order."""
    browser = place.browser()
    await place.driver(browser)
    for aim, fields in FORMS.items():
        wrong = dict.fromkeys([*fields, "order", "seen"], attack)
        for path in ("", "/confirm", "/change"):
            await browser.get("/")
            answer = await browser.send(f"/evse/BAY-1/{aim.value}{path}", **wrong)
            assert answer.status in {200, 422}
            for markup in ("<script>alert", "<img", "<svg/onload", "</textarea><script>"):
                assert markup not in answer.text
    assert place.world.placed == []


async def test_a_charge_is_quoted(place: Place) -> None:
    """Energy, tokens, worst case, when it is ready, battery wear, stop at any time, and for how long this holds."""
    browser = place.browser()
    await place.driver(browser)
    answer = await quoted(browser, Aim.CHARGE)
    assert answer.status == 200
    for word in (
        "Charge 20 kWh for about 2,500 tokens",
        "Maximum cost 8,000 tokens",
        "Ready about 13:4",
        "full cycles",
        "stop at any time",
        "charging continues at the retail price, never above 400 tokens/kWh",
        "valid until 12:15",
        "12:15 2.750 kWh",
    ):
        assert word in answer.words
    assert place.world.placed == []
    paused = await quoted(browser, Aim.CHARGE, accept_retail="0")
    assert "charging pauses; the price is never above" in paused.words


@pytest.mark.parametrize(
    ("aim", "headline"), [(Aim.SELL, "최대 12 kWh 판매"), (Aim.WORK, "내일 07:30까지 자동 충·방전")]
)
async def test_a_plan_is_shown_before_it_is_accepted(place: Place, aim: Aim, headline: str) -> None:
    """A sale and "let it work" show their plan as a picture and as a table, and what is never undercut."""
    browser = place.browser("ko")
    await place.driver(browser)
    answer = await quoted(browser, aim)
    assert headline in answer.words
    assert "최저 배터리 잔량 40%" in answer.words
    assert "차량이 아직 배터리 잔량을 보내지 않았습니다" in answer.words
    assert answer.text.count("<svg") >= 2
    assert "140 토큰/kWh 미만으로는 판매하지 않습니다" in answer.words


async def test_what_is_unknown_is_said(place: Place) -> None:
    """Without a state of charge no plan is drawn, and the page says that the car must report it."""
    browser = place.browser()
    await place.driver(browser)
    answer = await quoted(browser, Aim.WORK, soc_told="")
    assert "has not reported its state of charge" in answer.words
    assert "The plan" not in answer.words
    profile_session = running(
        place.world.present, ordered((await place.driver(place.browser(), "jun")).member_id)
    )
    place.world.present = profile_session


async def test_a_car_that_tells_needs_no_typing(place: Place) -> None:
    """If the driver's own session has the state of charge, the field is left out and the plan begins with it."""
    browser = place.browser()
    profile = await place.driver(browser)
    place.world.present = running(place.world.present, ordered(profile.member_id))
    answer = await browser.get("/evse/BAY-1/work")
    assert 'name="soc_told"' not in answer.text
    assert "reports its state of charge" in answer.words
    answer = await quoted(browser, Aim.WORK, soc_told="")
    assert "64%" in answer.text or "64" in answer.text
    assert "has not told" not in answer.words


async def test_an_order_is_followed_before_the_station_took_it_in(place: Place) -> None:
    """Between the confirmation and the station's answer the page says so, can stop it, and its stream is the driver's."""
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.CHARGE))
    answer = await browser.send("/evse/BAY-1/charge/confirm", **fields)
    assert "The station received your order" in answer.words
    assert 'action="/evse/BAY-1/stop"' in answer.text
    assert 'href="/evse/BAY-1/charge"' not in answer.text
    order_id = placed(place).order_id
    assert f'sse-connect="/evse/BAY-1/live?placed={order_id}"' in answer.text
    async with listening(browser, "/evse/BAY-1/live", f"placed={order_id}") as sent:
        assert "Free" in await heard(sent)
        place.take_in()
        place.live_updates.beat()
        assert "Waiting for the charger" in await heard(sent)
    assert "handed to the station" not in (await browser.get(f"/evse/BAY-1?placed={order_id}")).words
    await browser.send("/evse/BAY-1/stop")
    place.take_in()
    assert "You stopped" in (await browser.get("/evse/BAY-1")).words


@pytest.mark.parametrize("aim", list(Aim))
async def test_a_confirmed_quote_is_one_order(place: Place, aim: Aim) -> None:
    """A confirmed quote is placed under the form's id; sent twice, it stays one order."""
    browser = place.browser()
    profile = await place.driver(browser)
    fields = carried(await quoted(browser, aim))
    answer = await browser.send(f"/evse/BAY-1/{aim.value}/confirm", **fields)
    assert answer.status == 200
    order = placed(place)
    assert (order.aim, order.evse_id, order.terms.member_id) == (aim, "BAY-1", profile.member_id)
    assert order.energy_wh == {Aim.CHARGE: 20_000, Aim.SELL: 12_000, Aim.WORK: None}[aim]
    if aim is not Aim.CHARGE:
        assert (order.departure_ns, order.soc_bp_wanted, order.terms.soc_bp_min) == (READY_NS, 8_000, 4_000)
        assert (order.soc_bp_told, order.terms.battery_wh, order.terms.sells) == (7_500, 77_400, True)
    assert (await browser.send(f"/evse/BAY-1/{aim.value}/confirm", **fields)).status == 200
    assert placed(place).order_id == order.order_id
    place.take_in()
    assert place.world.present.orders[order.order_id].state is OrderState.ASKED
    again = await browser.send(f"/evse/BAY-1/{aim.value}/confirm", **fields)
    assert place.world.placed == []
    assert "Waiting for the charger" in again.words


async def test_what_was_chosen_is_remembered(place: Place) -> None:
    """The next form begins with the last order's choices."""
    browser = place.browser()
    profile = await place.driver(browser)
    fields = carried(await quoted(browser, Aim.SELL, kwh="6.5", ready_by="6:05", price_min="151.5"))
    await browser.send("/evse/BAY-1/sell/confirm", **fields)
    kept = place.world.representative.people[profile.member_id][0].defaults
    assert (kept.sale_wh, kept.ready_by_min, kept.price_mtok_per_kwh_min) == (6_500, 365, 151_500)
    assert (kept.charge_wh, kept.price_mtok_per_kwh_max) == (20_000, 400_000)
    assert 'value="06:05"' in (await browser.get("/evse/BAY-1/work")).text


class _Forgetful(FakeOffice):
    async def remember(self, member_id: str, defaults: Defaults) -> None:  # noqa: ARG002 - the port's
        raise RepresentativeError("away")


async def test_an_order_does_not_need_a_memory(place: Place) -> None:
    """If the representative cannot store the choices, the order is still placed."""
    place.world.representative = _Forgetful()
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.CHARGE))
    assert (await browser.send("/evse/BAY-1/charge/confirm", **fields)).status == 200
    assert placed(place).aim is Aim.CHARGE


async def test_a_changed_price_is_shown_again(place: Place) -> None:
    """If a price has changed since the quote, nothing is ordered; the new quote can be confirmed."""
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.CHARGE))
    place.world.present = repriced(place.world.present, 139_000)
    answer = await browser.send("/evse/BAY-1/charge/confirm", **fields)
    assert answer.status == 409
    assert "A price or the charger changed in the meantime" in answer.words
    assert place.world.placed == []
    assert (await browser.send("/evse/BAY-1/charge/confirm", **carried(answer))).status == 200
    assert placed(place).energy_wh == 20_000


async def test_a_changed_wish_is_quoted_again(place: Place) -> None:
    """A confirmation with other fields than were quoted, or with none of ours, orders nothing."""
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.CHARGE))
    for changes in ({"kwh": "80"}, {"seen": ""}, {"accept_retail": ""}, {"order": ""}):
        answer = await browser.send("/evse/BAY-1/charge/confirm", **{**fields, **changes})
        assert answer.status == 409
    assert (await browser.send("/evse/BAY-1/charge/confirm", **{**fields, "kwh": "-5"})).status == 422
    assert place.world.placed == []


async def test_a_point_taken_meanwhile_is_told(place: Place) -> None:
    """If another driver has taken the EVSE meanwhile, the page says so and offers no confirmation."""
    browser = place.browser()
    await place.driver(browser)
    fields = carried(await quoted(browser, Aim.CHARGE))
    place.world.present = running(place.world.present, ordered("somebody-else"))
    answer = await browser.send("/evse/BAY-1/charge/confirm", **fields)
    assert answer.status == 409
    assert "Another driver uses this charger" in answer.words
    assert '/confirm">' not in answer.text
    assert place.world.placed == []
    form = await browser.get("/evse/BAY-1/charge")
    assert "In use" in form.words


async def test_nobody_can_name_anothers_order(place: Place) -> None:
    """The same form id from another member, or for another EVSE, is another order."""
    names = set()
    for login, evse_id in (("mina", "BAY-1"), ("jun", "BAY-1"), ("sora", "BAY-2")):
        browser = place.browser()
        await place.driver(browser, login)
        await browser.get(f"/evse/{evse_id}/charge")
        fields = carried(await browser.send(f"/evse/{evse_id}/charge", **CHARGE)) | {"order": "same"}
        await browser.send(f"/evse/{evse_id}/charge/confirm", **fields)
        names.add(placed(place).order_id)
        place.world.placed.clear()
    assert len(names) == 3


async def test_without_tokens_there_is_a_way_to_some(place: Place) -> None:
    """No tokens: the quote says how many are missing and leads to the exchange; a sale needs none."""
    browser = place.browser()
    profile = await place.driver(browser, tokens=0)
    answer = await quoted(browser, Aim.CHARGE)
    assert "Buy at least 2500 first" in answer.words
    assert 'href="/exchange?tokens=2500' in answer.text
    assert '/confirm">' not in answer.text
    assert '/confirm">' in (await quoted(browser, Aim.SELL)).text
    place.world.representative.tokens[profile.member_id] = 1_000_000
    short = await quoted(browser, Aim.CHARGE)
    assert "enough tokens for the whole order" in short.words
    fields = carried(short)
    place.world.representative.tokens[profile.member_id] = 0
    assert (await browser.send("/evse/BAY-1/charge/confirm", **fields)).status == 409
    assert place.world.placed == []
