"""What brings an answer back to its question: a charger's waiting CALL, the key of a timer, the key of a query.

Keys are values with fields, never texts to be taken apart. None is journalled: timers and open queries end with the
process, and `station.wake` starts those that are still wanted. Both unions are closed: `station` matches every member.
"""

from dataclasses import dataclass

from edgegw.common.trade_terms import Product


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRef:
    """A charger's CALL that waits for its answer; `connection` fences off answers to a replaced socket."""

    charger_id: str
    connection: int
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAnswerDue:
    """A start must be answered by now, with or without its hold and first reading."""

    evse_id: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointRetryDue:
    """A setpoint that the charger refused is to be planned again."""

    evse_id: str
    setpoint_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointEnded:
    """The newest setpoint of an order has ended; an EVSE has one such timer."""

    evse_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStartDue:
    """The charger must have begun the transaction of an order by now."""

    order_id: str


TimerKey = StartAnswerDue | SetpointRetryDue | SetpointEnded | OrderStartDue


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationBalance:
    """The balance of the member behind an Authorize; `sells`: the member may start without tokens."""

    call: CallRef
    sells: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalOffers:
    """The open offers for a product, to reserve slices of an interval from."""

    product: Product
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredits:
    """The unswept credits of the member of a session, before its sale begins."""

    evse_id: str
    session_id: str


QueryKey = AuthorizationBalance | IntervalOffers | SessionCredits
