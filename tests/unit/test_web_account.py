"""The driver's account, history, receipts, exchange and the search for stations, as a browser without JavaScript sees them."""

import re
from dataclasses import replace
from urllib.parse import quote

import pytest

from edgegw.ports.receipts import LineStatus, ReceiptLine
from edgegw.ports.representative import (
    Check,
    Checked,
    Entry,
    RefusedRequest,
    RepresentativeError,
    StationFound,
)
from edgegw.web import driver
from edgegw.web.application import application
from edgegw.web.driver import home
from edgegw.web.visitor_login import ATTEMPTS_MAX
from tests.support.receipts_fake import FakeBook, receipt_of
from tests.support.representative_fake import NOW_S
from tests.support.web_site import Browser, World

PAGES = (
    *("/login", "/signup", "/account", "/profile", "/cards", "/leave", "/history", "/receipts", "/exchange"),
    *("/stations", "/notices", "/receipts/BAY-1.77", "/receipts/BAY-1.77?check=1"),
)


@pytest.fixture
def world() -> World:
    world = World()
    world.ledger.found = [
        StationFound(station_id="harbour-1", geohash="wydm9", evses=2, products=("CHARGE", "DISCHARGE")),
        StationFound(station_id="far-<b>", geohash="wydmbc1", evses=3, products=("CHARGE",)),
        StationFound(station_id="broken", geohash="wydma!", evses=1, products=("CHARGE",)),
    ]
    return world


@pytest.fixture
def book() -> FakeBook:
    return FakeBook()


@pytest.fixture
def browser(world: World, book: FakeBook) -> Browser:
    site = replace(world.site(), receipts=book)
    return Browser(application(site, {"home": home.routes, "driver": driver.routes}))


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_every_page_is_there_in_both_languages(
    world: World, book: FakeBook, browser: Browser, language: str
) -> None:
    """Each page has one heading, a title, labels for its fields, and ids that are unique."""
    for path in PAGES:
        if path == "/account":
            profile = await browser.sign_up(world.representative)
            book.add(receipt_of(profile.member_id, world.ledger))
            await browser.get(f"/account?lang={language}")
        answer = await browser.get(f"{path}{'&' if '?' in path else '?'}lang={language}")
        assert answer.status == 200, path
        assert f'<html lang="{language}">' in answer.text
        assert answer.text.count("<h1") == 1, path
        ids = re.findall(r' id="([^"]+)"', answer.text)
        assert len(ids) == len(set(ids)), path
        labelled = set(re.findall(r'<label for="([^"]+)"', answer.text))
        fields = re.findall(r"<(?:input|select)\b[^>]*>", answer.text)
        seen = [one for one in fields if 'type="hidden"' not in one and " hidden>" not in one]
        assert {re.findall(r' id="([^"]+)"', one)[0] for one in seen} <= labelled, path
        assert "style=" not in answer.text, path


async def test_a_page_that_forms_lead_to_can_be_reloaded(world: World, browser: Browser) -> None:
    """The address of an answered form, asked for again, is a page; the language can be changed there too."""
    await browser.sign_up(world.representative)
    for path in ("/exchange/quote", "/exchange/confirm", "/profile/password", "/cards/unlink", "/leave/now"):
        assert (await browser.get(f"{path}?lang=ko")).status == 200


async def test_the_account_tells_tokens_and_energy(world: World, browser: Browser) -> None:
    """Available and set aside, in the visitor's words; the member's number is shortened."""
    profile = await browser.sign_up(world.representative)
    world.representative.tokens[profile.member_id] = 1_234_567
    answer = await browser.get("/account")
    assert "1,234.567 tokens" in answer.words
    assert f"{profile.member_id[:8]}…" in answer.words
    assert "1,234.567 토큰" in (await browser.get("/account?lang=ko")).words


# --- history ---------------------------------------------------------------------------------------------------------


def entered(world: World, member_id: str, count: int, name: str = "trade") -> None:
    for number in range(count):
        entry = Entry(
            type="trade.recorded",
            id=f"{name}-{number}",
            tokens_mtok=-1500 - number,
            energy_wh=2000,
            at_ns=(NOW_S + number) * 10**9,
            tx_id="ab" * 32,
        )
        world.representative.entries.append((member_id, entry))


