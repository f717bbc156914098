"""The member's ledger transactions (historyAPI), newest first, in pages and as CSV.

Decides the number of entries on a page and in a file; the entries are the ledger's.
"""

import re
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.ports.representative import Entry, Representative
from edgegw.web.application import for_members, page
from edgegw.web.csv_export import history_csv
from edgegw.web.driver.code_messages import entry_text
from edgegw.web.formatting import csv_file, member, shown_to, visitor
from edgegw.web.pages import Pages

PAGE = 20
CSV_PAGE = 100
CSV_MAX = 5000
_BOOKMARK = re.compile(r"[A-Za-z0-9._:~-]{0,400}")


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The history and its CSV file."""
    site = pages.site

    async def history(request: Request) -> Response:
        bookmark = request.query_params.get("from", "")
        if not _BOOKMARK.fullmatch(bookmark):
            return pages.draw(request, "refused.html", status=404, code="EGW-3004")
        found = await site.representative.history(member(request).member_id, bookmark=bookmark, size=PAGE)
        word = pages.word(visitor(request).language)
        return await pages.answer(
            request,
            "driver/history.html",
            lines=[(entry, entry_text(entry.type, word)) for entry in found.entries],
            older=found.bookmark,
            is_first=not bookmark,
            show=shown_to(request, site),
        )

    async def file(request: Request) -> Response:
        entries = [entry async for entry in _all(site.representative, member(request).member_id)]
        return csv_file("history", history_csv(entries))

    return [page("/history", for_members(pages, history)), page("/history.csv", for_members(pages, file))]


async def _all(representative: Representative, member_id: str) -> AsyncIterator[Entry]:
    bookmark, count = "", 0
    while count < CSV_MAX:
        found = await representative.history(member_id, bookmark=bookmark, size=CSV_PAGE)
        for entry in found.entries:
            yield entry
        bookmark, count = found.bookmark, count + len(found.entries)
        if not bookmark:
            return
