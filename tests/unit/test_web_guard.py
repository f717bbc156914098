"""The web server's guards: hosts, origins, sizes, headers, tokens and cookies."""

from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from edgegw.web import guard
from edgegw.web.application import action, action_for_members, for_members, page
from edgegw.web.driver import home
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, local
from tests.support.web_site import HOST, Browser, World

FORM = {"origin": f"http://{HOST}", "content-type": "application/x-www-form-urlencoded"}


def forms(pages: Pages) -> Sequence[BaseRoute]:
    """An area with one form, one page for members, and one that fails."""

    async def echo(_request: Request, form: Form) -> Response:
        return PlainTextResponse(form.text("said"))

    async def own(_request: Request) -> Response:
        return PlainTextResponse("yours")

    async def fail(_request: Request) -> Response:
        raise ZeroDivisionError("4711")

    return [
        action(pages, "/echo", echo),
        action_for_members(pages, "/own", echo),
        page("/mine", for_members(pages, own)),
        page("/fail", fail),
    ]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def browser(world: World) -> Browser:
    return world.browser(home=home.routes, forms=forms)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "station.test.evil.example", "127.0.0.1"]
)
async def test_another_host_is_refused(browser: Browser, host: str) -> None:
    """A name that is not the station's is no way in, whatever address it leads to (DNS rebinding)."""
    browser.host = host
    answer = await browser.get("/")
    assert answer.status == 421
    assert "EGW-3001" in answer.text


async def test_every_answer_has_the_strict_headers(browser: Browser) -> None:
    """Pages, refusals and files have a policy that runs nothing but our own scripts, and pages are not kept."""
    for path in ("/", "/nothing", "/static/0/site.css", "/fail"):
        answer = await browser.get(path)
        assert answer.headers["content-security-policy"] == guard.POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in guard.POLICY
    assert (await browser.get("/")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", f"https://{HOST}", "http://station.test"]
)
async def test_a_form_from_elsewhere_is_refused(browser: Browser, origin: str | None) -> None:
    """A form of another origin is refused, even with the right token."""
    await browser.sign_up(World().representative)
    await browser.get("/")
    headers = {**FORM, "origin": origin} if origin else {"content-type": FORM["content-type"]}
    answer = await browser.ask("POST", "/echo", headers=headers, body=f"form_token={browser.token}".encode())
    assert answer.status == 403
    assert "Open the page again by its code or address" in answer.words


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_without_its_token_is_refused(browser: Browser, token: str) -> None:
    """A form that no page of ours gave to this visitor is refused."""
    await browser.get("/")
    browser.token = token
    assert (await browser.send("/echo", said="x")).status == 403


async def test_a_form_with_its_token_is_taken(world: World, browser: Browser) -> None:
    """The page's own form is taken; another browser's token, and the one of before the login, are not."""
    await browser.sign_up(world.representative)
    await browser.get("/")
    assert (await browser.send("/echo", said=" 전기 <b> ")).text == "전기 <b>"
    stolen, other = browser.token, Browser(browser.app)
    await other.get("/")
    other.token = stolen
    assert (await other.send("/echo", said="x")).status == 403


async def test_another_kind_of_body_is_refused(browser: Browser) -> None:
    """Only form bodies are read: no JSON, no files."""
    answer = await browser.ask("POST", "/echo", headers={**FORM, "content-type": "text/plain"}, body=b"a=b")
    assert answer.status == 403


async def test_members_pages_ask_for_a_login(world: World, browser: Browser) -> None:
    """A members' page leads to the login, and back after it."""
    answer = await browser.get("/mine")
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=/mine")
    await browser.sign_up(world.representative)
    assert (await browser.get("/mine")).text == "yours"
    await browser.get("/")
    assert (await browser.send("/own", said="x")).text == "x"


async def test_size_and_headers_are_bounded(browser: Browser) -> None:
    """A body above its limit, announced or not, and too many headers are refused before a page sees them."""
    await browser.get("/")
    big = b"a" * (guard.BODY_BYTES_MAX + 1)
    told = await browser.ask("POST", "/echo", headers=FORM, body=big)
    assert (await browser.get(told.headers["location"])).status == 413
    announced = {**FORM, "content-length": str(20_000_000)}
    assert (await browser.ask("POST", "/echo", headers=announced)).status == 413
    many = {f"x-{number}": "1" for number in range(200)}
    assert (await browser.ask("GET", "/", headers=many)).status == 431


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/static/0/../../site.py", "/static/0/%2e%2e/site.py", "/nothing"]
)
async def test_nothing_else_can_be_named(browser: Browser, path: str) -> None:
    """A path that leads nowhere is 404, however it is written."""
    answer = await browser.get(path)
    assert answer.status == 404
    assert "EGW-3004" in answer.text


async def test_other_methods_change_nothing(browser: Browser) -> None:
    """Only GET, HEAD and POST are accepted."""
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert (await browser.ask(method, "/echo", headers=FORM)).status == 405


async def test_a_page_that_fails_says_nothing_of_why(world: World, browser: Browser) -> None:
    """A failing page says only that it failed; the log has the place of the fault, and nothing of the request."""
    answer = await browser.get("/fail?secret=5")
    assert answer.status == 500
    assert "ZeroDivisionError" not in answer.text
    assert "EGW-3009" in answer.text
    ((name, fields),) = world.logged
    assert name == "web.failed"
    assert str(fields["reason"]).startswith("ZeroDivisionError (test_web_guard.py:")
    assert "4711" not in str(fields)


async def test_files_are_packed_and_kept_for_ever(browser: Browser) -> None:
    """A file's address changes with its content, so that it may be kept; the first visit stays small."""
    page_text = (await browser.get("/")).text
    sizes = len(page_text.encode())
    for address in set(guard_addresses(page_text)):
        answer = await browser.get(address, **{"accept-encoding": "gzip"})
        assert answer.status == 200
        assert answer.headers["cache-control"].endswith("immutable")
        assert answer.headers["content-encoding"] == "gzip"
        sizes += int(answer.headers["content-length"])
    assert sizes < 60_000


def guard_addresses(text: str) -> list[str]:
    """Addresses of files that a page names."""
    return [part.split('"')[0] for part in text.split('="')[1:] if part.startswith("/static/")]


@pytest.mark.parametrize(
    ("address", "led_to"),
    [
        ("/evse/BAY-1", "/evse/BAY-1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/a\r\nb", "/"),
    ],
)
def test_after_the_login_nobody_is_led_away(address: str, led_to: str) -> None:
    """`next` names a page of this server or none."""
    assert local(address) == led_to


async def test_the_language_is_the_visitors(browser: Browser) -> None:
    """A language asked for is kept in a cookie; else the browser's own counts, else Korean."""
    browser.language = "de,en;q=0.5"
    assert '<html lang="en">' in (await browser.get("/")).text
    browser.language = "fr"
    assert '<html lang="ko">' in (await browser.get("/")).text
    await browser.get("/?lang=en")
    assert '<html lang="en">' in (await browser.get("/")).text
