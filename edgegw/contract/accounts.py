"""Keep members' accounts: balances, tokens minted and burned by the exchange desk, credits swept in, history.

Decides that no account falls below zero. The account holds the available amount only; held amounts are in open
positions, pending amounts in credits.
Source: docs/contract.md, Equations; docs/ledger.md, Contention (sweep by named id, never by range).
"""

from dataclasses import dataclass, replace

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    Bookmark,
    Count,
    CreditId,
    Ident,
    PageSize,
    Quantity,
    Reference,
    Tokens,
    unpack,
)
from edgegw.contract.codes import EXCHANGE, GATEWAY, Code, Refusal
from edgegw.contract.members import MemberQuery, active, member_of, require_msp, require_reader
from edgegw.contract.positions import Sums, held_by
from edgegw.contract.records import Account, Credit, Entry, Exchanged

CREDITS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Arguments of `Mint`."""

    member_id: Ident
    amount: Tokens
    deposit_ref: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """Arguments of `Burn`."""

    member_id: Ident
    amount: Tokens
    payout_ref: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Arguments of `Sweep`: at most 200 credit ids from the list that `balanceOf` returns."""

    member_id: Ident
    credit_ids: tuple[CreditId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Arguments of `historyAPI`; `bookmark` comes from the previous page, empty for the first."""

    member_id: Ident
    page_size: PageSize = 50
    bookmark: Bookmark = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One unit's amounts by state: available, held in open positions, pending in credits."""

    available: Quantity
    held: Quantity
    pending: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Result of `balanceOf`: milli-token and Wh, and at most 200 ids of pending credits."""

    member_id: Ident
    tokens: Holding
    energy: Holding
    credits: tuple[CreditId, ...]
    version: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Result of `Sweep`: the number and sum of the credits this transaction moved into the account."""

    member_id: Ident
    credits: Count
    tokens: Quantity
    energy: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Result of `historyAPI`, newest first; an empty bookmark marks the last page."""

    entries: tuple[Entry, ...]
    bookmark: Bookmark


def adjust(ledger: CallState, member_id: str, *, tokens: int = 0, energy: int = 0) -> None:
    """Add to the member's available milli-tokens and Wh; refuse if either would fall below zero."""
    account = account_of(ledger, member_id)
    after = replace(
        account,
        tokens=account.tokens + tokens,
        energy=account.energy + energy,
        version=account.version + 1,
    )
    if after.tokens < 0:
        code = Code.ZERO_TOKENS if account.tokens == 0 else Code.INSUFFICIENT_TOKENS
        raise Refusal(code, f"{account.tokens} of {-tokens}")
    if after.energy < 0:
        raise Refusal(Code.INSUFFICIENT_ENERGY, f"{account.energy} of {-energy}")
    ledger.write(keys.key("acc", member_id), after)


def account_of(ledger: CallState, member_id: str) -> Account:
    """Return the member's account; refuse with `UNKNOWN_MEMBER` if there is none."""
    return ledger.need(Account, keys.key("acc", member_id), Code.UNKNOWN_MEMBER)


def mint(ledger: CallState, args: Mint) -> Exchanged:
    """Issue new tokens for a deposit, once per deposit reference."""
    return _exchange(ledger, "mint", ref=args.deposit_ref, member_id=args.member_id, tokens=args.amount)


def burn(ledger: CallState, args: Burn) -> Exchanged:
    """Destroy tokens for a payout, once per payout reference. A suspended member may still be paid out."""
    return _exchange(ledger, "burn", ref=args.payout_ref, member_id=args.member_id, tokens=-args.amount)


def _exchange(ledger: CallState, verb: str, *, ref: str, member_id: str, tokens: int) -> Exchanged:
    key = keys.key(verb, ref)
    stored = ledger.read(Exchanged, key)
    if stored is not None:
        ledger.repeated(stored, Code.REF_USED)
        return stored
    if tokens > 0:
        active(ledger, member_id)
    adjust(ledger, member_id, tokens=tokens)
    ledger.guard("mint")
    exchanged = Exchanged(
        request=ledger.request,
        ref=ref,
        member_id=member_id,
        amount=abs(tokens),
        tx_id=ledger.tx_id,
        ledger_time_ms=ledger.now_ms,
    )
    ledger.write(key, exchanged)
    ledger.history(member_id, (f"token.{verb}", ref), tokens=tokens)
    return exchanged


def sweep(ledger: CallState, args: Sweep) -> Swept:
    """Move the named credits into the account; skip ids that an earlier sweep has removed."""
    require_msp(ledger, member_of(ledger, args.member_id).msp)
    if len(args.credit_ids) > CREDITS_MAX:
        raise Refusal(Code.BAD_ARGUMENT, f"more than {CREDITS_MAX} credits")
    count = tokens = energy = 0
    for credit_id in args.credit_ids:
        key = keys.key("cr", args.member_id, credit_id)
        credit = ledger.read(Credit, key)
        if credit is not None:
            ledger.remove(key)
            count, tokens, energy = count + 1, tokens + credit.tokens, energy + credit.energy
    if count:
        adjust(ledger, args.member_id, tokens=tokens, energy=energy)
    return Swept(member_id=args.member_id, credits=count, tokens=tokens, energy=energy)


def balance_of(ledger: CallState, args: MemberQuery) -> Balance:
    """Return the member's balance to its organisation, auditors, the exchange desk and, for EV members, any gateway."""
    member = member_of(ledger, args.member_id)
    if ledger.creator.role != EXCHANGE and not (ledger.creator.role == GATEWAY and member.kind == "EV"):
        require_reader(ledger, member)
    account = account_of(ledger, args.member_id)
    held = held_by(ledger, args.member_id)
    ids, waiting = pending_of(ledger, args.member_id)
    return Balance(
        member_id=args.member_id,
        tokens=Holding(available=account.tokens, held=held.tokens, pending=waiting.tokens),
        energy=Holding(available=account.energy, held=held.energy, pending=waiting.energy),
        credits=tuple(ids[:CREDITS_MAX]),
        version=account.version,
    )


def pending_of(ledger: CallState, member_id: str) -> tuple[list[str], Sums]:
    """Return the ids and the sum of the member's credits that are not yet swept."""
    start = keys.prefix("cr", member_id)
    ids, tokens, energy = [], 0, 0
    for key, raw in ledger.scan(start):
        credit = unpack(Credit, raw)
        ids.append(key.removeprefix(start))
        tokens, energy = tokens + credit.tokens, energy + credit.energy
    return ids, Sums(tokens=tokens, energy=energy)


def history(ledger: CallState, args: HistoryQuery) -> HistoryPage:
    """Return one page of the member's history."""
    require_reader(ledger, member_of(ledger, args.member_id))
    start = keys.prefix("hist", args.member_id)
    after = start + args.bookmark if args.bookmark else ""
    found = list(ledger.scan(start, after=after, limit=args.page_size + 1))
    page = found[: args.page_size]
    return HistoryPage(
        entries=tuple(unpack(Entry, raw) for _, raw in page),
        bookmark=page[-1][0].removeprefix(start) if len(found) > len(page) else "",
    )
