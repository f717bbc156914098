"""Build one ASGI application from areas: their routes, the pages of refusals, and the guard around them.

An area is a function from `Pages` to routes; each handler takes the request (`action` also the form) and returns a response.
Decides which error page an exception gets.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Scope

from edgegw.ports.representative import RepresentativeError
from edgegw.web import assets
from edgegw.web.form_answers import PostRedirectGet
from edgegw.web.forms import ForeignFormError, Form, read_form
from edgegw.web.guard import Guard, TooLargeError
from edgegw.web.live_updates import TooManyStreamsError
from edgegw.web.pages import Pages, see_other
from edgegw.web.site import Site
from edgegw.web.visitor_login import visitor_of

Handler = Callable[[Request], Awaitable[Response]]
FormHandler = Callable[[Request, Form], Awaitable[Response]]
Area = Callable[[Pages], Sequence[BaseRoute]]

_CODES = {404: "EGW-3004", 405: "EGW-3008"}


def page(path: str, handler: Handler) -> Route:
    """Return the route of a page (GET); its handler changes nothing."""
    return Route(path, handler, methods=["GET"])


def action(pages: Pages, path: str, handler: FormHandler) -> Route:
    """Return the route of a form (POST); the form token is checked before `handler` runs."""

    async def checked(request: Request) -> Response:
        return await handler(request, await read_form(request, pages.site))

    return Route(path, checked, methods=["POST"])


def for_members(pages: Pages, handler: Handler) -> Handler:
    """Wrap a handler for logged-in members; others are redirected to the login, which leads back."""

    async def known(request: Request) -> Response:
        visitor = await visitor_of(request, pages.site)
        if visitor.profile is None:
            return see_other(f"/login?next={request.url.path}")
        return await handler(request)

    return known


def action_for_members(pages: Pages, path: str, handler: FormHandler) -> Route:
    """Return the route of a form for logged-in members; others are redirected to the login."""

    async def known(request: Request, form: Form) -> Response:
        visitor = await visitor_of(request, pages.site)
        if visitor.profile is None:
            return see_other("/login")
        return await handler(request, form)

    return action(pages, path, known)


def application(
    site: Site, areas: Mapping[str, Area], *, instead: Mapping[str, str] = MappingProxyType({})
) -> ASGIApp:
    """Return the application of a site with these areas by name; `instead` substitutes templates (`Pages`)."""
    pages = Pages(site, instead=instead)

    def refused(request: Request, status: int, code: str) -> Response:
        return pages.draw(request, "refused.html", status=status, code=code)

    async def asset(request: Request) -> Response:
        return assets.serve(pages.assets, request) or refused(request, 404, "EGW-3004")

    async def icon(request: Request) -> Response:
        request.path_params["name"] = "favicon.svg"
        return await asset(request)

    routes: list[BaseRoute] = [
        Route("/static/{digest}/{name:path}", asset),
        Route("/favicon.ico", icon),
        *(route for area in areas.values() for route in area(pages)),
    ]
    inner = Starlette(routes=routes, exception_handlers=_refusals(refused))

    def refuse(scope: Scope, status: int, code: str) -> ASGIApp:
        return refused(Request(scope), status, code)

    def failed(where: str) -> None:
        site.log("web.failed", {"reason": where, "remedy": "edgegw support"}, level="error")

    return Guard(PostRedirectGet(inner, site), site.settings, refuse=refuse, failed=failed)


def _refusals(refused: Callable[[Request, int, str], Response]) -> dict[Any, Callable[..., Any]]:
    """Map exceptions of handlers to error pages; Starlette raises an unlisted one again, and the guard logs it."""

    async def http_fault(request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return refused(request, fault.status_code, _CODES.get(fault.status_code, "EGW-3009"))

    def always(status: int, code: str) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def draw(request: Request, _fault: Exception) -> Response:
            return refused(request, status, code)

        return draw

    return {
        HTTPException: http_fault,
        ForeignFormError: always(403, "EGW-3002"),
        RepresentativeError: always(503, "EGW-3010"),
        TooLargeError: always(413, "EGW-3006"),
        TooManyStreamsError: always(503, "EGW-3011"),
        Exception: always(500, "EGW-3009"),
    }
