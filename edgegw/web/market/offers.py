"""Standing offers: a producer offers energy of a lot, an industrial member tokens; closing releases what is not reserved.

Decides what the form accepts. Balances and price limits are checked on the ledger.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.ports.representative import (
    LotShown,
    NewOffer,
    Profile,
    RefusalCode,
    RefusedRequest,
)
from edgegw.web import formats
from edgegw.web.formats import Flaw, Limits
from edgegw.web.forms import Form
from edgegw.web.market.market_context import MarketContext, Reader, trader
from edgegw.web.pages import Word, see_other

DAY_S = 86_400
LONGEST_S = 31 * DAY_S
FIELD = "%Y-%m-%dT%H:%M"
PRICE = Limits(minimum=1, maximum=10**7)
TOKENS = Limits(minimum=1_000, maximum=10**12)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def routes(context: MarketContext) -> Sequence[BaseRoute]:
    """The list, making and closing of offers."""
    offers = _Offers(context)
    return [
        context.page("/offers", offers.show),
        context.action("/offers", offers.offer),
        context.action("/offers/close", offers.close),
    ]


class _Offers:
    """Handlers of the list and its forms."""

    def __init__(self, context: MarketContext) -> None:
        self._context = context
        self._zone = context.pages.site.settings.time_zone

    async def show(self, request: Request, reader: Reader, _profile: Profile) -> Response:
        return await self._listed(request, reader, Form())

    async def _listed(
        self, request: Request, reader: Reader, form: Form, *, problem: str = "", status: int = 200
    ) -> Response:
        member_id = trader(reader).member_id
        lots = await self._open_lots(reader, member_id)
        begin_s = interval_of(reader.now_ns) + INTERVAL_S
        return await self._context.pages.answer(
            request,
            "market/offers.html",
            status=status,
            reader=reader,
            form=form,
            problem=problem,
            offers=await self._context.book.offers(member_id),
            lots=[(one.lot_id, _lot_words(one, reader, self._zone)) for one in lots],
            begin=_typed(begin_s, self._zone),
            end=_typed(begin_s + DAY_S, self._zone),
        )

    async def _open_lots(self, reader: Reader, member_id: str) -> list[LotShown]:
        if not reader.sells:
            return []
        now_s = reader.now_ns // SECOND_NS
        found = await self._context.book.lots(member_id)
        return [one for one in found if one.unsold_wh > 0 and one.expires_s > now_s]

    async def offer(self, request: Request, reader: Reader, form: Form) -> Response:
        member_id = trader(reader).member_id
        lots = await self._open_lots(reader, member_id)
        read = _read(form, reader, lots, zone=self._zone)
        if isinstance(read, Form):
            return await self._listed(request, reader, read, status=422)
        made = await self._context.book.offer(member_id, read)
        if isinstance(made, RefusedRequest):
            problem = refusal_text(made, reader.word)
            return await self._listed(request, reader, form, problem=problem, status=422)
        return see_other("/offers")

    async def close(self, request: Request, reader: Reader, form: Form) -> Response:
        refused = await self._context.book.close(trader(reader).member_id, form.text("offer_id", 100))
        if refused is None:
            return see_other("/offers")
        return await self._listed(
            request, reader, Form(), problem=refusal_text(refused, reader.word), status=422
        )


def _read(form: Form, reader: Reader, lots: Sequence[LotShown], *, zone: tzinfo) -> NewOffer | Form:
    """Return the offer that the form describes, or the form with its error messages."""
    faults: dict[str, str] = {}
    price = formats.parse_price(form.text("price"), PRICE)
    if isinstance(price, Flaw):
        faults["price"] = reader.word("Enter tokens per kWh, for example 140 or 140.5.")
        price = 0
    begin_s, end_s = _validity(form, reader, faults, zone=zone)
    lot_id, energy_wh = _energy(form, reader.word, lots, faults=faults) if reader.sells else ("", 0)
    tokens = 0 if reader.sells else formats.parse_tokens(form.text("tokens"), TOKENS)
    if isinstance(tokens, Flaw):
        faults["tokens"] = reader.word("Enter tokens, for example 5000.")
        tokens = 0
    if faults:
        return form.faulty(**faults)
    return NewOffer(
        limit_mtok_per_kwh=price,
        valid_from_s=begin_s,
        valid_to_s=end_s,
        lot_id=lot_id,
        energy_wh=energy_wh,
        tokens_mtok=tokens,
    )


def _validity(form: Form, reader: Reader, faults: dict[str, str], *, zone: tzinfo) -> tuple[int, int]:
    """Return begin and end in UTC seconds; 0 where they are invalid, with a message in `faults`."""
    word = reader.word
    begin_s, end_s = (_seconds(form.text(name), zone) for name in ("valid_from", "valid_to"))
    for name, at_s in (("valid_from", begin_s), ("valid_to", end_s)):
        if at_s is None or at_s % INTERVAL_S:
            faults[name] = word("Enter a day and a time at a full quarter hour.")
    if begin_s is None or end_s is None or faults.keys() & {"valid_from", "valid_to"}:
        return 0, 0
    if not 0 < end_s - begin_s <= LONGEST_S:
        faults["valid_to"] = word("Enter a time after the start, at most 31 days later.")
    elif end_s * SECOND_NS <= reader.now_ns:
        faults["valid_to"] = word("This time has passed. Enter a later time.")
    return begin_s, end_s


def _energy(form: Form, word: Word, lots: Sequence[LotShown], *, faults: dict[str, str]) -> tuple[str, int]:
    """Return the chosen lot of the member and the energy in Wh."""
    lot = next((one for one in lots if one.lot_id == form.text("lot")), None)
    if lot is None:
        faults["lot"] = word("Choose an entry of the list.")
        return "", 0
    energy = formats.parse_kwh(form.text("energy"), Limits(minimum=1, maximum=lot.unsold_wh))
    if isinstance(energy, Flaw):
        most = {"most": formats.kwh(lot.unsold_wh, places=3)}
        faults["energy"] = word("Enter kWh, at most %(most)s of this lot.") % most
        return "", 0
    return lot.lot_id, energy


def refusal_text(refusal: RefusedRequest, word: Word) -> str:
    """Return a refusal of representative or ledger in words."""
    known = {
        RefusalCode.NOT_YOURS: word("This offer does not exist or is not yours."),
        "LOT_UNKNOWN": word("This lot does not exist or is not yours."),
        "OFFER_UNKNOWN": word("This offer does not exist or is not yours."),
        "ENERGY_EXPIRED": word("This lot has expired; its unsold energy was fed into the grid."),
        "INSUFFICIENT_ENERGY": word("This lot does not have enough energy left."),
        "INSUFFICIENT_TOKENS": word("You do not have enough tokens."),
        "MEMBER_SUSPENDED": word("Your membership is suspended."),
    }
    return known.get(refusal.code) or f"{word('The request failed.')} ({refusal.code})"


def _lot_words(lot: LotShown, reader: Reader, zone: tzinfo) -> str:
    begin_ns = lot.interval * SECOND_NS
    span = formats.span(begin_ns, begin_ns + INTERVAL_S * SECOND_NS, zone)
    day = formats.date(begin_ns, zone, reader.language)
    return f"{day} {span}: {formats.kwh(lot.unsold_wh, places=3)}"


def _typed(at_s: int, zone: tzinfo) -> str:
    """Format a UTC second for a `datetime-local` field."""
    return formats.local(at_s * SECOND_NS, zone).strftime(FIELD)


def _seconds(text: str, zone: tzinfo) -> int | None:
    try:
        typed = datetime.strptime(text, FIELD).replace(tzinfo=zone)
    except ValueError:
        return None
    return (typed.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
