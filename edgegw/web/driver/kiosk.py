"""Screen and printed label of an EVSE, with QR codes: one-time codes on the screen, a plain address on the label.

Decides what a screen shows and that its code is valid once. The address is printed in letters beside each QR code, so that
a forged sticker can be recognised.
Source: docs/pages.md, Codes.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.qr import qr_svg
from edgegw.core.state import Station
from edgegw.web.application import page
from edgegw.web.charts.svg import Drawn
from edgegw.web.driver import screen_codes
from edgegw.web.driver.evse_labels import point_of
from edgegw.web.driver.prices import pair_of
from edgegw.web.driver.screen_codes import CODE_EVERY_S, ScreenCodes
from edgegw.web.guard import without_port
from edgegw.web.pages import Pages, see_other
from edgegw.web.site import LOCAL_NAMES, Site
from edgegw.web.visitor_login import remember, stranger_of, visitor_of


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """Screen, label, and the redirect from a screen's code to the page of the EVSE."""
    evses = _EvsePages(pages)
    return [
        page("/kiosk/{evse_id}", evses.screen),
        page("/go/{evse_id}", evses.go),
        page("/evse/{evse_id}/label", evses.label),
    ]


class _EvsePages:
    """Handlers of screen, label and redirect."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._site = pages.site
        self._codes = ScreenCodes(secret=self._site.settings.secret, clock=self._site.clock)

    async def screen(self, request: Request) -> Response:
        evse_id = request.path_params["evse_id"]
        station = _station(self._site)
        if evse_id not in station.evses:
            return _unknown(self._pages, request)
        language = stranger_of(request, self._site).language
        word = self._pages.word(language)
        signs = is_screen(request, self._site)
        path = f"/evse/{quote(evse_id)}"
        led = f"/go/{quote(evse_id)}?code={self._codes.new(evse_id)}" if signs else path
        response = self._pages.draw(
            request,
            "driver/kiosk.html",
            point=point_of(station, evse_id, word, member_id=None, now_ns=self._site.clock.now_ns()),
            prices=await pair_of(self._site, word, language),
            code=Drawn(qr_svg(_origin(request, self._site) + led)),
            host=_host(request, self._site),
            address=_origin(request, self._site) + path,
            changes=signs,
        )
        response.headers["Refresh"] = str(CODE_EVERY_S)
        return response

    async def go(self, request: Request) -> Response:
        evse_id = request.path_params["evse_id"]
        if evse_id not in _station(self._site).evses:
            return _unknown(self._pages, request)
        if request.method != "GET":
            return Response(status_code=204)  # HEAD of a link preview: only a GET uses the code
        visitor = await visitor_of(request, self._site)
        if not self._codes.use(evse_id, request.query_params.get("code", "")):
            return self._pages.draw(
                request, "driver/old_code.html", status=410, evse_id=evse_id, code="EGW-3003"
            )
        response = see_other(f"/evse/{quote(evse_id)}")
        remember(response, request, self._site)
        screen_codes.mark(response, self._site, visitor, evse_id=evse_id)
        return response

    async def label(self, request: Request) -> Response:
        evse_id = request.path_params["evse_id"]
        if evse_id not in _station(self._site).evses:
            return _unknown(self._pages, request)
        address = f"{_origin(request, self._site)}/evse/{quote(evse_id)}"
        return self._pages.draw(
            request,
            "driver/label.html",
            evse_id=evse_id,
            address=address,
            code=Drawn(qr_svg(address)),
            host=_host(request, self._site),
        )


def _station(site: Site) -> Station:
    assert site.station is not None
    return site.station()


def _unknown(pages: Pages, request: Request) -> Response:
    return pages.draw(request, "refused.html", status=404, code="EGW-3004")


def _origin(request: Request, site: Site) -> str:
    """Return the origin of this server as the client reaches it."""
    scheme = "https" if site.settings.is_secure else "http"
    return f"{scheme}://{_host(request, site)}"


def _host(request: Request, site: Site) -> str:
    """Return the Host header, which the guard has checked; for a screen on this machine, the public name instead."""
    host = request.headers["host"]
    name = without_port(host)
    return site.settings.names[0] + host[len(name) :] if name.lower() in LOCAL_NAMES else host


def is_screen(request: Request, site: Site) -> bool:
    """Return whether the client may show one-time codes: with `presence_required` only the configured screens."""
    if not site.settings.presence_required:
        return True
    try:
        address = ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return False
    return str(getattr(address, "ipv4_mapped", None) or address) in site.settings.screens
