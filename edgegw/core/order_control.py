"""Decides what an order wants now: whether the car may charge or sell, how much, and when the order is fulfilled.

A session without an order is limited by its terms only. Never commands a setpoint (`control` does), and never prepares a
sale (`sale` does).
"""

from dataclasses import dataclass

from edgegw.common.units import SECOND_NS, interval_of
from edgegw.core import driver_orders, forecast
from edgegw.core.orders import Aim, Order
from edgegw.core.planning import WH_NS, PlannedRow
from edgegw.core.state import Evse, Session, Station
from edgegw.core.step_context import StepContext

GRAIN_S = 2  # profiles end at whole seconds, so a charge ends no more exactly than the energy of two


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an EVSE should do now: move at most `energy_wh` more, until `until_ns`; `over`: the order is fulfilled."""

    charges: bool = False
    sells: bool = False
    energy_wh: int | None = None
    until_ns: int | None = None
    over: bool = False


FREE = Intent(charges=True, sells=True)


def intent(context: StepContext, evse: Evse, session: Session) -> Intent:
    """Return what the session's order wants now."""
    order = driver_orders.of_session(context, session)
    if session.stop_asked:
        return Intent(over=True)
    if order is None:
        return FREE
    left_wh = left_of(context, evse, session, order=order)
    filled = left_wh is not None and left_wh < grain_wh(context, evse, order=order)
    if order.aim is Aim.CHARGE:
        return Intent(charges=True, energy_wh=left_wh, over=filled)
    if not is_planned(order):
        return Intent(sells=not filled, energy_wh=left_wh, over=filled)
    return _planned(context, evse, session, order=order, left_wh=0 if filled else left_wh)


def _planned(
    context: StepContext, evse: Evse, session: Session, *, order: Order, left_wh: int | None
) -> Intent:
    """Return what the plan wants now; `left_wh` is what may still be sold."""
    row = forecast.row_now(context, evse, session, order=order)
    if row is None:
        return Intent(charges=_is_short(context, evse, session, order=order))
    if row.energy_wh == 0 or (row.energy_wh < 0 and left_wh == 0):
        return Intent()
    until_ns = _until_ns(context, evse, session, row=row)
    if row.energy_wh > 0:
        return Intent(charges=True, until_ns=until_ns)
    return Intent(sells=True, energy_wh=left_wh, until_ns=until_ns)


def left_of(station: Station | StepContext, evse: Evse, session: Session, *, order: Order) -> int | None:
    """Return how much of the order's energy is missing, by the meter; None where the order has no energy."""
    if order.energy_wh is None:
        return None
    import_wh, export_wh = driver_orders.moved_wh(station, evse, session)
    moved_wh = export_wh - order.from_export_wh
    if order.aim is Aim.CHARGE:
        moved_wh = import_wh - order.from_import_wh
    return order.energy_wh - moved_wh


def grain_wh(station: Station | StepContext, evse: Evse, *, order: Order) -> int:
    """Return the least energy that a command can charge or sell."""
    settings = station.settings.evses[evse.evse_id]
    power_w = forecast.charge_w(settings, evse.session)
    if order.aim is not Aim.CHARGE:
        power_w = forecast.discharge_w(settings, evse.session)
    step_wh = station.meters[settings.meter_id].step_mwh // 1000
    return max(1, step_wh, power_w * GRAIN_S // 3600)


def sale_wh(context: StepContext, evse: Evse, session: Session, *, interval: int) -> int | None:
    """Return the most that a session should sell in an interval; None: whatever the car can discharge."""
    order = driver_orders.of_session(context, session)
    if order is None:
        return None
    if order.aim is Aim.CHARGE or session.stop_asked:
        return 0
    left_wh = left_of(context, evse, session, order=order)
    if not is_planned(order):
        return left_wh
    planned_wh = forecast.sale_wh(context, evse, session, order=order, interval=interval)
    return planned_wh if left_wh is None else min(planned_wh, max(0, left_wh))


def waits_for_car(context: StepContext, session: Session) -> bool:
    """Return whether a sale waits until the car is satisfied, as it does without an order."""
    return driver_orders.of_session(context, session) is None


def is_planned(order: Order) -> bool:
    """Return whether an order follows a plan: it has a departure, and is WORK or has a wanted state of charge."""
    return order.departure_ns is not None and (order.aim is Aim.WORK or order.soc_bp_wanted is not None)


def _is_short(context: StepContext, evse: Evse, session: Session, *, order: Order) -> bool:
    """Return whether to charge without a plan: below the wanted state of charge, or unknown and the order is WORK."""
    soc_bp = forecast.soc_now_bp(context, evse, session, order=order)
    if soc_bp is None:
        return order.aim is Aim.WORK
    return order.soc_bp_wanted is not None and soc_bp < order.soc_bp_wanted


def _until_ns(context: StepContext, evse: Evse, session: Session, *, row: PlannedRow) -> int:
    """Return when a row's energy has flowed at full power from its start; a sale starts after the interval's guard."""
    settings = context.settings.evses[evse.evse_id]
    if row.energy_wh > 0:
        return row.start_ns + row.energy_wh * WH_NS // max(1, forecast.charge_w(settings, session))
    first_ns = interval_of(row.start_ns) * SECOND_NS + context.settings.guard_ns
    power_w = max(1, forecast.discharge_w(settings, session))
    return max(first_ns, row.start_ns) - row.energy_wh * WH_NS // power_w
