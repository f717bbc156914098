"""Pages that answer forms: shown to who sent the form, at an address without what was typed, and not for ever."""

from urllib.parse import urlsplit

import pytest

from edgegw.ports.representative import RepresentativeError
from edgegw.web import form_answers
from edgegw.web.form_answers import AGE_S, OF_ONE_NETWORK_MAX, OF_ONE_VISITOR_MAX, FormAnswers
from tests.support.web_served import Drivers
from tests.support.web_site import Answer, Browser, World

SECRET = "wrong horse battery"


class Place:
    """A drivers' site."""

    def __init__(self) -> None:
        self.drivers = Drivers(World())
        self.world = self.drivers.world

    def browser(self) -> Browser:
        """Somebody's browser."""
        return Browser(self.drivers.app, host="127.0.0.1")


async def posted(browser: Browser, path: str, **fields: str) -> Answer:
    """A form as it is answered; nothing is followed."""
    body = "&".join(f"{name}={text.replace(' ', '+')}" for name, text in fields.items())
    return await browser.ask(
        "POST",
        path,
        headers={"origin": f"http://{browser.host}", "content-type": "application/x-www-form-urlencoded"},
        body=f"form_token={browser.token}&{body}".encode(),
    )


async def refused_login(browser: Browser) -> Answer:
    """A login that fails."""
    await browser.get("/login?next=/receipts")
    return await posted(browser, "/login?next=/receipts", login="mina kim", password=SECRET, next="/receipts")


async def test_an_answer_has_an_address_that_tells_nothing() -> None:
    """The page with its status is at an address with a random key: neither name nor password stands in it."""
    browser = Place().browser()
    answer = await refused_login(browser)
    assert (answer.status, answer.text) == (303, "")
    place = answer.headers["location"]
    assert urlsplit(place).path == "/login"
    assert "next=" in place
    assert not any(text in place for text in ("mina", "kim", "horse"))
    shown = [await browser.get(place) for _ in range(2)]
    assert [one.status for one in shown] == [422, 422]
    assert "mina kim" in shown[0].text
    assert SECRET not in shown[0].text
    assert shown[0].headers["cache-control"] == "no-store"
    assert "content-security-policy" in shown[0].headers


async def test_an_answer_is_shown_to_nobody_else() -> None:
    """Another browser, and the same one with another login, see the page at that address instead."""
    place = Place()
    browser = place.browser()
    at = (await refused_login(browser)).headers["location"]
    other = place.browser()
    answer = await other.get(at)
    assert (answer.status, "mina kim" in answer.text) == (200, False)
    await browser.sign_up(place.world.representative)
    assert "mina kim" not in (await browser.get(at)).text


async def test_a_browser_without_cookies_is_told_at_once() -> None:
    """Who keeps no cookie could not find the answer again: it comes with the form."""
    browser = Place().browser()
    answer = await posted(browser, "/login", login="mina", password=SECRET)
    assert answer.status == 403
    assert "EGW-3002" in answer.text


async def test_no_form_leads_away() -> None:
    """An address that begins like another host's stays here."""
    browser = Place().browser()
    await browser.get("/login")
    answer = await posted(browser, "//elsewhere.example/login", login="mina")
    assert answer.headers["location"].startswith("/?answer=")


async def test_an_answer_waits_for_the_representative(monkeypatch: pytest.MonkeyPatch) -> None:
    """While logins cannot be looked up the page says so; afterwards the answer is there again."""
    place = Place()
    browser = place.browser()
    await browser.sign_up(place.world.representative)
    await browser.get("/cards")
    at = (await posted(browser, "/cards", label="mine", card="")).headers["location"]

    async def silent(_token: str) -> None:
        raise RepresentativeError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(place.world.representative, "who", silent)
        assert (await browser.get(at)).status == 503
        again = await posted(browser, "/cards", label="mine", card="")
        assert again.status == 303
        assert (await browser.get(again.headers["location"])).status == 503
    assert (await browser.get(at)).status == 422
    assert (
        await browser.get(again.headers["location"])
    ).status == 200  # the cards: the form can be sent again


def test_answers_are_bounded_in_age_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour, so many of a visitor, of a network and of all, and so many bytes; the oldest of the same go first."""
    now_s = 0.0
    answers = FormAnswers(lambda: now_s)

    def keep(visitor: str, network: str = "a", page: bytes = b"x") -> str:
        return answers.keep(visitor, network, status=200, page=page)

    first = keep("hers")
    own = [keep("mine") for _ in range(OF_ONE_VISITOR_MAX + 1)]
    assert answers.find(own[0], "mine") is None
    assert answers.find(own[1], "mine") is not None
    assert answers.find(own[1], "hers") is None
    assert answers.find(first, "hers") is not None
    away = keep("away", "b")
    for number in range(OF_ONE_NETWORK_MAX):
        keep(f"flood {number}")
    assert answers.find(first, "hers") is None
    assert answers.find(away, "away") is not None
    assert len(answers) == OF_ONE_NETWORK_MAX + 1
    monkeypatch.setattr(form_answers, "ANSWERS_MAX", 8)
    last = keep("last", "c")
    assert len(answers) == 8
    monkeypatch.setattr(form_answers, "BYTES_MAX", 70)
    keep("large", "d", bytes(range(60)))
    assert answers.find(last, "last") is None
    now_s = AGE_S - 1
    young = keep("young")
    now_s = AGE_S
    assert answers.find(young, "young") is not None
    assert len(answers) == 1
