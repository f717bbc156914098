"""Serve a test's world on a real loopback port, with a driver in it, and list its pages.

Every GET route of the application is a page; its path's parameters are filled in from WHERE. Streams and downloads are
not pages (FILES), nor are the addresses of form answers, which show their form again (AGAIN).
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from edgegw.daemon.pages import driver_areas
from edgegw.ports.receipts import Receipt
from edgegw.ports.representative import Login, Newcomer, Notice, Profile, StationFound
from edgegw.web.application import Area, application
from edgegw.web.form_answers import PostRedirectGet
from edgegw.web.guard import Guard
from edgegw.web.live_updates import LiveUpdates
from edgegw.web.server import WebServer
from tests.support.receipts_fake import FakeBook, receipt_of
from tests.support.web_site import PASSWORD, World

WHERE = {"evse_id": "BAY-1", "session_id": "BAY-1.77", "charger_id": "CP-9"}
FILES = re.compile(r"/live$|\.csv$|^/export$|^/go/|^/static/|^/favicon")
AGAIN = re.compile(r"/(unlink|quote|confirm|change|now|password|defaults)$")


def pages_of(app: ASGIApp) -> list[str]:
    """Return the path of every page of an application, from its routes."""
    assert isinstance(app, Guard)
    outer = app._inner
    assert isinstance(outer, PostRedirectGet)
    inner = outer.inner
    assert isinstance(inner, Starlette)
    return sorted(
        {
            re.sub(r"\{(\w+)[^}]*\}", lambda part: WHERE[part[1]], route.path)
            for route in inner.routes
            if isinstance(route, Route)
            and "GET" in (route.methods or ())
            and not any(kind.search(route.path) for kind in (FILES, AGAIN))
        }
    )


def local(world: World) -> World:
    """Return the world with its pages at this machine's loopback address."""
    world.settings = replace(world.settings, names=("127.0.0.1",))
    return world


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, world: World) -> AsyncIterator[str]:
    """Serve an application; yield its origin."""
    server = WebServer(app, local(world).settings)
    running = asyncio.create_task(server.run())
    try:
        yield server.origin
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@dataclass
class Drivers:
    """The drivers' application of a world, and its live updates."""

    world: World
    book: FakeBook = field(default_factory=FakeBook)
    further: Mapping[str, Area] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.live_updates = LiveUpdates()
        site = replace(local(self.world).site(), receipts=self.book)
        self.app = application(site, {**driver_areas(self.live_updates), **self.further})

    @property
    def pages(self) -> list[str]:
        """Return every page's path."""
        return pages_of(self.app)

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve the application; yield its origin."""
        beating = asyncio.create_task(self.live_updates.run())
        try:
            async with serving(self.app, self.world) as origin:
                yield origin
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating


async def somebody(drivers: Drivers) -> str:
    """Sign up a driver with tokens, a receipt, history and an operator's notice; return the login."""
    world, representative = drivers.world, drivers.world.representative
    profile = await representative.sign_up(
        Newcomer(login="mina", password=PASSWORD, name="김미나", contact="mina@example.org")
    )
    assert isinstance(profile, Profile)
    quote = await representative.exchange_quote(profile.member_id, buys=True, tokens_mtok=25_000_000)
    await representative.exchange(profile.member_id, getattr(quote, "quote_id", ""))
    drivers.book.add(_of_an_old_meter(receipt_of(profile.member_id, world.ledger)))
    await representative.publish(
        Notice(
            notice_id="n1",
            at_ns=world.clock.at_ns,
            title_ko="안내",
            title_en="Notice",
            text_ko="내일 오전 9시부터 10시까지 점검합니다.",
            text_en="Maintenance tomorrow from 9 to 10.",
        )
    )
    world.ledger.found += [
        StationFound(station_id=name, geohash=place, evses=4, products=("CHARGE", "DISCHARGE"))
        for name, place in (("harbour-1", "wydm9"), ("han-river", "wydm6"), ("busan", "wy7b1"))
    ]
    opened = await representative.log_in("mina", PASSWORD, source="test")
    assert isinstance(opened, Login)
    return opened.token


def _of_an_old_meter(receipt: Receipt) -> Receipt:
    """Return the receipt with registers so large that its figures are wider than a phone."""
    wide = tuple(
        replace(span, import_start_wh=4_626_804_000, import_end_wh=4_626_807_120) for span in receipt.meters
    )
    return replace(receipt, meters=wide)
