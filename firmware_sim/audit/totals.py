"""Check the ledger's two balance equations, for tokens and for energy, over the replayed state.

Source: docs/contract.md, Equations.
"""

from __future__ import annotations

from collections import Counter

from firmware_sim.audit.finding import Findings
from firmware_sim.audit.ownership import FLOWS, left_of
from firmware_sim.audit.state import State

PLACES = ("available", "held", "pending")


def totals(state: State, findings: Findings) -> tuple[dict[str, int], dict[str, int]]:
    """Return tokens (milli-token) and energy (Wh) by place, source and sink; record what does not add up."""
    tokens: Counter[str] = Counter(dict.fromkeys(("minted", "burned", *PLACES), 0))
    energy: Counter[str] = Counter(dict.fromkeys((*FLOWS, *PLACES), 0))
    for kind, name in (("mint", "minted"), ("burn", "burned")):
        tokens[name] += sum(int(record["amount"]) for _, record in state.records(f"{kind}~"))
    for kind, place in (("acc", "available"), ("cr", "pending")):
        for _, record in state.records(f"{kind}~"):
            tokens[place] += int(record["tokens"])
            energy[place] += int(record["energy"])
    _held(state, tokens, energy)
    for _, record in state.records("sink~"):
        energy.update({name: int(record[name]) for name in FLOWS})
    supply = tokens["minted"] - tokens["burned"]
    sources = energy["generation"] + energy["outside"] + energy["grid"]
    used = energy["industry"] + energy["conversion"] + energy["loss"] + energy["expired"]
    findings.equal("TOKENS", "ledger", expected=supply, found=sum(tokens[place] for place in PLACES))
    findings.equal("ENERGY", "ledger", expected=sources - used, found=sum(energy[place] for place in PLACES))
    for place in PLACES:
        least = min(tokens[place], energy[place])
        findings.require("NEGATIVE", place, holds=least >= 0, rule="nothing below zero", found=least)
    return {"supply": supply, **tokens}, dict(energy)


def _held(state: State, tokens: Counter[str], energy: Counter[str]) -> None:
    """Add up the open positions that the index lists."""
    for key, _ in state.records("pos~"):
        _, _, kind, name = key.split("~")
        record = state.record(f"{kind}~{name}")
        assert record is not None
        of_tokens = (kind == "hold") == (record["product"] == "CHARGE")
        (tokens if of_tokens else energy)["held"] += left_of(kind, record)
