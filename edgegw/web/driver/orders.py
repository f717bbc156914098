"""From a wish to an order: the form, the quote, the confirmation.

Decides what stands between the driver's wish and the station: a quote must have been seen, at prices that still hold, and
one form is one order however often it is sent. The station decides about the order itself; its page tells what became of it.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote as quoted_path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.core.events import OrderPlaced
from edgegw.core.orders import Aim
from edgegw.core.state import Station
from edgegw.office import OfficeError
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver import order_forms, presence
from edgegw.web.driver.order_forms import NONCE, Asker, Wish
from edgegw.web.driver.order_quote import Offered, offered
from edgegw.web.driver.points import Point, point_of
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, see_other
from edgegw.web.pulse import CrowdedError
from edgegw.web.visitors import Visitor, remember, visitor_of

PLACED_MAX = 2_000
PLANS_OF_ONE = 4  # of one member at once: who sends a form again and again keeps nobody else waiting
SEEN = "seen"


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """Form, quote, way back and confirmation of each aim."""
    shared = Shared()
    found: list[BaseRoute] = []
    for aim in Aim:
        way = _Way(pages, aim, shared)
        path = f"/evse/{{evse_id}}/{aim.value}"
        found += [
            page(path, for_members(pages, way.form)),
            action_for_members(pages, path, way.ask),
            action_for_members(pages, f"{path}/change", way.change),
            action_for_members(pages, f"{path}/confirm", way.confirm),
            page(f"{path}/change", way.back),
            page(f"{path}/confirm", way.back),
        ]
    return found


class Shared:
    """What the ways share: orders that were placed a moment ago, which the station's state may not show yet; one plan a time."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._one_plan = asyncio.Lock()  # plans are made one after the other: chargers come first
        self._planned_for: Counter[str] = Counter()

    def enter(self, order_id: str) -> bool:
        """Whether it is new."""
        if order_id in self._ids:
            return False
        self._ids[order_id] = None
        if len(self._ids) > PLACED_MAX:
            self._ids.popitem(last=False)
        return True

    @contextlib.asynccontextmanager
    async def plans_of(self, member_id: str) -> AsyncIterator[None]:
        """A member's turn to have a plan made; raises CrowdedError where some of its own wait already."""
        if self._planned_for[member_id] >= PLANS_OF_ONE:
            raise CrowdedError
        self._planned_for[member_id] += 1
        try:
            async with self._one_plan:
                yield
        finally:
            self._planned_for[member_id] -= 1
            if not self._planned_for[member_id]:
                del self._planned_for[member_id]


