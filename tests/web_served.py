"""A test's world served on a real loopback port, with every area that stands in `edgegw/web/driver`, and somebody who lives in it.

An area is found by itself: `routes(pages)` or `area(pulse)` of a module there. A page is found by itself too: a GET route; what
varies in its path is one thing of this world (WHERE). Streams and files to keep are no pages (FILES).
"""

import asyncio
import contextlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from starlette.routing import Route

import edgegw.web.driver
from edgegw.office import Login, Newcomer, Notice, Profile, StationFound
from edgegw.receipts import Receipt
from edgegw.web.application import Area, application
from edgegw.web.pages import Pages
from edgegw.web.pulse import Pulse
from edgegw.web.server import WebServer
from tests.receipt_double import FakeBook, receipt_of
from tests.web_site import PASSWORD, World

WHERE = {"evse_id": "BAY-1", "session_id": "BAY-1.77"}
FILES = re.compile(r"/live$|\.csv$|^/export$|^/go/")


def areas(pulse: Pulse) -> Mapping[str, Area]:
    """All drivers' areas by the names of their modules."""
    found: dict[str, Area] = {}
    names = [one.name for one in pkgutil.iter_modules(edgegw.web.driver.__path__)]
    modules = [edgegw.web.driver, *(importlib.import_module(f"edgegw.web.driver.{one}") for one in names)]
    for module in modules:
        if hasattr(module, "area"):
            found[module.__name__] = module.area(pulse)
        elif hasattr(module, "routes") and list(inspect.signature(module.routes).parameters) == ["pages"]:
            found[module.__name__] = module.routes
    return found


def pages_of(world: World) -> list[str]:
    """The path of every page that is looked at in this world, by its routes."""
    pages = Pages(world.site(), areas=())
    routes = [route for area in areas(Pulse()).values() for route in area(pages)]
    return sorted(
        {
            re.sub(r"\{(\w+)[^}]*\}", lambda part: WHERE[part[1]], route.path)
            for route in routes
            if isinstance(route, Route) and "GET" in (route.methods or ()) and not FILES.search(route.path)
        }
    )


@contextlib.asynccontextmanager
async def served(world: World, book: FakeBook | None = None, **further: Area) -> AsyncIterator[str]:
    """The world's pages and those of further areas, at the origin that is given."""
    world.settings = replace(world.settings, names=("127.0.0.1",))
    pulse = Pulse()
    site = replace(world.site(), receipts=book or FakeBook())
    server = WebServer(application(site, {**areas(pulse), **further}), world.settings)
    running = [asyncio.create_task(server.run()), asyncio.create_task(pulse.run())]
    try:
        yield server.origin
    finally:
        for task in running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def somebody(world: World, book: FakeBook) -> str:
    """A driver with tokens, a receipt, history and a card, where the operator told something; gives the login."""
    office = world.office
    profile = await office.sign_up(
        Newcomer(login="mina", password=PASSWORD, name="김미나", contact="mina@example.org")
    )
    assert isinstance(profile, Profile)
    quote = await office.exchange_quote(profile.member_id, buys=True, tokens_mtok=25_000_000)
    await office.exchange(profile.member_id, getattr(quote, "quote_id", ""))
    book.add(_of_an_old_meter(receipt_of(profile.member_id, world.ledger)))
    await office.publish(
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
    opened = await office.log_in("mina", PASSWORD, source="test")
    assert isinstance(opened, Login)
    return opened.token


def _of_an_old_meter(receipt: Receipt) -> Receipt:
    """The receipt of a meter that has counted much: its figures are wider than a phone."""
    wide = tuple(
        replace(span, import_start_wh=4_626_804_000, import_end_wh=4_626_807_120) for span in receipt.meters
    )
    return replace(receipt, meters=wide)
