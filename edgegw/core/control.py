"""Decides the setpoint of an EVSE: how much power, in which direction, until when, and when to command it again.

Every command ends by itself within what its hold can pay, with a fallback of 0 W, so that no energy flows for long after
the gateway dies. Selling happens only inside an interval's guards, at a fixed price, out of slices and hold.
Source: docs/ledger.md, Life of a session; docs/ocpp.md, Commands; OCPP 2.1 use cases Q03, Q11, K28.
"""

from dataclasses import dataclass, replace

from edgegw.common.units import (
    INTERVAL_NS,
    SECOND_NS,
    affordable_wh,
    amount_mtok,
    interval_of,
)
from edgegw.core import forecast, market, order_control
from edgegw.core.correlation import SetpointEnded
from edgegw.core.effects import ApplySetpoint, ReadMeter, StartTimer, StopRemotely
from edgegw.core.metering import running_wh
from edgegw.core.order_control import Intent
from edgegw.core.state import Evse, EvseSettings, HoldBook, HoldState, Phase, SaleStage, Session, Setpoint
from edgegw.core.step_context import StepContext

HORIZON_NS = 4 * INTERVAL_NS  # how far ahead a charge without an order is commanded
RENEW_NS = 2 * INTERVAL_NS  # it is renewed when less than this is left
ENERGY_WH_MIN = 200  # a hold that pays for less counts as used up
READ_AFTER_S = 1  # after the end of an order's setpoint: chargers start and end profiles at whole seconds
WH_NS = 3_600 * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Power until an instant; `over` ends the session, as its hold or its order is used up."""

    power_w: int
    ends_ns: int
    over: bool = False


def replan(context: StepContext, evse: Evse) -> None:
    """Command what the EVSE should do now, where it differs from the last command."""
    session = evse.session
    if session is None or not evse.online or evse.phase is Phase.VACANT:
        return
    if evse.phase is Phase.STARTING:
        return
    plan = plan_for(context, evse, session)
    if not _worth_saying(evse.setpoint, plan, now_ns=context.now_ns):
        return
    if plan.over:
        context.emit(StopRemotely(evse_id=evse.evse_id, transaction_id=session.transaction_id))
    count = evse.setpoint_count + 1
    setpoint = Setpoint(
        setpoint_id=count,
        power_w=plan.power_w,
        ends_ns=plan.ends_ns,
        over=plan.over,
        since_ns=context.now_ns,
        import_wh=_unseen_wh(context, evse, sign=1),
        export_wh=_unseen_wh(context, evse, sign=-1),
    )
    context.put_evse(replace(evse, setpoint=setpoint, setpoint_count=count))
    context.emit(
        ApplySetpoint(
            evse_id=evse.evse_id,
            setpoint_id=count,
            transaction_id=session.transaction_id,
            power_w=plan.power_w,
            ends_ns=plan.ends_ns,
            fallback_w=0,
        )
    )
    if session.order_id is not None and plan.power_w != 0:
        left_s = -(-(plan.ends_ns - context.now_ns) // SECOND_NS)
        context.emit(StartTimer(key=SetpointEnded(evse_id=evse.evse_id), after_s=left_s + READ_AFTER_S))


def on_command_over(context: StepContext, evse: Evse) -> None:
    """Read the meter where an order's setpoint has ended, so that the next one need not wait for the regular reading."""
    setpoint = evse.setpoint
    if setpoint is not None and setpoint.power_w != 0 and setpoint.ends_ns <= context.now_ns:
        context.emit(ReadMeter(meter_id=context.settings.evses[evse.evse_id].meter_id))


def plan_for(context: StepContext, evse: Evse, session: Session) -> Plan:
    """Return what this EVSE should do from now on."""
    settings = context.settings.evses[evse.evse_id]
    rest = Plan(power_w=0, ends_ns=context.now_ns + HORIZON_NS)
    if evse.phase is not Phase.ACTIVE or session.terms is None or _is_blind(context, settings):
        return rest
    wish = order_control.intent(context, evse, session)
    if wish.over:
        return replace(rest, over=True)
    if session.sale is SaleStage.READY:
        return (_plan_sale(context, evse, session, wish=wish) if wish.sells else None) or rest
    stays = not wish.charges or (wish.sells and _rests_after_sale(context, session))
    if session.sale in {SaleStage.NONE, SaleStage.OVER} and not stays:
        return _within(context, evse, _plan_charge(context, evse, session), wish=wish)
    return rest  # no energy may flow while a sale is prepared