async def test_the_history_is_paged_to_its_end(world: World, browser: Browser) -> None:
    """Newest first, twenty on a page, and each entry on one page only."""
    profile = await browser.sign_up(world.representative)
    assert "member.signed" not in (await browser.get("/history")).text, "in the reader's words"
    entered(world, profile.member_id, 45)
    answer = await browser.get("/history")
    path, seen = "/history", []
    while path:
        answer = await browser.get(path)
        seen += re.findall(r"<code>trade-(\d+)</code>", answer.text)
        older = re.search(r'rel="next" href="([^"]+)"', answer.text)
        path = older[1] if older else ""
    assert seen == [str(number) for number in reversed(range(45))]
    assert "Energy traded" in answer.words
    assert "\N{MINUS SIGN}1.5 tokens" in answer.words
    assert "+2.000 kWh" in answer.words
    assert (await browser.get("/history?from=%3Cscript%3E")).status == 404


async def test_the_history_as_a_file_runs_nothing(world: World, browser: Browser) -> None:
    """The whole history as CSV, in which a text that looks like a formula is none."""
    profile = await browser.sign_up(world.representative)
    entered(world, profile.member_id, 130)
    entered(world, profile.member_id, 1, name="=HYPERLINK(1)")
    answer = await browser.get("/history.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.removeprefix("\ufeff").splitlines()
    assert len(lines) == 133
    assert lines[1].split(",")[2:5] == ["'=HYPERLINK(1)-0", "-1.500", "2000"]


# --- receipts --------------------------------------------------------------------------------------------------------


async def test_a_receipt_tells_every_line(world: World, book: FakeBook, browser: Browser) -> None:
    """A receipt has registers, price and amount, market or retail with the reason, and the state of each line."""
    profile = await browser.sign_up(world.representative)
    book.add(receipt_of(profile.member_id, world.ledger))
    assert "waiting for the ledger: 1" in (await browser.get("/receipts")).words
    words = (await browser.get("/receipts/BAY-1.77")).words
    for text in (
        "1,204.000 kWh → 1,206.345 kWh",
        "2.345 kWh \N{MULTIPLICATION SIGN} 125 tokens/kWh = 293.125 tokens",
        "No producer offered energy for this quarter hour.",
        "committed in block 41",
        "committed in block 43",  # of which only the ledger knew
        "More energy flowed than the held tokens cover.",
        "There was no hold for it.",
        "… waiting",
        "Network fees in addition to the amount paid: 2.345 tokens.",
        "paid 414.955 tokens",
        "earned 825 tokens",
        "10:00\N{EN DASH}10:15",
    ):
        assert text in words, text


async def test_a_receipt_stands_without_the_ledger(world: World, book: FakeBook, browser: Browser) -> None:
    """If no peer can be reached, the receipt shows the station's own records."""
    profile = await browser.sign_up(world.representative)
    book.add(receipt_of(profile.member_id, world.ledger))

    async def silent(_trade_id: str) -> None:
        raise RepresentativeError("no peer")

    world.ledger.trade = silent  # type: ignore[method-assign,assignment]  # this ledger cannot be asked
    answer = await browser.get("/receipts/BAY-1.77")
    assert "293.125 tokens" in answer.words
    assert "✓ committed" in answer.words


async def test_a_receipt_is_its_members_alone(world: World, book: FakeBook, browser: Browser) -> None:
    """Another member's receipt is refused in every form, an unknown one is not found, and without a login it asks for one."""
    owner = await Browser(browser.app).sign_up(world.representative, "nari")
    book.add(receipt_of(owner.member_id, world.ledger))
    assert (await browser.get("/receipts/BAY-1.77")).status == 303
    await browser.sign_up(world.representative)
    for query in ("", "?format=csv", "?check=1"):
        answer = await browser.get(f"/receipts/BAY-1.77{query}")
        assert (answer.status, "EGW-3005" in answer.text) == (403, True)
        assert "293.125" not in answer.text
    assert (await browser.get("/receipts/BAY-1.78")).status == 404
    assert (await browser.get("/receipts/a/../../etc")).status == 404
    assert "No sessions yet" in (await browser.get("/receipts")).words


async def test_receipts_are_paged(world: World, book: FakeBook, browser: Browser) -> None:
    """Ten on a page, newest first, to the end."""
    profile = await browser.sign_up(world.representative)
    for number in range(23):
        book.add(receipt_of(profile.member_id, world.ledger, f"BAY-1.{number}"))
    path, seen = "/receipts", []
    while path:
        answer = await browser.get(path)
        seen += re.findall(r'href="/receipts/BAY-1\.(\d+)"', answer.text)
        older = re.search(r'rel="next" href="([^"]+)"', answer.text)
        path = older[1] if older else ""
    assert seen == [str(number) for number in reversed(range(23))]


async def test_a_receipt_as_a_file(world: World, book: FakeBook, browser: Browser) -> None:
    """One line of CSV for each line of the receipt, with plain numbers."""
    profile = await browser.sign_up(world.representative)
    receipt = receipt_of(profile.member_id, world.ledger, "=EVIL()")
    book.add(receipt)
    answer = await browser.get("/receipts/%3DEVIL()?format=csv".replace("%3D", "="))
    lines = answer.text.removeprefix("\ufeff").splitlines()
    assert len(lines) == 1 + len(receipt.lines)
    row = "'=EVIL(),BAY-1,2026-06-10T01:00:00Z,import,1204000,1206345,2345,COMMITTED,MARKET,,125.000,293.125,"
    assert lines[1].startswith(row)


async def test_a_receipt_is_recomputed(world: World, book: FakeBook, browser: Browser) -> None:
    """Each committed line's block with every check and its five fields, and what the check cannot show."""
    profile = await browser.sign_up(world.representative)
    receipt = receipt_of(profile.member_id, world.ledger)
    book.add(receipt)
    answer = await browser.get("/receipts/BAY-1.77?check=1")
    assert answer.text.count("Everything matches") == 3
    for text in ("Link to the previous block", "Prev_Hash", "edgegw ledger verify --block 41"):
        assert text in answer.words
    assert "so you rely on that program" in answer.words


async def test_what_does_not_hold_is_not_hidden(world: World, book: FakeBook, browser: Browser) -> None:
    """A failed check, one without a text, and a trade that the ledger does not have are shown as such."""
    profile = await browser.sign_up(world.representative)
    receipt = receipt_of(profile.member_id, world.ledger)
    book.add(receipt)
    first, second, third = (one.trade_id for one in receipt.lines[:3])

    async def check(trade_id: str) -> Checked | RefusedRequest:
        if trade_id == first:
            return RefusedRequest(code="TRADE_UNKNOWN")
        checks = () if trade_id == second else (Check(name="<new>", holds=False, detail="<b>"),)
        return Checked(trade_id=trade_id, block=7, fields={"KEY": "<i>"}, checks=checks)

    world.ledger.check = check  # type: ignore[method-assign]  # this ledger's blocks do not hold
    answer = await browser.get("/receipts/BAY-1.77?check=1")
    assert third
    assert "Everything matches" not in answer.text
    assert answer.words.count("Something does not match") == 3
    assert "The ledger does not contain this trade." in answer.words
    assert "✗ does not match <new>" in answer.words
    assert "<i>" not in answer.text


async def test_a_session_that_has_only_begun(world: World, book: FakeBook, browser: Browser) -> None:
    """A session without readings and lines has a receipt that says so; a dispute is shown."""
    profile = await browser.sign_up(world.representative)
    whole = receipt_of(profile.member_id, world.ledger)
    session = replace(whole.session, ended_ns=None)
    book.add(replace(whole, session=session, meters=(), lines=(), disputed=True))
    words = (await browser.get("/receipts/BAY-1.77?check=1")).words
    assert "running" in words
    assert "There is no meter reading yet." in words
    assert ": nothing to recompute" in words
    assert "The charger and the meter disagree" in words
    assert "running" in (await browser.get("/receipts")).words


async def test_texts_of_a_charger_stay_text(world: World, book: FakeBook, browser: Browser) -> None:
    """Session ids, codes and reasons come from devices and other programs: markup in them is text."""
    profile = await browser.sign_up(world.representative)
    evil = "<script>alert(1)</script>"
    whole = receipt_of(profile.member_id, world.ledger)
    line = ReceiptLine(
        status=LineStatus.REFUSED,
        direction="import",
        interval=0,
        start_wh=0,
        end_wh=1,
        kind="RETAIL",
        reason=evil,
        code=evil,
        trade_id=evil,
    )
    book.add(replace(whole, session=replace(whole.session, evse_id=evil), lines=(line,)))
    for path in ("/receipts", "/receipts/BAY-1.77"):
        answer = await browser.get(path)
        assert "<script>" not in answer.text
        assert evil in answer.words


async def test_without_a_station_there_are_no_receipts(world: World) -> None:
    """A representative's own pages have no receipts, because they have no journal."""
    browser = world.browser(driver=driver.routes)
    await browser.sign_up(world.representative)
    assert "No sessions yet" in (await browser.get("/receipts")).words
    assert (await browser.get("/receipts/BAY-1.77")).status == 404


# --- stations --------------------------------------------------------------------------------------------------------


async def test_the_nearest_stations_are_found(browser: Browser) -> None:
    """Around this station: itself first with what is free, then the others, with distance, way and their own map's link."""
    answer = await browser.get("/stations")
    assert answer.words.index("harbour-1") < answer.words.index("far-<b>")
    assert "<b>" not in answer.text
    for text in (
        "2 free now",
        "4.1 km",
        "free chargers: unknown",
        "125 tokens/kWh",
        "min on foot",
    ):
        assert text in answer.words, text
    assert answer.text.count('href="geo:') == 2
    assert answer.text.count("<svg") == 2
    assert "place.js" in answer.text
    assert "broken" not in answer.words


async def test_a_place_may_be_typed(browser: Browser) -> None:
    """Geohash or coordinates; a product narrows the list; far away nothing is found, and that is said."""
    for where in ("wydm9", "WYDM9", "37.57,126.98", "37.57 126.98", "+37.57, 126.98"):
        answer = await browser.get(f"/stations?where={where.replace('+', '%2B').replace(' ', '+')}")
        assert (answer.status, "harbour-1" in answer.words) == (200, True), where
    selling = await browser.get("/stations?for=sell")
    assert "far-<b>" not in selling.words
    assert '<option value="sell" selected>' in selling.text
    for where in ("-33.9,151.2", "-90,0", "90,180", "0,-180"):
        assert "No station found here." in (await browser.get(f"/stations?where={where}")).words, where


@pytest.mark.parametrize(
    "where", ["Seoul", "91,0", "0,181", "1e3,5", "٣,1", "<script>", "x" * 300, "37.57;126.98", "wydma"]
)
async def test_a_bad_place_is_told_beside_its_field(browser: Browser, where: str) -> None:
    """A text that is no place is refused beside the field, and kept."""
    answer = await browser.get(f"/stations?where={quote(where)}")
    assert (answer.status, 'id="where-fault"' in answer.text) == (422, True)
    assert "<script>" not in answer.text


async def test_a_station_that_tells_no_place(world: World) -> None:
    """A station without a place asks for one, and offers the browser's location only in a secure context."""
    world.settings = replace(world.settings, geohash="", host="192.0.2.7")
    browser = world.browser(driver=driver.routes)
    answer = await browser.get("/stations")
    assert "Enter a location." in answer.words
    assert "place.js" not in answer.text
    site = replace(world.site(), station=None)
    pages = Browser(application(site, {"driver": driver.routes}))
    assert "free chargers: unknown" in (await pages.get("/stations?where=wydm9")).words


async def test_a_place_at_the_edge_of_the_earth(world: World, browser: Browser) -> None:
    """Around the date line and near a pole stations are found too, and each once."""
    world.ledger.found = [
        StationFound(station_id="fiji", geohash="rvpzz", evses=1, products=("CHARGE",)),
        StationFound(station_id="wrangel", geohash="bpbpb", evses=1, products=("CHARGE",)),
    ]
    for where, name in (("-0.1,-179.9", "none"), ("rvpzz", "fiji"), ("bpbpb", "wrangel")):
        answer = await browser.get(f"/stations?where={where}")
        assert answer.status == 200
        assert (name in answer.words) == (name != "none")


async def test_cards_and_places_are_not_found_out_by_trying(world: World, browser: Browser) -> None:
    """Searches for cards and places are limited per address and minute."""
    await browser.sign_up(world.representative)
    await browser.get("/cards")
    for number in range(ATTEMPTS_MAX):
        assert (await browser.send("/cards", number="04A224B1", label=f"Card {number}")).status == 200
        assert (await browser.get("/stations?where=wydm9")).status == 200
    assert (await browser.send("/cards", number="04A224B2", label="More")).status == 429
    assert (await browser.get("/stations?where=wydm9")).status == 429
    assert (await browser.get("/stations")).status == 200
