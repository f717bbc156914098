"""Effects: what the gateway performs for the core, after the journal's commit. The core acts in no other way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edgegw.common.trade_terms import Product
from edgegw.core.correlation import CallRef, QueryKey, TimerKey


class IdTokenStatus(StrEnum):
    """OCPP authorization status: the values that 1.6 and 2.x share."""

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
    """Answer to a stored message that needs nothing else."""


Answer = AuthorizeAnswer | StartAnswer | Acknowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCall:
    """Send the answer to a waiting CALL; dropped where its connection is gone."""

    call: CallRef
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplySetpoint:
    """Command power until `ends_ns`, after which the charger falls back to `fallback_w` by itself.

    `power_w` is positive to charge and negative to discharge; `fallback_w` is never negative. The adapter translates it
    to the charger's dialect and answers with SetpointAnswered.
    """

    evse_id: str
    setpoint_id: int
    transaction_id: str
    power_w: int
    ends_ns: int
    fallback_w: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowEnergyTransfer:
    """Set whether a transaction at a 2.1 charger may discharge (NotifyAllowedEnergyTransfer)."""

    evse_id: str
    transaction_id: str
    bidirectional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRemotely:
    """Send RemoteStartTransaction or RequestStartTransaction; the adapter answers with RemoteStartAnswered.

    `id_token` is in clear, because the charger needs it: never logged, journalled or shown.
    """

    evse_id: str
    id_token: str = field(repr=False)
    remote_start_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRemotely:
    """Send RemoteStopTransaction or RequestStopTransaction."""

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
    """Request endorsement of a frozen payload, after `wait_ms` of real time (back-off)."""

    submission_id: str
    function: str
    arguments_json: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitEnvelope:
    """Submit these exact bytes, then query CommitStatus whatever Submit returned, after `wait_ms` of real time."""

    submission_id: str
    tx_id: str
    envelope_hex: str
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Evaluate a contract function on the organisation's peer; QueryAnswered carries the same key."""

    key: QueryKey
    function: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLoad:
    """Report to the representative what this station expects in an interval (charging demand or V2G supply)."""

    product: Product
    interval: int
    energy_wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """Write a log line; `name` is on the closed list of `ops.logs`."""

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
