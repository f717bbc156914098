"""None of fifty hostile texts, through every field from a charger or a person, runs, leads away or hides anything."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser as Chromium

from edgegw.common.member_terms import MemberTerms
from edgegw.ports.receipts import LineStatus
from edgegw.ports.representative import Card, Entry, Notice, StationFound
from edgegw.web.operator.operator_port import Refused, Waiting
from tests.support.chromium import Visit, visit
from tests.support.hostile_texts import HOSTILE
from tests.support.operator_fake import CHARGERS, NOW_NS, Operator
from tests.support.operator_fake import PASSWORD as OPERATORS
from tests.support.receipts_fake import receipt_of
from tests.support.web_served import Drivers, local, pages_of, serving, somebody
from tests.support.web_site import Browser, World, station

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROUP = 10
SPOKEN = 30  # of the texts name what they would do; so many are seen, or nothing was shown at all
# A list that is longer than a page shows its first ones.
SHOWN = {
    "/": SPOKEN,
    "/notices": SPOKEN,
    "/cards": SPOKEN,
    "/history": 15,
    "/stations": 10,
    "/receipts": 5,
    "/receipts/all": 25,
}
LEFT_OUT = {"/logout", "/leave", "/leave/now", "/cards/unlink"}


@dataclass
class Reader(HTMLParser):
    """What of a page could act: forms with their fields, and whatever a page of ours never has."""

    forms: list[tuple[str, str, list[str]]] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element."""
        told = {name: value or "" for name, value in attrs}
        if tag in {"iframe", "object", "embed", "base", "style", "math", "video"}:
            self.found.append(tag)
        if tag == "script" and not told.get("src", "").startswith("/static/"):
            self.found.append("script")
        self.found += [name for name in told if name.startswith(("on", "hx-on"))]
        for name in ("href", "src", "action", "formaction", "hx-get", "hx-post", "sse-connect"):
            value = told.get(name, "/")
            if not re.match(r"/(?!/)|#|\?|geo:|data:image/svg", value) and value:
                self.found.append(f"{name}={value}")
        if tag == "form":
            self.forms.append((told.get("method", "get").upper(), told.get("action", ""), []))
        if tag in {"input", "textarea", "select"} and self.forms and told.get("type") != "hidden":
            self.forms[-1][2].append(told.get("name", ""))


def read(text: str) -> Reader:
    """A page."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


async def inert(there: Visit, *, spoken: int = 0) -> None:
    """Nothing on this page ran, tried to run, or led away; what would have is there as a text."""
    await there.page.wait_for_load_state("load")
    assert await there.page.evaluate("window.__xss") is None, there.page.url
    assert await there.breaches() == []
    assert there.faults == []
    if spoken:
        text = await there.page.locator("body").inner_text()
        values = await there.page.eval_on_selector_all("input", "all => all.map(one => one.value).join(' ')")
        assert f"{text} {values}".count("__xss") >= spoken, there.page.url


async def _member(drivers: Drivers, token: str) -> str:
    profile = await drivers.world.representative.who(token)
    assert profile is not None
    return profile.member_id


async def told_to_a_driver(drivers: Drivers) -> str:
    """A world in which everything that others tell a driver is hostile; gives the driver's login."""
    world = drivers.world
    token = await somebody(drivers)
    member_id = await _member(drivers, token)
    for number, text in enumerate(reversed(HOSTILE)):  # the newest is shown first
        world.representative.told[f"n{number}"] = Notice(
            notice_id=f"n{number}",
            at_ns=world.clock.at_ns,
            title_ko=text,
            title_en=text,
            text_ko=text,
            text_en=text,
        )
        world.representative.linked[f"card{number}"] = (
            MemberTerms(member_id=member_id),
            Card(card_id=text, label=text),
        )
        world.representative.entries.append(
            (
                member_id,
                Entry(type=text, id=text, tokens_mtok=1, energy_wh=1, at_ns=world.clock.at_ns, tx_id=text),
            )
        )
        world.ledger.found.append(
            StationFound(station_id=text, geohash="wydm9", evses=1, products=("CHARGE",))
        )
        receipt = receipt_of(member_id, world.ledger, session_id=text)
        drivers.book.add(replace(receipt, session=replace(receipt.session, evse_id=text)))
    one = receipt_of(member_id, world.ledger, session_id="all")
    (refused,) = (line for line in one.lines if line.status is LineStatus.REFUSED)
    lines = tuple(replace(refused, code=text) for text in HOSTILE)
    drivers.book.kept = {"all": replace(one, lines=lines), **drivers.book.kept}
    return token


async def test_what_is_told_to_a_driver_stays_a_text(browser: Chromium) -> None:
    """Notices, labels, station and EVSE names, ledger entries and a receipt's codes are shown as they are, and do nothing."""
    drivers = Drivers(World(present=station(HOSTILE)))
    token = await told_to_a_driver(drivers)
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.log_in(token)
        for path, spoken in SHOWN.items():
            await there.go(path)
            await inert(there, spoken=spoken)


