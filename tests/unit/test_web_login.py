"""The driver's login, sign-up, profile, cards and leaving, as a browser without JavaScript sees them."""

import json

import pytest

from edgegw.ports.representative import Kind, Notice, RefusalCode, RefusedRequest
from edgegw.web import driver
from edgegw.web.driver import home
from edgegw.web.visitor_login import ATTEMPTS_MAX
from tests.support.representative_fake import NOW_S
from tests.support.web_site import PASSWORD, Answer, Browser, World

NEW = "another long password"
FORM = {
    "name": "Mina Kim",
    "contact": "mina@example.org",
    "login": "mina",
    "password": PASSWORD,
    "consent": "1",
    "next": "",
}
DEFAULTS = {
    "battery": "64.8",
    "soc_min": "35",
    "soc_wanted": "90",
    "ready_by": "06:45",
    "price_min": "150.5",
    "price_max": "300",
}
EVIL = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "</title><svg/onload=alert(1)>",
    "=cmd|'/c calc'!A1",
    "'; DROP TABLE members; --",
    "\u202egnp.exe\u0000",
    "%3Cscript%3E",
    "🚗" * 40,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Browser:
    return world.browser(home=home.routes, driver=driver.routes)


def faulty(answer: Answer, field: str) -> bool:
    """Whether the page was refused with a fault beside this field, and the field points at it."""
    pointed = f'aria-describedby="{field}-fault"' in answer.text or f'-hint {field}-fault"' in answer.text
    return answer.status == 422 and f'id="{field}-fault"' in answer.text and pointed


def inert(answer: Answer) -> bool:
    """Whether nothing that was typed in has become markup or a template."""
    lower = answer.text.lower()
    return not any(one in lower for one in ("<script>", "<img src=x", "<svg/onload", "7*7 = 49", ">49<"))


async def test_a_stranger_signs_up_and_is_in(world: World, browser: Browser) -> None:
    """Sign-up opens the account and a login, and leads to where the visitor wanted to go."""
    page = await browser.get("/signup?next=/cards")
    assert 'autocomplete="new-password"' in page.text
    assert "A random member id instead of your name" in page.words
    answer = await browser.send("/signup", **FORM | {"next": "/cards"})
    assert (answer.status, "No card is linked yet." in answer.words) == (200, True)
    ((profile, _),) = world.representative.people.values()
    assert (profile.login, profile.language, profile.kind) == ("mina", "en", "EV")
    assert (await browser.get("/signup")).status == 303


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("contact", "nobody"),
        ("contact", "٠١٠١٢٣٤٥٦٧٨"),
        ("contact", "a@b"),
        ("contact", "x" * 250 + "@example.org"),
        ("login", "ab"),
        ("login", "has space"),
        ("login", "x" * 65),
        ("password", "short"),
        ("password", "x" * 300),
        ("consent", ""),
    ],
)
async def test_a_bad_sign_up_is_told_beside_its_field(browser: Browser, field: str, typed: str) -> None:
    """A bad sign-up is refused beside its field; entries are kept, except the password."""
    await browser.get("/signup")
    answer = await browser.send("/signup", **FORM | {field: typed})
    assert faulty(answer, field)
    assert PASSWORD not in answer.text
    assert field == "login" or 'value="mina"' in answer.text


async def test_nobody_signs_up_twice_or_learns_who_did(world: World, browser: Browser) -> None:
    """A login name and a contact that are taken give one and the same answer."""
    await world.browser().sign_up(world.representative)
    await browser.get("/signup")
    taken_login = await browser.send("/signup", **FORM | {"contact": "other@example.org"})
    taken_contact = await browser.send("/signup", **FORM | {"login": "other"})
    assert taken_login.status == taken_contact.status == 422
    told = "An account with this login name and contact cannot be opened."
    assert told in taken_login.words
    assert told in taken_contact.words


async def test_what_the_office_refuses_stands_beside_its_field(world: World, browser: Browser) -> None:
    """A field that the representative refuses is explained beside it, too."""

    async def refuse(_newcomer: object) -> RefusedRequest:
        return RefusedRequest(code=RefusalCode.BAD_FIELD, detail="contact")

    world.representative.sign_up = refuse  # type: ignore[method-assign,assignment]  # this office takes nobody
    await browser.get("/signup")
    assert faulty(await browser.send("/signup", **FORM), "contact")


async def test_a_login_leads_back_and_its_cookie_is_hidden(world: World, browser: Browser) -> None:
    """The right password leads to the page that was wanted; no script reads the cookie."""
    await world.browser().sign_up(world.representative)
    assert (await browser.get("/receipts")).headers["location"] == "/login?next=/receipts"
    page = await browser.get("/login?next=/receipts")
    assert 'autocomplete="username"' in page.text
    assert 'autocomplete="current-password"' in page.text
    answer = await browser.send("/login", login="mina", password=PASSWORD, next="/receipts")
    assert "No sessions yet" in answer.words
    assert (await browser.get("/login")).status == 303


