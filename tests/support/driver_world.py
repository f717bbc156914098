"""Set up the drivers' pages for tests: fixed and expected prices, a running session, and live update streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.types import Message

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import CHARGE, DISCHARGE, Product
from edgegw.common.units import INTERVAL_S, SECOND_NS
from edgegw.core import market
from edgegw.core.events import ConnectorStatus
from edgegw.core.market import Price
from edgegw.core.metering import Registers
from edgegw.core.orders import Aim, Order, OrderState
from edgegw.core.state import Phase, Session, Setpoint, Station
from edgegw.core.station import step
from edgegw.ports.representative import Profile
from edgegw.web.driver import evse, home, kiosk, orders
from edgegw.web.live_updates import LiveUpdates
from tests.support.patience import PATIENCE_S
from tests.support.representative_fake import NOW_S
from tests.support.web_site import HOST, Browser, World

NOW_NS = NOW_S * SECOND_NS
INTERVAL = NOW_S // INTERVAL_S * INTERVAL_S
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "{{7*7}}",
    "${7*7}",
    "%(a)s",
    "javascript:alert(1)",
    "</textarea><script>",
    "\u202egnp.exe",
    "a\x00b",
    "' OR 1=1 --",
    "../../etc/passwd",
    "&lt;script&gt;",
    "<!--",
    "]]>",
)


def priced(station: Station) -> Station:
    """Return the station with a day's prices: fixed for this interval and the next, expected after them."""
    fixed, expected = {}, {}
    usual: dict[Product, int] = {CHARGE: 125_000, DISCHARGE: 150_000}
    for number in range(96):
        interval = INTERVAL + number * INTERVAL_S
        for product, price in usual.items():
            row = market.key(product, interval)
            if number > 1:
                expected[row] = price
                continue
            fixed[row] = Price(
                product=product,
                interval=interval,
                price_mtok_per_kwh=price,
                ceiling_mtok_per_kwh=160_000,
                refusal=None,
                seen_ns=(interval - 300) * SECOND_NS,
            )
    return replace(station, prices=fixed, estimates=expected)


def repriced(station: Station, price_mtok_per_kwh: int) -> Station:
    """Return the station with another price for charging in this interval."""
    row = market.key(market.CHARGE, INTERVAL)
    changed = replace(station.prices[row], price_mtok_per_kwh=price_mtok_per_kwh)
    return replace(station, prices={**station.prices, row: changed})


def ordered(member_id: str, **changes: Any) -> Order:
    """Return a member's running order at BAY-1."""
    order = Order(
        order_id="order-1",
        evse_id="BAY-1",
        id_token_hash="h",
        terms=MemberTerms(member_id=member_id, sells=True, battery_wh=77_400),
        aim=Aim.CHARGE,
        energy_wh=20_000,
        placed_ns=NOW_NS,
        state=OrderState.RUNNING,
        session_id="BAY-1.t1",
    )
    return replace(order, **changes)


def running(station: Station, order: Order, *, power_w: int = 7_350) -> Station:
    """Return the station with this order's session at its EVSE."""
    evse_id = order.evse_id
    session = Session(
        session_id=f"{evse_id}.t1",
        transaction_id="t1",
        start_key="k",
        started_ns=NOW_NS,
        terms=order.terms,
        answered=True,
        began=True,
        soc_bp=6_420,
        order_id=order.order_id,
        import_wh=4_321,
        paid_mtok=540_125,
    )
    registers = Registers(t0_ns=NOW_NS, t1_ns=NOW_NS, import_mwh=10_000_000, export_mwh=0)
    meter_id = station.settings.evses[evse_id].meter_id
    meter = replace(station.meters[meter_id], last=registers, first=registers, power_w=power_w)
    busy = replace(
        station.evses[evse_id],
        phase=Phase.ACTIVE,
        session=session,
        status=ConnectorStatus.OCCUPIED,
        setpoint=Setpoint(setpoint_id=1, power_w=power_w, ends_ns=NOW_NS),
    )
    return replace(
        station,
        evses={**station.evses, evse_id: busy},
        meters={**station.meters, meter_id: meter},
        orders={**station.orders, order.order_id: order},
    )


@dataclass
class Place:
    """A world with the drivers' pages and their live updates."""

    world: World = field(default_factory=World)
    live_updates: LiveUpdates = field(default_factory=LiveUpdates)

    def __post_init__(self) -> None:
        self.world.present = priced(self.world.present)
        self.world.settings = replace(self.world.settings, names=(*self.world.settings.names, "127.0.0.1"))

    def browser(self, language: str = "en") -> Browser:
        app = self.world.browser(
            home=home.routes, evse=evse.area(self.live_updates), orders=orders.routes, kiosk=kiosk.routes
        ).app
        return Browser(app, language=language)

    async def driver(self, browser: Browser, login: str = "mina", *, tokens: int = 50_000) -> Profile:
        """Sign up a member with tokens and log this browser in."""
        profile = await browser.sign_up(self.world.representative, login)
        self.world.representative.tokens[profile.member_id] = tokens * 1000
        return profile

    def take_in(self) -> None:
        """Let the core handle the events that pages have placed."""
        for event in self.world.placed:
            self.world.present = step(self.world.present, event, self.world.clock.now_ns()).station
        self.world.placed.clear()


@asynccontextmanager
async def listening(browser: Browser, path: str, query: str = "") -> AsyncIterator["asyncio.Queue[str]"]:
    """Yield a queue of a stream's chunks; the client disconnects at the end of the block."""
    sent: asyncio.Queue[str] = asyncio.Queue()
    gone = asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", HOST.encode()),
            (b"accept-language", browser.language.encode()),
            (b"cookie", "; ".join(f"{name}={value}" for name, value in browser.cookies.items()).encode()),
        ],
        "client": ("192.0.2.1", 50_000),
        "server": ("127.0.0.1", 8080),
    }

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if gone.is_set():
            raise OSError("the reader is gone")
        if message.get("body"):
            sent.put_nowait(message["body"].decode())

    serving = asyncio.ensure_future(browser.app(scope, receive, send))
    try:
        yield sent
    finally:
        gone.set()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def heard(sent: "asyncio.Queue[str]") -> str:
    """Return the next chunk of a stream."""
    return await asyncio.wait_for(sent.get(), PATIENCE_S)
