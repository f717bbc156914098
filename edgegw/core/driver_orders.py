"""The rows of orders: which one is open at an EVSE, which a session carries, how one begins, ends and is forgotten.

Decides nothing about power or chargers. At most one order of an EVSE is open.
"""

from dataclasses import replace

from edgegw.core.metering import running_wh
from edgegw.core.orders import OPEN, Order, OrderState
from edgegw.core.state import Evse, Session, Station
from edgegw.core.step_context import StepContext

KEEP_NS = 7 * 24 * 3600 * 1_000_000_000
KEPT_MOST = 32  # ended orders of one EVSE: whoever places and stops in a loop fills nothing


def open_at(station: Station | StepContext, evse_id: str) -> Order | None:
    """The order that waits for its start, or runs, at an EVSE."""
    orders = station.orders.values()
    return next((order for order in orders if order.evse_id == evse_id and order.state in OPEN), None)


def of_session(station: Station | StepContext, session: Session) -> Order | None:
    """The order that a session carries."""
    return None if session.order_id is None else station.orders.get(session.order_id)


def asked_by(context: StepContext, evse_id: str, id_token_hash: str) -> Order | None:
    """The order whose start this idToken is."""
    order = open_at(context, evse_id)
    if order is None or order.state is not OrderState.ASKED or order.id_token_hash != id_token_hash:
        return None
    return order


def moved_wh(station: Station | StepContext, evse: Evse, session: Session) -> tuple[int, int]:
    """Whole Wh that a session has taken in and given out, its open segment included."""
    if not session.began:
        return 0, 0
    meter_id = station.settings.evses[evse.evse_id].meter_id
    import_wh, export_wh = running_wh(station.meters[meter_id])
    return session.import_wh + import_wh, session.export_wh + export_wh


def take(context: StepContext, evse: Evse, session: Session, *, order: Order) -> Session:
    """The order runs with this session from now on, under its own terms; what the session carried before is done."""
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
    """An open order ends; one that ended before stays as it is."""
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
    """An open order is refused."""
    end(context, order_id, code=code, state=OrderState.REFUSED)


def keep(context: StepContext, order: Order) -> None:
    """Store the row, and write its state down."""
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
    """What names an order in a line."""
    return {"order_id": order.order_id, "evse_id": order.evse_id}


def _forget_oldest(context: StepContext, evse_id: str) -> None:
    ended = [one for one in context.orders.values() if one.evse_id == evse_id and one.state not in OPEN]
    for order in sorted(ended, key=lambda one: one.placed_ns)[:-KEPT_MOST]:
        context.orders.drop(order.order_id)


def forget(context: StepContext) -> None:
    """Ended orders go after a week."""
    for order in list(context.orders.values()):
        if order.state not in OPEN and context.now_ns - order.placed_ns > KEEP_NS:
            context.orders.drop(order.order_id)