def _within(context: StepContext, evse: Evse, plan: Plan, *, wish: Intent) -> Plan:
    """Return the plan cut to the intent: it ends where the order's energy would have flowed at full power."""
    if plan.power_w == 0:
        return plan
    ends_ns = plan.ends_ns if wish.until_ns is None else min(plan.ends_ns, wish.until_ns)
    if wish.energy_wh is not None:
        left_wh = wish.energy_wh - _unseen_wh(context, evse, sign=1 if plan.power_w > 0 else -1)
        ends_ns = min(ends_ns, context.now_ns + left_wh * WH_NS // abs(plan.power_w))
    if ends_ns < context.now_ns + SECOND_NS:
        return Plan(power_w=0, ends_ns=context.now_ns + HORIZON_NS)  # until a reading shows what has flowed
    return replace(plan, ends_ns=ends_ns)


def replan_all(context: StepContext) -> None:
    """Share the site's power again: EVSEs that must reduce theirs come before those that may increase it."""
    loaded = sorted(
        context.evses.values(), key=lambda evse: -abs(evse.setpoint.power_w if evse.setpoint else 0)
    )
    for evse in loaded:
        replan(context, context.evses[evse.evse_id])


def sale_wh_left(context: StepContext, evse: Evse, hold: HoldBook) -> int:
    """Return what a sale's hold still covers, less the open segment's export and what may have flowed since."""
    settings = context.settings.evses[evse.evse_id]
    _, exported_wh = running_wh(context.meters[settings.meter_id])
    net_wh = hold.left * (10_000 - context.settings.loss_bp) // 10_000
    return net_wh - exported_wh - _unseen_wh(context, evse, sign=-1)


def discharge_power_w(context: StepContext, settings: EvseSettings, session: Session) -> int:
    """Return the most power this car may discharge at this EVSE; 0 where it cannot."""
    return _within_site(context, forecast.discharge_w(settings, session))


def _unseen_wh(context: StepContext, evse: Evse, *, sign: int) -> int:
    """Return what may have flowed since the last reading at the commanded powers; `sign` is 1 for import, -1 for export."""
    last, setpoint = context.meters[context.settings.evses[evse.evse_id].meter_id].last, evse.setpoint
    if last is None or setpoint is None:
        return 0
    before_wh = setpoint.import_wh if sign > 0 else setpoint.export_wh
    if last.at_ns >= setpoint.since_ns:
        before_wh = 0  # the reading includes it
    until_ns = min(context.now_ns, setpoint.ends_ns)  # after that the charger falls back by itself
    moved = max(0, sign * setpoint.power_w) * max(0, until_ns - max(last.at_ns, setpoint.since_ns))
    return before_wh - (-moved // WH_NS)


def _within_site(context: StepContext, power_w: int) -> int:
    """Limit power to an even share of the site's connection among the active EVSEs."""
    if context.settings.site_w_max is None:
        return power_w
    active = sum(1 for evse in context.evses.values() if evse.phase is Phase.ACTIVE)
    return min(power_w, context.settings.site_w_max // max(1, active))


def _rests_after_sale(context: StepContext, session: Session) -> bool:
    """Return whether a satisfied car that sold stays at rest: charging it again costs at least its selling price."""
    if session.sale_hold_id is None or not session.satisfied or session.terms is None:
        return False
    record = context.prices.get(market.key(market.CHARGE, interval_of(context.now_ns)))
    ceiling = None if record is None else record.ceiling_mtok_per_kwh
    return ceiling is None or ceiling >= session.terms.price_mtok_per_kwh_min


def _is_blind(context: StepContext, settings: EvseSettings) -> bool:
    """Return whether the meter cannot be used: its reading is older than `stale_ns`, or another device answers."""
    account = context.meters[settings.meter_id]
    if account.last is None or account.stranger is not None:
        return True
    return context.now_ns - account.last.at_ns > context.settings.stale_ns


def _plan_charge(context: StepContext, evse: Evse, session: Session) -> Plan:
    settings = context.settings.evses[evse.evse_id]
    hold = None if session.charge_hold_id is None else context.holds.get(session.charge_hold_id)
    if hold is None or hold.state is not HoldState.OPEN:
        return Plan(power_w=0, ends_ns=context.now_ns + HORIZON_NS)
    power_w = _within_site(context, forecast.charge_w(settings, session))
    imported_wh, _ = running_wh(context.meters[settings.meter_id])
    imported_wh += _unseen_wh(context, evse, sign=1)
    left = hold.left - amount_mtok(hold.limit_mtok_per_kwh, imported_wh)
    energy_wh = affordable_wh(left, hold.limit_mtok_per_kwh)
    if energy_wh < ENERGY_WH_MIN:
        return Plan(power_w=0, ends_ns=context.now_ns + HORIZON_NS, over=True)
    ends_ns = context.now_ns + HORIZON_NS
    market_wh = _market_only_wh(context, hold, session)
    if market_wh is not None:
        energy_wh = min(energy_wh, market_wh - imported_wh)
        ends_ns = (interval_of(context.now_ns) * SECOND_NS) + INTERVAL_NS
        if energy_wh < ENERGY_WH_MIN:
            return Plan(power_w=0, ends_ns=ends_ns)
    power_w = max(power_w, 1)
    return Plan(power_w=power_w, ends_ns=min(ends_ns, context.now_ns + energy_wh * WH_NS // power_w))


def _market_only_wh(context: StepContext, hold: HoldBook, session: Session) -> int | None:
    """Return the market energy of this interval for each driver who may not take retail; None where retail may serve."""
    assert session.terms is not None
    interval = interval_of(context.now_ns)
    record = context.prices.get(market.key(market.CHARGE, interval))
    ceiling = None if record is None else record.ceiling_mtok_per_kwh
    retail_fits = ceiling is None or ceiling <= hold.limit_mtok_per_kwh
    if session.terms.accept_retail and retail_fits:
        return None
    price = market.usable_price(context.prices.rows, market.CHARGE, interval)
    if price is None or price > hold.limit_mtok_per_kwh:
        return 0
    carried_wh = sum(
        item.left for item in market.open_slices(context.slices.values(), market.CHARGE, interval)
    )
    return carried_wh // max(1, sum(1 for other in context.evses.values() if _is_market_only(other)))


def _is_market_only(evse: Evse) -> bool:
    session = evse.session
    if evse.phase is not Phase.ACTIVE or session is None or session.terms is None:
        return False
    return not session.terms.accept_retail and not session.satisfied


def _plan_sale(context: StepContext, evse: Evse, session: Session, *, wish: Intent) -> Plan | None:
    """Plan a discharge inside this interval's guards, as far as price, slices, hold and the driver's minimum allow."""
    assert session.terms is not None
    if session.soc_bp is not None and session.soc_bp <= session.terms.soc_bp_min:
        return None
    settings = context.settings.evses[evse.evse_id]
    start_ns = interval_of(context.now_ns) * SECOND_NS
    ends_ns = start_ns + INTERVAL_NS - context.settings.guard_ns
    power_w = discharge_power_w(context, settings, session)
    if power_w <= 0 or not start_ns + context.settings.guard_ns <= context.now_ns < ends_ns:
        return None
    price = market.usable_price(context.prices.rows, market.DISCHARGE, interval_of(context.now_ns))
    hold = None if session.sale_hold_id is None else context.holds.get(session.sale_hold_id)
    if price is None or price < session.terms.price_mtok_per_kwh_min:
        return None
    if hold is None or hold.state is not HoldState.OPEN:
        return None
    energy_wh = min(sale_wh_left(context, evse, hold), _slice_share_wh(context, session, price))
    if energy_wh < ENERGY_WH_MIN:
        return None
    ends_ns = min(ends_ns, context.now_ns + energy_wh * WH_NS // power_w)
    return _within(context, evse, Plan(power_w=-power_w, ends_ns=ends_ns), wish=wish)


def _slice_share_wh(context: StepContext, session: Session, price: int) -> int:
    """Return what buyers' slices carry, less what other running sales may still take."""
    interval = interval_of(context.now_ns)
    carried_wh = sum(
        market.slice_wh(item, price)
        for item in market.open_slices(context.slices.values(), market.DISCHARGE, interval)
    )
    for evse in context.evses.values():
        other, setpoint = evse.session, evse.setpoint
        if other is None or other.session_id == session.session_id or setpoint is None:
            continue
        if setpoint.power_w < 0 and setpoint.ends_ns > context.now_ns:
            carried_wh -= -setpoint.power_w * INTERVAL_NS // WH_NS
    return carried_wh


def _worth_saying(setpoint: Setpoint | None, plan: Plan, *, now_ns: int) -> bool:
    if setpoint is None or setpoint.power_w != plan.power_w or (plan.over and not setpoint.over):
        return True
    if plan.ends_ns < setpoint.ends_ns - 30 * SECOND_NS:
        return True
    if setpoint.ends_ns <= now_ns:
        return True
    return setpoint.ends_ns - now_ns < RENEW_NS and plan.ends_ns > setpoint.ends_ns + INTERVAL_NS // 3
