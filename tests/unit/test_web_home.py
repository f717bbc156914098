"""The station's first page: prices, charging points, tokens, notices; whole even when others cannot be asked."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.core.events import ConnectorStatus
from edgegw.ports.representative import Balance, Notice, PriceShown, RepresentativeError
from edgegw.web.catalogues import catalogue
from edgegw.web.driver import prices
from edgegw.web.driver.prices import DayPrices, day_of
from tests.support.driver_world import ATTACKS, NOW_NS, Place, ordered, running
from tests.support.representative_fake import NOW_S, FakeOffice
from tests.support.web_site import FakeLedger, station


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            ["Price now", "until 12:15", "125 tokens/kWh", "10 kWh cost 1,250 tokens", "here by 50%", "Free"],
        ),
        ("ko", ["현재 가격", "12:15까지", "125 토큰/kWh", "10 kWh에 1,250 토큰", "중간부하", "이용 가능"]),
    ],
)
async def test_prices_and_points_are_told(place: Place, language: str, words: Sequence[str]) -> None:
    """Both current prices are shown with validity and origin, and each EVSE with its state."""
    answer = await place.browser(language).get("/")
    assert answer.status == 200
    for word in words:
        assert word in answer.words
    assert answer.text.count('href="/evse/BAY-1"') == 1
    assert "<svg" in answer.text
    assert "<caption>" in answer.text


async def test_who_has_logged_in_sees_their_tokens_and_their_session(place: Place) -> None:
    """A member sees the balance and which charging point is theirs; a stranger sees neither."""
    browser = place.browser()
    profile = await place.driver(browser, tokens=12_345)
    place.world.present = running(place.world.present, ordered(profile.member_id))
    answer = await browser.get("/")
    assert "12,345 tokens" in answer.words
    assert "Show your session" in answer.words
    pending = (await place.browser().get("/")).words
    assert "12,345" not in pending
    assert "Your session" not in pending
    assert "In use" in pending


async def test_each_state_has_its_words(place: Place) -> None:
    """Free, plugged in, out of order and offline have different texts."""
    present = station(("A", "B", "C", "D"))
    states = {"B": ConnectorStatus.OCCUPIED, "C": ConnectorStatus.FAULTED}
    evses = {key: replace(evse, status=states.get(key)) for key, evse in present.evses.items()}
    evses["D"] = replace(evses["D"], online=False)
    place.world.present = replace(present, evses=evses)
    words = (await place.browser().get("/")).words
    for word in ("Free", "Plugged in, not started", "Out of order", "Not connected"):
        assert word in words


async def test_notices_are_told_in_the_readers_language(place: Place) -> None:
    """The operator's notices are on the first page, as text, in the reader's language."""
    for number, attack in enumerate(ATTACKS):
        notice = Notice(
            notice_id=str(number),
            at_ns=NOW_NS,
            title_ko="점검",
            title_en="Maintenance",
            text_ko=attack,
            text_en=attack,
        )
        await place.world.representative.publish(notice)
        if number % 5 == 4:
            answer = await place.browser("ko").get("/")
            assert answer.words.count("점검") == 5
            assert "<script>alert" not in answer.text
            assert "<img" not in answer.text
            place.world.representative.told.clear()


class _DeafLedger(FakeLedger):
    async def price(self, product: Product, interval: int) -> PriceShown | None:  # noqa: ARG002 - the port's
        raise RepresentativeError("the peer is away")


class _DeafOffice(FakeOffice):
    async def balance(self, member_id: str) -> Balance:  # noqa: ARG002 - the port's
        raise RepresentativeError("the office is away")

    async def notices(self) -> Sequence[Notice]:
        raise RepresentativeError("the office is away")


async def test_without_ledger_and_office_it_still_says_what_is_free(place: Place) -> None:
    """Without the ledger or the representative the page is still shown."""
    place.world.ledger, place.world.representative = _DeafLedger(), _DeafOffice()
    browser = place.browser()
    await place.driver(browser)
    answer = await browser.get("/")
    assert answer.status == 200
    assert "Prices cannot be shown yet" in answer.words
    assert "Your balance cannot be shown right now" in answer.words
    assert "Charge or sell here" in answer.words


class _CountingLedger(FakeLedger):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Product, int]] = []
        self.empty: set[int] = set()

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        self.asked.append((product, interval))
        found = await super().price(product, interval)
        return None if interval in self.empty else found


async def test_the_day_is_asked_for_once(place: Place) -> None:
    """A fixed price is queried once, another again after half a minute, and a new day's prices at midnight."""
    ledger = _CountingLedger()
    place.world.ledger = ledger
    ledger.empty = {NOW_S + 4 * INTERVAL_S}
    days, word = DayPrices(place.world.site()), catalogue("en").gettext
    first = await days.day("en", word)
    assert len(ledger.asked) == 192
    assert await days.day("en", word) is first
    assert len(ledger.asked) == 192
    place.world.clock.at_ns += 31 * SECOND_NS
    assert (await days.day("en", word)).table == first.table
    again = ledger.asked[192:]
    assert again
    assert all(interval > NOW_S + INTERVAL_S for _, interval in again)
    place.world.clock.at_ns += 86_400 * SECOND_NS
    await days.day("ko", catalogue("ko").gettext)
    assert len(ledger.asked) == 192 + len(again) + 192


async def test_drawings_are_bounded(place: Place) -> None:
    """However long the server runs, only the last drawings are kept."""
    days = DayPrices(place.world.site())
    for _ in range(12):
        await days.day("en", catalogue("en").gettext)
        place.world.clock.at_ns += 60 * SECOND_NS
    assert len(days._drawn) <= 4


async def test_a_day_without_prices_is_told(place: Place) -> None:
    """A day without prices has a text instead of a chart."""
    ledger = _CountingLedger()
    ledger.empty = set(day_of(NOW_NS, place.world.settings.time_zone))
    place.world.ledger = ledger
    answer = await place.browser().get("/")
    assert "No prices yet" in answer.words
    assert "you charge at the retail price" in answer.words
    assert "nothing can be sold" in answer.words


def test_a_day_is_the_local_one(place: Place) -> None:
    """A day is from midnight to midnight of the station's time zone, in whole intervals."""
    day = day_of(NOW_NS, place.world.settings.time_zone)
    assert len(day) == 96
    assert day[0] == NOW_S - 12 * 3600


def test_an_unweighted_price_still_has_an_origin() -> None:
    """A price without a weight is still between floor and ceiling."""
    shown = PriceShown(
        product="CHARGE",
        interval=NOW_S,
        period="peak",
        is_fixed=False,
        price_mtok_per_kwh=100_500,
        floor_mtok_per_kwh=90_000,
        ceiling_mtok_per_kwh=110_000,
        supply_wh=0,
        demand_wh=0,
    )
    said = prices.said(shown, "CHARGE", word=catalogue("en").gettext, language="en")
    assert (said.figure, said.state) == ("100.5", "expected")
    assert "both sides gain" in said.origin
