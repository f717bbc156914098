"""A real browser for tests: Debian's Chromium, a fresh visit for each person, and nothing that goes unnoticed.

A visit ends with every fault it saw: a request that left our origin, an error on the console, a breach of the content security
policy, a fault of a script. `look` writes a screenshot to `build/screenshots` and lets axe judge the page.
`missing()` says why there is no browser, `axe()` why nobody judges: then pages are looked at all the same, and one test says so.
"""

import asyncio
import base64
import contextlib
import functools
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, Response, async_playwright

from tests.support.node_packages import installed
from tests.support.patience import PATIENCE_MS

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "build" / "screenshots"
# What README shows, as the tests saw it: `make pictures` copies these from build/pictures to docs/pictures.
SHOWN = ROOT / "build" / "pictures"
SHOWN_HEIGHT = 1_500
PICTURED = frozenset({
    "ko-phone-evse",
    "ko-phone-sell-quote",
    "ko-phone-charging",
    "ko-phone-receipt-1",
    "en-desktop-home",
    "en-desktop-work-quote",
    "en-desktop-operator-home",
    "en-phone-stations",
})  # fmt: skip
LOCALES = {"ko": "ko-KR", "en": "en-US"}
RULES = ("wcag2a", "wcag2aa", "wcag21aa", "wcag22aa")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nothing but this machine has a name: what would leave it fails at once, and is seen.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# Told by the page itself: breaches that the console leaves out.
WATCH = """
window.__breaches = [];
document.addEventListener('securitypolicyviolation', event =>
  window.__breaches.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
"""
PAINTED = """
new Promise(done => new PerformanceObserver(list => {
  for (const entry of list.getEntriesByName('first-contentful-paint')) done(entry.startTime);
}).observe({type: 'paint', buffered: true}))
"""
_STATUS = "Failed to load resource: the server responded with a status of"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What somebody looks through."""

    name: str
    width: int
    height: int
    touch: bool


PHONE = Device(name="phone", width=390, height=844, touch=True)
DESKTOP = Device(name="desktop", width=1280, height=800, touch=False)
DEVICES = (PHONE, DESKTOP)


def missing() -> str:
    """Why there is no browser here, in one line; empty where there is one."""
    return "" if shutil.which("chromium") else "no chromium here; as root: apt-get install chromium"


@functools.cache
def axe() -> tuple[str, str]:
    """The source of axe-core, installed once; or none, and why, in one line."""
    try:
        place = installed() / "node_modules" / "axe-core" / "axe.min.js"
    except pytest.skip.Exception as reason:
        return "", f"no axe-core here: {reason.msg}"
    return place.read_text(encoding="utf-8"), ""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One browser process; skips where there is none."""
    if reason := missing():
        pytest.skip(reason)
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments, chromium_sandbox=os.geteuid() != 0
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(kw_only=True)
class Visit:
    """One person at one site: a page of its own, and what was wrong with it so far.

    Without slots: playwright leaves a mark on the object that a handler is bound to.
    """

    page: Page
    origin: str
    device: Device
    language: str
    faults: list[str] = field(default_factory=list)

    async def go(self, path: str, *, status: int = 200) -> None:
        """Open a page of the site, which answers with this status."""
        answer = await self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}, wanted {status}"

    async def log_in(self, token: str) -> None:
        """Be who opened this login elsewhere."""
        await self.page.context.add_cookies([{"name": "edgegw_login", "value": token, "url": self.origin}])

    async def breaches(self) -> list[str]:
        """Breaches of the policy on the page as it is."""
        found: list[str] = await self.page.evaluate("window.__breaches")
        return found

    async def look(self, name: str) -> None:
        """Keep a picture of the page, and let axe, where it is, judge it: no violation."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        full_name = f"{self.language}-{self.device.name}-{name}"
        place = PICTURES / f"{full_name}.png"
        await self.page.screenshot(path=place, full_page=True, scale="css", animations="disabled")
        if full_name in PICTURED:
            await self._keep(f"{full_name}.webp")
        found = await self.judged() if axe()[0] else []
        assert not found, "\n".join([f"{name}, {self.language}, {self.device.name}:", *found])

    async def _keep(self, name: str) -> None:
        """The page down to a height that README has room for, as WebP, which playwright itself does not write."""
        height = await self.page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self.device.width, "height": min(height, SHOWN_HEIGHT), "scale": 1}
        how = {"format": "webp", "quality": 85, "captureBeyondViewport": True, "clip": clip}
        session = await self.page.context.new_cdp_session(self.page)
        taken = await session.send("Page.captureScreenshot", how)
        await session.detach()
        await asyncio.to_thread(_write, SHOWN / name, base64.b64decode(taken["data"]))

    async def judged(self) -> list[str]:
        """What axe finds wrong with the page; needs JavaScript."""
        await self.page.evaluate(axe()[0])
        found = await self.page.evaluate(
            "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", list(RULES)
        )
        return [
            f"{one['id']}: {one['help']}: {node['html']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def hear(self) -> None:
        """Note from now on whatever is wrong."""
        context = self.page.context
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.faults.append(f"request to {request.url}")

    def _on_response(self, response: Response) -> None:
        # A page's own status is what a test asks for; a part of it that is refused is a fault.
        if response.status >= 400 and not response.request.is_navigation_request():
            self.faults.append(f"{response.status} for {response.url}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_STATUS):
            self.faults.append(f"console: {message.text}")


def _write(place: Path, content: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


@contextlib.asynccontextmanager
async def visit(
    browser: Browser, origin: str, *, device: Device = PHONE, language: str = "en", scripts: bool = True
) -> AsyncIterator[Visit]:
    """A fresh visitor; at the end nothing may have been wrong."""
    context = await browser.new_context(
        locale=LOCALES[language],
        timezone_id="Asia/Seoul",
        viewport={"width": device.width, "height": device.height},
        has_touch=device.touch,
        is_mobile=device.touch,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(WATCH)
    try:
        there = Visit(page=await context.new_page(), origin=origin, device=device, language=language)
        there.hear()
        yield there
        assert there.faults == []
        assert not scripts or there.page.url == "about:blank" or await there.breaches() == []
    finally:
        await context.close()


async def wire_bytes(there: Visit, path: str) -> int:
    """What a first visit of a page costs over the wire: everything it loads, headers included (CDP encodedDataLength); nothing is cached."""
    session = await there.page.context.new_cdp_session(there.page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: dict[str, int] = {}

    def finished(event: dict[str, object]) -> None:
        sizes[str(event["requestId"])] = int(str(event["encodedDataLength"]).partition(".")[0])

    def received(event: dict[str, object]) -> None:
        key = str(event["requestId"])
        sizes[key] = sizes.get(key, 0) + int(str(event["encodedDataLength"]).partition(".")[0])

    session.on("Network.dataReceived", received)
    session.on("Network.loadingFinished", finished)
    await there.go(path)
    await there.page.wait_for_load_state("load")
    await session.detach()
    return sum(sizes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as slow as told, in both directions."""

    latency_ms: float
    bytes_a_second: int


async def painted_ms(there: Visit, path: str, *, network: Network, slower: int) -> float:
    """When the first content of a page was painted, after its address was typed in; on a slowed network and processor."""
    session = await there.page.context.new_cdp_session(there.page)
    await session.send("Network.enable")
    conditions = {
        "offline": False,
        "latency": network.latency_ms,
        "downloadThroughput": network.bytes_a_second,
        "uploadThroughput": network.bytes_a_second,
    }
    await session.send("Network.emulateNetworkConditions", conditions)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    await there.go(path)
    painted: float = await there.page.evaluate(PAINTED)
    await session.detach()
    return painted


def slug(path: str) -> str:
    """A path as a file's name."""
    return re.sub(r"\W+", "-", path).strip("-") or "home"
