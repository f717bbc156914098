"""The station's first page: prices of now and of the day, the EVSEs, notices.

Decides nothing. Without ledger or representative the page still shows which EVSEs are free.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.ports.representative import Language, Notice, RepresentativeError
from edgegw.web import formats
from edgegw.web.application import page
from edgegw.web.driver.evse_labels import point_of
from edgegw.web.driver.prices import Day, DayPrices, pair_of
from edgegw.web.pages import Pages, Word
from edgegw.web.site import Site
from edgegw.web.visitor_login import Visitor, visitor_of

NOTICES_MAX = 5


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The first page."""
    site = pages.site
    days = DayPrices(site)

    async def home(request: Request) -> Response:
        assert site.station is not None
        visitor = await visitor_of(request, site)
        word = pages.word(visitor.language)
        station = site.station()
        member_id = None if visitor.profile is None else visitor.profile.member_id
        return await pages.answer(
            request,
            "driver/home.html",
            points=[
                point_of(station, one, word, member_id=member_id, now_ns=site.clock.now_ns())
                for one in station.evses
            ],
            notices=await _notices(site, visitor.language),
            prices=await pair_of(site, word, visitor.language),
            day=await _day(days, visitor.language, word),
            balance=await _balance(site, visitor),
        )

    return [page("/", home)]


async def _day(days: DayPrices, language: Language, word: Word) -> Day | None:
    try:
        return await days.day(language, word)
    except RepresentativeError:
        return None


async def _balance(site: Site, visitor: Visitor) -> dict[str, str] | None:
    """Return the member's tokens and energy in words; None without a login, or if they cannot be read."""
    if visitor.profile is None:
        return None
    try:
        balance = await site.representative.balance(visitor.profile.member_id)
    except RepresentativeError:
        return {}
    return {
        "available": formats.tokens(balance.available_mtok, visitor.language),
        "held": formats.tokens(balance.held_mtok, visitor.language),
        "energy": formats.kwh(balance.energy_available_wh),
    }


async def _notices(site: Site, language: Language) -> list[dict[str, str]]:
    try:
        notices = await site.representative.notices()
    except RepresentativeError:
        return []
    return [_told(notice, site, language) for notice in notices[:NOTICES_MAX]]


def _told(notice: Notice, site: Site, language: Language) -> dict[str, str]:
    title, text = (notice.title_ko, notice.text_ko) if language == "ko" else (notice.title_en, notice.text_en)
    at = formats.moment(
        notice.at_ns, now_ns=site.clock.now_ns(), zone=site.settings.time_zone, language=language
    )
    return {"title": title, "text": text, "at": at}
