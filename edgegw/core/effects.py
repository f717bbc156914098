"""What to do, in the imperative: the only way the core reaches the world. Performed after the journal's commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edgegw.common.trade_terms import Product
from edgegw.core.correlation import CallRef, QueryKey, TimerKey


class IdTokenStatus(StrEnum):
    """OCPP authorization status, the part that 1.6 and 2.x share."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeAnswer:
    """Answer to Authorize; `bidirectional` allows V2X energy transfer (2.1)."""

    status: IdTokenStatus
    bidirectional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAnswer:
    """Answer to StartTransaction or TransactionEvent Started."""

    status: IdTokenStatus
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """A plain CALLRESULT: the message is stored."""


Answer = AuthorizeAnswer | StartAnswer | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCall:
    """Send the answer to a waiting CALL; dropped where its connection was replaced."""

    call: CallRef
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplySetpoint:
    """Command power until `ends_ns`, after which the charger falls back to `fallback_w` by itself.

    `power_w` is signed as control means it: positive charges, negative discharges. `fallback_w` is never negative.
    The adapter turns it into the charger's dialect and answers with SetpointAnswered.
    """

    evse_id: str
    setpoint_id: int
    transaction_id: str
    power_w: int
    ends_ns: int
    fallback_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowEnergyTransfer:
    """Tell a 2.1 charger whether this transaction may discharge (NotifyAllowedEnergyTransfer)."""

    evse_id: str
    transaction_id: str
    bidirectional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRemotely:
    """RemoteStartTransaction or RequestStartTransaction; the adapter answers with RemoteStartAnswered.

    `id_token` is in clear, because the charger must be told it: never logged, journalled or shown.
    """

    evse_id: str
    id_token: str = field(repr=False)
    remote_start_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRemotely:
    """RemoteStopTransaction or RequestStopTransaction."""

    evse_id: str
    transaction_id: str


# Closed: what waits its turn on a charger's socket. `tests/support/outgoing_commands.py` lists what each member takes.
ChargerCommand = ApplySetpoint | AllowEnergyTransfer | StartRemotely | StopRemotely


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMeter:
    """Read this meter as soon as its bus is free."""

    meter_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTimer:
    """Send TimerFired(key) after `after_s` seconds of real time; the same key replaces an older timer."""

    key: TimerKey
    after_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorseSubmission:
    """Ask for endorsement of a frozen payload; `wait_ms` of real time first (back-off)."""

    submission_id: str
    function: str
    arguments_json: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitEnvelope:
    """Submit these very bytes, then ask CommitStatus, whatever Submit said."""

    submission_id: str
    tx_id: str
    envelope_hex: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Evaluate on the organisation's own peer; answered by QueryAnswered with the same key."""

    key: QueryKey
    function: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLoad:
    """Tell the representative what this station expects in an interval (charging demand or V2G supply, Wh)."""

    product: Product
    interval: int
    energy_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One canonical log line; `name` is on the closed list of `ops.logs`."""

    name: str
    fields: Mapping[str, object]


# Closed: `gateway.loop.Gateway` performs every member.
Effect = (
    AnswerCall
    | ChargerCommand
    | ReadMeter
    | StartTimer
    | EndorseSubmission
    | SubmitEnvelope
    | Query
    | ReportLoad
    | LogEvent
)
