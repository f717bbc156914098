"""Screen and label at the charger: codes that change, expire and count once; addresses in letters beside them."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.requests import Request

from edgegw.common.qr import qr_svg
from edgegw.common.units import SECOND_NS
from edgegw.web.driver import kiosk, screen_codes
from edgegw.web.driver.screen_codes import ScreenCodes
from edgegw.web.site import LOCAL_NAMES
from tests.support.driver_world import NOW_NS, Place
from tests.support.representative_fake import StoodClock
from tests.support.web_site import Browser

SECRET = b"s" * 32


@pytest.fixture
def place() -> Place:
    return Place()


def codes(clock: StoodClock, secret: bytes = SECRET) -> ScreenCodes:
    return ScreenCodes(secret=secret, clock=clock)


def drawn_codes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Codes of the addresses that screens turn into pictures from now on; each leads to the host that was asked."""
    drawn: list[str] = []

    def qr(address: str) -> str:
        if found := re.fullmatch(r"http://station\.test:8080/go/BAY-[12]\?code=([A-Za-z0-9_-]+)", address):
            drawn.append(found[1])
        return qr_svg(address)

    monkeypatch.setattr(kiosk, "qr_svg", qr)
    return drawn


def test_a_code_is_good_once() -> None:
    """A code opens its own EVSE once, in any spelling."""
    screen = codes(StoodClock())
    code = screen.new("BAY-1")
    assert screen.use("BAY-1", code)
    assert not screen.use("BAY-1", code)
    raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
    assert not screen.use("BAY-1", base64.urlsafe_b64encode(raw).decode())
    assert screen.new("BAY-1") != screen.new("BAY-1")


def test_a_code_of_another_point_or_station_is_none() -> None:
    """A code of another EVSE or station, a forged and a truncated one are refused, and do not use the code up."""
    screen = codes(StoodClock())
    code = screen.new("BAY-1")
    assert not screen.use("BAY-2", code)
    assert not screen.use("BAY-1", codes(StoodClock(), b"t" * 32).new("BAY-1"))
    forged = ("B" if code[0] == "A" else "A") + code[1:]
    for text in ("", "é", "=", code[:-4], code + "AAAA", forged, "A" * len(code), " " + code, "<script>"):
        assert not screen.use("BAY-1", text)
    assert screen.use("BAY-1", code)


def test_a_code_grows_old() -> None:
    """A minute and no longer, in real seconds; one from the future is none."""
    clock = StoodClock()
    screen = codes(clock)
    early, late = screen.new("BAY-1"), screen.new("BAY-1")
    clock.at_ns += 60 * SECOND_NS
    assert screen.use("BAY-1", early)
    clock.at_ns += 1
    assert not screen.use("BAY-1", late)
    future = screen.new("BAY-1")
    clock.at_ns -= 1
    assert not screen.use("BAY-1", future)


def test_used_codes_are_forgotten_when_they_are_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of used codes is bounded by time, and by number: when it is full no code counts."""
    clock = StoodClock()
    screen = codes(clock)
    monkeypatch.setattr(screen_codes, "USED_MAX", 3)
    for _ in range(3):
        assert screen.use("BAY-1", screen.new("BAY-1"))
    assert not screen.use("BAY-1", screen.new("BAY-1"))
    clock.at_ns += 61 * SECOND_NS
    assert screen.use("BAY-1", screen.new("BAY-1"))
    assert len(screen._used) == 1


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Scan to charge or sell"), ("ko", "스캔하여 충전 또는 판매")]
)
async def test_the_screen_shows_state_prices_and_a_code(place: Place, language: str, words: str) -> None:
    """Big state, both prices, a code as a picture without inline style, the host in letters; it renews itself."""
    answer = await place.browser(language).get("/kiosk/BAY-1")
    assert answer.status == 200
    assert answer.headers["refresh"] == "30"
    for word in (words, "BAY-1", "station.test:8080", "125"):
        assert word in answer.words
    assert '<svg aria-hidden="true"' in answer.text
    assert "style=" not in answer.text


async def test_a_scanned_code_leads_to_the_point_and_counts_as_being_there(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scanned code leads to the EVSE's page and allows ordering there for a quarter of an hour."""
    drawn = drawn_codes(monkeypatch)
    place.world.settings = replace(place.world.settings, presence_required=True, screens=("192.0.2.1",))
    browser = place.browser()
    await browser.get("/kiosk/BAY-1")
    looked = await browser.ask("HEAD", f"/go/BAY-1?code={drawn[-1]}")
    assert looked.status == 204
    led = await browser.get(f"/go/BAY-1?code={drawn[-1]}")
    assert (led.status, led.headers["location"]) == (303, "/evse/BAY-1")
    assert "HttpOnly" in next(line for line in led.cookies if line.startswith("edgegw_present="))
    assert "/evse/BAY-1/charge" in (await browser.get("/evse/BAY-1")).text
    assert "Scan the screen first" in (await browser.get("/evse/BAY-2")).words
    thief = Browser(browser.app)
    thief.cookies["edgegw_present"] = browser.cookies["edgegw_present"]
    assert "Scan the screen first" in (await thief.get("/evse/BAY-1")).words
    place.world.clock.at_ns += 901 * SECOND_NS
    assert "Scan the screen first" in (await browser.get("/evse/BAY-1")).words