async def test_after_a_login_the_browser_is_another_one(world: World, browser: Browser) -> None:
    """A key or login from before the login is invalid after it."""
    await browser.sign_up(world.representative)
    old_login = browser.cookies["edgegw_login"]
    await browser.get("/account")
    old_key, old_token = browser.cookies["edgegw_visitor"], browser.token
    headers = {"origin": f"http://{browser.host}", "content-type": "application/x-www-form-urlencoded"}
    body = f"form_token={old_token}&login=mina&password={PASSWORD.replace(' ', '+')}".encode()
    answer = await browser.ask("POST", "/login", headers=headers, body=body)
    assert answer.status == 303
    assert all("HttpOnly" in one and "SameSite=lax" in one for one in answer.cookies)
    assert browser.cookies["edgegw_visitor"] != old_key
    assert browser.cookies["edgegw_login"] != old_login
    assert old_login not in world.representative.logins
    await browser.get("/account")
    assert browser.token != old_token


async def test_a_wrong_login_tells_nothing(world: World, browser: Browser) -> None:
    """An unknown name and a wrong password are one answer; many tries are 429."""
    await world.browser().sign_up(world.representative)
    await browser.get("/login")
    wrong = await browser.send("/login", login="mina", password="wrong wrong wrong")
    unknown = await browser.send("/login", login="nina", password="wrong wrong wrong")
    empty = await browser.send("/login", login="", password="")
    assert wrong.status == unknown.status == empty.status == 422
    assert wrong.words.replace("mina", "") == unknown.words.replace("nina", "")
    for _ in range(4):
        await browser.send("/login", login="mina", password="wrong wrong wrong")
    answer = await browser.send("/login", login="mina", password=PASSWORD)
    assert answer.status == 429
    assert "Too many attempts" in answer.words


async def test_an_address_has_so_many_tries(browser: Browser) -> None:
    """One address is refused after its share, whatever names it tries."""
    await browser.get("/login")
    for number in range(ATTEMPTS_MAX):
        assert (await browser.send("/login", login=f"m{number}", password="x" * 12)).status == 422
    for path in ("/login", "/signup"):
        answer = await browser.send(path, login="mina", password="x" * 12)
        assert (answer.status, "EGW-3011" in answer.text) == (429, True)


@pytest.mark.parametrize("kind", ["PRODUCER", "INDUSTRY"])
async def test_other_members_share_these_pages(world: World, kind: Kind) -> None:
    """Other kinds of member sign up on these pages, begin at their own first page, and are not asked about a car."""
    browser = world.browser(home=home.routes, shared=driver.shared(kind))
    await browser.get("/signup")
    await browser.send("/signup", **FORM)
    ((profile, _),) = world.representative.people.values()
    assert profile.kind == kind
    page = await browser.get("/profile")
    assert "Battery capacity" not in page.words
    assert "About you" in page.words
    for path in ("/exchange", "/history", "/notices", "/leave", "/export"):
        assert (await browser.get(path)).status == 200
    assert (await browser.get("/cards")).status == 404


async def test_logging_out_ends_the_login(world: World, browser: Browser) -> None:
    """After the logout the login is invalid, and members' pages require another."""
    await browser.sign_up(world.representative)
    await browser.get("/account")
    await browser.send("/logout")
    assert world.representative.logins == {}
    assert "edgegw_login" not in browser.cookies
    assert (await browser.get("/account")).status == 303


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/signup", "name"),
        ("/signup", "contact"),
        ("/signup", "login"),
        ("/signup", "next"),
        ("/login", "login"),
        ("/login", "next"),
        ("/profile", "name"),
        ("/profile", "contact"),
        ("/profile", "language"),
        ("/profile/defaults", "battery"),
        ("/profile/defaults", "ready_by"),
        ("/profile/defaults", "price_max"),
        ("/cards", "number"),
        ("/cards", "label"),
        ("/cards/unlink", "card_id"),
        ("/exchange/quote", "tokens"),
        ("/exchange/quote", "way"),
        ("/exchange/confirm", "quote_id"),
        ("/leave/now", "password"),
    ],
)
async def test_what_is_typed_stays_text(world: World, browser: Browser, path: str, field: str) -> None:
    """Whatever is typed into a field, and wherever it is shown afterwards, it is text."""
    full = {**FORM, **DEFAULTS, "number": "04A2B3C4", "label": "car", "tokens": "5", "way": "buy"}
    if path not in {"/signup", "/login"}:
        await browser.sign_up(world.representative)
    for text in EVIL:
        await browser.get("/login")
        await browser.get("/account")
        answer = await browser.send(path, **full | {field: text})
        assert answer.status in {200, 303, 404, 422, 429}
        assert inert(answer)
        for shown in ("/account", "/profile", "/cards"):
            assert inert(await browser.get(shown))


