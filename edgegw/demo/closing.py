"""Read the day's totals and raw blocks from the ledger, and run the witness's audit of them.

Queries with the auditor's identity, which may only read, and runs the auditor as a separate process that shares no code
with edgegw.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgegw.commissioning.site import ZONE
from edgegw.common.trade_terms import PRODUCTS, Product
from edgegw.common.units import INTERVAL_S
from edgegw.demo.consortium_setup import client
from edgegw.demo.documents import Parties, Places
from edgegw.demo.functions import CountingLedger
from edgegw.demo.plan import DayPlan
from edgegw.demo.processes import ChildProcesses
from edgegw.ledger import BusinessRefusal, LedgerClient
from edgegw.ledger.block_view import delimited
from edgegw.representative.ledger_accounts import history
from edgegw.representative.ledger_port import LedgerPort

AT_ONCE = 8
AUDIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSummary:
    """Totals of tokens and energy, weights of all fixed prices, the number of blocks, and the functions queried."""

    totals: Mapping[str, Mapping[str, int]]
    weights_ppm: tuple[int, ...]
    blocks: int
    asked: Mapping[str, int]


async def read_ledger(plan: DayPlan, places: Places, parties: Parties, *, endpoint: str) -> LedgerSummary:
    """Return what the settlement needs from the ledger, and write the raw blocks to their file."""
    async with client(places, endpoint, msp_id="EVUserMSP", name="auditor") as connection:
        auditor = CountingLedger(connection)
        await _check_accounts(auditor, parties)
        totals = await auditor.evaluate("AuditTotals", {})
        weights = await _weights(auditor, range(plan.begin_s, plan.end_s, INTERVAL_S))
        blocks = await _export(connection, places)
    return LedgerSummary(
        totals={name: {key: int(text) for key, text in part.items()} for name, part in totals.items()},
        weights_ppm=weights,
        blocks=blocks,
        asked=auditor.counts,
    )


async def _check_accounts(auditor: LedgerPort, parties: Parties) -> None:
    """Raise AssertionError unless the supply adds up, and a driver has a history and no open hold."""
    supply = await auditor.evaluate("totalSupply", {})
    assert int(supply["supply"]) == int(supply["minted"]) - int(supply["burned"])
    driver = parties.drivers[0].member_id
    balance = await auditor.evaluate("balanceOf", {"memberId": driver})
    assert int(balance["tokens"]["held"]) == 0, "no hold is left open after the day"
    assert await history(auditor, driver)


async def _weights(auditor: LedgerPort, intervals: Iterable[int]) -> tuple[int, ...]:
    """Return the weight (ppm) of every fixed price."""
    asked = [(interval, product) for interval in intervals for product in PRODUCTS]
    weights: list[int] = []
    for start in range(0, len(asked), AT_ONCE):
        found = await asyncio.gather(*(_weight(auditor, *one) for one in asked[start : start + AT_ONCE]))
        weights += [weight for weight in found if weight is not None]
    return tuple(weights)


async def _weight(auditor: LedgerPort, interval: int, product: Product) -> int | None:
    try:
        record = await auditor.evaluate(
            "DetermineCost", {"zone": ZONE, "product": product, "interval": interval}
        )
    except BusinessRefusal:
        return None
    return int(record["wPpm"]) if record.get("final") and record.get("price") else None


async def _export(auditor: LedgerClient, places: Places) -> int:
    """Write all raw blocks, each after its length, and return their number."""
    height = await auditor.height()
    with places.blocks.open("wb") as file:
        for number in range(height):
            file.write(delimited(await auditor.block(number)))
    return height


async def audit(children: ChildProcesses, places: Places) -> dict[str, Any]:
    """Return the report of the witness's auditor on blocks, books and facts; not verified if it gives none."""
    auditor = await children.start(
        "auditor",
        [
            *("firmware_sim", "audit", "--json"),
            *("--blocks", str(places.blocks), "--trust", str(places.crypto / "trust.json")),
            *("--books", str(places.books), "--station-facts", str(places.facts)),
        ],
    )
    assert auditor.process.stdout is not None
    try:
        async with asyncio.timeout(AUDIT_S):
            text = await auditor.process.stdout.read()
            await auditor.process.wait()
        verdict: dict[str, Any] = json.loads(text)
    except (TimeoutError, ValueError):
        return {"verified": False, "findings": [str(auditor.failure())]}
    return verdict
