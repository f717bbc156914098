"""The page of cards and other idTokens with which a member starts a session without a page.

Decides the format of a card number. A number is shown once, in the response to its form, and never stored in clear.
"""

import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.ports.representative import RefusalCode, RefusedRequest
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.driver.preferences import terms_of
from edgegw.web.formatting import member, shown_to, visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, Word, see_other
from edgegw.web.visitor_login import address_of, form_throttle

LABEL_LENGTH_MAX = 40
_NUMBER = re.compile(r"[A-Za-z0-9*_.|@-]{4,36}")
_SEPARATORS = re.compile(r"[\s:]")


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The list, linking and unlinking."""
    cards = _Cards(pages)
    return [
        page("/cards", for_members(pages, cards.look)),
        page("/cards/unlink", for_members(pages, cards.look)),
        action_for_members(pages, "/cards", cards.link),
        action_for_members(pages, "/cards/unlink", cards.unlink),
    ]


class _Cards:
    """Handlers of the list and its forms."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._site = pages.site
        # The answer reveals whether a number is another member's card, so attempts are limited.
        self._throttle = form_throttle()

    async def _answer(
        self, request: Request, form: Form, *, linked: str = "", problem: str = "", status: int = 200
    ) -> Response:
        cards = await self._site.representative.cards(member(request).member_id)
        return self._pages.draw(
            request,
            "driver/cards.html",
            status=status,
            cards=cards,
            form=form,
            linked=linked,
            problem=problem,
            done=request.query_params.get("done") == "unlinked",
            terms=member(request).defaults,
            show=shown_to(request, self._site),
        )

    async def look(self, request: Request) -> Response:
        return await self._answer(request, Form())

    async def link(self, request: Request, form: Form) -> Response:
        word = self._pages.word(visitor(request).language)
        number = _SEPARATORS.sub("", form.values.get("number", "")[:100])
        label = " ".join(form.values.get("label", "").split())
        faults = _faults(number, label, word)
        if faults:
            return await self._answer(request, form.faulty(**faults), status=422)
        if not self._throttle.admits(address_of(request)):
            return self._pages.draw(request, "refused.html", status=429, code="EGW-3011")
        profile = member(request)
        terms = terms_of(profile.member_id, profile.defaults, sells=form.values.get("sells") == "1")
        card = await self._site.representative.link_card(profile.member_id, number, label=label, terms=terms)
        if isinstance(card, RefusedRequest):
            return await self._answer(request, form.faulty(**_refused(card, word)), status=422)
        return await self._answer(request, Form(), linked=number)

    async def unlink(self, request: Request, form: Form) -> Response:
        refusal = await self._site.representative.unlink_card(member(request).member_id, form.text("card_id"))
        if refusal is not None:
            word = self._pages.word(visitor(request).language)
            return await self._answer(request, Form(), problem=refusal_text(refusal, word), status=422)
        return see_other("/cards?done=unlinked")


def _faults(number: str, label: str, word: Word) -> dict[str, str]:
    """Return the error messages of number and label by field, before the representative is called."""
    faults = {}
    if not _NUMBER.fullmatch(number):
        faults["number"] = word(
            "Enter the number as the card or the charger shows it: 4 to 36 letters and digits."
        )
    if not 0 < len(label) <= LABEL_LENGTH_MAX or not label.isprintable():
        faults["label"] = word("Enter a card name of at most 40 characters, for example White car.")
    return faults


def _refused(refusal: RefusedRequest, word: Word) -> dict[str, str]:
    """Return a refusal as an error message beside its field."""
    if refusal.code != RefusalCode.BAD_FIELD:
        return {"number": refusal_text(refusal, word)}
    if refusal.detail == "cards":
        return {"number": word("You have linked the maximum number of cards. Unlink a card first.")}
    field = "label" if refusal.detail == "label" else "number"
    return {field: word("This value is not valid. Correct it.")}
