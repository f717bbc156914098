"""Record a direct transfer: one metered trade between a named buyer and seller, without hold or slice.

Takes payment and energy from the two accounts. Makes the checks of `RecordTrades`; what each side receives is a
credit, as there.
Source: docs/contract.md, Functions.
"""

from dataclasses import dataclass

from edgegw.contract.accounts import adjust
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Ident, Product
from edgegw.contract.codes import CHARGE, DISCHARGE, GATEWAY, Code, Refusal
from edgegw.contract.members import active
from edgegw.contract.price_records import PriceQuery
from edgegw.contract.records import Trade
from edgegw.contract.settlement import settle
from edgegw.contract.trade_checks import (
    DIRECTION_OF,
    Reading,
    common_fields,
    market_deal,
    meter_for,
    next_register,
    stored_trade,
)

BUYER = {CHARGE: "EV", DISCHARGE: "INDUSTRY"}
SELLERS = {CHARGE: ("PRODUCER",), DISCHARGE: ("EV", "PRODUCER")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Reading):
    """Arguments of `transfer`."""

    buyer: Ident
    seller: Ident
    product: Product
    zone: Ident


def transfer(ledger: CallState, args: Transfer) -> Trade:
    """Record one metered trade at the interval's market price, directly between the two accounts.

    CHARGE: from a producer to a car. DISCHARGE: from a car to industry, or from a producer's plant to industry as the
    plant's meter counts it.
    """
    stored = stored_trade(ledger, args)
    if stored is not None:
        known = (stored.kind, stored.end_wh, stored.interval, stored.buyer, stored.seller)
        if known != ("DIRECT", args.end_wh, args.interval, args.buyer, args.seller):
            raise Refusal(Code.TRADE_ID_CONFLICT, args.trade_id)
        return stored
    if args.buyer == args.seller:
        raise Refusal(Code.SAME_PARTY, args.buyer)
    buyer = active(ledger, args.buyer, BUYER[args.product])
    seller = active(ledger, args.seller, *SELLERS[args.product])
    if ledger.creator.role != GATEWAY and ledger.creator.msp_id not in {buyer.msp, seller.msp}:
        raise Refusal(Code.WRONG_ORG, "neither buyer nor seller is the caller's member")
    straight = args.product == DISCHARGE and seller.kind == "PRODUCER"
    meter = meter_for(ledger, args, "PLANT" if straight else "EVSE")
    if args.direction != DIRECTION_OF[args.product] or args.zone != meter.zone:
        raise Refusal(Code.BAD_ARGUMENT, "direction or zone do not fit product and meter")
    register = next_register(ledger, meter, args)
    query = PriceQuery(zone=args.zone, product=args.product, interval=args.interval)
    deal = market_deal(ledger, query, parties=(args.buyer, args.seller), wh=args.end_wh - args.start_wh)
    adjust(ledger, args.buyer, tokens=-(deal.amount + deal.fee))
    adjust(ledger, args.seller, energy=-deal.gross)
    trade = Trade(**common_fields(ledger, args, query=query, deal=deal), kind="DIRECT")
    settle(ledger, trade, meter=meter, register=register)
    return trade
