"""Forecasts prices until a parked car leaves, and keeps the plan made from them.

Decides which price counts for a coming interval: the fixed one, else the retail ceiling where the ledger has no price,
else the estimate, else the ceiling of the newest record. A sale is planned at a fixed or estimated price only. Plans are
made on demand, and again after new prices, a new interval or a changed order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import INTERVAL_NS, SECOND_NS, interval_of
from edgegw.core import driver_orders, market
from edgegw.core.market import CHARGE, DISCHARGE, Price
from edgegw.core.orders import Aim, Order
from edgegw.core.planning import KeptPlan, Plan, PlannedRow, Span, Task, make_plan
from edgegw.core.sale_plan import make_sale_plan
from edgegw.core.state import Evse, EvseSettings, SaleStage, Session, Station
from edgegw.core.step_context import StepContext

CHARGE_EFFICIENCY_BP = 9_400  # assumed: as MemberTerms does for discharging


PriceSource = Literal["market", "retail", "estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A price of a coming interval and where it is from: "market" (fixed), "retail" (a ceiling) or "estimate"."""

    mtok_per_kwh: int
    kind: PriceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Known and estimated prices."""

    prices: Mapping[str, Price]
    estimates: Mapping[str, int]


def ahead_of(station: Station | StepContext) -> Forecast:
    """Return the prices of a station, or of a step."""
    if isinstance(station, StepContext):
        return Forecast(prices=station.prices.rows, estimates=station.estimates.rows)
    return Forecast(prices=station.prices, estimates=station.estimates)


def buying(ahead: Forecast, interval: int, terms: MemberTerms) -> Expected | None:
    """Return what a kWh would cost in an interval; None where that is unknown, or above the driver's limit."""
    row = market.key(CHARGE, interval)
    record = ahead.prices.get(row)
    fixed = market.usable_price(ahead.prices, CHARGE, interval)
    if fixed is not None and fixed <= terms.price_mtok_per_kwh_max:
        return Expected(mtok_per_kwh=fixed, kind="market")
    found = None
    if record is not None and record.ceiling_mtok_per_kwh is not None:
        found = Expected(mtok_per_kwh=record.ceiling_mtok_per_kwh, kind="retail")
    elif row in ahead.estimates:
        found = Expected(mtok_per_kwh=ahead.estimates[row], kind="estimate")
        return found if found.mtok_per_kwh <= terms.price_mtok_per_kwh_max else None
    else:
        ceiling = _newest_ceiling(ahead.prices.values())
        found = None if ceiling is None else Expected(mtok_per_kwh=ceiling, kind="retail")
    if found is None or not terms.accept_retail or found.mtok_per_kwh > terms.price_mtok_per_kwh_max:
        return None
    return found


def selling(ahead: Forecast, interval: int, terms: MemberTerms) -> Expected | None:
    """Return what a kWh would earn in an interval; None where no price is known, or it is below the driver's limit."""
    row = market.key(DISCHARGE, interval)
    price = market.usable_price(ahead.prices, DISCHARGE, interval)
    kind: PriceSource = "market"
    if row not in ahead.prices:
        price, kind = ahead.estimates.get(row), "estimate"
    if price is None or price < terms.price_mtok_per_kwh_min:
        return None
    return Expected(mtok_per_kwh=price, kind=kind)


def _newest_ceiling(prices: Iterable[Price]) -> int | None:
    known = [(price.interval, price.ceiling_mtok_per_kwh) for price in prices if price.product == CHARGE]
    ceilings = [ceiling for _, ceiling in sorted(known) if ceiling is not None]
    return ceilings[-1] if ceilings else None


def spans(
    ahead: Forecast, order: Order, *, from_ns: int, until_ns: int, sells: bool, worst_mtok: int | None = None
) -> tuple[Span, ...]:
    """Return the intervals until an instant. `worst_mtok` replaces a charging price that is unknown."""
    found = []
    start_ns = from_ns
    while start_ns < until_ns:
        interval = interval_of(start_ns)
        end_ns = min(until_ns, interval * SECOND_NS + INTERVAL_NS)
        buy = buying(ahead, interval, order.terms)
        sell = selling(ahead, interval, order.terms) if sells else None
        known = is_known(ahead, interval)
        found.append(
            Span(
                start_ns=start_ns,
                end_ns=end_ns,
                buy=buy.mtok_per_kwh if buy is not None else None if known else worst_mtok,
                sell=None if sell is None else sell.mtok_per_kwh,
            )
        )
        start_ns = end_ns
    return tuple(found)


def is_known(ahead: Forecast, interval: int) -> bool:
    """Return whether any charging price is known for an interval, affordable or not."""
    row = market.key(CHARGE, interval)
    return row in ahead.prices or row in ahead.estimates or _newest_ceiling(ahead.prices.values()) is not None


def charge_w(settings: EvseSettings, session: Session | None) -> int:
    """Return the most power this car may charge with at an EVSE, regardless of the site's limit."""
    most_w = None if session is None else session.charge_power_w_max
    return settings.rated_w if most_w is None else min(settings.rated_w, most_w)


def discharge_w(settings: EvseSettings, session: Session | None) -> int:
    """Return the most power this car may discharge with at an EVSE, regardless of the site's limit."""
    most_w = None if session is None else session.discharge_power_w_max
    return settings.discharge_w if most_w is None else min(settings.discharge_w, most_w)


