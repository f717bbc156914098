"""The rows of orders: which one is open at an EVSE, which a session carries, how one begins, ends and is forgotten.

Decides nothing about power or chargers. At most one order of an EVSE is open.
"""

from dataclasses import replace

from edgegw.core.metering import running_wh
from edgegw.core.orders import OPEN, Order, OrderState
from edgegw.core.state import Evse, Session, Station
from edgegw.core.turn import Turn

KEEP_NS = 7 * 24 * 3600 * 1_000_000_000
KEPT_MOST = 32  # ended orders of one EVSE: whoever places and stops in a loop fills nothing


def open_at(station: Station | Turn, evse_id: str) -> Order | None:
    """The order that waits for its start, or runs, at an EVSE."""
    orders = station.orders.values()
    return next((order for order in orders if order.evse_id == evse_id and order.state in OPEN), None)


def of_session(station: Station | Turn, session: Session) -> Order | None:
    """The order that a session carries."""
    return None if session.order_id is None else station.orders.get(session.order_id)


def asked_by(turn: Turn, evse_id: str, id_token_hash: str) -> Order | None:
    """The order whose start this idToken is."""
    order = open_at(turn, evse_id)
    if order is None or order.state is not OrderState.ASKED or order.id_token_hash != id_token_hash:
        return None
    return order


def moved_wh(station: Station | Turn, evse: Evse, session: Session) -> tuple[int, int]:
    """Whole Wh that a session has taken in and given out, its open segment included."""
    if not session.began:
        return 0, 0
    meter_id = station.settings.evses[evse.evse_id].meter_id
    import_wh, export_wh = running_wh(station.meters[meter_id])
    return session.import_wh + import_wh, session.export_wh + export_wh


def take(turn: Turn, evse: Evse, session: Session, *, order: Order) -> Session:
    """The order runs with this session from now on, under its own terms; what the session carried before is done."""
    if session.order_id is not None:
        end(turn, session.order_id)
    import_wh, export_wh = moved_wh(turn, evse, session)
    running = replace(
        order,
        state=OrderState.RUNNING,
        session_id=session.session_id,
        from_import_wh=import_wh,
        from_export_wh=export_wh,
    )
    keep(turn, running)
    turn.log("order.started", **told(running))
    taken = replace(session, terms=order.terms, order_id=order.order_id)
    turn.put_evse(replace(evse, session=taken))
    return taken


def end(turn: Turn, order_id: str | None, *, code: str = "", state: OrderState = OrderState.DONE) -> None:
    """An open order ends; one that ended before stays as it is."""
    order = None if order_id is None else turn.orders.get(order_id)
    if order is None or order.state not in OPEN:
        return
    ended = replace(order, state=state, code=code or order.code)
    keep(turn, ended)
    _forget_oldest(turn, order.evse_id)
    if state is OrderState.REFUSED:
        turn.log("order.refused", **told(ended), code=ended.code)
    else:
        turn.log("order.done", **told(ended), code=ended.code)


def refuse(turn: Turn, order_id: str | None, *, code: str) -> None:
    """An open order is refused."""
    end(turn, order_id, code=code, state=OrderState.REFUSED)


def keep(turn: Turn, order: Order) -> None:
    """Store the row, and write its state down."""
    turn.orders.put(order.order_id, order)
    turn.note(
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


def _forget_oldest(turn: Turn, evse_id: str) -> None:
    ended = [one for one in turn.orders.values() if one.evse_id == evse_id and one.state not in OPEN]
    for order in sorted(ended, key=lambda one: one.placed_ns)[:-KEPT_MOST]:
        turn.orders.drop(order.order_id)


def forget(turn: Turn) -> None:
    """Ended orders go after a week."""
    for order in list(turn.orders.values()):
        if order.state not in OPEN and turn.now_ns - order.placed_ns > KEEP_NS:
            turn.orders.drop(order.order_id)
