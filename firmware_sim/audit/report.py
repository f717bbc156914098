"""Run a whole audit, from the files to the report.

A run is verified only if nothing was found and it has both trades and metered energy.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firmware_sim.audit.books import DIRECTIONS, Comparison
from firmware_sim.audit.boundaries import Cut, cuts, percentiles_wh
from firmware_sim.audit.facts import Facts, read_facts
from firmware_sim.audit.finding import Findings
from firmware_sim.audit.identity import Roots
from firmware_sim.audit.ownership import Owners
from firmware_sim.audit.prices import Prices
from firmware_sim.audit.replay import Replay
from firmware_sim.audit.rights import Rights
from firmware_sim.audit.totals import totals
from firmware_sim.audit.trades import Traded, Trades

Report = dict[str, Any]
MISUNDERSTOOD = (ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The four files of an audit."""

    blocks: Path
    trust: Path
    books: Path
    facts: Path


def audit(sources: Sources) -> Report:
    """Return the report; a malformed file is a finding. Raise OSError if a file cannot be read."""
    findings = Findings()
    report: Report = {}
    trades: list[Traded] = []

    def read(name: str, part: Callable[[], Report]) -> None:
        try:
            report.update(part())
        except MISUNDERSTOOD as fault:
            findings.add("UNREADABLE", name, expected="what its format says", found=repr(fault))

    read("ledger", lambda: _ledger(sources, findings, trades))
    read("station and books", lambda: _station(sources, findings, trades))
    metered_wh = sum(report.get("witness", {}).values())
    if not trades or not metered_wh:
        nothing = {"trades": len(trades), "metered_wh": metered_wh}
        findings.add("NOTHING_TO_VERIFY", "run", expected="trades and metered energy", found=nothing)
    listed = [asdict(finding) for finding in findings.found]
    return {"verified": not listed, "findings": listed, **report}


def _ledger(sources: Sources, findings: Findings, all_trades: list[Traded]) -> Report:
    """Audit the blocks by themselves; append the trades to `all_trades` in their order."""
    roots = Roots(json.loads(sources.trust.read_text(encoding="utf-8")))
    prices, trades = Prices(findings), Trades(findings)
    checks = (Rights(findings, roots.msps), prices, trades, Owners(findings))
    replay = Replay(roots=roots, findings=findings, checks=checks)
    replay.run(sources.blocks.read_bytes())
    all_trades += trades.all
    tokens, energy = totals(replay.state, findings)
    weights = prices.weights_ppm
    return {
        "blocks": replay.blocks,
        "transactions": replay.transactions,
        "invalid": replay.invalid,
        "functions": dict(replay.functions),
        "tokens": tokens,
        "energy": energy,
        "price_weights": {
            "min": min(weights, default=0),
            "max": max(weights, default=0),
            "distinct": len(set(weights)),
        },
    }


def _station(sources: Sources, findings: Findings, trades: list[Traded]) -> Report:
    """Compare the station's trades with its facts and the sealed books."""
    with sources.facts.open(encoding="utf-8") as lines:
        facts = read_facts(lines)
    own, direct = _split_direct(trades, facts)
    comparison = Comparison(
        books=json.loads(sources.books.read_text(encoding="utf-8")),
        facts=facts,
        trades=own,
        findings=findings,
    )
    comparison.run()
    untraded = comparison.untraded_wh()
    by_code: Counter[str] = Counter()
    for (_, code), energy_wh in sorted(untraded.items()):
        by_code[code] += energy_wh
    imported = [trade for trade in own if trade.direction == "import"]
    retail = [trade for trade in imported if trade.kind == "RETAIL"]
    retail_reasons: Counter[str] = Counter()
    for trade in retail:
        retail_reasons[str(trade.reason)] += trade.energy_wh
    found = cuts(comparison.books, facts, findings)
    return {
        "trades": len(own),
        "ledger": {
            f"{name}_wh": _energy_wh([trade for trade in own if trade.direction == name])
            for name in DIRECTIONS
        },
        "market_wh": _energy_wh(imported) - _energy_wh(retail),
        "retail_wh": _energy_wh(retail),
        "retail_reasons": dict(retail_reasons),
        "direct_wh": _energy_wh(direct),
        "untraded": {
            f"{name}_wh": sum(energy_wh for (of, _), energy_wh in untraded.items() if of == name)
            for name in DIRECTIONS
        }
        | {"by_code": dict(by_code)},
        "witness": {f"{name}_wh": comparison.witnessed_wh(name) for name in DIRECTIONS},
        "unmetered": {f"{name}_wh": comparison.unmetered_wh(name) for name in DIRECTIONS},
        **_boundaries(found),
    }


def _boundaries(found: list[Cut]) -> Report:
    bound_mwh = max((cut.bound_mwh for cut in found), default=0)
    return {"boundary_error_wh": percentiles_wh(found), "boundary_bound_wh": bound_mwh / 1000}


def _split_direct(trades: list[Traded], facts: Facts) -> tuple[list[Traded], list[Traded]]:
    """Return the trades of the station's own meters, and the direct sales of other plants."""
    refs = {meter.meter_ref for meter in facts.meters}
    direct = [trade for trade in trades if trade.kind == "DIRECT" and trade.meter_ref not in refs]
    return [trade for trade in trades if trade not in direct], direct


def _energy_wh(trades: list[Traded]) -> int:
    return sum(trade.energy_wh for trade in trades)
