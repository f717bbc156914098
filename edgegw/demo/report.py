"""Build the settlement: all numbers of the day, and whether meters, ledger and witness agree.

Decides `conserved` and the exit status; `verified` is the verdict of the witness's auditor on the blocks. Because
differences of registers telescope, the balance alone proves little: lost polls and boundary errors beyond their bound
fail a run as well.
Source: README.md, What the settlement shows; docs/ledger.md, Equations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgegw.demo.books import DIRECTIONS, Boundaries
from edgegw.demo.functions import TRANSFER

LOST_SHARE_MAX = 100  # at most one poll in 100 may be lost
FINDINGS_TOLD = 10
SOURCES = ("generation", "outside", "grid")
SINKS = ("industry", "conversion", "loss", "expired", "available", "held", "pending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The numbers that each part of a run reports. Energies by direction (Wh), tokens in milli-token."""

    sessions: int
    served: int
    refused: Mapping[str, int]
    wanted_wh: int
    metered: Mapping[str, int]
    untraded: Mapping[tuple[str, str], int]
    witness: Mapping[str, int]
    audit: Mapping[str, Any]
    totals: Mapping[str, Mapping[str, int]]
    tally: Mapping[str, Any]
    weights_ppm: tuple[int, ...]
    required: frozenset[str]  # contract functions that the run must use
    asked: Mapping[str, int]  # answered queries by function
    boundaries: Boundaries
    status: Mapping[str, Any]
    blocks: int
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The report, and the faults of the run."""

    numbers: dict[str, Any]
    faults: tuple[str, ...] = field(default=())

    @property
    def agrees(self) -> bool:
        """Whether there are no faults; the exit status is then 0."""
        return not self.faults


def settle(evidence: Evidence) -> Settlement:
    """Return the settlement of a run, with every fault that the comparison finds."""
    numbers = _numbers(evidence)
    unbalanced = list(_imbalances(evidence, numbers))
    numbers["conserved"] = not unbalanced
    numbers["verified"] = evidence.audit.get("verified") is True
    faults = [
        *unbalanced,
        *_audit_faults(evidence.audit),
        *_unused_functions(evidence),
        *_speed_faults(evidence),
    ]
    counted = evidence.served + sum(evidence.refused.values())
    if counted != evidence.sessions:
        faults.append(f"{evidence.sessions} sessions, but {counted} served or refused")
    return Settlement(numbers=numbers, faults=tuple(faults))


def _numbers(evidence: Evidence) -> dict[str, Any]:
    tally, status, weights = evidence.tally, evidence.status, evidence.weights_ppm
    by_code: dict[str, int] = {}
    for (_, code), energy_wh in sorted(evidence.untraded.items()):
        by_code[code] = by_code.get(code, 0) + energy_wh
    errors = evidence.boundaries
    return {
        "sessions": evidence.sessions,
        "served": evidence.served,
        "trades": evidence.audit.get("trades", 0),
        "metered": _by_direction(evidence.metered),
        "ledger": {
            name: evidence.audit.get("ledger", {}).get(name, 0) for name in ("import_wh", "export_wh")
        },
        "untraded": _by_direction(_untraded(evidence)) | {"by_code": by_code},
        "witness": _by_direction(evidence.witness),
        "wanted_wh": evidence.wanted_wh,
        "market_wh": tally["market_wh"],
        "retail_wh": tally["retail_wh"],
        "retail_reasons": dict(tally["retail_reasons"]),
        "tokens": dict(evidence.totals["tokens"]),
        "energy": dict(evidence.totals["energy"]),
        "refused": dict(evidence.refused),
        "price_weights": {
            "min": min(weights, default=0),
            "max": max(weights, default=0),
            "distinct": len(set(weights)),
        },
        "blocks": evidence.blocks,
        "polls": dict(status.get("polls", {"done": 0, "lost": 0})),
        "clock_lag_s": dict(status.get("clock_lag_s", {"p50": 0, "p99": 0, "max": 0})),
        "boundary_error_wh": {
            "p50": errors.percentile_wh(50),
            "p99": errors.percentile_wh(99),
            "max": errors.percentile_wh(100),
        },
        "wall_seconds": round(evidence.wall_seconds, 1),
    }


def _by_direction(energies_wh: Mapping[str, int]) -> dict[str, Any]:
    return {f"{direction}_wh": energies_wh[direction] for direction in DIRECTIONS}


def _untraded(evidence: Evidence) -> dict[str, int]:
    return {
        direction: sum(wh for (of, _), wh in evidence.untraded.items() if of == direction)
        for direction in DIRECTIONS
    }


def _imbalances(evidence: Evidence, numbers: Mapping[str, Any]) -> list[str]:
    """Return a sentence for every equation that does not hold."""
    tokens, energy = evidence.totals["tokens"], evidence.totals["energy"]
    untraded, ledger = _untraded(evidence), numbers["ledger"]
    equations = [
        (
            f"{direction}: metered = ledger + untraded",
            evidence.metered[direction],
            ledger[f"{direction}_wh"] + untraded[direction],
        )
        for direction in DIRECTIONS
    ]
    equations += [
        (
            f"{direction}: metered + lost in counter resets = witness",
            evidence.metered[direction] + evidence.audit.get("unmetered", {}).get(f"{direction}_wh", 0),
            evidence.witness[direction],
        )
        for direction in DIRECTIONS
    ]
    equations += [
        (
            "market + retail = ledger import",
            numbers["market_wh"] + numbers["retail_wh"],
            ledger["import_wh"],
        ),
        ("sold = ledger export", evidence.tally["sold_wh"], ledger["export_wh"]),
        ("supply = minted - burned", tokens["supply"], tokens["minted"] - tokens["burned"]),
        (
            "supply = available + held + pending",
            tokens["supply"],
            tokens["available"] + tokens["held"] + tokens["pending"],
        ),
        (
            "energy: sources = places and sinks",
            sum(energy[name] for name in SOURCES),
            sum(energy[name] for name in SINKS),
        ),
    ]
    return [f"{name}: {left} is not {right}" for name, left, right in equations if left != right]


def _audit_faults(audit: Mapping[str, Any]) -> list[str]:
    if audit.get("verified") is True:
        return []
    findings = audit.get("findings") or ["the auditor gave no verdict"]
    told = [
        "{code} {where}: expected {expected}, found {found}".format(**finding)
        if isinstance(finding, Mapping)
        else finding
        for finding in findings[:FINDINGS_TOLD]
    ]
    return [f"auditor: {finding}" for finding in told] + (
        [f"auditor: {len(findings)} findings in all"] if len(findings) > FINDINGS_TOLD else []
    )


def _unused_functions(evidence: Evidence) -> list[str]:
    """Return a fault for each required function that was neither committed nor answered, and for a missing direct sale."""
    used = {**evidence.asked, **evidence.audit.get("functions", {})}
    faults = [f"{name} was never used" for name in sorted(evidence.required - used.keys())]
    if TRANSFER in evidence.required and not evidence.audit.get("direct_wh"):
        faults.append("the producer made no direct sale at a sunny noon")
    return faults


def _speed_faults(evidence: Evidence) -> list[str]:
    """Return the faults of a machine that is too slow for the speed."""
    polls = evidence.status.get("polls", {"done": 0, "lost": 0})
    faults = []
    if polls["lost"] * LOST_SHARE_MAX > polls["done"] + polls["lost"]:
        faults.append(f"{polls['lost']} of {polls['done'] + polls['lost']} polls were lost")
    if evidence.boundaries.beyond:
        faults.append(f"{evidence.boundaries.beyond} quarter-hour cuts lie beyond their error bound")
    return [f"{fault}: the machine is too slow for this speed; use a lower --speed" for fault in faults]
