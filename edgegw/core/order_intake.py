"""Accepts, refuses and stops orders, and begins or joins their sessions.

An order at a free EVSE requests a remote start; one at a running session of the same driver joins it under the order's
terms (the limit price of an open hold stays). The row is committed before the request is sent, and only the request holds
the idToken in clear: after a power cut, the charger's start or its absence decides how the order continues.
Source: OCPP 1.6 §5.11; OCPP 2.1 Part 2, F01 to F03.
"""

from dataclasses import replace

from edgegw.core import control, driver_orders, orders, sale, session_start
from edgegw.core.correlation import OrderStartDue
from edgegw.core.effects import StartRemotely, StartTimer, StopRemotely
from edgegw.core.events import (
    ConnectorStatus,
    OrderPlaced,
    OrderStopped,
    RemoteStartAnswered,
    StorageLevel,
)
from edgegw.core.orders import Order, OrderState
from edgegw.core.state import Evse, Phase, Station
from edgegw.core.step_context import StepContext

OUT_OF_ORDER = frozenset({ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE})


def on_placed(context: StepContext, event: OrderPlaced) -> None:
    """Accept an order, or refuse it with a code; a repeated order changes nothing."""
    if event.order.order_id in context.orders:
        return
    placed = replace(event.order, placed_ns=context.now_ns, state=OrderState.ASKED, code="", session_id=None)
    code = refusal(context, placed, now_ns=context.now_ns)
    if code is not None:
        context.refuse(code, evse_id=placed.evse_id)
        context.orders.put(placed.order_id, placed)
        driver_orders.refuse(context, placed.order_id, code=code)
        return
    evse = context.evses[placed.evse_id]
    context.log("order.placed", **driver_orders.told(placed), aim=placed.aim.value)
    if evse.session is not None and evse.session.terms is not None:
        _join(context, evse, placed)
        return
    remote_start_id = context.number()
    driver_orders.keep(context, replace(placed, remote_start_id=remote_start_id))
    context.emit(
        StartRemotely(evse_id=evse.evse_id, id_token=event.id_token, remote_start_id=remote_start_id),
        _timer(context, placed),
    )
    context.log("charger.start_requested", evse_id=evse.evse_id, remote_start_id=remote_start_id)


def refusal(station: Station | StepContext, order: Order, *, now_ns: int) -> str | None:
    """Return the code of why the station cannot accept an order now; None where it can."""
    evse = station.evses.get(order.evse_id)
    if evse is None:
        return "UNKNOWN_EVSE"
    discharge_w = station.settings.evses[order.evse_id].discharge_w
    wrong = orders.fault(order, discharge_w=discharge_w, now_ns=now_ns)
    return wrong or _unready(station, evse, order)


def _unready(station: Station | StepContext, evse: Evse, order: Order) -> str | None:
    session, member_id = evse.session, order.terms.member_id
    other = driver_orders.open_at(station, evse.evse_id)
    runs = session is not None and session.terms is not None
    strange = session is not None and session.terms is not None and session.terms.member_id != member_id
    strange = strange or (other is not None and other.terms.member_id != member_id)
    checks = (
        (not evse.online, "CHARGER_OFFLINE"),
        (strange or evse.phase is Phase.STOPPING, "EVSE_BUSY"),
        (other is not None and other.state is OrderState.ASKED, "ORDER_OPEN"),
        (session is not None and session.stop_asked, "STOPPED"),
        (not runs and evse.status in OUT_OF_ORDER, "OUT_OF_ORDER"),
        (not runs and station.draining, "DRAINING"),
        (not runs and station.storage >= StorageLevel.NO_SESSIONS, "DISK_FULL"),
    )
    return next((code for wrong, code in checks if wrong), None)


def _join(context: StepContext, evse: Evse, order: Order) -> None:
    """Continue the driver's running session under this order."""
    assert evse.session is not None
    taken = driver_orders.take(context, evse, evse.session, order=order)
    if evse.phase is Phase.ACTIVE:
        session_start.allow_discharge(context, context.evses[evse.evse_id], taken)
    sale.consider(context, context.evses[evse.evse_id])
    control.replan(context, context.evses[evse.evse_id])


def _timer(context: StepContext, order: Order) -> StartTimer:
    return StartTimer(key=OrderStartDue(order_id=order.order_id), after_s=context.settings.order_start_s)


def on_stopped(context: StepContext, event: OrderStopped) -> None:
    """Stop the member's own transaction, or the member's order that waits for one; leave others' alone."""
    order = driver_orders.open_at(context, event.evse_id)
    if order is not None and order.terms.member_id == event.member_id and order.state is OrderState.ASKED:
        driver_orders.end(context, order.order_id, code="STOPPED")
    evse = context.evses.get(event.evse_id)
    session = None if evse is None else evse.session
    if evse is None or session is None or session.terms is None:
        return
    if session.terms.member_id != event.member_id or evse.phase is Phase.STOPPING:
        return
    if order is not None and order.order_id == session.order_id:
        driver_orders.keep(context, replace(order, code="STOPPED"))
    evse = context.put_evse(replace(evse, session=replace(session, stop_asked=True)))
    context.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=session.transaction_id))
    context.log("charger.stop_requested", evse_id=evse.evse_id, session_id=session.session_id)
    control.replan(context, evse)


def on_answered(context: StepContext, event: RemoteStartAnswered) -> None:
    """Record the charger's answer; acceptance does not guarantee that a start follows."""
    answer = {
        "evse_id": event.evse_id,
        "remote_start_id": event.remote_start_id,
        "accepted": event.accepted,
        "reason": event.reason,
    }
    context.note("remote_start", **answer)
    context.log("charger.start_answered", **answer)
    order = driver_orders.open_at(context, event.evse_id)
    if order is None or event.accepted or order.remote_start_id != event.remote_start_id:
        return
    if order.state is OrderState.ASKED:
        driver_orders.refuse(context, order.order_id, code="CHARGER_REFUSED")


def on_start_late(context: StepContext, order_id: str) -> None:
    """Refuse an order whose charger accepted the request but began no transaction in time."""
    order = context.orders.get(order_id)
    if order is not None and order.state is OrderState.ASKED:
        driver_orders.refuse(context, order.order_id, code="NO_START")


def wait_again(context: StepContext) -> None:
    """After a restart, restart the timers of waiting orders; refuse those whose EVSE was removed."""
    for order in list(context.orders.values()):
        if order.state is OrderState.ASKED and order.evse_id not in context.evses:
            driver_orders.refuse(context, order.order_id, code="UNKNOWN_EVSE")
        elif order.state is OrderState.ASKED:
            context.emit(_timer(context, order))
