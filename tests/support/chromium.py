"""Drive a real browser, Debian's Chromium, and report every fault of the pages that a visit opens.

A fault is a request to another origin, an error on the console, a violation of the content security policy, or an exception
of a script. `look` writes a screenshot to `build/screenshots` and runs axe on the page.
`missing()` returns why there is no browser, `axe()` why there is no axe: then pages are opened without it, and one test
reports that.
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
# The pictures of README: `make pictures` copies these from build/pictures to docs/pictures.
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
    # No other host resolves: a request that would leave this machine fails at once and is recorded.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
# The page itself reports the violations that the console leaves out.
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
    """A device's screen and input."""

    name: str
    width: int
    height: int
    touch: bool


PHONE = Device(name="phone", width=390, height=844, touch=True)
DESKTOP = Device(name="desktop", width=1280, height=800, touch=False)
DEVICES = (PHONE, DESKTOP)


def missing() -> str:
    """Return why there is no browser, in one line; empty if there is one."""
    return "" if shutil.which("chromium") else "no chromium here; as root: apt-get install chromium"


@functools.cache
def axe() -> tuple[str, str]:
    """Return the source of axe-core, installed once, or an empty one and the reason in one line."""
    try:
        place = installed() / "node_modules" / "axe-core" / "axe.min.js"
    except pytest.skip.Exception as reason:
        return "", f"no axe-core here: {reason.msg}"
    return place.read_text(encoding="utf-8"), ""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run one browser process; skip the test if there is no browser."""
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
    """One visitor of one site: a page, and its faults so far.

    It has no slots, because playwright sets an attribute on the object that a handler is bound to.
    """

    page: Page
    origin: str
    device: Device
    language: str
    faults: list[str] = field(default_factory=list)

    async def go(self, path: str, *, status: int = 200) -> None:
        """Open a page of the site and check the answer's status."""
        answer = await self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}, wanted {status}"

    async def log_in(self, token: str) -> None:
        """Use a login that was opened elsewhere."""
        await self.page.context.add_cookies([{"name": "edgegw_login", "value": token, "url": self.origin}])

    async def breaches(self) -> list[str]:
        """Return the violations of the content security policy on the current page."""
        found: list[str] = await self.page.evaluate("window.__breaches")
        return found

    async def look(self, name: str) -> None:
        """Write a screenshot of the page, and check with axe, if available, that it has no violation."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        full_name = f"{self.language}-{self.device.name}-{name}"
        place = PICTURES / f"{full_name}.png"
        await self.page.screenshot(path=place, full_page=True, scale="css", animations="disabled")
        if full_name in PICTURED:
            await self._keep(f"{full_name}.webp")
        found = await self.judged() if axe()[0] else []
        assert not found, "\n".join([f"{name}, {self.language}, {self.device.name}:", *found])

    async def _keep(self, name: str) -> None:
        """Write the upper part of the page for README as WebP, which playwright does not support."""
        height = await self.page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": self.device.width, "height": min(height, SHOWN_HEIGHT), "scale": 1}
        how = {"format": "webp", "quality": 85, "captureBeyondViewport": True, "clip": clip}
        session = await self.page.context.new_cdp_session(self.page)
        taken = await session.send("Page.captureScreenshot", how)
        await session.detach()
        await asyncio.to_thread(_write, SHOWN / name, base64.b64decode(taken["data"]))

    async def judged(self) -> list[str]:
        """Return axe's violations on the page; needs JavaScript."""
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
        """Record all faults from now on."""
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
        # `go` checks the page's own status; a refused part of it is a fault.
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
    """Yield a visit without cookies; at its end, fail if it has any fault."""
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
    """Return the bytes that a first visit of a page transfers, headers included (CDP encodedDataLength), uncached."""
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
    """A network of a given latency and throughput, the same in both directions."""

    latency_ms: float
    bytes_a_second: int


async def painted_ms(there: Visit, path: str, *, network: Network, slower: int) -> float:
    """Return the first contentful paint of a page in ms, on a slowed network and processor."""
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
    """Return a path as a file name."""
    return re.sub(r"\W+", "-", path).strip("-") or "home"