@pytest.mark.parametrize(
    "value", ["", "x", "1.", f"{NOW_NS}.{'0' * 64}", f"{NOW_NS + 1}.x", "٣.x", "9" * 30, f"{NOW_NS}.é"]
)
async def test_a_made_up_presence_is_none(place: Place, value: str) -> None:
    """A cookie that this server did not sign proves nothing."""
    place.world.settings = replace(place.world.settings, presence_required=True)
    browser = place.browser()
    await browser.get("/evse/BAY-1")
    browser.cookies["edgegw_present"] = value.encode().decode("latin-1")
    assert "Scan the screen first" in (await browser.get("/evse/BAY-1")).words


async def used(browser: Browser, place: Place, drawn: list[str], how: str) -> str:
    """A code that is no longer, or never was, good at BAY-1."""
    await browser.get("/kiosk/BAY-2" if how == "of another point" else "/kiosk/BAY-1")
    code = drawn[-1]
    if how == "replayed":
        await Browser(browser.app).get(f"/go/BAY-1?code={code}")
    elif how == "too old":
        place.world.clock.at_ns += 61 * SECOND_NS
    elif how == "forged":
        code = "A" * len(code)
    elif how == "of another station":
        code = codes(StoodClock(), b"other station's secret key 32 by").new("BAY-1")
    elif how == "missing":
        code = ""
    return code


@pytest.mark.parametrize(
    "how", ["replayed", "too old", "forged", "of another point", "of another station", "missing"]
)
async def test_a_bad_code_is_gone(place: Place, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A bad code is answered with 410 EGW-3003 and the way to a new code, and does not count as presence."""
    drawn = drawn_codes(monkeypatch)
    browser = place.browser()
    code = await used(browser, place, drawn, how)
    answer = await browser.get(f"/go/BAY-1?code={code}")
    assert (answer.status, "EGW-3003" in answer.text) == (410, True)
    assert (
        "This code is used or older than 60 seconds. Scan the code that the screen shows now." in answer.words
    )
    assert 'href="/evse/BAY-1"' in answer.text
    assert "edgegw_present" not in browser.cookies


async def test_where_presence_counts_only_screens_show_codes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone that opens the screen's page sees where to go, and no code that would prove that it is there."""
    drawn = drawn_codes(monkeypatch)
    place.world.settings = replace(place.world.settings, presence_required=True)
    answer = await place.browser().get("/kiosk/BAY-1")
    assert answer.status == 200
    assert "changes every 30 seconds" not in answer.words
    assert drawn == []


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_a_label_is_an_address_in_a_picture_and_in_letters(place: Place, language: str) -> None:
    """The label has a code that leads to the EVSE's page, and the same address in letters."""
    answer = await place.browser(language).get("/evse/BAY-1/label")
    assert "http://station.test:8080/evse/BAY-1" in answer.words
    assert "style=" not in answer.text
    assert re.search(r'<svg[^>]* class="qr"', answer.text)


async def test_over_tls_the_address_says_so(place: Place, tmp_path: Path) -> None:
    """A secure server's codes lead to https."""
    place.world.settings = replace(place.world.settings, certificate=tmp_path)
    answer = await place.browser().get("/evse/BAY-1/label")
    assert "https://station.test:8080/evse/BAY-1" in unquote(answer.words)


async def test_a_screen_on_the_gateway_itself_leads_telephones_to_its_public_name(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code that said localhost would lead a telephone to itself; the port stays the one that was asked."""
    names = ("station.test", *LOCAL_NAMES)
    place.world.settings = replace(
        place.world.settings, presence_required=True, screens=("192.0.2.1",), names=names
    )
    drawn = drawn_codes(monkeypatch)
    for host in LOCAL_NAMES:
        browser = replace(place.browser(), host=f"{host}:8080")
        assert "must show this address: station.test:8080" in (await browser.get("/kiosk/BAY-1")).words
        assert "http://station.test:8080/evse/BAY-1" in (await browser.get("/evse/BAY-1/label")).words
    assert len(drawn) == len(LOCAL_NAMES)


@pytest.mark.parametrize(
    ("told", "is_screen"),
    [("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("192.0.2.2", False), ("", False)],
)
def test_a_screen_is_known_on_a_socket_for_both_families(place: Place, told: str, *, is_screen: bool) -> None:
    """An IPv4 address that comes in on an IPv6 socket is the same screen."""
    place.world.settings = replace(place.world.settings, presence_required=True, screens=("192.0.2.1",))
    request = Request({"type": "http", "client": (told, 1), "headers": []})
    assert kiosk.is_screen(request, place.world.site()) is is_screen