async def test_who_somebody_is_stays_a_text(browser: Chromium) -> None:
    """A name, a login and a contact are shown as they are, wherever they are shown."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    representative = drivers.world.representative
    member_id = await _member(drivers, token)
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.log_in(token)
        for start in range(0, len(HOSTILE), GROUP):
            text = " ".join(HOSTILE[start : start + GROUP])
            profile, secret = representative.people[member_id]
            representative.people[member_id] = (replace(profile, name=text, login=text, contact=text), secret)
            for path in ("/account", "/profile"):
                await there.go(path)
                await inert(there)


async def test_what_chargers_tell_the_operator_stays_a_text(browser: Chromium) -> None:
    """Vendor, model, serial number, id and address of a stranger, and what was refused, do nothing at the operator's either."""
    operator = Operator()
    local(operator.world)
    waiting = tuple(
        replace(CHARGERS.waiting[0], charger_id=text, vendor=text, model=text, serial=text, address=text)
        for text in HOSTILE
    )
    refused = tuple(
        Refused(at_ns=NOW_NS, code=text, charger_id=text, address=text, detail=text, count=1)
        for text in HOSTILE
    )
    assert all(isinstance(one, Waiting) for one in waiting)
    operator.operator_port.known = replace(CHARGERS, waiting=(*CHARGERS.waiting, *waiting), refused=refused)
    for number, text in enumerate(HOSTILE):
        operator.world.representative.told[f"n{number}"] = Notice(
            notice_id=text, at_ns=NOW_NS, title_ko=text, title_en=text, text_ko=text, text_en=text
        )
    app = operator.browser().app
    async with serving(app, operator.world) as origin, visit(browser, origin) as there:
        await there.go("/login")
        await there.page.locator("[name=password]").fill(OPERATORS)
        await there.page.locator("main form button").click()
        await there.page.wait_for_url(origin + "/")
        for path in pages_of(app):
            await there.go(path)
            spoken = SPOKEN if path in {"/chargers", "/refusals", "/notices"} else 0
            await inert(there, spoken=spoken)


async def test_what_is_typed_in_stays_a_text(browser: Chromium) -> None:
    """A hostile text in all fields of a form at once comes back as a text: every third of them, in a real browser."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.log_in(token)
        paths = ("/profile", "/cards", "/exchange", "/stations", *(f"/evse/BAY-1/{one}" for one in ("charge", "sell", "work")))  # fmt: skip
        for number, text in enumerate(HOSTILE[::3]):
            await there.go(paths[number % len(paths)])
            async with there.page.expect_navigation():
                await there.page.evaluate(TYPED, text)
            await inert(there)


# All fields of the first form of the content, whatever it is sent to; what a browser would not let pass is sent all the same.
TYPED = """text => {
  const form = document.querySelector('main form');
  for (const one of form.querySelectorAll('input:not([type=hidden]):not([type=radio]):not([type=checkbox])')) {
    one.type = 'text'; one.removeAttribute('maxlength'); one.value = text;
  }
  form.noValidate = true;
  form.submit();
}"""


def forms_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Address and fields of each form that is sent, but those that end something."""
    for method, action, names in read(text).forms:
        if method == "POST" and action not in LEFT_OUT and names:
            yield action, names


async def test_every_field_of_every_form_stays_a_text() -> None:
    """Each of the fifty in each field of each form, one at a time: the answer has no element or address that is not ours."""
    drivers = Drivers(World())
    token = await somebody(drivers)
    seen: Mapping[str, list[str]] = {}
    pending_chargers = Browser(drivers.app, host="127.0.0.1")
    member = Browser(drivers.app, host="127.0.0.1", cookies={"edgegw_login": token})
    who: dict[str, Browser] = {}
    for browser, paths in ((pending_chargers, ("/login", "/signup")), (member, drivers.pages)):
        for path in paths:
            for action, names in forms_of((await browser.get(path)).text):
                seen = {**seen, action: names}
                who.setdefault(action, browser)
    assert {"/login", "/signup", "/cards", "/profile", "/exchange/quote", "/evse/BAY-1/sell"} <= set(seen)
    for action, names in seen.items():
        for name in names:
            for text in HOSTILE:
                answer = await who[action].ask(
                    "POST",
                    action,
                    headers=_sent(),
                    body=_body(who[action].token, {other: text if other == name else "1" for other in names}),
                )
                assert answer.status < 500, (action, name, text)
                assert read(answer.text).found == [], (action, name, text)


def _sent() -> dict[str, str]:
    return {"origin": "http://127.0.0.1", "content-type": "application/x-www-form-urlencoded"}


def _body(token: str, fields: Mapping[str, str]) -> bytes:
    return urlencode({"form_token": token, **fields}).encode()
