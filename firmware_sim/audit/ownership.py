"""Check that each transaction changes members' balances only by its trades, mints, burns, lots and attestations.

Decides from the written accounts, holds, offers, slices and credits, independently of the function that was called: a
buyer's debit equals the seller's credit plus the fee, and no balance changes without a cause. Source: docs/contract.md,
Equations.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from firmware_sim.audit.finding import Findings
from firmware_sim.audit.replay import Entry
from firmware_sim.audit.state import State

FEE = "FEE:network"
FLOWS = ("generation", "outside", "grid", "industry", "conversion", "loss", "expired")

Ownership = Counter[tuple[str, str]]
"""Amounts by (member, unit), in milli-tokens for "tokens" and Wh for "energy"."""


class Owners:
    """Checks every transaction's effect on what members own."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def __call__(self, entry: Entry, state: State) -> None:
        """Record unexplained changes of ownership and of the energy that crossed the ledger's border."""
        moved: Ownership = Counter()
        for key, record in entry.records.items():
            if record is not None:
                moved.update(owned(key, record))
            before = state.record(key)
            if before is not None:
                moved.subtract(owned(key, before))
        explained, flows = _explained(entry)
        sink = entry.records.get(f"sink~{entry.transaction.tx_id}") or {}
        expired_wh = int(sink.get("expired", 0))
        if expired_wh:
            flows["expired"] = expired_wh
            explained[_expiring(entry), "energy"] -= expired_wh
        for member, unit in sorted(moved.keys() | explained.keys()):
            where = f"{entry.where} {entry.transaction.function} {member} {unit}"
            of = (member, unit)
            self._findings.equal("OWNERSHIP", where, expected=explained[of], found=moved[of])
        found = {name: int(sink.get(name, 0)) for name in FLOWS}
        expected = {name: flows[name] for name in FLOWS}
        self._findings.equal("FLOW", f"{entry.where} sink", expected=expected, found=found)
        self._history(entry, explained)

    def _history(self, entry: Entry, explained: Ownership) -> None:
        """Check that the members' history records have the same changes."""
        told: Ownership = Counter()
        for key, record in entry.written("hist"):
            for unit in ("tokens", "energy"):
                told[key.split("~")[1], unit] += int(record[unit])
        for member, unit in sorted(told.keys() | explained.keys()):
            if member != FEE:
                where = f"{entry.where} {member} {unit}"
                expected = explained[member, unit]
                self._findings.equal("HISTORY", where, expected=expected, found=told[member, unit])


def owned(key: str, record: dict[str, Any]) -> Ownership:
    """Return what a record adds to its member's ownership."""
    kind, *parts = key.split("~")
    if kind in {"acc", "cr"}:
        member = record["memberId"] if kind == "acc" else parts[0]
        return Counter({(member, "tokens"): int(record["tokens"]), (member, "energy"): int(record["energy"])})
    if kind in {"hold", "offer", "slice"}:
        # When charging, the driver's hold is in tokens and the seller's position in energy; discharging swaps them.
        unit = "tokens" if (kind == "hold") == (record["product"] == "CHARGE") else "energy"
        return Counter({(record["memberId"], unit): left_of(kind, record)})
    return Counter()


def left_of(kind: str, record: dict[str, Any]) -> int:
    """Return the amount left in a hold, offer or slice."""
    if kind == "hold":
        return int(record["reserved"]) - int(record["drawn"]) - int(record["released"])
    if kind == "offer":
        return int(record["left"])
    return int(record["amount"]) - int(record["drawn"]) - int(record["returned"])


def _explained(entry: Entry) -> tuple[Ownership, Counter[str]]:
    """Return the members' expected changes, and the energy that crossed the ledger's border (Wh)."""
    gains: Ownership = Counter()
    flows: Counter[str] = Counter()
    for kind, sign in (("mint", 1), ("burn", -1)):
        for _, record in entry.written(kind):
            gains[record["memberId"], "tokens"] += sign * int(record["amount"])
    for _, record in entry.written("trade"):
        _settle(record, gains, flows)
    for _, record in entry.written("lot"):
        if record["txId"] == entry.transaction.tx_id:
            gains[record["memberId"], "energy"] += int(record["wh"])
            flows["generation"] += int(record["wh"])
    for _, record in entry.written("att"):
        change_wh = int(record["dischargeableWh"]) - int(record["beforeWh"])
        gains[record["memberId"], "energy"] += change_wh
        flows["outside" if change_wh > 0 else "conversion"] += abs(change_wh)
    return gains, flows


def _settle(record: dict[str, Any], gains: Ownership, flows: Counter[str]) -> None:
    amount, fee = int(record["amount"]), int(record["fee"])
    wh, gross = int(record["wh"]), int(record["gross"])
    gains[record["buyer"], "tokens"] -= amount + fee
    gains[record["seller"], "tokens"] += amount
    gains[FEE, "tokens"] += fee
    if record["product"] == "CHARGE":
        gains[record["buyer"], "energy"] += wh
    else:
        flows["industry"] += wh
    if record["kind"] == "RETAIL":
        flows["grid"] += gross
    else:
        gains[record["seller"], "energy"] -= gross
    flows["loss"] += gross - wh


def _expiring(entry: Entry) -> str:
    """Return the member whose lot, offer or slice expired; "nobody" unless it is exactly one."""
    members = {record["memberId"] for kind in ("lot", "offer", "slice") for _, record in entry.written(kind)}
    return str(members.pop()) if len(members) == 1 else "nobody"
