"""The page of an EVSE: name, state, prices, and the orders that a driver can place there.

Decides who sees what: the driver of the session sees power, state of charge and tokens; others see only whether the EVSE is
free. The live part is drawn once for all viewers with the same view (`live_updates`); the page works without it.
"""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.core.events import OrderStopped
from edgegw.core.evse_status import live
from edgegw.core.state import Station
from edgegw.ports.representative import Language
from edgegw.web.application import Area, action_for_members, page
from edgegw.web.driver import screen_codes
from edgegw.web.driver.evse_labels import point_of
from edgegw.web.driver.prices import pair_of
from edgegw.web.driver.session_view import concerns, progress_of
from edgegw.web.forms import Form
from edgegw.web.live_updates import LiveUpdates
from edgegw.web.pages import Pages, see_other
from edgegw.web.visitor_login import address_of, visitor_of


def area(live_updates: LiveUpdates) -> Area:
    """Return the area of EVSE pages; the caller runs `live_updates`."""

    def routes(pages: Pages) -> Sequence[BaseRoute]:
        handlers = _EvsePages(pages, live_updates)
        return [
            page("/evse/{evse_id}", handlers.look),
            page("/evse/{evse_id}/live", handlers.live),
            action_for_members(pages, "/evse/{evse_id}/stop", handlers.stop),
        ]

    return routes


class _EvsePages:
    """Handlers of the EVSE pages."""

    def __init__(self, pages: Pages, live_updates: LiveUpdates) -> None:
        self._pages, self._site, self._live_updates = pages, pages.site, live_updates

    async def look(self, request: Request) -> Response:
        """Return the page of an EVSE."""
        evse_id, site = request.path_params["evse_id"], self._site
        station = self._station()
        if evse_id not in station.evses:
            return self._unknown(request)
        visitor = await visitor_of(request, site)
        word = self._pages.word(visitor.language)
        member_id = None if visitor.profile is None else visitor.profile.member_id
        needs_code = site.settings.presence_required
        placed = request.query_params.get("placed", "")[:32] if member_id else ""
        return await self._pages.answer(
            request,
            "driver/evse.html",
            point=point_of(station, evse_id, word, member_id=member_id, now_ns=site.clock.now_ns()),
            prices=await pair_of(site, word, visitor.language),
            placed=""
            if placed in station.orders
            else placed,  # an order that the station has not processed yet
            live=self._draw(evse_id, visitor.language, member_id),
            scans_first=needs_code and not screen_codes.is_present(request, site, visitor, evse_id=evse_id),
        )

    async def live(self, request: Request) -> Response:
        """Return the live part as an event stream; raises TooManyStreamsError."""
        evse_id = request.path_params["evse_id"]
        if evse_id not in self._station().evses:
            return self._unknown(request)
        visitor = await visitor_of(request, self._site)
        language = visitor.language
        viewer = None if visitor.profile is None else self._own(request, evse_id, visitor.profile.member_id)
        key = ("evse", evse_id, language, viewer)
        return self._live_updates.stream(
            key, lambda: self._draw(evse_id, language, viewer), event="live", source=address_of(request)
        )

    async def stop(self, request: Request, _form: Form) -> Response:
        """Stop the member's own session or order; refused if the session is another member's."""
        evse_id = request.path_params["evse_id"]
        station = self._station()
        if evse_id not in station.evses:
            return self._unknown(request)
        visitor = await visitor_of(request, self._site)
        assert visitor.profile is not None
        member_id = visitor.profile.member_id
        driver = live(station, evse_id, self._site.clock.now_ns()).member_id
        if driver is not None and driver != member_id:
            return self._pages.draw(request, "refused.html", status=403, code="EGW-3005")
        assert self._site.place is not None
        self._site.place(
            OrderStopped(evse_id=evse_id, member_id=member_id)
        )  # posted without a session too: an order may have been placed a moment ago
        return see_other(f"/evse/{quote(evse_id)}")

    def _own(self, request: Request, evse_id: str, member_id: str) -> str | None:
        """Return the member id if the member has a session or order here, else None: the view that others share."""
        now_ns = self._site.clock.now_ns()
        is_theirs = concerns(self._station(), evse_id, member_id=member_id, now_ns=now_ns)
        return member_id if is_theirs or request.query_params.get("placed") else None

    def _draw(self, evse_id: str, language: Language, viewer: str | None) -> str:
        """Render the live part for a viewer by the present state, since a session may have ended during the stream."""
        word = self._pages.word(language)
        station = self._station()
        if evse_id not in station.evses:
            return ""
        return self._pages.text(
            "driver/live.html",
            language,
            {
                "point": point_of(station, evse_id, word, member_id=viewer, now_ns=self._site.clock.now_ns()),
                "progress": progress_of(self._site, evse_id, viewer, word=word, language=language),
            },
        )

    def _station(self) -> Station:
        assert self._site.station is not None
        return self._site.station()

    def _unknown(self, request: Request) -> Response:
        return self._pages.draw(request, "refused.html", status=404, code="EGW-3004")
