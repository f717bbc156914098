"""Tokens for won and back: an amount, what the desk would do, a confirmation, the result.

Decides how much may be asked for at once; rate, fee and result are the desk's. Nothing is exchanged without a quote that
was shown; sending the confirmation again shows the same result, because the office does each quote once.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.office import ExchangeQuote, No, Refusal
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver.words import refusal_text
from edgegw.web.formats import Flaw, Limits, decimal, parse_tokens
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, local
from edgegw.web.shown import member, shown_to, visitor

AMOUNT_MTOK = Limits(minimum=1_000, maximum=1_000_000_000)
QUOTE_ID_LENGTH_MAX = 200
TOKENS_LENGTH_MAX = 32
_BUY, _SELL = "buy", "sell"


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """The exchange desk."""
    exchange = _Exchange(pages)
    return [
        page("/exchange", for_members(pages, exchange.look)),
        page("/exchange/quote", for_members(pages, exchange.look)),  # a reload, or the language changed
        page("/exchange/confirm", for_members(pages, exchange.look)),
        action_for_members(pages, "/exchange/quote", exchange.quote),
        action_for_members(pages, "/exchange/confirm", exchange.confirm),
    ]


class _Exchange:
    """The steps of an exchange."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._site = pages.site

    async def look(self, request: Request) -> Response:
        wanted = request.query_params.get("tokens", "")[:TOKENS_LENGTH_MAX]
        return await _asked(self._pages, request, Form(values={"tokens": wanted} if wanted else {}))

    async def quote(self, request: Request, form: Form) -> Response:
        word = self._pages.word(visitor(request).language)
        amount = parse_tokens(form.values.get("tokens", ""), AMOUNT_MTOK)
        faults = {}
        if isinstance(amount, Flaw):
            faults["tokens"] = word("Enter tokens between 1 and 1,000,000, for example 5000 or 5000.5.")
        if form.text("way") not in {_BUY, _SELL}:
            faults["way"] = word("Choose what you want to do.")
        if isinstance(amount, Flaw) or faults:
            return await _asked(self._pages, request, form.faulty(**faults), status=422)
        quoted = await _quoted(self._pages, request, amount, buys=form.text("way") == _BUY)
        if isinstance(quoted, Refusal):
            return await _asked(
                self._pages, request, form.faulty(tokens=refusal_text(quoted, word)), status=422
            )
        return self._pages.draw(
            request,
            "driver/exchange_quote.html",
            quote=quoted,
            to=local(form.text("next", 300), ""),
            rate=decimal(quoted.won_per_token_milli, scale=3),
            show=shown_to(request, self._site),
        )

    async def confirm(self, request: Request, form: Form) -> Response:
        quote_id = form.text("quote_id", QUOTE_ID_LENGTH_MAX)
        done = await self._site.office.exchange(member(request).member_id, quote_id)
        if isinstance(done, Refusal):
            word = self._pages.word(visitor(request).language)
            pending = quote_id if done.code == No.PENDING else ""
            problem = refusal_text(done, word)
            return await _asked(
                self._pages,
                request,
                Form(values={"next": form.text("next", 300)}),
                problem=problem,
                pending=pending,
                status=202 if pending else 422,
            )
        return self._pages.draw(
            request,
            "driver/exchanged.html",
            done=done,
            is_driver=member(request).kind == "EV",
            to=local(form.text("next", 300), ""),
            balance=await self._site.office.balance(member(request).member_id),
            show=shown_to(request, self._site),
        )


async def _quoted(pages: Pages, request: Request, amount_mtok: int, *, buys: bool) -> ExchangeQuote | Refusal:
    """The desk's quote; who has not so many tokens hears it now, not only at the confirmation."""
    office, member_id = pages.site.office, member(request).member_id
    if not buys and (await office.balance(member_id)).available_mtok < amount_mtok:
        return Refusal(code=No.INSUFFICIENT_TOKENS)
    return await office.exchange_quote(member_id, buys=buys, tokens_mtok=amount_mtok)


async def _asked(
    pages: Pages, request: Request, form: Form, *, problem: str = "", pending: str = "", status: int = 200
) -> Response:
    """The form that asks for an amount, with what there is of tokens."""
    site = pages.site
    asked = form.values.get("next") or request.query_params.get("next", "")
    return pages.draw(
        request,
        "driver/exchange.html",
        status=status,
        form=form,
        problem=problem,
        pending=pending,
        to=local(asked, ""),
        balance=await site.office.balance(member(request).member_id),
        show=shown_to(request, site),
    )
