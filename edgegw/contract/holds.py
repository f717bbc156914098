"""Hold a driver's tokens to charge, or energy to sell, for one session until they are released.

Decides how much is held, who may draw from a hold and who may release it. Source: docs/ledger.md, Life of a session.
"""

from dataclasses import dataclass, replace

from edgegw.common.units import amount_mtok, gross_wh
from edgegw.contract import keys
from edgegw.contract.accounts import account_of, adjust
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Ident, Price, Product, Reference, TradedWh
from edgegw.contract.codes import CHARGE, GATEWAY, Code, Refusal
from edgegw.contract.members import active, require_msp
from edgegw.contract.positions import closed, opened
from edgegw.contract.records import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Arguments of `Hold`. `limit_price` is a buyer's maximum per kWh including the fee, or a seller's minimum."""

    hold_id: Reference
    member_id: Ident
    product: Product
    max_wh: TradedWh
    limit_price: Price
    accept_retail: bool
    min_wh: TradedWh = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldQuery:
    """Arguments of `Release` and `GetHold`."""

    hold_id: Reference


def hold_of(ledger: CallState, hold_id: str) -> Hold:
    """Return the hold; refuse with `HOLD_UNKNOWN` if there is none."""
    return ledger.need(Hold, keys.key("hold", hold_id), Code.HOLD_UNKNOWN)


def open_hold(ledger: CallState, args: OpenHold) -> Hold:
    """Move tokens (at most what is available) or energy (all or nothing) from the account into a new hold."""
    stored = ledger.read(Hold, keys.key("hold", args.hold_id))
    if stored is not None:
        ledger.repeated(stored, Code.HOLD_EXISTS)
        return stored
    member = active(ledger, args.member_id, "EV")
    require_msp(ledger, member.msp)
    if args.product == CHARGE:
        reserved = _tokens_for(account_of(ledger, args.member_id).tokens, args)
        adjust(ledger, args.member_id, tokens=-reserved)
    else:
        reserved = gross_wh(args.max_wh, ledger.cfg.loss_for(args.product))
        adjust(ledger, args.member_id, energy=-reserved)
    hold = Hold(
        request=ledger.request,
        hold_id=args.hold_id,
        gateway_id=ledger.creator.gateway_id,
        member_id=args.member_id,
        msp=member.msp,
        product=args.product,
        max_wh=args.max_wh,
        limit_price=args.limit_price,
        accept_retail=args.accept_retail,
        reserved=reserved,
        drawn=0,
        released=0,
        status="OPEN",
        opened_at_ms=ledger.now_ms,
        expires_at_ms=ledger.now_ms + ledger.cfg.hold_expiry_s * 1000,
    )
    ledger.write(keys.key("hold", hold.hold_id), hold)
    opened(ledger, hold)
    ledger.history(hold.member_id, ("hold.opened", hold.hold_id))
    return hold


def _tokens_for(available: int, args: OpenHold) -> int:
    if args.limit_price == 0:
        raise Refusal(Code.BAD_ARGUMENT, "a buyer's limit is above zero")
    if available == 0:
        raise Refusal(Code.ZERO_TOKENS, args.member_id)
    least = amount_mtok(args.limit_price, min(args.min_wh, args.max_wh))
    if available < least:
        raise Refusal(Code.INSUFFICIENT_TOKENS, f"{available} of {least}")
    return min(amount_mtok(args.limit_price, args.max_wh), available)


def release(ledger: CallState, args: HoldQuery) -> Hold:
    """Close the hold and return what is left of it to the account.

    The hold's gateway may do so at any time, the representative of the member's organisation after expiry.
    """
    hold = hold_of(ledger, args.hold_id)
    if ledger.creator.role == GATEWAY:
        require_own(ledger, hold)
    else:
        require_msp(ledger, hold.msp)
        if ledger.now_ms < hold.expires_at_ms:
            raise Refusal(Code.NOT_AUTHORISED, "until it expires only its gateway releases a hold")
    if hold.status == "CLOSED":
        return hold
    rest = hold.left
    ended = replace(hold, status="CLOSED", released=rest)
    ledger.write(keys.key("hold", hold.hold_id), ended)
    closed(ledger, hold)
    if hold.product == CHARGE:
        adjust(ledger, hold.member_id, tokens=rest)
    else:
        adjust(ledger, hold.member_id, energy=rest)
    ledger.history(hold.member_id, ("hold.released", hold.hold_id))
    return ended


def require_own(ledger: CallState, hold: Hold) -> None:
    """Refuse unless the caller is the gateway that opened the hold."""
    if hold.gateway_id != ledger.creator.gateway_id:
        raise Refusal(Code.NOT_AUTHORISED, "the hold is another gateway's")


def require_drawable(ledger: CallState, hold: Hold) -> None:
    """Refuse if the hold is closed or expired."""
    if hold.status == "CLOSED":
        raise Refusal(Code.HOLD_CLOSED, hold.hold_id)
    if ledger.now_ms >= hold.expires_at_ms:
        raise Refusal(Code.HOLD_EXPIRED, hold.hold_id)


def draw(hold: Hold, amount: int) -> Hold:
    """Return the hold with `amount` drawn; refuse if less is left."""
    if amount > hold.left:
        raise Refusal(Code.EXCEEDS_HOLD, f"{amount} of {hold.left}")
    return replace(hold, drawn=hold.drawn + amount)


def get_hold(ledger: CallState, args: HoldQuery) -> Hold:
    """Return the hold's record."""
    return hold_of(ledger, args.hold_id)
