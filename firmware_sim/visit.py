"""A car's visit and its OCPP transaction, as the charger, its connection and the sealed books tell each other of them.

Decides what a visit came to. Values only: what happens is the charger's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_sim.ev import NJ_PER_MWH
from firmware_sim.plans import VisitPlan
from firmware_sim.plant import PluggedCar

SERVED_PERCENT = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the charger's own meter shows. Power is positive for import."""

    at_ns: int
    import_wh: int
    export_wh: int
    power_w: int
    soc_percent: int


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One OCPP transaction. `number` is the id 1.6's server gives; `verdict` the answer to the start."""

    tx_id: str
    id_token: str
    remote_start_id: int | None = None
    number: int | None = None
    verdict: str | None = None
    stop_reason: str | None = None
    begin: Reading | None = None
    state: str = "EVConnected"
    central: bool = False
    events: int = 0
    next_sample_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TxEvent:
    """One thing worth telling about a transaction. `kind`: started, updated, ended."""

    kind: str
    tx: Transaction
    seq_no: int
    reading: Reading
    trigger: str
    context: str
    state: str
    central: bool
    offline: bool


@dataclass(slots=True)
class Visit:
    """A car's visit and what became of it."""

    plan: VisitPlan
    outcome: str = "waiting"
    transactions: int = 0
    stop_reasons: list[str] = field(default_factory=list)
    moved: PluggedCar | None = None

    def outcome_now(self) -> str:
        """Return the outcome if the car left now: a visit that was not refused is served or short of energy."""
        if self.moved is None or self.outcome.startswith("refused"):
            return self.outcome
        enough = self.moved.import_nj * 100 >= self.moved.wanted_nj * SERVED_PERCENT
        return "served" if enough else "short"

    @property
    def import_mwh(self) -> int:
        """Energy the car took at the EVSE's meter."""
        return 0 if self.moved is None else self.moved.import_nj // NJ_PER_MWH

    @property
    def export_mwh(self) -> int:
        """Energy the car gave at the EVSE's meter."""
        return 0 if self.moved is None else self.moved.export_nj // NJ_PER_MWH
