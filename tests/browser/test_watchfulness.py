"""A browser visit detects each kind of fault: each is made once, and found."""

from collections.abc import Sequence

import pytest
from playwright.async_api import Browser
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from edgegw.web.application import page
from edgegw.web.pages import Pages
from tests.support.chromium import Visit, axe, visit
from tests.support.web_served import Drivers
from tests.support.web_site import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAULTY = {
    "/foreign": ('<img alt="" src="http://elsewhere.example/x.png">', "elsewhere.example"),
    "/inline": ("<script>window.__xss = 1</script>", "Content Security Policy"),
    "/missing": ('<img alt="" src="/nothing.png">', "404"),
    "/handler": (
        "<button onclick='window.__xss = 1'>x</button><p style='color:red'>",
        "Content Security Policy",
    ),
}


def faulty(_pages: Pages) -> Sequence[BaseRoute]:
    """Pages with one fault each."""

    async def show(request: Request) -> Response:
        body = "<img src='/favicon.ico'>"
        if request.url.path in FAULTY:
            body = FAULTY[request.url.path][0]
        return HTMLResponse(f"<!doctype html><html lang=en><title>x</title><main><h1>x</h1>{body}</main>")

    return [page(path, show) for path in (*FAULTY, "/unreadable")]


async def _seen(there: Visit, path: str) -> str:
    await there.go(path)
    await there.page.wait_for_load_state("load")
    seen = "\n".join([*there.faults, *await there.breaches()])
    there.faults.clear()
    await there.page.goto("about:blank")
    return seen


async def test_each_fault_is_seen(browser: Browser) -> None:
    """Requests to strangers, inline scripts and styles, and missing parts do not stay unseen."""
    async with (
        Drivers(World(), further={"faulty": faulty}).served() as origin,
        visit(browser, origin) as there,
    ):
        for path, (_, told) in FAULTY.items():
            assert told in await _seen(there, path), path


async def test_what_some_cannot_read_is_seen(browser: Browser) -> None:
    """A picture without a name is found by axe; without axe no page is judged and the test is skipped."""
    if not axe()[0]:
        pytest.skip(axe()[1])
    drivers = Drivers(World(), further={"faulty": faulty})
    async with drivers.served() as origin, visit(browser, origin) as there:
        await there.go("/unreadable")
        assert [one.partition(":")[0] for one in await there.judged()] == ["image-alt"]
