"""Play one script of calls through the real client, and return the contract's answers and the endorsements.

It is played against the embedded peer and against Hyperledger Fabric with the chaincode service; `outcomes` must be equal.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.transaction import parse_transaction
from edgegw.fabric.wire import decode
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.commit import Committed
from edgegw.ledger.errors import BusinessRefusal, Mismatch, Unavailable
from tests.support.patience import PATIENCE_S

MEMBERS = 130
"""More than the peer's page of 100."""
ALL = ["EVUserMSP", "IndustryMSP", "ProducerMSP"]
ClientFor = Callable[[str], LedgerClient]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sign_up(member_id: str) -> dict[str, Any]:
    return {
        "memberId": member_id,
        "kind": "EV",
        "commitment": digest(member_id),
        "dupTag": digest(f"tag {member_id}"),
    }


async def reachable(clients: Sequence[LedgerClient]) -> None:
    """Wait until each client's peer has the contract and has discovered the other organisations' peers."""
    for client in clients:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await client.evaluate("totalSupply")
                    await client.endorse("totalSupply")
                    break
                except (Unavailable, Mismatch):
                    await asyncio.sleep(0.2)


async def code_of(client: LedgerClient, function: str, args: dict[str, Any] | None = None) -> str:
    """Return the refusal's code; check that Endorse and Evaluate give the same."""
    found = set()
    for ask in (client.execute, client.evaluate):
        try:
            found.add(str(await ask(function, args)))
        except BusinessRefusal as refusal:
            found.add(refusal.code)
    (code,) = found
    return code


async def endorsers_of(client: LedgerClient, function: str, args: dict[str, Any]) -> list[str]:
    """Commit a call and return the organisations that endorsed it; repeat while a peer lags behind the others."""
    while True:
        with contextlib.suppress(Mismatch):
            endorsed = await client.endorse(function, args)
            break
    await client.submit(endorsed.envelope)
    outcome = await client.commit_status(endorsed.tx_id, 30)
    assert isinstance(outcome, Committed), outcome
    parsed = parse_transaction(decode(common_pb2.Envelope, endorsed.envelope).payload)
    return sorted({parse_identity(endorser).msp_id for endorser, _ in parsed.endorsements})


async def pages_of(client: LedgerClient, member_id: str) -> list[list[str]]:
    """Return a member's whole history, page by page."""
    pages: list[list[str]] = []
    bookmark = ""
    while not pages or bookmark:
        asked = {"memberId": member_id, "pageSize": 3, "bookmark": bookmark}
        page = await client.evaluate("historyAPI", asked)
        pages.append([entry["id"] for entry in page["entries"]])
        bookmark = page["bookmark"]
    return pages


async def outcomes(client_for: ClientFor) -> dict[str, Any]:
    """Play the script on a new channel and return the results by name."""
    found: dict[str, Any] = {}
    admin = client_for("ProducerMSP/admin")
    representative = client_for("EVUserMSP/representative")
    desk = client_for("EVUserMSP/exchange")
    auditor = client_for("EVUserMSP/auditor")
    clients = (admin, representative, desk, auditor)
    try:
        await reachable(clients)
        found["before"] = await code_of(desk, "Mint", {"memberId": "A", "amount": "1", "depositRef": "d"})
        configured = await admin.execute("Configure", {"channel": "energych"})
        found["configured"] = configured["channel"]
        found["repeated"] = await admin.execute("Configure", {"channel": "energych"}) == configured
        found["conflict"] = await code_of(admin, "Configure", {"channel": "other"})
        await _sign_up_all(representative)
        found["duplicate"] = await code_of(
            representative, "SignUp", {**sign_up("M000"), "memberId": "ANOTHER"}
        )
        found["role"] = await code_of(auditor, "SignUp", sign_up("X"))
        found["function"] = await code_of(auditor, "NoSuchFunction")
        found["argument"] = await code_of(auditor, "balanceOf", {"member": "M000"})
        minted = {"memberId": "M000", "amount": "1000", "depositRef": "dep-0"}
        found["guarded"] = await endorsers_of(desk, "Mint", minted)
        for number in range(1, 7):
            await desk.execute("Mint", {**minted, "depositRef": f"dep-{number}"})
        found["history"] = [len(page) for page in await pages_of(representative, "M000")]
        found["supply"] = await auditor.evaluate("totalSupply")
        found["totals"] = (await auditor.evaluate("AuditTotals"))["tokens"]
        found["events"] = await _events(auditor)
    finally:
        for client in clients:
            await client.close()
    return found


async def _sign_up_all(client: LedgerClient) -> None:
    gate = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with gate:
            await client.execute("SignUp", sign_up(f"M{number:03d}"))

    await asyncio.gather(*(one(number) for number in range(MEMBERS)))


async def _events(client: LedgerClient) -> dict[str, int]:
    """Return the number of events by name, from the first block on."""
    counted: dict[str, int] = {}
    wanted = MEMBERS + 8
    stream = client.events(0)
    async with asyncio.timeout(PATIENCE_S):
        async for event in stream:
            counted[event.name] = counted.get(event.name, 0) + 1
            if sum(counted.values()) == wanted:
                break
    await stream.aclose()
    return counted


EXPECTED: dict[str, Any] = {
    "before": "UNKNOWN_MEMBER",
    "configured": "energych",
    "repeated": True,
    "conflict": "ID_CONFLICT",
    "duplicate": "DUPLICATE_MEMBER",
    "role": "NOT_AUTHORISED",
    "function": "BAD_ARGUMENT",
    "argument": "BAD_ARGUMENT",
    "guarded": ALL,
    "history": [3, 3, 2],
    "supply": {"supply": "7000", "minted": "7000", "burned": "0"},
    "totals": {
        "supply": "7000",
        "minted": "7000",
        "burned": "0",
        "available": "7000",
        "held": "0",
        "pending": "0",
    },
    "events": {"edgegw.channel.configured": 1, "edgegw.member.signed": MEMBERS, "edgegw.token.minted": 7},
}

__all__ = ["EXPECTED", "ClientFor", "outcomes"]