def plan_of(
    station: Station | StepContext,
    order: Order,
    *,
    session: Session | None,
    soc_bp: int,
    sale_wh_left: int | None,
    now_ns: int,
) -> Plan:
    """Return the plan of an order from now to its departure; `sale_wh_left` None: sell as much as pays."""
    assert order.departure_ns is not None
    settings = station.settings.evses[order.evse_id]
    wanted_bp = order.soc_bp_wanted
    selling_ns = INTERVAL_NS - 2 * station.settings.guard_ns  # of each interval
    task = Task(
        spans=spans(
            ahead_of(station),
            order,
            from_ns=now_ns,
            until_ns=order.departure_ns,
            sells=sale_wh_left != 0,
            worst_mtok=order.terms.price_mtok_per_kwh_max,
        ),
        charge_w=charge_w(settings, session),
        discharge_w=discharge_w(settings, session) * selling_ns // INTERVAL_NS,
        battery_wh=order.terms.battery_wh,
        soc_bp=soc_bp,
        soc_bp_min=order.terms.soc_bp_min,
        soc_bp_wanted=wanted_bp,
        # A sale charges back, and no further: it does not buy in order to sell.
        soc_bp_most=10_000 if order.aim is Aim.WORK else wanted_bp or 0,
        charge_efficiency_bp=CHARGE_EFFICIENCY_BP,
        discharge_efficiency_bp=order.terms.discharge_efficiency_bp,
    )
    return make_plan(task) if sale_wh_left is None else make_sale_plan(task, sale_wh_left)


def soc_now_bp(station: Station | StepContext, evse: Evse, session: Session, *, order: Order) -> int | None:
    """Return the car's state of charge: reported, else that of the last plan or the driver with the energy moved since."""
    if session.soc_bp is not None:
        return session.soc_bp
    import_wh, export_wh = driver_orders.moved_wh(station, evse, session)
    kept = station.plans.get(evse.evse_id)
    if kept is not None and kept.order_id == order.order_id and kept.session_id == session.session_id:
        soc_bp, import_wh, export_wh = kept.soc_bp, import_wh - kept.import_wh, export_wh - kept.export_wh
    elif order.soc_bp_told is not None:
        soc_bp = order.soc_bp_told
        import_wh, export_wh = import_wh - order.from_import_wh, export_wh - order.from_export_wh
    else:
        return None
    gained_wh = import_wh * CHARGE_EFFICIENCY_BP // 10_000
    gained_wh -= export_wh * 10_000 // order.terms.discharge_efficiency_bp
    return min(10_000, max(0, soc_bp + gained_wh * 10_000 // order.terms.battery_wh))


def row_now(context: StepContext, evse: Evse, session: Session, *, order: Order) -> PlannedRow | None:
    """Return the plan's row for now; None without a plan, a state of charge, or time until the departure."""
    kept = _kept(context, evse, session, order=order)
    return None if kept is None else kept.row_at(context.now_ns)


def sale_wh(context: StepContext, evse: Evse, session: Session, *, order: Order, interval: int) -> int:
    """Return what the plan sells in an interval."""
    kept = _kept(context, evse, session, order=order)
    rows = () if kept is None else kept.plan.rows
    inside = [row.energy_wh for row in rows if interval_of(row.start_ns) == interval]
    return sum(-energy_wh for energy_wh in inside if energy_wh < 0)


def _kept(context: StepContext, evse: Evse, session: Session, *, order: Order) -> KeptPlan | None:
    assert order.departure_ns is not None
    kept = context.plans.get(evse.evse_id)
    own = kept is not None and (kept.session_id, kept.order_id) == (session.session_id, order.order_id)
    if kept is not None and own and not kept.stale:
        return kept
    soc_bp = soc_now_bp(context, evse, session, order=order)
    if soc_bp is None or context.now_ns >= order.departure_ns:
        return None
    import_wh, export_wh = driver_orders.moved_wh(context, evse, session)
    tells = session.soc_bp is not None or (own and session.sale is not SaleStage.NONE)
    made = plan_of(
        context,
        order,
        session=session,
        soc_bp=soc_bp,
        sale_wh_left=_sale_left(context, evse, session, order=order) if tells else 0,
        now_ns=context.now_ns,
    )
    fresh = KeptPlan(
        session_id=session.session_id,
        order_id=order.order_id,
        made_ns=context.now_ns,
        soc_bp=soc_bp,
        import_wh=import_wh,
        export_wh=export_wh,
        plan=made,
    )
    context.plans.put(evse.evse_id, fresh)
    return fresh


def _sale_left(context: StepContext, evse: Evse, session: Session, *, order: Order) -> int | None:
    """Return what a plan of this order may still sell; None for no limit, 0 where none may be sold."""
    if not order.terms.sells or session.sale is SaleStage.OVER:
        return 0
    if order.energy_wh is None or order.aim is Aim.WORK:
        return None
    _, export_wh = driver_orders.moved_wh(context, evse, session)
    return max(0, order.energy_wh - export_wh + order.from_export_wh)


def make_stale(context: StepContext) -> None:
    """Mark every plan to be made again when it is needed next: prices or the interval changed."""
    for evse_id, kept in list(context.plans.rows.items()):
        context.plans.put(evse_id, replace(kept, stale=True))


def price_of(ahead: Forecast, order: Order, row: PlannedRow) -> Expected | None:
    """Return the price of a planned row; None for one at rest."""
    interval = interval_of(row.start_ns)
    if row.energy_wh > 0:
        return buying(ahead, interval, order.terms)
    return selling(ahead, interval, order.terms) if row.energy_wh < 0 else None
