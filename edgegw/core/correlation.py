"""Typed keys that match answers to their requests: waiting CALLs, timers and queries.

Keys are values with fields, never texts to be parsed. Timers and open queries end with the process, and `station.wake`
starts those that are still needed. Both unions are closed: `station` matches every member.
"""

from dataclasses import dataclass

from edgegw.common.trade_terms import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRef:
    """A charger's CALL that waits for its answer; `connection` tells its socket from those before and after it."""

    charger_id: str
    connection: int
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAnswerDue:
    """The deadline for the answer to a start, with or without its hold and first reading."""

    evse_id: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointRetryDue:
    """The time to plan again after the charger refused a setpoint."""

    evse_id: str
    setpoint_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointEnded:
    """The end of the newest setpoint of an order; an EVSE has one such timer."""

    evse_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStartDue:
    """The deadline for a charger to begin the transaction of an order."""

    order_id: str


TimerKey = StartAnswerDue | SetpointRetryDue | SetpointEnded | OrderStartDue


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationBalance:
    """The balance of the member behind an Authorize; `sells`: the member may start without tokens."""

    call: CallRef
    sells: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalOffers:
    """The open offers of a product, from which slices for an interval are reserved."""

    product: Product
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredits:
    """The unswept credits of a session's member, before its sale begins."""

    evse_id: str
    session_id: str


QueryKey = AuthorizationBalance | IntervalOffers | SessionCredits
