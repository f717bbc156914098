"""Describes what an EVSE does at an instant, for display: activity, power, energy and tokens. Changes nothing.

Decides the activity. Energy is the meter's. Settled amounts are those of recorded trades; the others add estimates, at
present prices, for lines on their way to the ledger and the open segment.
"""

from dataclasses import dataclass
from enum import StrEnum

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import IMPORT
from edgegw.common.units import INTERVAL_S, amount_mtok, interval_of
from edgegw.core import driver_orders, forecast, market, order_control, order_intake
from edgegw.core.events import ChargingState, ConnectorStatus
from edgegw.core.forecast import Expected
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.metering import running_wh
from edgegw.core.orders import Order, OrderState
from edgegw.core.state import Evse, Phase, Session, Station

FLOW_W = 100  # less is what electronics draw


class EvseActivity(StrEnum):
    """An EVSE's state for display."""

    FREE = "free"
    PLUGGED = "plugged"  # the cable is plugged in, no session has started
    STARTING = "starting"
    CHARGING = "charging"
    SELLING = "selling"
    PAUSED_BY_CAR = "paused_by_car"
    RESTING = "resting"  # waits for a price, a buyer, or its plan
    FINISHING = "finishing"
    OFFLINE = "offline"
    OUT_OF_ORDER = "out_of_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseStatus:
    """What an EVSE does. Amounts with `settled` are on the ledger; the others include estimates."""

    evse_id: str
    word: EvseActivity
    power_w: int  # import positive; the mean between the two newest readings
    soc_bp: int | None
    import_wh: int
    export_wh: int
    paid_mtok: int
    earned_mtok: int
    paid_settled_mtok: int
    earned_settled_mtok: int
    next_interval: int
    next_buy: Expected | None
    next_sell: Expected | None
    order: Order | None
    member_id: str | None  # of the session, or of the open order
    session_id: str | None
    started_ns: int | None


def live(station: Station, evse_id: str, now_ns: int) -> EvseStatus:
    """Return the status of one of the station's EVSEs."""
    evse = station.evses[evse_id]
    session = evse.session
    account = station.meters[station.settings.evses[evse_id].meter_id]
    is_fresh = account.last is not None and now_ns - account.last.at_ns <= station.settings.stale_ns
    power_w = account.power_w if is_fresh else 0
    order = driver_orders.open_at(station, evse_id)
    terms = _terms(session, order)
    import_wh, export_wh = (0, 0) if session is None else driver_orders.moved_wh(station, evse, session)
    paid, earned = (0, 0) if session is None else (session.paid_mtok, session.earned_mtok)
    more_paid, more_earned = (0, 0) if session is None else _unsettled(station, evse, session, now_ns=now_ns)
    upcoming = interval_of(now_ns) + INTERVAL_S
    ahead = forecast.ahead_of(station)
    asked = terms or MemberTerms(member_id="")
    return EvseStatus(
        evse_id=evse_id,
        word=_word(station, evse, order=order, power_w=power_w),
        power_w=power_w,
        soc_bp=None if session is None else session.soc_bp,
        import_wh=import_wh,
        export_wh=export_wh,
        paid_mtok=paid + more_paid,
        earned_mtok=earned + more_earned,
        paid_settled_mtok=paid,
        earned_settled_mtok=earned,
        next_interval=upcoming,
        next_buy=forecast.buying(ahead, upcoming, asked),
        next_sell=forecast.selling(ahead, upcoming, asked),
        order=order,
        member_id=None if terms is None else terms.member_id,
        session_id=None if session is None else session.session_id,
        started_ns=None if session is None else session.started_ns,
    )


def _terms(session: Session | None, order: Order | None) -> MemberTerms | None:
    if session is not None and session.terms is not None:
        return session.terms
    return None if order is None else order.terms


def _word(station: Station, evse: Evse, *, order: Order | None, power_w: int) -> EvseActivity:
    session = evse.session
    if not evse.online:
        return EvseActivity.OFFLINE
    if session is None or session.terms is None:
        return _word_without_driver(evse, order)
    if evse.phase is Phase.STARTING:
        return EvseActivity.STARTING
    if evse.phase is Phase.STOPPING or session.stop_asked or _is_filled(station, evse, session):
        return EvseActivity.FINISHING
    return _word_of_flow(evse, session, power_w)


def _word_without_driver(evse: Evse, order: Order | None) -> EvseActivity:
    if evse.status in order_intake.OUT_OF_ORDER:
        return EvseActivity.OUT_OF_ORDER
    if order is not None and order.state is OrderState.ASKED:
        return EvseActivity.STARTING
    if evse.phase is Phase.STOPPING or evse.ending is not None:
        return EvseActivity.FINISHING
    if evse.session is not None or evse.status is ConnectorStatus.OCCUPIED:
        return EvseActivity.PLUGGED
    return EvseActivity.FREE


def _word_of_flow(evse: Evse, session: Session, power_w: int) -> EvseActivity:
    commanded_w = 0 if evse.setpoint is None else evse.setpoint.power_w
    if power_w < -FLOW_W:
        return EvseActivity.SELLING
    if power_w > FLOW_W:
        return EvseActivity.CHARGING
    if session.charging_state is ChargingState.SUSPENDED_EV and commanded_w > 0:
        return EvseActivity.PAUSED_BY_CAR
    return (
        EvseActivity.CHARGING
        if commanded_w > 0
        else EvseActivity.SELLING
        if commanded_w < 0
        else EvseActivity.RESTING
    )


def _is_filled(station: Station, evse: Evse, session: Session) -> bool:
    """Return whether the order's energy has flowed, and nothing is planned after it."""
    order = driver_orders.of_session(station, session)
    if order is None or order_control.is_planned(order):
        return False
    left_wh = order_control.left_of(station, evse, session, order=order)
    return left_wh is not None and left_wh < order_control.grain_wh(station, evse, order=order)


def _unsettled(station: Station, evse: Evse, session: Session, *, now_ns: int) -> tuple[int, int]:
    """Return what pending lines and the open segment will cost and earn, at market prices, else at the driver's limits."""
    pieces = [
        (line.direction == IMPORT, line.interval, line.energy_wh)
        for line in station.lines.values()
        if line.session_id == session.session_id
    ]
    if session.began:
        import_wh, export_wh = running_wh(station.meters[station.settings.evses[evse.evse_id].meter_id])
        now = interval_of(now_ns)
        pieces += [(True, now, import_wh), (False, now, export_wh)]
    paid = earned = 0
    for imported, interval, energy_wh in pieces:
        if imported:
            paid += amount_mtok(_buying(station, session, interval), energy_wh)
        else:
            price = market.usable_price(station.prices, DISCHARGE, interval)
            earned += amount_mtok(price or 0, energy_wh)
    return paid, earned


def _buying(station: Station, session: Session, interval: int) -> int:
    """Return the price of charging in a running or past interval: market price, ceiling, or the driver's limit."""
    record = station.prices.get(market.key(CHARGE, interval))
    price = market.usable_price(station.prices, CHARGE, interval)
    if price is None and record is not None:
        price = record.ceiling_mtok_per_kwh
    terms = session.terms or MemberTerms(member_id="")
    return terms.price_mtok_per_kwh_max if price is None else price
