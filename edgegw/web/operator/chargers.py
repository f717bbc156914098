"""The pages of chargers: configured, waiting for approval, refused with the reason; and the address to enter in one."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.qr import qr_svg
from edgegw.web.charts.svg import Drawn
from edgegw.web.forms import Form
from edgegw.web.operator.operator_context import Locale, OperatorContext
from edgegw.web.operator.operator_port import Refused
from edgegw.web.operator.translations import PHASES, explained, said
from edgegw.web.pages import see_other


def routes(context: OperatorContext) -> Sequence[BaseRoute]:
    """The list, rejection, refusals and addresses."""
    chargers = _Chargers(context)
    return [
        context.page("/chargers", chargers.show),
        context.action("/chargers/{charger_id}/reject", chargers.reject),
        context.page("/refusals", chargers.refused),
        context.page("/addresses", chargers.addresses),
    ]


class _Chargers:
    """Handlers of the lists and of rejection."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    async def show(self, request: Request) -> Response:
        locale = await self._context.locale(request)
        found = await self._context.operator_port.chargers()
        return await self._context.pages.answer(
            request,
            "operator/chargers.html",
            found=found,
            configured=sorted(found.configured, key=lambda one: one.online),
            phases={phase: locale.word(text) for phase, text in PHASES.items()},
            refused=refusals(found.refused, locale)[:10],
            labels=self._context.operator_port.drivers_origin(),
            moment=locale.moment,
            ago=locale.ago,
            quote=lambda text: quote(text, safe=""),
        )

    async def reject(self, request: Request, _form: Form) -> Response:
        charger_id = request.path_params["charger_id"]
        if await self._context.operator_port.reject(charger_id):
            self._context.note("reject charger", charger_id)
        return see_other("/chargers")

    async def refused(self, request: Request) -> Response:
        locale = await self._context.locale(request)
        found = await self._context.operator_port.chargers()
        tally = self._context.operator_port.station().tally["all"]
        return await self._context.pages.answer(
            request,
            "operator/refusals.html",
            refused=refusals(found.refused, locale),
            codes=sorted(tally.refused.items(), key=lambda one: -one[1]),
        )

    async def addresses(self, request: Request) -> Response:
        locale = await self._context.locale(request)
        charger_id = request.query_params.get("charger", "").strip()[:48]
        places = [
            (one.url, said(one.remark, locale.word), Drawn(qr_svg(one.url)))
            for one in self._context.operator_port.places(charger_id if charger_id.isprintable() else "")
        ]
        return await self._context.pages.answer(
            request, "operator/addresses.html", places=places, charger_id=charger_id
        )


def refusals(found: Sequence[Refused], locale: Locale) -> list[dict[str, object]]:
    """Return refused connections, newest first, each with its remedy."""
    return [
        {
            "when": locale.moment(one.at_ns),
            "why": explained(one.code, locale.word).replace(
                " ID", f" {one.charger_id}" if one.charger_id else " ID"
            ),
            "charger_id": one.charger_id,
            "address": one.address,
            "detail": one.detail,
            "count": one.count,
        }
        for one in sorted(found, key=lambda one: -one.at_ns)
    ]
