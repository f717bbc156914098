"""What a driver asks of a station at one EVSE: charge, sell, or work by itself until the driver leaves.

Decides what an order is, and which codes may stand in one. What becomes of it is `placing`'s (asked, started, refused),
`aims`' (what it means for power) and `quote`'s (what it will cost). Never holds an idToken in clear.
Source: DESIGN.md, An order from a page; docs/events.md (codes of a refused order).
"""

from dataclasses import dataclass
from enum import StrEnum

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import SECOND_NS

DEPARTURE_NS_MOST = 48 * 3_600 * SECOND_NS  # a plan reaches no further ahead
SALE_WH_MIN = 500  # less is not worth a sale


class Aim(StrEnum):
    """What the driver wants."""

    CHARGE = "charge"
    SELL = "sell"
    WORK = "work"  # "let it work for me": charge when cheap, sell when dear


class OrderState(StrEnum):
    """An order waits for its session, runs with it, and ends with it; or never comes to run."""

    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"


OPEN = frozenset({OrderState.ASKED, OrderState.RUNNING})

# Every code of the station that an order, or a quote of one, may carry; a hold that the contract refused brings its own.
REFUSALS = frozenset({
    # the order itself
    "NO_ENERGY", "ENERGY_TOO_SMALL", "NO_DEPARTURE", "DEPARTURE_PAST", "DEPARTURE_TOO_FAR", "NO_BATTERY", "NO_DISCHARGE",
    # the station as it stands
    "UNKNOWN_EVSE", "CHARGER_OFFLINE", "OUT_OF_ORDER", "EVSE_BUSY", "DISK_FULL", "DRAINING", "ORDER_OPEN",
    # the charger
    "CHARGER_REFUSED", "NO_START", "STOPPED", "JOURNAL_RESTORED",
    # the start, as any other start is refused
    "METER_TIMEOUT", "LEDGER_TIMEOUT", "EXPIRED", "ZERO_TOKENS", "INSUFFICIENT_TOKENS", "LEFT_EARLY",
    # a quote alone
    "NO_PRICE", "NO_SOC", "SOC_NOT_REACHED", "NOTHING_TO_SELL",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order. `terms` are the driver's choices for it; `id_token_hash` is what its start is known by."""

    order_id: str
    evse_id: str
    id_token_hash: str
    terms: MemberTerms
    aim: Aim
    energy_wh: int | None = None  # CHARGE: most to deliver; SELL: most to discharge; WORK: None
    departure_ns: int | None = None  # SELL and WORK: ready by
    soc_bp_wanted: int | None = None  # at departure
    soc_bp_told: int | None = None  # by the driver, where the car does not tell: plans a charge, never a sale
    placed_ns: int = 0
    state: OrderState = OrderState.ASKED
    code: str = ""  # why refused, or STOPPED where the driver ended it
    session_id: str | None = None
    remote_start_id: int | None = None  # under which the charger was asked
    from_import_wh: int = 0  # what its session had moved when it took the order
    from_export_wh: int = 0


def fault(order: Order, *, discharge_w: int, now_ns: int) -> str | None:
    """The code of what is wrong with an order by itself, at an EVSE that discharges `discharge_w`; None if nothing is."""
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
