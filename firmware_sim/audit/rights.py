"""Check who wrote each key: contract role, endorsement of guarded keys by all organisations, and write-once keys.

Decides by key, independently of the function that was called. Source: docs/contract.md, Functions; docs/ledger.md, Who
takes part.
"""

from __future__ import annotations

from firmware_sim.audit.finding import Findings
from firmware_sim.audit.protobuf import MalformedError
from firmware_sim.audit.replay import Entry
from firmware_sim.audit.state import State
from firmware_sim.audit.verdict import read_policy

GUARD_OF = {
    "mint": "guard~mint",
    "burn": "guard~mint",
    "tariff": "guard~tariff",
    "tariffid": "guard~tariff",
    "met": "guard~meter",
    "gw": "guard~gateway",
    "cfg": "guard~config",
}
GUARDS = frozenset(GUARD_OF.values())
ROLES = {
    "cfg": {"admin"},
    "mint": {"exchange"},
    "burn": {"exchange"},
    "tariff": {"oracle"},
    "tariffid": {"oracle"},
    "floor": {"oracle"},
    "load": {"representative"},
    "mem": {"representative"},
    "lot": {"representative", "gateway"},
    "gw": {"representative"},
    "met": {"representative", "gateway"},
    "att": {"gateway"},
    "trade": {"gateway", "representative"},
}
ONCE = {"cfg", "mint", "burn", "tariff", "tariffid", "met", "gw", "att", "price", "trade"}


class Rights:
    """Checks the keys that every valid transaction wrote."""

    def __init__(self, findings: Findings, msps: frozenset[str]) -> None:
        self._findings = findings
        self._msps = msps

    def __call__(self, entry: Entry, state: State) -> None:
        """Record every key that this transaction was not allowed to write."""
        if "cfg" not in entry.records and state.record("cfg") is None:
            self._findings.add("GUARD", entry.where, expected="Configure first", found="no cfg")
        for key in entry.records:
            kind = key.split("~", 1)[0]
            where = f"{entry.where} {key}"
            if kind in ROLES:
                self._findings.require(
                    "NOT_AUTHORISED",
                    where,
                    holds=entry.creator.role in ROLES[kind],
                    rule="/".join(sorted(ROLES[kind])),
                    found=entry.creator.role,
                )
            if kind in ONCE and state.record(key) is not None:
                self._findings.add("REWRITTEN", where, expected="written once", found="written again")
            if key in GUARDS or kind in GUARD_OF:
                self._guarded(entry, state, kind=kind, where=where)
        if "cfg" in entry.records:
            self._founding(entry)

    def _guarded(self, entry: Entry, state: State, *, kind: str, where: str) -> None:
        if kind in GUARD_OF and GUARD_OF[kind] not in entry.records:
            self._findings.add("GUARD", where, expected=GUARD_OF[kind], found="not written")
        if state.record("cfg") is not None:  # Configure gives the guards their policies
            self._findings.equal(
                "GUARD", where, expected=sorted(self._msps), found=sorted(entry.endorsers & self._msps)
            )

    def _founding(self, entry: Entry) -> None:
        """Check that the first transaction sets a policy of all organisations on every guard."""
        for key in sorted(GUARDS | {"cfg"}):
            try:
                n, msps = read_policy(entry.transaction.policies.get(key, b""))
            except MalformedError:
                n, msps = 0, frozenset[str]()
            holds = n == len(self._msps) and msps == self._msps
            self._findings.require(
                "GUARD", f"{entry.where} {key}", holds=holds, rule="all organisations", found=sorted(msps)
            )
