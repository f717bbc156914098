"""Sign up members, change their status, and check a member for other functions.

Decides duplicates, optimistic versions and the member's organisation. Never receives a name or a card number.
Source: docs/ledger.md, Who takes part; docs/contract.md, Functions.
"""

from dataclasses import dataclass, replace
from typing import Literal

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Count, Digest, Ident, Kind
from edgegw.contract.codes import AUDITOR, KIND_MSP, Code, Refusal
from edgegw.contract.records import Account, Member, Pointer


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """Arguments of `SignUp`."""

    member_id: Ident
    kind: Kind
    commitment: Digest
    dup_tag: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Arguments of `Update`: `expected_version` is the stored version; None leaves a field unchanged."""

    member_id: Ident
    expected_version: Count
    commitment: Digest | None = None
    status: Literal["ACTIVE", "SUSPENDED", "LEFT"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberQuery:
    """Arguments of `GetMember` and `balanceOf`."""

    member_id: Ident


def member_of(ledger: CallState, member_id: str) -> Member:
    """Return the member's record; refuse with `UNKNOWN_MEMBER` if there is none."""
    return ledger.need(Member, keys.key("mem", member_id), Code.UNKNOWN_MEMBER)


def active(ledger: CallState, member_id: str, *kinds: str) -> Member:
    """Return the member; refuse unless it is active and of one of `kinds` (any kind if none is given)."""
    member = member_of(ledger, member_id)
    if member.status != "ACTIVE":
        raise Refusal(Code.MEMBER_INACTIVE, member_id)
    if kinds and member.kind not in kinds:
        raise Refusal(Code.WRONG_KIND, f"{member_id} is no {' or '.join(kinds)}")
    return member


def require_msp(ledger: CallState, msp: str) -> None:
    """Refuse unless the caller belongs to organisation `msp`."""
    if ledger.creator.msp_id != msp:
        raise Refusal(Code.WRONG_ORG, f"only {msp} may do this")


def require_reader(ledger: CallState, member: Member) -> None:
    """Refuse unless the caller is an auditor or belongs to the member's organisation."""
    if ledger.creator.role != AUDITOR:
        require_msp(ledger, member.msp)


def sign_up(ledger: CallState, args: SignUp) -> Member:
    """Create a member with an empty account."""
    msp = KIND_MSP[args.kind]
    require_msp(ledger, msp)
    stored = ledger.read(Member, keys.key("mem", args.member_id))
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    if ledger.read(Pointer, keys.key("dup", msp, args.dup_tag)) is not None:
        raise Refusal(Code.DUPLICATE_MEMBER, "the identity is signed up")
    if args.kind == "SUPPLIER":
        if ledger.read(Pointer, keys.SUPPLIER) is not None:
            raise Refusal(Code.DUPLICATE_MEMBER, "the channel has a supplier")
        ledger.write(keys.SUPPLIER, Pointer(member_id=args.member_id))
    member = Member(
        request=ledger.request,
        member_id=args.member_id,
        kind=args.kind,
        msp=msp,
        status="ACTIVE",
        version=1,
        commitment=args.commitment,
        dup_tag=args.dup_tag,
    )
    ledger.write(keys.key("mem", member.member_id), member)
    ledger.write(keys.key("dup", msp, args.dup_tag), Pointer(member_id=member.member_id))
    account = Account(member_id=member.member_id, tokens=0, energy=0, version=1)
    ledger.write(keys.key("acc", member.member_id), account)
    ledger.history(member.member_id, ("member.signed", member.member_id))
    return member


def update(ledger: CallState, args: Update) -> Member:
    """Change a member's commitment or status; leaving is final and deletes the commitment and the duplicate tag."""
    stored = member_of(ledger, args.member_id)
    require_msp(ledger, stored.msp)
    if stored.version == args.expected_version + 1 and stored.request == ledger.request:
        return stored
    if stored.version != args.expected_version:
        raise Refusal(Code.VERSION_MISMATCH, f"the version is {stored.version}")
    if stored.status == "LEFT":
        raise Refusal(Code.MEMBER_INACTIVE, f"{args.member_id} has left")
    member = replace(
        stored,
        request=ledger.request,
        version=stored.version + 1,
        status=args.status or stored.status,
        commitment=args.commitment or stored.commitment,
    )
    if member.status == "LEFT":
        ledger.remove(keys.key("dup", stored.msp, str(stored.dup_tag)))
        if stored.kind == "SUPPLIER":
            ledger.remove(keys.SUPPLIER)
        member = replace(member, commitment=None, dup_tag=None)
    ledger.write(keys.key("mem", member.member_id), member)
    ledger.history(member.member_id, ("member.updated", f"{member.member_id}:{member.version}"))
    return member


def get_member(ledger: CallState, args: MemberQuery) -> Member:
    """Return the member's record to its organisation and to auditors."""
    member = member_of(ledger, args.member_id)
    require_reader(ledger, member)
    return member