async def test_a_form_of_elsewhere_changes_nothing(world: World, browser: Browser) -> None:
    """Without the page's token no form of the account is accepted."""
    await browser.sign_up(world.representative)
    browser.token = "0" * 64
    for path in (
        *("/logout", "/signup", "/profile", "/profile/password", "/profile/defaults", "/cards"),
        *("/cards/unlink", "/leave", "/leave/now", "/exchange/quote", "/exchange/confirm"),
    ):
        assert (await browser.send(path, **FORM)).status == 403
    assert len(world.representative.people) == len(world.representative.logins) == 1


async def test_the_profile_is_changed(world: World, browser: Browser) -> None:
    """Name, contact and language are stored, and the page is in the new language at once."""
    profile = await browser.sign_up(world.representative)
    await browser.get("/profile")
    answer = await browser.send(
        "/profile", name="Mina Park", contact="010-1234-5678", language="ko", version="1"
    )
    assert "저장했습니다." in answer.words
    changed, _ = world.representative.people[profile.member_id]
    assert (changed.name, changed.contact, changed.language) == ("Mina Park", "010-1234-5678", "ko")
    stale = await browser.send("/profile", name="Kim", contact="a@example.org", language="ko", version="1")
    assert (stale.status, "그사이 다른 곳에서" in stale.words) == (422, True)
    assert faulty(await browser.send("/profile", name="", contact="a@example.org", language="ko"), "name")
    assert (await browser.send("/profile", name="K", contact="a@example.org", language="fr")).status == 422


async def test_a_new_password_needs_the_old_one(world: World, browser: Browser) -> None:
    """A new password needs the old one, and ends other logins."""
    profile = await browser.sign_up(world.representative)
    other = await world.representative.log_in("mina", PASSWORD, source="elsewhere")
    assert not isinstance(other, RefusedRequest)
    await browser.get("/profile")
    wrong = await browser.send("/profile/password", current="no no no no", new_password=NEW)
    assert faulty(wrong, "current")
    assert faulty(await browser.send("/profile/password", current="", new_password=NEW), "current")
    weak = await browser.send("/profile/password", current=PASSWORD, new_password="short")
    assert faulty(weak, "new_password")
    assert world.representative.people[profile.member_id][1] == PASSWORD
    answer = await browser.send("/profile/password", current=PASSWORD, new_password=NEW)
    assert "Your password is changed." in answer.words
    assert world.representative.people[profile.member_id][1] == NEW
    assert other.token not in world.representative.logins


async def test_what_is_usually_wanted_is_kept(world: World, browser: Browser) -> None:
    """The defaults of the forms are integers of their units, and are shown as they were typed."""
    profile = await browser.sign_up(world.representative)
    await browser.get("/profile")
    answer = await browser.send("/profile/defaults", **DEFAULTS)
    assert "Saved." in answer.words
    kept = world.representative.people[profile.member_id][0].defaults
    assert (kept.battery_wh, kept.soc_bp_min, kept.soc_bp_wanted, kept.ready_by_min) == (
        64_800,
        3500,
        9000,
        405,
    )
    assert (kept.price_mtok_per_kwh_min, kept.price_mtok_per_kwh_max) == (150_500, 300_000)
    assert (kept.accept_retail, kept.charge_wh) == (False, 20_000)
    assert all(f'value="{text}"' in answer.text for text in DEFAULTS.values())


@pytest.mark.parametrize(
    "typed", ["-5", "1e9", "5,5", "٣", "", "9" * 40, "nan", "0x10", "--", "25:00", "5.55555"]
)
@pytest.mark.parametrize("field", sorted(DEFAULTS))
async def test_a_bad_number_is_told_beside_its_field(
    world: World, browser: Browser, field: str, typed: str
) -> None:
    """No entry is guessed at: it is refused beside its field, and kept as it was typed."""
    await browser.sign_up(world.representative)
    await browser.get("/profile")
    answer = await browser.send("/profile/defaults", **DEFAULTS | {field: typed})
    assert faulty(answer, field)
    assert f'value="{typed}"' in answer.text


async def test_the_wanted_charge_is_not_below_the_lowest(world: World, browser: Browser) -> None:
    """A car that must leave with less than it may ever have is a contradiction."""
    await browser.sign_up(world.representative)
    await browser.get("/profile")
    answer = await browser.send("/profile/defaults", **DEFAULTS | {"soc_wanted": "30"})
    assert faulty(answer, "soc_wanted")


