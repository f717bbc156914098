"""Record trades: metered lines drawn from a driver's hold and, at the market price, from a slice.

Decides each line independently: recorded, known, or refused with a code. Recording reads and writes the gateway's own
holds, slices and registers and writes credits, but never an account or an offer, so that any number of gateways can
settle in one block. Source: docs/contract.md, A line of RecordTrades; docs/ledger.md, Contention.
"""

from dataclasses import dataclass
from typing import Literal

from edgegw.common.units import amount_mtok, gross_wh
from edgegw.contract import holds, keys, slices
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Quantity, Reference
from edgegw.contract.codes import CHARGE, CHECKED_REASONS, DISCHARGE, Code, Refusal, RetailReason
from edgegw.contract.price_records import PriceQuery, retail_rate, stored_price
from edgegw.contract.records import Hold, Pointer, Slice, Trade
from edgegw.contract.settlement import settle
from edgegw.contract.trade_checks import (
    DIRECTION_OF,
    Deal,
    Reading,
    common_fields,
    market_deal,
    meter_for,
    next_register,
    stored_trade,
)

LINES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LineArguments(Reading):
    """One line of `RecordTrades`: MARKET names a slice, RETAIL a reason."""

    kind: Literal["MARKET", "RETAIL"]
    hold_id: Reference
    slice_id: Reference | None = None
    reason: Reference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTrades:
    """Arguments of `RecordTrades`: 1 to 100 lines, in the order of their registers."""

    lines: tuple[LineArguments, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """The result of a line; `amount` is what the buyer paid without the fee, `code` why the line was refused."""

    trade_id: Reference
    status: Literal["RECORDED", "KNOWN", "REFUSED"]
    code: str | None = None
    amount: Quantity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Result of `RecordTrades`, in the order of the lines."""

    results: tuple[LineResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeQuery:
    """Arguments of `GetTrade`."""

    trade_id: Reference


def record_trades(ledger: CallState, args: RecordTrades) -> Recorded:
    """Record each line independently; a later line sees what an earlier one drew."""
    if not 1 <= len(args.lines) <= LINES_MAX:
        raise Refusal(Code.BAD_ARGUMENT, f"1 to {LINES_MAX} lines")
    return Recorded(results=tuple(_record(ledger, line) for line in args.lines))


def _record(ledger: CallState, line: LineArguments) -> LineResult:
    try:
        stored = stored_trade(ledger, line)
        if stored is not None and not _is_same(ledger, line, stored):
            raise Refusal(Code.TRADE_ID_CONFLICT, line.trade_id)
        trade = stored or _take(ledger, line)
    except Refusal as refusal:
        return LineResult(trade_id=line.trade_id, status="REFUSED", code=refusal.code)
    status: Literal["KNOWN", "RECORDED"] = "RECORDED" if stored is None else "KNOWN"
    return LineResult(trade_id=line.trade_id, status=status, amount=trade.amount)


def _is_same(ledger: CallState, line: LineArguments, stored: Trade) -> bool:
    """Return whether energy, price and parties are equal; evidence and reason may differ after a retry."""
    if (line.end_wh, line.interval, line.kind) != (stored.end_wh, stored.interval, stored.kind):
        return False
    driver, other = (
        (stored.buyer, stored.seller) if stored.product == CHARGE else (stored.seller, stored.buyer)
    )
    hold = ledger.read(Hold, keys.key("hold", line.hold_id))
    if hold is None or hold.member_id != driver:
        return False
    if line.slice_id is None:
        return stored.slice_id is None
    slice_ = ledger.read(Slice, keys.key("slice", line.slice_id))
    return slice_ is not None and slice_.member_id == other


def _take(ledger: CallState, line: LineArguments) -> Trade:
    """Write a new trade. All checks come before the first write, so that a refused line writes nothing."""
    hold = holds.hold_of(ledger, line.hold_id)
    holds.require_own(ledger, hold)
    holds.require_drawable(ledger, hold)
    if line.direction != DIRECTION_OF[hold.product]:
        raise Refusal(Code.BAD_ARGUMENT, "the hold is for the other direction")
    meter = meter_for(ledger, line, "EVSE")
    register = next_register(ledger, meter, line)
    query = PriceQuery(zone=meter.zone, product=hold.product, interval=line.interval)
    if line.kind == "MARKET":
        deal, hold, slice_ = _market(ledger, line, query=query, hold=hold)
        ledger.write(keys.key("slice", slice_.slice_id), slice_)
    else:
        deal, hold = _retail(ledger, line, query=query, hold=hold)
    ledger.write(keys.key("hold", hold.hold_id), hold)
    trade = Trade(
        **common_fields(ledger, line, query=query, deal=deal),
        kind=line.kind,
        hold_id=line.hold_id,
        slice_id=line.slice_id,
        reason=line.reason,
    )
    settle(ledger, trade, meter=meter, register=register)
    return trade


def _market(
    ledger: CallState, line: LineArguments, *, query: PriceQuery, hold: Hold
) -> tuple[Deal, Hold, Slice]:
    if line.slice_id is None or line.reason is not None:
        raise Refusal(Code.BAD_ARGUMENT, "a MARKET line names a slice and no reason")
    slice_ = slices.slice_of(ledger, line.slice_id)
    if slice_.gateway_id != ledger.creator.gateway_id:
        raise Refusal(Code.NOT_AUTHORISED, "the slice is another gateway's")
    if (slice_.zone, slice_.product, slice_.interval) != (query.zone, query.product, query.interval):
        raise Refusal(Code.SLICE_UNKNOWN, "the slice is for another zone, product or interval")
    charging = hold.product == CHARGE
    buyer, seller = (hold, slice_) if charging else (slice_, hold)
    deal = market_deal(
        ledger, query, parties=(buyer.member_id, seller.member_id), wh=line.end_wh - line.start_wh
    )
    if deal.price + ledger.cfg.net_fee_mtok > buyer.limit_price or deal.price < seller.limit_price:
        raise Refusal(Code.PRICE_LIMIT, f"{deal.price} is outside a limit")
    paid = deal.amount + deal.fee
    return (
        deal,
        holds.draw(hold, paid if charging else deal.gross),
        slices.draw(slice_, deal.gross if charging else paid),
    )


def _retail(ledger: CallState, line: LineArguments, *, query: PriceQuery, hold: Hold) -> tuple[Deal, Hold]:
    if line.slice_id is not None or line.reason not in set(RetailReason):
        raise Refusal(Code.BAD_ARGUMENT, "a RETAIL line names a known reason and no slice")
    if query.product == DISCHARGE:
        raise Refusal(Code.BAD_ARGUMENT, "a sale never falls back to retail")
    if not hold.accept_retail:
        raise Refusal(Code.RETAIL_NOT_ACCEPTED, hold.hold_id)
    if line.reason in CHECKED_REASONS and _market_available(ledger, query):
        raise Refusal(Code.MARKET_AVAILABLE, f"{line.reason} in {query.interval}")
    supplier = ledger.need(Pointer, keys.SUPPLIER, Code.NO_SUPPLIER)
    rate = retail_rate(ledger, query)
    if rate.ceiling > hold.limit_price:
        raise Refusal(Code.PRICE_LIMIT, f"{rate.ceiling} at retail")
    wh = line.end_wh - line.start_wh
    deal = Deal(
        buyer=hold.member_id,
        seller=supplier.member_id,
        price=rate.ceiling,
        amount=amount_mtok(rate.ceiling, wh),
        fee=0,
        gross=wh,
        tariff_id=rate.tariff_id,
        period=rate.period,
    )
    return deal, holds.draw(hold, deal.amount)


def _market_available(ledger: CallState, query: PriceQuery) -> bool:
    """Return whether a price is fixed and the calling gateway has or returned at least 1 Wh undrawn in the interval."""
    record = stored_price(ledger, query)
    if record is None or record.price is None:
        return False
    least = gross_wh(1, ledger.cfg.loss_for(query.product))
    own = slices.slices_of(ledger, ledger.creator.gateway_id, query)
    return any(slice_.amount - slice_.drawn >= least for slice_ in own)


def get_trade(ledger: CallState, args: TradeQuery) -> Trade:
    """Return the trade's record; refuse with `TRADE_UNKNOWN` if there is none."""
    return ledger.need(Trade, keys.key("trade", args.trade_id), Code.TRADE_UNKNOWN)