class _Way:
    """One of the three ways: its pages at any charging point."""

    def __init__(self, pages: Pages, aim: Aim, shared: Shared) -> None:
        self._pages, self._site, self._aim, self._shared = pages, pages.site, aim, shared

    async def form(self, request: Request) -> Response:
        """What the driver wants, beginning with what was wanted last."""
        visitor, asker = await self._asker(request)
        if asker is None:
            return self._unknown(request)
        return self._kept_out(request, visitor, asker) or self._draw_form(
            request, visitor, order_forms.shown(self._aim, asker.profile.defaults)
        )

    async def back(self, request: Request) -> Response:
        """A quote that is asked for without its form, as by a change of the language: begin with the form."""
        await visitor_of(request, self._site)
        evse_id = quoted_path(request.path_params["evse_id"])
        response = see_other(f"/evse/{evse_id}/{self._aim.value}")
        remember(response, request, self._site)
        return response

    async def change(self, request: Request, form: Form) -> Response:
        """Back from the quote, with everything that was entered."""
        visitor, asker = await self._asker(request)
        if asker is None:
            return self._unknown(request)
        return self._draw_form(request, visitor, form)

    async def ask(self, request: Request, form: Form) -> Response:
        """What the wish would mean."""
        visitor, asker = await self._asker(request)
        if asker is None:
            return self._unknown(request)
        if kept_out := self._kept_out(request, visitor, asker):
            return kept_out
        wish = order_forms.read(form, asker)
        if isinstance(wish, Form):
            return self._draw_form(request, visitor, wish, status=422)
        return await self._draw_quote(request, asker, wish)

    async def confirm(self, request: Request, form: Form) -> Response:
        """Order what was quoted, once, if it still holds."""
        visitor, asker = await self._asker(request)
        if asker is None:
            return self._unknown(request)
        here = f"/evse/{quoted_path(asker.evse.evse_id)}"
        if kept_out := self._kept_out(request, visitor, asker):
            return kept_out
        wish = order_forms.read(form, asker)
        if isinstance(wish, Form):
            return self._draw_form(request, visitor, wish, status=422)
        if self._is_placed(wish):
            return see_other(f"{here}?placed={wish.order.order_id}")
        offer = await self._offered(asker, wish)
        was_seen = form.text(NONCE) and form.text(SEEN) == offer.seen
        if not offer.can_order or not was_seen:
            return self._draw_offer(request, wish, offer, has_changed=True)
        if self._shared.enter(wish.order.order_id):
            order, token = order_forms.with_token(wish.order, self._site)
            assert self._site.place is not None
            self._site.place(OrderPlaced(order=order, id_token=token))
            await self._remember(asker, wish)
        return see_other(f"{here}?placed={wish.order.order_id}")

    async def _remember(self, asker: Asker, wish: Wish) -> None:
        """Keep what was chosen; an order does not fail because that cannot be done now."""
        try:
            await self._site.office.remember(asker.profile.member_id, wish.defaults)
        except OfficeError:
            self._site.log("web.failed", {"reason": "defaults not kept", "remedy": "edgegw support"})

    def _is_placed(self, wish: Wish) -> bool:
        return wish.order.order_id in self._station().orders

    async def _draw_quote(self, request: Request, asker: Asker, wish: Wish) -> Response:
        return self._draw_offer(request, wish, await self._offered(asker, wish), has_changed=False)

    async def _offered(self, asker: Asker, wish: Wish) -> Offered:
        balance = await self._site.office.balance(asker.profile.member_id)
        async with self._shared.plans_of(asker.profile.member_id):
            return await asyncio.to_thread(
                offered,
                self._station(),
                asker,
                wish.order,
                available_mtok=balance.available_mtok,
            )

    def _draw_offer(self, request: Request, wish: Wish, offer: Offered, *, has_changed: bool) -> Response:
        evse_id = wish.order.evse_id
        return self._pages.draw(
            request,
            "driver/quote.html",
            status=409 if has_changed else 200,
            aim=self._aim.value,
            evse_id=evse_id,
            offer=offer,
            carried={**wish.typed, NONCE: wish.nonce, SEEN: offer.seen},
            has_changed=has_changed,
        )

    def _draw_form(self, request: Request, visitor: Visitor, form: Form, *, status: int = 200) -> Response:
        evse_id = request.path_params["evse_id"]
        return self._pages.draw(
            request,
            f"driver/{self._aim.value}.html",
            status=status,
            form=form,
            aim=self._aim.value,
            point=self._point(visitor, evse_id),
            tells_soc=self._tells_soc(evse_id),
        )

    def _tells_soc(self, evse_id: str) -> bool:
        """Whether the car that is plugged in here tells its state of charge."""
        session = self._station().evses[evse_id].session
        return session is not None and session.soc_bp is not None

    def _kept_out(self, request: Request, visitor: Visitor, asker: Asker) -> Response | None:
        """To the charging point's page, where it is not the visitor's turn or the screen's code comes first."""
        evse_id = asker.evse.evse_id
        needs_code = self._site.settings.presence_required
        if needs_code and not presence.is_present(request, self._site, visitor, evse_id=evse_id):
            return see_other(f"/evse/{quoted_path(evse_id)}")
        return None

    async def _asker(self, request: Request) -> tuple[Visitor, Asker | None]:
        visitor = await visitor_of(request, self._site)
        assert visitor.profile is not None
        evse = self._station().settings.evses.get(request.path_params["evse_id"])
        if evse is None:
            return visitor, None
        return visitor, Asker(
            site=self._site,
            profile=visitor.profile,
            evse=evse,
            aim=self._aim,
            word=self._pages.word(visitor.language),
            language=visitor.language,
        )

    def _point(self, visitor: Visitor, evse_id: str) -> Point:
        member_id = None if visitor.profile is None else visitor.profile.member_id
        word = self._pages.word(visitor.language)
        return point_of(self._station(), evse_id, word, member_id=member_id, now_ns=self._site.clock.now_ns())

    def _station(self) -> Station:
        assert self._site.station is not None
        return self._site.station()

    def _unknown(self, request: Request) -> Response:
        return self._pages.draw(request, "refused.html", status=404, code="EGW-3004")
