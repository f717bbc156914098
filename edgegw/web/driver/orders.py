"""Place an order: form, quote, confirmation.

Decides that an order needs a quote that the driver saw, at prices that still hold, and that one form is one order however
often it is sent. The core accepts or refuses the order; the page of the EVSE shows the result.
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
from edgegw.ports.representative import RepresentativeError
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver import order_forms, screen_codes
from edgegw.web.driver.evse_labels import Point, point_of
from edgegw.web.driver.order_forms import NONCE, OrderContext, OrderRequest
from edgegw.web.driver.order_quote import Offered, offered
from edgegw.web.forms import Form
from edgegw.web.live_updates import TooManyStreamsError
from edgegw.web.pages import Pages, see_other
from edgegw.web.visitor_login import Visitor, remember, visitor_of

PLACED_MAX = 2_000
PLANS_OF_ONE = 4  # per member at once, so that a member who repeats a form does not delay others
SEEN = "seen"


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """Form, quote, change and confirmation of each aim."""
    shared = Shared()
    found: list[BaseRoute] = []
    for aim in Aim:
        way = OrderPages(pages, aim, shared)
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
    """What the pages of all aims share: ids of recent orders, which the core may not have processed, and a lock for plans."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._one_plan = asyncio.Lock()  # one plan at a time, so that the event loop stays free for chargers
        self._planned_for: Counter[str] = Counter()

    def enter(self, order_id: str) -> bool:
        """Remember an order id; return whether it is new."""
        if order_id in self._ids:
            return False
        self._ids[order_id] = None
        if len(self._ids) > PLACED_MAX:
            self._ids.popitem(last=False)
        return True

    @contextlib.asynccontextmanager
    async def plans_of(self, member_id: str) -> AsyncIterator[None]:
        """Hold the lock for a member's plan; raises TooManyStreamsError if PLANS_OF_ONE of the member wait already."""
        if self._planned_for[member_id] >= PLANS_OF_ONE:
            raise TooManyStreamsError
        self._planned_for[member_id] += 1
        try:
            async with self._one_plan:
                yield
        finally:
            self._planned_for[member_id] -= 1
            if not self._planned_for[member_id]:
                del self._planned_for[member_id]


class OrderPages:
    """Handlers of one aim, for every EVSE."""

    def __init__(self, pages: Pages, aim: Aim, shared: Shared) -> None:
        self._pages, self._site, self._aim, self._shared = pages, pages.site, aim, shared

    async def form(self, request: Request) -> Response:
        """Return the form with the driver's defaults."""
        visitor, context = await self._asker(request)
        if context is None:
            return self._unknown(request)
        return self._kept_out(request, visitor, context) or self._draw_form(
            request, visitor, order_forms.shown(self._aim, context.profile.defaults)
        )

    async def back(self, request: Request) -> Response:
        """Redirect a GET of the quote, as after a change of language, to the form."""
        await visitor_of(request, self._site)
        evse_id = quoted_path(request.path_params["evse_id"])
        response = see_other(f"/evse/{evse_id}/{self._aim.value}")
        remember(response, request, self._site)
        return response

    async def change(self, request: Request, form: Form) -> Response:
        """Return from the quote to the form with its entries."""
        visitor, context = await self._asker(request)
        if context is None:
            return self._unknown(request)
        return self._draw_form(request, visitor, form)

    async def ask(self, request: Request, form: Form) -> Response:
        """Return the quote of the form."""
        visitor, context = await self._asker(request)
        if context is None:
            return self._unknown(request)
        if kept_out := self._kept_out(request, visitor, context):
            return kept_out
        order_request = order_forms.read(form, context)
        if isinstance(order_request, Form):
            return self._draw_form(request, visitor, order_request, status=422)
        return await self._draw_quote(request, context, order_request)

    async def confirm(self, request: Request, form: Form) -> Response:
        """Place the quoted order once, if the quote still holds; else show the new quote."""
        visitor, context = await self._asker(request)
        if context is None:
            return self._unknown(request)
        here = f"/evse/{quoted_path(context.evse.evse_id)}"
        if kept_out := self._kept_out(request, visitor, context):
            return kept_out
        order_request = order_forms.read(form, context)
        if isinstance(order_request, Form):
            return self._draw_form(request, visitor, order_request, status=422)
        if self._is_placed(order_request):
            return see_other(f"{here}?placed={order_request.order.order_id}")
        offer = await self._offered(context, order_request)
        was_seen = form.text(NONCE) and form.text(SEEN) == offer.seen
        if not offer.can_order or not was_seen:
            return self._draw_offer(request, order_request, offer, has_changed=True)
        if self._shared.enter(order_request.order.order_id):
            order, token = order_forms.with_token(order_request.order, self._site)
            assert self._site.place is not None
            self._site.place(OrderPlaced(order=order, id_token=token))
            await self._remember(context, order_request)
        return see_other(f"{here}?placed={order_request.order.order_id}")

    async def _remember(self, context: OrderContext, order_request: OrderRequest) -> None:
        """Store the entries as defaults; a failure of the representative does not fail the order."""
        try:
            await self._site.representative.remember(context.profile.member_id, order_request.defaults)
        except RepresentativeError:
            self._site.log("web.failed", {"reason": "defaults not kept", "remedy": "edgegw support"})

    def _is_placed(self, order_request: OrderRequest) -> bool:
        return order_request.order.order_id in self._station().orders

    async def _draw_quote(
        self, request: Request, context: OrderContext, order_request: OrderRequest
    ) -> Response:
        return self._draw_offer(
            request, order_request, await self._offered(context, order_request), has_changed=False
        )

    async def _offered(self, context: OrderContext, order_request: OrderRequest) -> Offered:
        balance = await self._site.representative.balance(context.profile.member_id)
        async with self._shared.plans_of(context.profile.member_id):
            return await asyncio.to_thread(
                offered,
                self._station(),
                context,
                order_request.order,
                available_mtok=balance.available_mtok,
            )

    def _draw_offer(
        self, request: Request, order_request: OrderRequest, offer: Offered, *, has_changed: bool
    ) -> Response:
        evse_id = order_request.order.evse_id
        return self._pages.draw(
            request,
            "driver/quote.html",
            status=409 if has_changed else 200,
            aim=self._aim.value,
            evse_id=evse_id,
            offer=offer,
            carried={**order_request.typed, NONCE: order_request.nonce, SEEN: offer.seen},
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
        """Return whether the car that is plugged in reports its state of charge."""
        session = self._station().evses[evse_id].session
        return session is not None and session.soc_bp is not None

    def _kept_out(self, request: Request, visitor: Visitor, context: OrderContext) -> Response | None:
        """Redirect to the page of the EVSE if the member cannot order here, or must scan the screen's code first."""
        evse_id = context.evse.evse_id
        needs_code = self._site.settings.presence_required
        if needs_code and not screen_codes.is_present(request, self._site, visitor, evse_id=evse_id):
            return see_other(f"/evse/{quoted_path(evse_id)}")
        return None

    async def _asker(self, request: Request) -> tuple[Visitor, OrderContext | None]:
        visitor = await visitor_of(request, self._site)
        assert visitor.profile is not None
        evse = self._station().settings.evses.get(request.path_params["evse_id"])
        if evse is None:
            return visitor, None
        return visitor, OrderContext(
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
