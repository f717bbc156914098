"""Write the sealed books: the energy that truly flowed, by the physics, with a SHA-256 seal.

Decides the books' format. Reads only the plants, never the messages of a meter or charger. Energies are in mWh, each
truncated separately, so that a sum of parts may be less than their register by up to one mWh per part.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from firmware_sim import __version__
from firmware_sim.ev import NJ_PER_MWH
from firmware_sim.evse_rig import EvseRig
from firmware_sim.plans import Scenario
from firmware_sim.plant import Mark
from firmware_sim.visit import Visit
from firmware_sim.world import NS_PER_S, QUARTER_NS, Clock, iso


def canonical(content: Any) -> bytes:
    """Return content as canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal_of(books: dict[str, Any]) -> str:
    """Return the SHA-256 over the books without their seal."""
    return hashlib.sha256(canonical({key: books[key] for key in books if key != "seal"})).hexdigest()


def build_books(scenario: Scenario, rigs: Iterable[EvseRig], clock: Clock) -> dict[str, Any]:
    """Return the sealed books up to now."""
    now_ns = clock.now_ns()
    evses = {rig.plan.evse: _evse(rig, now_ns, clock.utc_origin_ns) for rig in rigs}
    visits = [visit for evse in evses.values() for visit in evse["visits"]]
    books: dict[str, Any] = {
        "tool": {"name": "firmware-sim", "version": __version__},
        "seed": scenario.seed,
        "utc_start": iso(clock.utc_origin_ns),
        "utc_sealed": iso(now_ns),
        "ended": clock.utc_end_ns is not None and now_ns >= clock.utc_end_ns,
        "evses": evses,
        "sessions": len(visits),
        "outcomes": dict(Counter(visit["outcome"] for visit in visits)),
        "wanted_wh": sum(visit["wanted_wh"] for visit in visits),
        "witness": {
            f"{direction}_wh": sum(
                evse["register_end_mwh"][direction] // 1000 - evse["register_start_mwh"][direction] // 1000
                for evse in evses.values()
            )
            for direction in ("import", "export")
        },
    }
    books["seal"] = seal_of(books)
    return books


def write_books(path: Path, books: dict[str, Any]) -> None:
    """Write the books atomically."""
    replace_file(path, json.dumps(books, sort_keys=True, indent=1))


def replace_file(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a file atomically, by renaming a complete one; with `durable` it is flushed to disk first."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)


def _evse(rig: EvseRig, now_ns: int, start_ns: int) -> dict[str, Any]:
    plant = rig.plant
    import_mwh, export_mwh, _ = plant.registers(now_ns)
    marks = list(plant.marks)
    if start_ns % QUARTER_NS == 0:
        marks.insert(0, Mark(start_ns, plant.start_import_mwh, plant.start_export_mwh))
    return {
        "charger_id": rig.plan.charger_id,
        "ocpp": rig.plan.ocpp,
        "rated_w": rig.plan.rated_w,
        "standby_w": rig.plan.standby_w,
        "register_start_mwh": {"import": plant.start_import_mwh, "export": plant.start_export_mwh},
        "register_end_mwh": {"import": import_mwh, "export": export_mwh},
        "standby_mwh": plant.standby_nj // NJ_PER_MWH,
        "quarters": [_mark(mark) for mark in marks],
        "resets": [_mark(mark) for mark in rig.resets],
        "visits": [_visit(visit) for visit in rig.visits],
    }


def _mark(mark: Mark) -> dict[str, int]:
    """Return a mark as JSON; `utc_s` is rounded down, which is exact for quarter hours."""
    return {"utc_s": mark.at_ns // NS_PER_S, "import_mwh": mark.import_mwh, "export_mwh": mark.export_mwh}


def _visit(visit: Visit) -> dict[str, Any]:
    plan, moved = visit.plan, visit.moved
    return {
        "id_token": plan.id_token,
        "arrival": iso(plan.arrival_ns),
        "departure": iso(plan.departure_ns),
        "wanted_wh": plan.wanted_wh,
        "sells": plan.car.max_discharge_w is not None,
        "outcome": visit.outcome_now(),
        "transactions": visit.transactions,
        "stop_reasons": list(visit.stop_reasons),
        "import_mwh": visit.import_mwh,
        "export_mwh": visit.export_mwh,
        "soc_start_ppm": plan.car.soc_ppm,
        "soc_end_ppm": plan.car.soc_ppm if moved is None else moved.battery.soc_ppm,
    }
