"""The approval form of a waiting charger: its EVSEs, the meter that bills each, and its power.

Decides what the form accepts; the whole configuration is validated where it is written (`commissioning.approval`). If the
daemon may not write its configuration, the page shows the equivalent command, filled in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.config.schema import NAME
from edgegw.web.forms import Form
from edgegw.web.operator.operator_context import OperatorContext
from edgegw.web.operator.operator_port import (
    DIALECTS,
    VERSIONS,
    ApprovalRequest,
    Approved,
    NewEvse,
    NewMeter,
    NotApproved,
    Waiting,
)
from edgegw.web.operator.translations import said
from edgegw.web.pages import Word

NEW = "new"
EVSES_MAX = 8
RATED_W, POWER_W_MAX = 22_000, 1_000_000
_NAME = re.compile(NAME)
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:.]{2,45}")


def routes(context: OperatorContext) -> Sequence[BaseRoute]:
    """The form and its submission."""
    approval = _Approval(context)
    return [
        context.page("/chargers/{charger_id}/approve", approval.show),
        context.action("/chargers/{charger_id}/approve", approval.approve),
    ]


class _Approval:
    """Handlers of the approval form."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    async def show(self, request: Request) -> Response:
        one = await self._waiting(request)
        return await self._form_page(request, one, Form())

    async def approve(self, request: Request, form: Form) -> Response:
        one = await self._waiting(request)
        word = (await self._context.locale(request)).word
        numbers = numbers_of(one, form.text("evses"))
        approval_request, faults = _Reader(form, word, one.charger_id).approval_request(numbers)
        if approval_request is None:
            return await self._form_page(request, one, form.faulty(**faults), status=400)
        answer = await self._context.operator_port.approve(approval_request)
        if isinstance(answer, Approved):
            self._context.note("approve charger", one.charger_id)
            return await self._done(request, one, answer)
        return await self._form_page(request, one, form, status=409, answer=answer)

    async def _waiting(self, request: Request) -> Waiting:
        charger_id = request.path_params["charger_id"]
        found = await self._context.operator_port.chargers()
        for one in found.waiting:
            if one.charger_id == charger_id:
                return one
        raise HTTPException(404)

    async def _form_page(
        self,
        request: Request,
        one: Waiting,
        form: Form,
        *,
        status: int = 200,
        answer: NotApproved | None = None,
    ) -> Response:
        wanted = form.text("evses") or request.query_params.get("evses", "")
        numbers = numbers_of(one, wanted)
        return await self._context.pages.answer(
            request,
            "operator/approve.html",
            status=status,
            one=one,
            form=form,
            numbers=numbers,
            is_told=bool(one.evses),
            names={number: f"{one.charger_id}-{number}"[-48:] for number in numbers},
            meters=self._context.operator_port.free_meters(),
            taken=dict(
                zip(
                    numbers, [*self._context.operator_port.free_meters(), *[NEW] * len(numbers)], strict=False
                )
            ),
            maps=self._context.operator_port.register_maps(),
            dialects=DIALECTS,
            versions=VERSIONS,
            rated_w=RATED_W,
            evses_max=EVSES_MAX,
            answer=answer,
            pairs=lambda values: [(value, value) for value in values],
            quote=lambda text: quote(text, safe=""),
        )

    async def _done(self, request: Request, one: Waiting, answer: Approved) -> Response:
        word = (await self._context.locale(request)).word
        places = [
            (place.url, said(place.remark, word))
            for place in self._context.operator_port.places(one.charger_id)
        ]
        return await self._context.pages.answer(
            request, "operator/approved.html", one=one, answer=answer, places=places
        )


def numbers_of(one: Waiting, wanted: str) -> list[int]:
    """Return the EVSE numbers of the form: those that the charger reported, else 1 to `wanted`."""
    if one.evses:
        return list(one.evses)[:EVSES_MAX]
    count = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 3 else 1
    return list(range(1, min(max(count, 1), EVSES_MAX) + 1))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one form; error messages are kept by field."""

    form: Form
    word: Word
    charger_id: str

    def approval_request(self, numbers: Sequence[int]) -> tuple[ApprovalRequest | None, Mapping[str, str]]:
        faults: dict[str, str] = {}
        evses = tuple(self._evse(number, faults) for number in numbers)
        for kind, names in (
            ("name", [one.evse_id for one in evses]),
            ("meter", [one.meter_id for one in evses]),
        ):
            for number, name in zip(numbers, names, strict=True):
                if names.count(name) > 1:
                    faults.setdefault(f"{kind}_{number}", self.word("This name is used twice."))
        rated_w = self._number("rated_w", faults, least=1, most=POWER_W_MAX)
        discharge_w = self._number("discharge_w", faults, least=0, most=POWER_W_MAX)
        dialect, version = self.form.text("dialect"), self.form.text("version")
        if dialect not in {"", *DIALECTS}:
            faults["dialect"] = self.word("Choose an entry of the list.")
        if version not in {"", *VERSIONS}:
            faults["version"] = self.word("Choose an entry of the list.")
        if faults:
            return None, faults
        approval_request = ApprovalRequest(
            charger_id=self.charger_id,
            evses=evses,
            rated_w=rated_w,
            discharge_w=discharge_w,
            dialect=dialect or None,
            version=version or None,
            new_password=self.form.text("new_password") == "1",
        )
        return approval_request, {}

    def _evse(self, number: int, faults: dict[str, str]) -> NewEvse:
        name, meter = self.form.text(f"name_{number}", 60), self.form.text(f"meter_{number}", 60)
        if not _NAME.fullmatch(name):
            faults[f"name_{number}"] = self.word(
                "Enter at most 48 letters, digits and * - _ . : without spaces."
            )
        if meter and meter != NEW:
            return NewEvse(number=number, evse_id=name, meter_id=meter)
        host = self.form.text("meter_host", 253)
        if not _HOST.fullmatch(host):
            faults["meter_host"] = self.word("Enter a host name or an IP address.")
        profile = self.form.text("meter_map", 60)
        if not profile:
            faults["meter_map"] = self.word("Choose an entry of the list.")
        new = NewMeter(
            profile=profile,
            host=host,
            port=self._number("meter_port", faults, least=1, most=65535),
            unit=self._number(f"unit_{number}", faults, least=0, most=247),
        )
        return NewEvse(number=number, evse_id=name, meter_id=f"M-{name}"[:48], meter=new)

    def _number(self, name: str, faults: dict[str, str], *, least: int, most: int) -> int:
        text = self.form.text(name, 12)
        number = int(text) if text.isascii() and text.isdecimal() else -1
        if not least <= number <= most:
            limits = {"least": least, "most": most}
            faults[name] = self.word("Enter a whole number from %(least)s to %(most)s.") % limits
        return number
