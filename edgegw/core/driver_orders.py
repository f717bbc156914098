"""Keeps the rows of orders: finds, starts, ends and drops them.

Decides nothing about power or chargers. At most one order of an EVSE is open.
"""

from dataclasses import replace

from edgegw.core.metering import running_wh
from edgegw.core.orders import OPEN, Order, OrderState
from edgegw.core.state import Evse, Session, Station
from edgegw.core.step_context import StepContext

KEEP_NS = 7 * 24 * 3600 * 1_000_000_000
KEPT_MOST = 32  # ended orders of one EVSE: placing and stopping in a loop cannot fill the journal


def open_at(station: Station | StepContext, evse_id: str) -> Order | None:
    """Return the order that waits for its start, or runs, at an EVSE."""
    orders = station.orders.values()
    return next((order for order in orders if order.evse_id == evse_id and order.state in OPEN), None)


def of_session(station: Station | StepContext, session: Session) -> Order | None:
    """Return the order of a session, or None."""
    return None if session.order_id is None else station.orders.get(session.order_id)


def asked_by(context: StepContext, evse_id: str, id_token_hash: str) -> Order | None:
    """Return the order at an EVSE that waits for a start with this idToken, or None."""
    order = open_at(context, evse_id)
    if order is None or order.state is not OrderState.ASKED or order.id_token_hash != id_token_hash:
        return None
    return order


def moved_wh(station: Station | StepContext, evse: Evse, session: Session) -> tuple[int, int]:
    """Return the whole Wh that a session has imported and exported, its open segment included."""
    if not session.began:
        return 0, 0
    meter_id = station.settings.evses[evse.evse_id].meter_id
    import_wh, export_wh = running_wh(station.meters[meter_id])
    return session.import_wh + import_wh, session.export_wh + export_wh


def take(context: StepContext, evse: Evse, session: Session, *, order: Order) -> Session:
    """Let the order run with this session, under the order's terms; end the session's previous order."""
    if session.order_id is not None:
        end(context, session.order_id)
    import_wh, export_wh = moved_wh(context, evse, session)
    running = replace(
        order,
        state=OrderState.RUNNING,
        session_id=session.session_id,
        from_import_wh=import_wh,
        from_export_wh=export_wh,
    )
    keep(context, running)
    context.log("order.started", **told(running))
    taken = replace(session, terms=order.terms, order_id=order.order_id)
    context.put_evse(replace(evse, session=taken))
    return taken


def end(
    context: StepContext, order_id: str | None, *, code: str = "", state: OrderState = OrderState.DONE
) -> None:
    """End an open order; one that has ended stays as it is."""
    order = None if order_id is None else context.orders.get(order_id)
    if order is None or order.state not in OPEN:
        return
    ended = replace(order, state=state, code=code or order.code)
    keep(context, ended)
    _forget_oldest(context, order.evse_id)
    if state is OrderState.REFUSED:
        context.log("order.refused", **told(ended), code=ended.code)
    else:
        context.log("order.done", **told(ended), code=ended.code)


def refuse(context: StepContext, order_id: str | None, *, code: str) -> None:
    """End an open order as refused."""
    end(context, order_id, code=code, state=OrderState.REFUSED)


def keep(context: StepContext, order: Order) -> None:
    """Store the row, and note its state in the journal."""
    context.orders.put(order.order_id, order)
    context.note(
        "order",
        **told(order),
        member_id=order.terms.member_id,
        aim=order.aim.value,
        state=order.state.value,
        code=order.code,
        session_id=order.session_id,
    )


def told(order: Order) -> dict[str, object]:
    """Return the fields that identify an order in a log line."""
    return {"order_id": order.order_id, "evse_id": order.evse_id}


def _forget_oldest(context: StepContext, evse_id: str) -> None:
    ended = [one for one in context.orders.values() if one.evse_id == evse_id and one.state not in OPEN]
    for order in sorted(ended, key=lambda one: one.placed_ns)[:-KEPT_MOST]:
        context.orders.drop(order.order_id)


def forget(context: StepContext) -> None:
    """Drop orders that ended and were placed more than a week ago."""
    for order in list(context.orders.values()):
        if order.state not in OPEN and context.now_ns - order.placed_ns > KEEP_NS:
            context.orders.drop(order.order_id)
