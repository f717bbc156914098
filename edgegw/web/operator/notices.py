"""Notices to drivers: written in both languages, shown until an instant or until withdrawn."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import Notice
from edgegw.web.forms import Form
from edgegw.web.operator.operator_context import Locale, OperatorContext
from edgegw.web.pages import see_other

TITLE_MAX, TEXT_MAX = 80, 2000
FIELDS = (("title_ko", TITLE_MAX), ("title_en", TITLE_MAX), ("text_ko", TEXT_MAX), ("text_en", TEXT_MAX))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def routes(context: OperatorContext) -> Sequence[BaseRoute]:
    """The list, publication and withdrawal."""
    notices = _Notices(context)
    return [
        context.page("/notices", notices.show),
        context.action("/notices", notices.publish),
        context.action("/notices/withdraw", notices.withdraw),
    ]


class _Notices:
    """Handlers of the list and its forms."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        self._site = context.pages.site

    async def show(self, request: Request) -> Response:
        return await self._listed(request, Form())

    async def _listed(self, request: Request, form: Form, *, status: int = 200) -> Response:
        locale = await self._context.locale(request)
        return await self._context.pages.answer(
            request,
            "operator/notices.html",
            status=status,
            form=form,
            notices=await self._site.representative.notices(),
            moment=locale.moment,
            title_max=TITLE_MAX,
            text_max=TEXT_MAX,
        )

    async def publish(self, request: Request, form: Form) -> Response:
        locale = await self._context.locale(request)
        texts = {name: form.text(name, most + 1) for name, most in FIELDS}
        faults = {
            name: locale.word("Enter 1 to %(most)s characters.") % {"most": most}
            for name, most in FIELDS
            if not 0 < len(texts[name]) <= most
        }
        until_ns = until(form.text("until"), self._site.settings.time_zone)
        if form.text("until") and (until_ns is None or until_ns <= locale.now_ns):
            faults["until"] = locale.word("Enter a day and time in the future.")
        if faults:
            return await self._listed(request, form.faulty(**faults), status=400)
        await self._site.representative.publish(_notice(texts, until_ns, locale))
        self._context.note("publish notice", texts["title_en"])
        return see_other("/notices")

    async def withdraw(self, _request: Request, form: Form) -> Response:
        await self._site.representative.withdraw(form.text("notice_id", 64))
        self._context.note("withdraw notice", form.text("notice_id", 64))
        return see_other("/notices")


def _notice(texts: dict[str, str], until_ns: int | None, locale: Locale) -> Notice:
    return Notice(notice_id=secrets.token_hex(8), at_ns=locale.now_ns, until_ns=until_ns, **texts)


def until(text: str, zone: tzinfo) -> int | None:
    """Parse the local time of a `datetime-local` field (2026-06-10T18:00) to UTC nanoseconds; None if malformed."""
    try:
        typed = datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=zone)
    except ValueError:
        return None
    return (typed.astimezone(UTC) - _EPOCH) // timedelta(seconds=1) * SECOND_NS
