"""Reserve and return slices: the part of an offer that one gateway may draw in one interval.

Decides who may reserve how much and until when, and when the rest returns. Source: docs/ledger.md, Life of a session.
"""

from dataclasses import dataclass, replace

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import INTERVAL_S, Quantity, Reference, Seconds, Tokens
from edgegw.contract.codes import CHARGE, GATEWAY, Code, Refusal
from edgegw.contract.intervals import require_before
from edgegw.contract.members import require_msp
from edgegw.contract.offers import give_back, offer_of
from edgegw.contract.positions import closed, opened
from edgegw.contract.price_records import PriceQuery
from edgegw.contract.records import Offer, Slice

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Arguments of `Reserve`; `amount` is in the offer's unit, gross Wh or milli-token."""

    slice_id: Reference
    offer_id: Reference
    interval: Seconds
    amount: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceQuery:
    """Arguments of `Return` and `GetSlice`."""

    slice_id: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUse:
    """The Wh one gateway has reserved of an offer for intervals of one UTC day, less what it returned."""

    wh: Quantity


def slice_of(ledger: CallState, slice_id: str) -> Slice:
    """Return the slice; refuse with `SLICE_UNKNOWN` if there is none."""
    return ledger.need(Slice, keys.key("slice", slice_id), Code.SLICE_UNKNOWN)


def reserve(ledger: CallState, args: Reserve) -> Slice:
    """Reserve part of an offer for the calling gateway, for one interval that has not begun."""
    stored = ledger.read(Slice, keys.key("slice", args.slice_id))
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    require_before(ledger, args.interval)
    offer = offer_of(ledger, args.offer_id)
    _require_on_offer(offer, args)
    slice_ = Slice(
        request=ledger.request,
        slice_id=args.slice_id,
        offer_id=offer.offer_id,
        gateway_id=ledger.creator.gateway_id,
        member_id=offer.member_id,
        product=offer.product,
        zone=offer.zone,
        interval=args.interval,
        amount=args.amount,
        drawn=0,
        returned=0,
        limit_price=offer.limit_price,
        status="OPEN",
        lot_id=offer.lot_id,
    )
    _use_day(ledger, offer, slice_, amount=args.amount)
    ledger.write(keys.key("offer", offer.offer_id), replace(offer, left=offer.left - args.amount))
    ledger.write(keys.key("slice", slice_.slice_id), slice_)
    ledger.mark(_slices_prefix(slice_.gateway_id, slice_) + slice_.slice_id)
    opened(ledger, slice_)
    return slice_


def _require_on_offer(offer: Offer, args: Reserve) -> None:
    end = args.interval + INTERVAL_S
    if offer.status == "CLOSED":
        raise Refusal(Code.OFFER_CLOSED, offer.offer_id)
    if args.interval < offer.valid_from or end > offer.valid_to:
        raise Refusal(Code.OFFER_NOT_VALID, f"{offer.offer_id} in {args.interval}")
    if offer.lot_expires_at is not None and end > offer.lot_expires_at:
        raise Refusal(Code.ENERGY_EXPIRED, offer.offer_id)
    if args.amount > offer.left:
        code = Code.INSUFFICIENT_ENERGY if offer.product == CHARGE else Code.INSUFFICIENT_TOKENS
        raise Refusal(code, f"{offer.left} of {args.amount}")


def _use_day(ledger: CallState, offer: Offer, slice_: Slice, *, amount: int) -> None:
    """Count `amount` (negative when returned) against the offer's cap for this gateway and day."""
    key = keys.key("cap", offer.offer_id, slice_.gateway_id, keys.wide(slice_.interval // DAY_S))
    used = ledger.read(DayUse, key) or DayUse(wh=0)
    wh = amount if offer.product == CHARGE else amount * 1000 // offer.limit_price
    if used.wh + wh > offer.max_wh_per_gateway_day:
        raise Refusal(Code.DAILY_CAP, f"{used.wh} of {offer.max_wh_per_gateway_day} Wh are reserved")
    ledger.write(key, DayUse(wh=max(0, used.wh + wh)))


def return_slice(ledger: CallState, args: SliceQuery) -> Slice:
    """Return what is left of a slice to its offer once the interval is over.

    The slice's gateway may do so at once; the offering member's representative, for a gateway that no longer runs,
    after the hold expiry time in addition.
    """
    slice_ = slice_of(ledger, args.slice_id)
    offer = offer_of(ledger, slice_.offer_id)
    over_ms = (slice_.interval + INTERVAL_S) * 1000
    if ledger.creator.role == GATEWAY:
        if slice_.gateway_id != ledger.creator.gateway_id:
            raise Refusal(Code.NOT_AUTHORISED, "the slice is another gateway's")
    else:
        require_msp(ledger, offer.msp)
        over_ms += ledger.cfg.hold_expiry_s * 1000
    if slice_.status == "RETURNED":
        return slice_
    if ledger.now_ms < over_ms:
        raise Refusal(Code.INTERVAL_OPEN, f"{slice_.interval} is not over")
    rest = slice_.left
    done = replace(slice_, status="RETURNED", returned=rest)
    ledger.write(keys.key("slice", slice_.slice_id), done)
    closed(ledger, slice_)
    _use_day(ledger, offer, slice_, amount=-rest)
    if offer.status == "OPEN":
        ledger.write(keys.key("offer", offer.offer_id), replace(offer, left=offer.left + rest))
    else:
        give_back(ledger, offer, rest)
    return done


def draw(slice_: Slice, amount: int) -> Slice:
    """Return the slice with `amount` drawn; refuse if it was returned or less is left."""
    if slice_.status == "RETURNED":
        raise Refusal(Code.SLICE_CLOSED, slice_.slice_id)
    if amount > slice_.left:
        raise Refusal(Code.EXCEEDS_SLICE, f"{amount} of {slice_.left}")
    return replace(slice_, drawn=slice_.drawn + amount)


def slices_of(ledger: CallState, gateway_id: str, where: PriceQuery) -> list[Slice]:
    """Return a gateway's slices of one zone, product and interval."""
    start = _slices_prefix(gateway_id, where)
    return [slice_of(ledger, key.removeprefix(start)) for key, _ in ledger.scan(start)]


def _slices_prefix(gateway_id: str, where: PriceQuery | Slice) -> str:
    return keys.prefix("sl", gateway_id, where.zone, where.product, keys.wide(where.interval))


def get_slice(ledger: CallState, args: SliceQuery) -> Slice:
    """Return the slice's record."""
    return slice_of(ledger, args.slice_id)
