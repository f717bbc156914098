"""The station's state: tables of frozen rows, restored from the journal's rows, never by replaying old events.

A table maps keys to frozen dataclasses; the journal stores each row as JSON under `table/key`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Direction, LineKind, Product
from edgegw.common.units import SECOND_NS
from edgegw.core import submission as life
from edgegw.core.correlation import QueryKey
from edgegw.core.effects import IdTokenStatus
from edgegw.core.events import (
    CallRef,
    ChargerSample,
    ChargingState,
    ConnectorStatus,
    StorageLevel,
)
from edgegw.core.market import Price, Slice
from edgegw.core.metering import MeterAccount
from edgegw.core.orders import Order
from edgegw.core.planning import KeptPlan


class Phase(StrEnum):
    """Phase of an EVSE's session."""

    VACANT = "vacant"
    STARTING = "starting"  # a start waits for its first reading and its hold
    ACTIVE = "active"  # energy may flow
    STOPPING = "stopping"  # a transaction runs without a hold: 0 W, to be stopped


class SaleStage(StrEnum):
    """Stages of a sale's preparation (docs/ledger.md, Life of a session): cut, settle, sweep, attest, hold."""

    NONE = "none"
    CUTTING = "cutting"
    SETTLING = "settling"
    SWEEPING = "sweeping"
    ATTESTING = "attesting"
    HOLDING = "holding"
    READY = "ready"
    OVER = "over"


class HoldState(StrEnum):
    """States of a hold: requested, drawn on, closed, released after its last line."""

    REQUESTED = "requested"
    OPEN = "open"
    CLOSING = "closing"
    RELEASING = "releasing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session: a driver's transaction, between plug-in and unplug."""

    session_id: str
    transaction_id: str
    start_key: str
    started_ns: int
    terms: MemberTerms | None = None
    pending_calls: tuple[CallRef, ...] = ()
    answered: bool = False
    began: bool = False
    ended_ns: int | None = None
    charge_hold_id: str | None = None
    sale_hold_id: str | None = None
    sale: SaleStage = SaleStage.NONE
    soc_bp: int | None = None
    charging_state: ChargingState | None = None
    satisfied: bool = False  # the car has stopped taking power by itself
    charge_power_w_max: int | None = None
    discharge_power_w_max: int | None = None
    departure_ns: int | None = None
    first_epoch: int | None = None  # epoch and registers of the meter at its first reading, for its summary
    first_import_mwh: int = 0
    first_export_mwh: int = 0
    end_reason: str = ""
    baseline_wh: int | None = None  # the charger's own import register at the start; evidence
    disputed: bool = False  # that register fell below its value at the start
    order_id: str | None = None
    stop_asked: bool = False  # the driver asked to stop it
    holds_nothing: bool = False  # the driver sells, and has no tokens
    import_wh: int = 0  # of its closed segments
    export_wh: int = 0
    paid_mtok: int = 0  # of its recorded trades
    earned_mtok: int = 0


