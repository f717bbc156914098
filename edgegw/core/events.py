"""Events: what adapters report to the core. The core receives nothing in any other way.

Times are UTC nanoseconds of the station's clock unless a docstring states otherwise. `None` means "not measured" or "not
given", never zero.
Source: OCPP 1.6 edition 2, OCPP 2.0.1 and 2.1 Part 2 for the terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Literal

from edgegw.common.member_terms import MemberTerms
from edgegw.core import correlation
from edgegw.core.orders import Order

CallRef = correlation.CallRef  # names the waiting CALL in its event


class ChargingState(StrEnum):
    """OCPP 2.x chargingState; the connector status of 1.6 is mapped to it."""

    EV_CONNECTED = "EVConnected"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    IDLE = "Idle"


class ConnectorStatus(StrEnum):
    """OCPP 2.x connectorStatus without Reserved; the status of 1.6 is mapped to it."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSample:
    """A charger's own measurement: serves as evidence and for the state of charge, never for billing."""

    at_ns: int
    import_wh: int | None = None
    export_wh: int | None = None
    power_w: int | None = None  # import positive
    soc_bp: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A flaw of a message; `code` is one of `edgegw.common.error_codes`. A flawed billing message is still accepted."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerConnected:
    """A charger's connection is open, authenticated and uses OCPP `version` ("1.6", "2.0.1" or "2.1")."""

    charger_id: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerDisconnected:
    """The charger's connection is closed; its transactions may go on."""

    charger_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerBooted:
    """BootNotification: the charger forgot its profiles, not its transactions."""

    charger_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatusChanged:
    """StatusNotification of one EVSE; `at_ns` is by the charger's clock, or the receipt where it sent none."""

    evse_id: str
    status: ConnectorStatus
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRequested:
    """A driver presented an idToken (as its keyed hash); `call` waits for an AuthorizeAnswer."""

    call: CallRef
    id_token_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted:
    """StartTransaction or TransactionEvent Started. `business_key` is equal for repeats of one message.

    `transaction_id` is the charger's (2.x), or a fresh unguessable decimal proposed by the adapter (1.6); the core
    answers with the id it keeps. `frame` is the text with masked idTokens, journalled whatever becomes of the message.
    """

    call: CallRef
    business_key: str
    frame: str
    evse_id: str
    transaction_id: str
    id_token_hash: str | None
    at_ns: int
    offline: bool = False
    sample: ChargerSample | None = None
    flaws: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionUpdated:
    """TransactionEvent Updated, or MeterValues of a transaction. `call` waits for an Acknowledge."""

    call: CallRef
    business_key: str | None
    frame: str
    evse_id: str | None  # None: resolve by transaction_id
    transaction_id: str | None
    charging_state: ChargingState | None
    offline: bool = False
    id_token_hash: str | None = None  # an idToken that came after the start (2.x)
    samples: tuple[ChargerSample, ...] = ()
    flaws: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded:
    """StopTransaction or TransactionEvent Ended; one with an unknown id is also stored and acknowledged."""

    call: CallRef
    business_key: str
    frame: str
    charger_id: str
    evse_id: str | None
    transaction_id: str
    at_ns: int
    reason: str
    samples: tuple[ChargerSample, ...] = ()
    flaws: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingStateChanged:
    """Whether the car takes power: from a 1.6 connector status, or from the state in a 2.x start."""

    evse_id: str
    charging_state: ChargingState