async def test_a_card_is_linked_and_its_number_shown_once(world: World, browser: Browser) -> None:
    """The number is in the answer to its own form and nowhere else; the card can be taken off again."""
    profile = await browser.sign_up(world.representative)
    await browser.get("/cards")
    answer = await browser.send("/cards", number="04:a2:b3:c4", label="White car")
    assert "04a2b3c4" in answer.words
    assert set(world.representative.linked) == {"04a2b3c4"}
    page = await browser.get("/cards")
    assert "White car" in page.words
    assert "04a2b3c4" not in page.text
    other = world.browser(driver=driver.routes)
    await other.sign_up(world.representative, "nari")
    await other.get("/cards")
    assert faulty(await other.send("/cards", number="04a2b3c4", label="mine"), "number")
    ((_, card),) = world.representative.linked.values()
    assert (await other.send("/cards/unlink", card_id=card.card_id)).status == 422
    assert "no longer linked" in (await browser.send("/cards/unlink", card_id=card.card_id)).words
    assert world.representative.linked == {}
    assert profile.member_id


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("number", ""),
        ("number", "abc"),
        ("number", "카드번호"),
        ("number", "x" * 90),
        ("label", ""),
        ("label", "x" * 41),
    ],
)
async def test_a_bad_card_is_told_beside_its_field(
    world: World, browser: Browser, field: str, typed: str
) -> None:
    """A number that no charger sends, and a card without a name, are refused."""
    await browser.sign_up(world.representative)
    await browser.get("/cards")
    assert faulty(
        await browser.send("/cards", **{"number": "04A2B3C4", "label": "car"} | {field: typed}), field
    )


@pytest.mark.parametrize(
    ("detail", "field"), [("cards", "number"), ("id_token", "number"), ("label", "label")]
)
async def test_a_card_that_the_office_refuses(
    world: World, browser: Browser, detail: str, field: str
) -> None:
    """What the representative refuses about a card is shown beside its field."""

    async def refuse(*_: object, **__: object) -> RefusedRequest:
        return RefusedRequest(code=RefusalCode.BAD_FIELD, detail=detail)

    world.representative.link_card = refuse  # type: ignore[method-assign]  # this office takes no card
    await browser.sign_up(world.representative)
    await browser.get("/cards")
    assert faulty(await browser.send("/cards", number="04A2B3C4", label="car"), field)


async def test_a_member_takes_everything_along(world: World, browser: Browser) -> None:
    """The export is a file of what is kept."""
    profile = await browser.sign_up(world.representative)
    answer = await browser.get("/export")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert json.loads(answer.text)["member_id"] == profile.member_id


async def test_leaving_takes_two_steps_and_the_password(world: World, browser: Browser) -> None:
    """Before leaving, the page states what is deleted and what is kept; it requires the password and a tick."""
    await browser.sign_up(world.representative)
    first = await browser.get("/leave")
    assert "What is deleted" in first.words
    assert "What stays" in first.words
    second = await browser.send("/leave")
    assert "This cannot be undone." in second.words
    assert faulty(await browser.send("/leave/now", password=PASSWORD), "sure")
    assert faulty(await browser.send("/leave/now", password="no no no no", sure="1"), "password")
    assert len(world.representative.people) == 1
    last = await browser.send("/leave/now", password=PASSWORD, sure="1")
    assert "Your account is closed" in last.words
    assert world.representative.people == {}
    assert (await browser.get("/account")).status == 303


async def test_who_still_has_tokens_cannot_leave(world: World, browser: Browser) -> None:
    """A member with tokens cannot leave, and the balance is shown."""
    profile = await browser.sign_up(world.representative)
    world.representative.tokens[profile.member_id] = 5
    await browser.get("/leave")
    answer = await browser.send("/leave/now", password=PASSWORD, sure="1")
    assert (answer.status, "Your account still has a running session" in answer.words) == (422, True)
    assert len(world.representative.people) == 1


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_notices_are_told_in_the_visitors_language(
    world: World, browser: Browser, language: str
) -> None:
    """Each notice in the reader's words, as text."""
    assert (await browser.get(f"/notices?lang={language}")).status == 200
    await world.representative.publish(
        Notice(
            notice_id="n1",
            at_ns=NOW_S * 10**9,
            title_ko="점검 <script>",
            title_en="Service <script>",
            text_ko="내일",
            text_en="tomorrow",
            until_ns=(NOW_S + 3600) * 10**9,
        )
    )
    answer = await browser.get("/notices")
    assert ("점검" in answer.words, "Service" in answer.words) == (language == "ko", language == "en")
    assert inert(answer)
