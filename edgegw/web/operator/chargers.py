"""Chargers: configured ones, those that wait to be let in, those that were refused and why; and what to type into one."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.qr import qr_svg
from edgegw.web.charts.svg import Drawn
from edgegw.web.forms import Form
from edgegw.web.operator.desk import Refused
from edgegw.web.operator.room import Room, Tongue
from edgegw.web.operator.wording import PHASES, explained, said
from edgegw.web.pages import see_other


def routes(room: Room) -> Sequence[BaseRoute]:
    """The list, rejecting, refusals, and addresses."""
    chargers = _Chargers(room)
    return [
        room.page("/chargers", chargers.show),
        room.action("/chargers/{charger_id}/reject", chargers.reject),
        room.page("/refusals", chargers.refused),
        room.page("/addresses", chargers.addresses),
    ]


class _Chargers:
    """The lists, and rejecting."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def show(self, request: Request) -> Response:
        tongue = await self._room.tongue(request)
        found = await self._room.desk.chargers()
        return await self._room.pages.answer(
            request,
            "operator/chargers.html",
            found=found,
            configured=sorted(found.configured, key=lambda one: one.online),
            phases={phase: tongue.word(text) for phase, text in PHASES.items()},
            refused=refusals(found.refused, tongue)[:10],
            labels=self._room.desk.drivers_origin(),
            moment=tongue.moment,
            ago=tongue.ago,
            quote=lambda text: quote(text, safe=""),
        )

    async def reject(self, request: Request, _form: Form) -> Response:
        charger_id = request.path_params["charger_id"]
        if await self._room.desk.reject(charger_id):
            self._room.note("reject charger", charger_id)
        return see_other("/chargers")

    async def refused(self, request: Request) -> Response:
        tongue = await self._room.tongue(request)
        found = await self._room.desk.chargers()
        tally = self._room.desk.station().tally["all"]
        return await self._room.pages.answer(
            request,
            "operator/refusals.html",
            refused=refusals(found.refused, tongue),
            codes=sorted(tally.refused.items(), key=lambda one: -one[1]),
        )

    async def addresses(self, request: Request) -> Response:
        tongue = await self._room.tongue(request)
        charger_id = request.query_params.get("charger", "").strip()[:48]
        places = [
            (one.url, said(one.remark, tongue.word), Drawn(qr_svg(one.url)))
            for one in self._room.desk.places(charger_id if charger_id.isprintable() else "")
        ]
        return await self._room.pages.answer(
            request, "operator/addresses.html", places=places, charger_id=charger_id
        )


def refusals(found: Sequence[Refused], tongue: Tongue) -> list[dict[str, object]]:
    """Refused connections, newest first, each with its remedy."""
    return [
        {
            "when": tongue.moment(one.at_ns),
            "why": explained(one.code, tongue.word).replace(
                " ID", f" {one.charger_id}" if one.charger_id else " ID"
            ),
            "charger_id": one.charger_id,
            "address": one.address,
            "detail": one.detail,
            "count": one.count,
        }
        for one in sorted(found, key=lambda one: -one.at_ns)
    ]