@dataclass(frozen=True, slots=True, kw_only=True)
class EvNeedsReported:
    """NotifyEVChargingNeeds (2.x), already answered by the adapter."""

    evse_id: str
    bidirectional: bool
    charge_power_w_max: int | None
    discharge_power_w_max: int | None
    departure_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointAnswered:
    """The charger's answer to ApplySetpoint `setpoint_id`; not accepted covers refusal, timeout and a lost socket."""

    evse_id: str
    setpoint_id: int
    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """A driver placed an order on a page; `id_token` is in clear, and never logged or journalled."""

    order: Order
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStopped:
    """A member asked to stop the session or order at an EVSE; effective only where it is the member's own."""

    evse_id: str
    member_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteStartAnswered:
    """The charger's answer to StartRemotely `remote_start_id`; not accepted covers refusal, timeout, a lost socket."""

    evse_id: str
    remote_start_id: int
    accepted: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterRead:
    """One Modbus reading of both registers in a single request, sent at `t0_ns` and answered at `t1_ns`."""

    meter_id: str
    t0_ns: int
    t1_ns: int
    import_mwh: int | None
    export_mwh: int | None
    power_w: int | None
    serial: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReadFailed:
    """No usable answer from a meter; `code` (of `common.error_codes`) and `detail` are for operators."""

    meter_id: str
    at_ns: int
    reason: str
    code: str = "EGW-2005"
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAdopted:
    """An operator accepted the device with this serial as the meter."""

    meter_id: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRerated:
    """The configuration gives a meter another limit, or a register map with another step."""

    meter_id: str
    power_w_max: int
    step_mwh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTicked:
    """The timetable instant that `schedule.next_tick_ns` returned has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A real-time timer set by StartTimer expired."""

    key: correlation.TimerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """A submission is endorsed; the envelope is signed, and not sent yet."""

    submission_id: str
    tx_id: str
    envelope_hex: str
    result: Mapping[str, object]


EndorseFailure = Literal["business", "mismatch", "unavailable", "clock", "identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorseFailed:
    """A submission is not endorsed. `kind` "business": the contract refused it with `code`."""

    submission_id: str
    kind: EndorseFailure
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitKnown:
    """The validation code ("VALID", "MVCC_READ_CONFLICT", …) of a submitted envelope is known."""

    submission_id: str
    tx_id: str
    code: str
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitUnknown:
    """The commit status is not known yet; the same bytes are to be sent again."""

    submission_id: str
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEventSeen:
    """A chaincode event of a committed block, in order; `block` and `tx_id` are the checkpoint."""

    name: str
    payload: Mapping[str, object]
    block: int
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAnswered:
    """The answer to a Query; `result` is None where the peer could not answer."""

    key: correlation.QueryKey
    result: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesEstimated:
    """All expected prices of intervals without a fixed one: `product:interval` to milli-token per kWh."""

    estimates: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersChanged:
    """All members of the representative: keyed hash of the idToken to terms."""

    links: Mapping[str, MemberTerms]


class StorageLevel(IntEnum):
    """How full the disk is; each level includes the restrictions of those before it."""

    OK = 0
    WARN = 1
    NO_TELEMETRY = 2  # only what is needed for billing is stored
    NO_SESSIONS = 3  # no new session begins; running ones go on
    BALLAST_RELEASED = 4  # the journal uses the space reserved for it


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageChanged:
    """The disk filled up, or has room again."""

    level: StorageLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted:
    """The daemon shuts down: close open segments, accept nothing new."""


TransactionMessage = TransactionStarted | TransactionUpdated | TransactionEnded
EvseMessage = ConnectorStatusChanged | ChargingStateChanged | EvNeedsReported | SetpointAnswered
MeterReading = RegisterRead | MeterReadFailed  # the only events that a full inbox may drop
LedgerAnswer = Endorsed | EndorseFailed | CommitKnown | CommitUnknown

# Closed: `core.station.HANDLERS` has a row for every member.
Event = (
    ChargerConnected
    | ChargerDisconnected
    | ChargerBooted
    | EvseMessage
    | AuthorizeRequested
    | TransactionMessage
    | OrderPlaced
    | OrderStopped
    | RemoteStartAnswered
    | MeterReading
    | MeterAdopted
    | MeterRerated
    | ClockTicked
    | TimerFired
    | LedgerAnswer
    | LedgerEventSeen
    | QueryAnswered
    | MembersChanged
    | PricesEstimated
    | StorageChanged
    | DrainStarted
)
