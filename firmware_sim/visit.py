"""Hold the values of a car's visit and its OCPP transaction, shared by charger, connection and sealed books.

Decides a visit's outcome. `Charger` decides what happens during it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_sim.ev import NJ_PER_MWH
from firmware_sim.plans import VisitPlan
from firmware_sim.plant import PluggedCar

SERVED_PERCENT = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A reading of the charger's own meter. Power is positive for import."""

    at_ns: int
    import_wh: int
    export_wh: int
    power_w: int
    soc_percent: int


@dataclass(slots=True, kw_only=True)
class Transaction:
    """One OCPP transaction. `number` is the id that 1.6's server assigns; `verdict` is its answer to the start."""

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
    """A transaction event to send. `kind`: started, updated or ended."""

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
    """A car's visit: its plan, and its outcome so far."""

    plan: VisitPlan
    outcome: str = "waiting"
    transactions: int = 0
    stop_reasons: list[str] = field(default_factory=list)
    moved: PluggedCar | None = None

    def outcome_now(self) -> str:
        """Return the outcome if the car left now: unless refused, `served` or `short` of the wanted energy."""
        if self.moved is None or self.outcome.startswith("refused"):
            return self.outcome
        enough = self.moved.import_nj * 100 >= self.moved.wanted_nj * SERVED_PERCENT
        return "served" if enough else "short"

    @property
    def import_mwh(self) -> int:
        """The car's import at the EVSE's meter."""
        return 0 if self.moved is None else self.moved.import_nj // NJ_PER_MWH

    @property
    def export_mwh(self) -> int:
        """The car's export at the EVSE's meter."""
        return 0 if self.moved is None else self.moved.export_nj // NJ_PER_MWH
