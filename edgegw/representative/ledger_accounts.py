"""Manages members' accounts on the ledger: sign-up, leaving, balance, history, sweeping of credits.

Decides nothing about the market. A member is a random id with a commitment; no personal data passes here.
Source: docs/contract.md (SignUp, Update, balanceOf, Sweep).
"""

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal
from edgegw.representative.ledger_port import LedgerPort

PAGE_SIZE = 200
LEFT = "LEFT"
Kind = Literal["PRODUCER", "EV", "SUPPLIER", "INDUSTRY"]
KIND_MSP: dict[Kind, str] = {
    "PRODUCER": "ProducerMSP",
    "EV": "EVUserMSP",
    "SUPPLIER": "EVUserMSP",
    "INDUSTRY": "IndustryMSP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the ledger stores of a member: a random id, a commitment (hex) and the duplicate tag (hex)."""

    member_id: str
    kind: Kind
    commitment: str
    dup_tag: str


async def sign_up(ledger: LedgerPort, member: Enrolment) -> None:
    """Register a member; a repeat changes nothing. Raises BusinessRefusal (DUPLICATE_MEMBER, ...)."""
    try:
        await ledger.execute(
            "SignUp",
            {
                "memberId": member.member_id,
                "kind": member.kind,
                "commitment": member.commitment,
                "dupTag": member.dup_tag,
            },
        )
    except BusinessRefusal as refusal:
        # A record that was updated since differs from the sign-up; its tag still identifies the member.
        if refusal.code != Code.ID_CONFLICT:
            raise
        stored = await ledger.evaluate("GetMember", {"memberId": member.member_id})
        if (stored["kind"], stored.get("dupTag")) != (member.kind, member.dup_tag):
            raise


async def leave(ledger: LedgerPort, member_id: str, *, signed_up: bool = True) -> None:
    """End a membership permanently; a repeat changes nothing.

    `signed_up`: False where the sign-up may never have reached the ledger; an unknown member is then accepted.
    Raises BusinessRefusal (UNKNOWN_MEMBER where `signed_up`, ...).
    """
    try:
        stored = await ledger.evaluate("GetMember", {"memberId": member_id})
    except BusinessRefusal as refusal:
        if refusal.code == Code.UNKNOWN_MEMBER and not signed_up:
            return
        raise
    if stored["status"] != LEFT:
        change = {"memberId": member_id, "expectedVersion": stored["version"], "status": LEFT}
        await ledger.execute("Update", change)


async def available_mtok(ledger: LedgerPort, member_id: str) -> int:
    """Return the tokens that the member can spend now, in milli-token."""
    balance = await ledger.evaluate("balanceOf", {"memberId": member_id})
    return int(balance["tokens"]["available"])


async def sweep(ledger: LedgerPort, member_id: str) -> int:
    """Move all pending credits to the account, page by page; return how many."""
    swept = 0
    while credit_ids := (await ledger.evaluate("balanceOf", {"memberId": member_id}))["credits"]:
        await ledger.execute("Sweep", {"memberId": member_id, "creditIds": credit_ids})
        swept += len(credit_ids)
    return swept


async def history(ledger: LedgerPort, member_id: str) -> list[dict[str, Any]]:
    """Return all entries of the member's history, newest first."""
    entries: list[dict[str, Any]] = []
    bookmark = ""
    while True:
        page = await ledger.evaluate(
            "historyAPI", {"memberId": member_id, "pageSize": PAGE_SIZE, "bookmark": bookmark}
        )
        entries += page["entries"]
        bookmark = page["bookmark"]
        if not bookmark:
            return entries


async def at_most(limit: int, calls: Iterable[Awaitable[object]]) -> None:
    """Await all calls, at most `limit` at a time; `calls` is iterated lazily."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(work())
