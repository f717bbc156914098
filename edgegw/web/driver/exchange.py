"""The exchange of won for tokens and back: amount, quote, confirmation, result.

Decides the limits of one exchange; rate, fee and result are the exchange desk's. Nothing is exchanged without a quote that
was shown; a repeated confirmation shows the same result, because the representative executes each quote once.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.ports.representative import ExchangeQuote, RefusalCode, RefusedRequest
from edgegw.web.application import action_for_members, for_members, page
from edgegw.web.driver.code_messages import refusal_text
from edgegw.web.formats import Flaw, Limits, decimal, parse_tokens
from edgegw.web.formatting import member, shown_to, visitor
from edgegw.web.forms import Form
from edgegw.web.pages import Pages, local

AMOUNT_MTOK = Limits(minimum=1_000, maximum=1_000_000_000)
QUOTE_ID_LENGTH_MAX = 200
TOKENS_LENGTH_MAX = 32
_BUY, _SELL = "buy", "sell"


def routes(pages: Pages) -> Sequence[BaseRoute]:
    """Form, quote and confirmation."""
    exchange = _Exchange(pages)
    return [
        page("/exchange", for_members(pages, exchange.look)),
        page("/exchange/quote", for_members(pages, exchange.look)),  # a reload or a change of language
        page("/exchange/confirm", for_members(pages, exchange.look)),
        action_for_members(pages, "/exchange/quote", exchange.quote),
        action_for_members(pages, "/exchange/confirm", exchange.confirm),
    ]


class _Exchange:
    """Handlers of the steps of an exchange."""

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
            faults["way"] = word("Choose whether to buy tokens or to exchange them for won.")
        if isinstance(amount, Flaw) or faults:
            return await _asked(self._pages, request, form.faulty(**faults), status=422)
        quoted = await _quoted(self._pages, request, amount, buys=form.text("way") == _BUY)
        if isinstance(quoted, RefusedRequest):
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
        done = await self._site.representative.exchange(member(request).member_id, quote_id)
        if isinstance(done, RefusedRequest):
            word = self._pages.word(visitor(request).language)
            pending = quote_id if done.code == RefusalCode.PENDING else ""
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
            balance=await self._site.representative.balance(member(request).member_id),
            show=shown_to(request, self._site),
        )


async def _quoted(
    pages: Pages, request: Request, amount_mtok: int, *, buys: bool
) -> ExchangeQuote | RefusedRequest:
    """Return the quote of the exchange desk; a sale beyond the member's tokens is refused here already."""
    representative, member_id = pages.site.representative, member(request).member_id
    if not buys and (await representative.balance(member_id)).available_mtok < amount_mtok:
        return RefusedRequest(code=RefusalCode.INSUFFICIENT_TOKENS)
    return await representative.exchange_quote(member_id, buys=buys, tokens_mtok=amount_mtok)


async def _asked(
    pages: Pages, request: Request, form: Form, *, problem: str = "", pending: str = "", status: int = 200
) -> Response:
    """Return the form with the member's balance."""
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
        balance=await site.representative.balance(member(request).member_id),
        show=shown_to(request, site),
    )
