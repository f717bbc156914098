"""Defines orders: a driver's request at one EVSE to charge, to sell, or to do both automatically until departure.

Decides what a valid order is, and which codes it may carry. `order_intake` accepts and refuses orders, `order_control`
decides on power, `quote` computes the cost. Never holds an idToken in clear.
Source: DESIGN.md, An order from a page; docs/events.md (codes of a refused order).
"""

from dataclasses import dataclass
from enum import StrEnum

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import SECOND_NS

DEPARTURE_NS_MOST = 48 * 3_600 * SECOND_NS  # the longest a plan looks ahead
SALE_WH_MIN = 500  # less is not worth a sale


class Aim(StrEnum):
    """What the driver wants."""

    CHARGE = "charge"
    SELL = "sell"
    WORK = "work"  # charge and sell automatically: charge when cheap, sell when dear


class OrderState(StrEnum):
    """States of an order: it waits for its session, runs with it and ends with it, or is refused."""

    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"


OPEN = frozenset({OrderState.ASKED, OrderState.RUNNING})

# Every code of the station in an order or a quote; a hold that the contract refuses adds the contract's own code.
REFUSALS = frozenset({
    # the order itself
    "NO_ENERGY", "ENERGY_TOO_SMALL", "NO_DEPARTURE", "DEPARTURE_PAST", "DEPARTURE_TOO_FAR", "NO_BATTERY", "NO_DISCHARGE",
    # the state of the station
    "UNKNOWN_EVSE", "CHARGER_OFFLINE", "OUT_OF_ORDER", "EVSE_BUSY", "DISK_FULL", "DRAINING", "ORDER_OPEN",
    # the charger
    "CHARGER_REFUSED", "NO_START", "STOPPED", "JOURNAL_RESTORED",
    # the start, as for any other start
    "METER_TIMEOUT", "LEDGER_TIMEOUT", "EXPIRED", "ZERO_TOKENS", "INSUFFICIENT_TOKENS", "LEFT_EARLY",
    # a quote alone
    "NO_PRICE", "NO_SOC", "SOC_NOT_REACHED", "NOTHING_TO_SELL",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. `terms` are the driver's choices for it; `id_token_hash` identifies its start."""

    order_id: str
    evse_id: str
    id_token_hash: str
    terms: MemberTerms
    aim: Aim
    energy_wh: int | None = None  # CHARGE: most to deliver; SELL: most to discharge; WORK: None
    departure_ns: int | None = None  # SELL and WORK: ready by
    soc_bp_wanted: int | None = None  # at departure
    soc_bp_told: int | None = None  # by the driver, where the car reports none: plans a charge, never a sale
    placed_ns: int = 0
    state: OrderState = OrderState.ASKED
    code: str = ""  # why refused, or STOPPED where the driver ended it
    session_id: str | None = None
    remote_start_id: int | None = None  # of the request to the charger
    from_import_wh: int = 0  # what the session had moved when it took the order
    from_export_wh: int = 0


def fault(order: Order, *, discharge_w: int, now_ns: int) -> str | None:
    """Return the code of what is wrong with an order itself at an EVSE that discharges `discharge_w`, or None."""
    energy_wh, leaves_ns = order.energy_wh, order.departure_ns
    sells, charges = order.aim is Aim.SELL, order.aim is Aim.CHARGE
    planned = order.aim is Aim.WORK or (sells and order.soc_bp_wanted is not None)
    checks = (
        (energy_wh is not None and energy_wh <= 0, "NO_ENERGY"),
        (leaves_ns is not None and leaves_ns <= now_ns, "DEPARTURE_PAST"),
        (leaves_ns is not None and leaves_ns > now_ns + DEPARTURE_NS_MOST, "DEPARTURE_TOO_FAR"),
        (not charges and order.terms.battery_wh <= 0, "NO_BATTERY"),
        (sells and (not order.terms.sells or discharge_w <= 0), "NO_DISCHARGE"),
        (sells and energy_wh is not None and energy_wh < SALE_WH_MIN, "ENERGY_TOO_SMALL"),
        (planned and leaves_ns is None, "NO_DEPARTURE"),
    )
    return next((code for wrong, code in checks if wrong), None)
