"""A test's world served on a real loopback port, with every area that stands in `edgegw/web`.

An area is found by itself: a module below a folder of `edgegw/web` that has `routes`. A page is found by itself too: a GET
route; one with a part that varies is opened with the first value in WHERE that names something of this world.
"""

import asyncio
import contextlib
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import cache

from starlette.routing import Route

import edgegw.web
from edgegw.web.application import Area, application
from edgegw.web.pages import Pages
from edgegw.web.server import WebServer
from tests.web_site import World

WHERE = {"evse_id": "BAY-1", "evse": "BAY-1"}


@cache
def areas() -> Mapping[str, Area]:
    """All areas by the names of their modules."""
    found: dict[str, Area] = {}
    for one in pkgutil.walk_packages(edgegw.web.__path__, "edgegw.web."):
        if one.name.count(".") >= 3:
            module = importlib.import_module(one.name)
            if hasattr(module, "routes"):
                found[one.name.removeprefix("edgegw.web.")] = module.routes
    return found


def pages_of(world: World) -> list[str]:
    """The path of every page that is looked at in this world, by its routes."""
    pages = Pages(world.site(), areas=tuple(areas()))
    routes = [route for area in areas().values() for route in area(pages)]
    return sorted(
        {
            re.sub(r"\{(\w+)[^}]*\}", lambda part: WHERE[part[1]], route.path)
            for route in routes
            if isinstance(route, Route) and "GET" in (route.methods or ())
        }
    )


@contextlib.asynccontextmanager
async def served(world: World, **further: Area) -> AsyncIterator[str]:
    """The world's pages and those of further areas, at the origin that is given."""
    world.settings = replace(world.settings, names=("127.0.0.1",))
    server = WebServer(application(world.site(), {**areas(), **further}), world.settings)
    running = asyncio.create_task(server.run())
    try:
        yield server.origin
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
