"""Open and close standing offers: a producer's to sell, an industrial member's to buy.

Decides what backs an offer and where the rest goes when it closes. A CHARGE offer is backed by a producer's gross Wh
from one lot, a DISCHARGE offer by an industrial member's milli-token.
Source: docs/contract.md, Functions; docs/ledger.md, Life of a session.
"""

from dataclasses import dataclass, replace

from edgegw.contract import keys
from edgegw.contract.accounts import adjust
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    INTERVAL_S,
    EnergyWh,
    Ident,
    Price,
    Product,
    Reference,
    Seconds,
    Tokens,
    TradedWh,
)
from edgegw.contract.codes import CHARGE, DISCHARGE, Code, Refusal
from edgegw.contract.energy import lot_of
from edgegw.contract.members import active, require_msp
from edgegw.contract.positions import closed, opened
from edgegw.contract.records import Lot, Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeOffer:
    """Arguments of `Offer`: `lot_id` and `wh` for CHARGE, `mtok` for DISCHARGE.

    The offer is valid for the intervals that lie wholly between `valid_from` and `valid_to`.
    """

    offer_id: Reference
    member_id: Ident
    product: Product
    zone: Ident
    limit_price: Price
    valid_from: Seconds
    valid_to: Seconds
    max_wh_per_gateway_day: EnergyWh
    lot_id: Reference | None = None
    wh: TradedWh | None = None
    mtok: Tokens | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferQuery:
    """Arguments of `CloseOffer` and `GetOffer`."""

    offer_id: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class OffersQuery:
    """Arguments of `ListOffers`."""

    zone: Ident
    product: Product


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Result of `ListOffers`: open, valid, non-empty offers; oldest lot first, then by lot and offer id."""

    offers: tuple[Offer, ...]


def offer_of(ledger: CallState, offer_id: str) -> Offer:
    """Return the offer; refuse with `OFFER_UNKNOWN` if there is none."""
    return ledger.need(Offer, keys.key("offer", offer_id), Code.OFFER_UNKNOWN)


def make_offer(ledger: CallState, args: MakeOffer) -> Offer:
    """Open an offer and move the energy or tokens that back it out of the account."""
    stored = ledger.read(Offer, keys.key("offer", args.offer_id))
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    member = active(ledger, args.member_id, "PRODUCER" if args.product == CHARGE else "INDUSTRY")
    require_msp(ledger, member.msp)
    if args.valid_to < args.valid_from + INTERVAL_S:
        raise Refusal(Code.BAD_ARGUMENT, "the offer is valid for no interval")
    lot, amount = _put_behind(ledger, args)
    offer = Offer(
        request=ledger.request,
        offer_id=args.offer_id,
        member_id=args.member_id,
        msp=member.msp,
        product=args.product,
        zone=args.zone,
        amount=amount,
        left=amount,
        limit_price=args.limit_price,
        valid_from=args.valid_from,
        valid_to=args.valid_to,
        max_wh_per_gateway_day=args.max_wh_per_gateway_day,
        status="OPEN",
        opened_at_ms=ledger.now_ms,
        lot_id=lot.lot_id if lot else None,
        lot_interval=lot.interval if lot else None,
        lot_expires_at=lot.expires_at if lot else None,
    )
    ledger.write(keys.key("offer", offer.offer_id), offer)
    ledger.mark(_index(offer))
    opened(ledger, offer)
    ledger.history(offer.member_id, ("offer.opened", offer.offer_id))
    return offer


def _put_behind(ledger: CallState, args: MakeOffer) -> tuple[Lot | None, int]:
    if args.product == DISCHARGE:
        if args.mtok is None or args.wh is not None or args.lot_id is not None:
            raise Refusal(Code.BAD_ARGUMENT, "a DISCHARGE offer has mtok behind it and nothing else")
        if args.limit_price == 0:
            raise Refusal(Code.BAD_ARGUMENT, "a buyer's limit is above zero")
        adjust(ledger, args.member_id, tokens=-args.mtok)
        return None, args.mtok
    if args.mtok is not None or args.wh is None or args.lot_id is None:
        raise Refusal(Code.BAD_ARGUMENT, "a CHARGE offer has lotId and wh behind it and nothing else")
    lot = lot_of(ledger, args.lot_id)
    if lot.member_id != args.member_id:
        raise Refusal(Code.LOT_UNKNOWN, "the lot is another member's")
    if ledger.now_ms >= lot.expires_at * 1000:
        raise Refusal(Code.ENERGY_EXPIRED, lot.lot_id)
    if lot.free < args.wh:
        raise Refusal(Code.INSUFFICIENT_ENERGY, f"{lot.free} of {args.wh}")
    ledger.write(keys.key("lot", lot.lot_id), replace(lot, free=lot.free - args.wh))
    adjust(ledger, args.member_id, energy=-args.wh)
    return lot, args.wh


def close_offer(ledger: CallState, args: OfferQuery) -> Offer:
    """Close the offer and give back what no slice has reserved."""
    offer = offer_of(ledger, args.offer_id)
    require_msp(ledger, offer.msp)
    if offer.status == "CLOSED":
        return offer
    shut = replace(offer, status="CLOSED", left=0)
    ledger.write(keys.key("offer", offer.offer_id), shut)
    ledger.remove(_index(offer))
    closed(ledger, offer)
    give_back(ledger, offer, offer.left)
    ledger.history(offer.member_id, ("offer.closed", offer.offer_id))
    return shut


def give_back(ledger: CallState, offer: Offer, amount: int) -> None:
    """Return `amount` of an offer to its member; energy of an expired lot counts as exported unsold instead."""
    if offer.lot_id is None:
        adjust(ledger, offer.member_id, tokens=amount)
        return
    lot = lot_of(ledger, offer.lot_id)
    if ledger.now_ms < lot.expires_at * 1000:
        ledger.write(keys.key("lot", lot.lot_id), replace(lot, free=lot.free + amount))
        adjust(ledger, offer.member_id, energy=amount)
    elif amount:
        ledger.flow(expired=amount)
        ledger.history(
            offer.member_id, ("energy.expired", f"{offer.offer_id}:{ledger.tx_id}"), energy=-amount
        )


def get_offer(ledger: CallState, args: OfferQuery) -> Offer:
    """Return the offer's record."""
    return offer_of(ledger, args.offer_id)


def list_offers(ledger: CallState, args: OffersQuery) -> Offers:
    """Return the offers a gateway may reserve from, in the order in which it should use them."""
    start = keys.prefix("of", args.zone, args.product)
    found = [offer_of(ledger, key.removeprefix(start)) for key, _ in ledger.scan(start)]
    now_ms = ledger.now_ms
    live = [offer for offer in found if offer.left and now_ms < offer.valid_to * 1000]
    live.sort(
        key=lambda offer: (offer.lot_interval or offer.opened_at_ms, offer.lot_id or "", offer.offer_id)
    )
    return Offers(offers=tuple(live))


def _index(offer: Offer) -> str:
    return keys.key("of", offer.zone, offer.product, offer.offer_id)