def with_sample(session: Session, sample: ChargerSample | None) -> Session:
    """Return the session with the state of charge of a sample."""
    if sample is None or sample.soc_bp is None or sample.soc_bp == session.soc_bp:
        return session
    return replace(session, soc_bp=sample.soc_bp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """The last commanded setpoint; `accepted` is None until the charger answers."""

    setpoint_id: int
    power_w: int
    ends_ns: int
    accepted: bool | None = None
    over: bool = False  # commanded together with a stop of the session
    since_ns: int = 0
    import_wh: int = 0  # may have flowed between the last reading and this command
    export_wh: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evse:
    """One EVSE: its phase, its session, and a session that ended but waits for its last reading."""

    evse_id: str
    phase: Phase = Phase.VACANT
    session: Session | None = None
    ending: Session | None = None
    online: bool = False
    setpoint: Setpoint | None = None
    setpoint_count: int = 0
    setpoints_refused: int = 0  # in a row
    quarantined: int = 0
    status: ConnectorStatus | None = None  # last reported, of its connector


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBook:
    """The station's account of a hold; `total` and `used` are milli-token (CHARGE) or gross Wh (DISCHARGE)."""

    hold_id: str
    evse_id: str
    session_id: str
    member_id: str
    product: Product
    limit_mtok_per_kwh: int
    total: int = 0
    used: int = 0
    state: HoldState = HoldState.REQUESTED
    release_after_ns: int = 0  # lines may still come until the meter is cut at or after this instant

    @property
    def left(self) -> int:
        """What further lines may draw."""
        return self.total - self.used


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeLine:
    """A metered trade on its way to the ledger, from `start_wh` to `end_wh` of the meter's register."""

    trade_id: str
    number: int
    meter_id: str
    meter_ref: str
    epoch: int
    direction: Direction
    start_wh: int
    end_wh: int
    interval: int
    kind: LineKind
    hold_id: str
    slice_id: str | None
    reason: str | None
    cost: int  # what it may draw from the hold: milli-token or gross Wh
    evidence_hash: str
    evse_id: str
    session_id: str
    accept_retail: bool
    submission_id: str | None = None

    @property
    def energy_wh(self) -> int:
        """Energy of the line."""
        return self.end_wh - self.start_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """The first answer to a billing message, for its repeats."""

    status: IdTokenStatus
    transaction_id: str
    at_ns: int = 0  # dropped days after this instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Running sums of traded and untraded energy, and counters; keys are `direction:CODE` or codes."""

    trades: int = 0
    market_wh: int = 0
    retail_wh: int = 0
    sold_wh: int = 0
    retail_reasons: Mapping[str, int] = field(default_factory=dict)
    untraded: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    sessions: int = 0
    number: int = 0  # last number given to a line, slice or submission
    ticked_ns: int = 0
    event_block: int = -1
    event_tx: str = ""  # the transaction of the last event in that block
    boots: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """Records that the journal was restored from a backup and is not reconciled yet (`restore_reconcile`)."""

    source: str
    at_ns: int  # real time


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSettings:
    """Configuration of one EVSE."""

    evse_id: str
    charger_id: str
    meter_id: str
    rated_w: int
    discharge_w: int = 0
    standby_w: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Configuration of the station; durations in ns are of the station's clock."""

    station_id: str
    zone: str
    gateway_id: str
    evses: Mapping[str, EvseSettings]
    meter_evse: Mapping[str, str]  # meter id -> the EVSE it serves
    nonce_key: bytes
    start_answer_s: int = 8  # real time
    order_start_s: int = 120  # real time: limit for a charger to begin the transaction of an order
    start_expiry_ns: int = 900 * SECOND_NS
    hold_wh: int = 100_000
    hold_limit_mtok_per_kwh: int = 400_000
    loss_bp: int = 0
    site_w_max: int | None = None
    guard_ns: int = 30 * SECOND_NS
    cutoff_ns: int = 300 * SECOND_NS
    report_lead_ns: int = 120 * SECOND_NS
    stale_ns: int = 600 * SECOND_NS
    lines_max: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """All tables of one station, between two steps."""

    settings: Settings
    evses: Mapping[str, Evse]
    meters: Mapping[str, MeterAccount]
    holds: Mapping[str, HoldBook] = field(default_factory=dict)
    slices: Mapping[str, Slice] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    lines: Mapping[str, TradeLine] = field(default_factory=dict)
    submissions: Mapping[str, life.Open] = field(default_factory=dict)
    answers: Mapping[str, CachedAnswer] = field(default_factory=dict)
    tally: Mapping[str, Tally] = field(default_factory=lambda: {"all": Tally()})
    restores: Mapping[str, Restore] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    members: Mapping[str, MemberTerms] = field(
        default_factory=dict
    )  # from the representative, not journalled
    queries: frozenset[QueryKey] = frozenset()  # open queries, not journalled
    estimates: Mapping[str, int] = field(
        default_factory=dict
    )  # of prices, not journalled: sent again after a start
    plans: Mapping[str, KeptPlan] = field(default_factory=dict)  # by EVSE, not journalled: made again
    storage: StorageLevel = StorageLevel.OK  # not journalled: checked first after a start
    draining: bool = False


# The journalled tables: name, which is the prefix of their keys, and class of the rows.
TABLES: Mapping[str, type] = {
    "evses": Evse,
    "meters": MeterAccount,
    "holds": HoldBook,
    "slices": Slice,
    "prices": Price,
    "lines": TradeLine,
    "submissions": life.Payload,
    "answers": CachedAnswer,
    "tally": Tally,
    "restores": Restore,
    "orders": Order,
}
# Tables that are not journalled: adapters send them again after a start, or the core makes them again.
NOT_JOURNALLED = ("members", "estimates", "plans")
