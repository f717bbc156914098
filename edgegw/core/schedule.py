"""Runs the timetable of each quarter hour: report load, fix prices, reserve slices, start, guard, and return slices.

Everything about an interval happens before it starts, except drawing on its slices and returning what is left.
Source: docs/ledger.md, Price (cut-off, fixed once) and Life of a session (slices).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from edgegw.common.trade_terms import PRODUCTS, product_of
from edgegw.common.units import INTERVAL_NS, INTERVAL_S, SECOND_NS, amount_mtok, interval_of
from edgegw.core import control, driver_orders, forecast, market, sale
from edgegw.core.correlation import IntervalOffers
from edgegw.core.effects import Query, ReportLoad
from edgegw.core.line_allocation import register_meter
from edgegw.core.market import CHARGE, DISCHARGE, Price, Slice, SliceState
from edgegw.core.state import Phase, SaleStage, Settings
from edgegw.core.step_context import StepContext
from edgegw.core.submission import Purpose

FIX_AFTER_CUTOFF_NS = SECOND_NS
RESERVE_PERCENT = 115
RESERVE_EXTRA_WH = 1_500
SLICE_KEPT_NS = 6 * 3_600 * SECOND_NS  # a meter silent for longer no longer keeps slices from being returned
KEEP_INTERVALS = 16  # how long prices are kept after their interval, for late segments
KEEP_ANSWERS_NS = 7 * 24 * 3600 * SECOND_NS  # how long a charger may be offline and then repeat a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """An action done once for each interval, at an offset from its start (negative: before it)."""

    offset_ns: Callable[[Settings], int]
    action: Callable[[StepContext, int], None]  # takes the interval


def next_tick_ns(settings: Settings, now_ns: int) -> int:
    """Return the first timetable instant after `now_ns`."""
    first = interval_of(now_ns) * SECOND_NS
    return min(
        start_ns + offset
        for offset in (appointment.offset_ns(settings) for appointment in TIMETABLE)
        for start_ns in range(first - INTERVAL_NS, first + 9 * INTERVAL_NS, INTERVAL_NS)
        if start_ns + offset > now_ns
    )


def on_tick(context: StepContext) -> None:
    """Run the appointments due since the last tick, each for its newest interval only."""
    since_ns = context.tally.ticked_ns
    context.tally = replace(context.tally, ticked_ns=context.now_ns)
    for appointment in TIMETABLE:
        offset = appointment.offset_ns(context.settings)
        start_ns = (context.now_ns - offset) // INTERVAL_NS * INTERVAL_NS
        if start_ns + offset > since_ns:
            appointment.action(context, start_ns // SECOND_NS)


def _report(context: StepContext, interval: int) -> None:
    evses = context.evses.values()
    supply_wh = sum(sale.supply_wh(context, evse, interval) for evse in evses)
    context.emit(
        ReportLoad(product=CHARGE, interval=interval, energy_wh=expected_demand_wh(context)),
        ReportLoad(product=DISCHARGE, interval=interval, energy_wh=supply_wh),
    )


def expected_demand_wh(context: StepContext) -> int:
    """Return what the cars that take power now would take in a whole interval."""
    demand_wh = 0
    for evse in context.evses.values():
        session = evse.session
        if session is None or session.satisfied or evse.phase is Phase.STOPPING:
            continue
        settings = context.settings.evses[evse.evse_id]
        power_w = max(0, context.meters[settings.meter_id].power_w)
        fresh = context.now_ns - session.started_ns < INTERVAL_NS // 3
        demand_wh += (settings.rated_w if fresh else power_w) * INTERVAL_S // 3600
    return demand_wh


def _fix(context: StepContext, interval: int) -> None:
    for product in PRODUCTS:
        if context.now_ns >= interval * SECOND_NS or market.key(product, interval) in context.prices:
            continue
        context.submit(
            "FixPrice",
            {"zone": context.settings.zone, "product": product, "interval": interval},
            lane=f"price~{product}",
            purpose=Purpose.PRICE,
            subject=market.key(product, interval),
            expires_ns=interval * SECOND_NS,
        )


def _start(context: StepContext, _interval: int) -> None:
    forecast.make_stale(context)
    for evse in context.evses.values():
        sale.consider(context, evse)
        control.replan(context, context.evses[evse.evse_id])


def _guard(context: StepContext, _interval: int) -> None:
    for evse in context.evses.values():
        if evse.session is not None and evse.session.sale is not SaleStage.NONE:
            control.replan(context, evse)


def _tidy(context: StepContext, interval: int) -> None:
    return_slices(context)
    _forget_answers(context)
    driver_orders.forget(context)
    _register_again(context)
    oldest = interval - KEEP_INTERVALS * INTERVAL_S
    waiting = {market.key(market.CHARGE, line.interval) for line in context.lines.values()}
    for price in context.prices.values():
        row = market.key(price.product, price.interval)
        if price.interval < oldest and row not in waiting:
            context.prices.drop(row)


def _forget_answers(context: StepContext) -> None:
    for row in [
        row for row, kept in context.answers.rows.items() if context.now_ns - kept.at_ns > KEEP_ANSWERS_NS
    ]:
        context.answers.drop(row)


def _register_again(context: StepContext) -> None:
    """Submit refused registrations of meters again: the gateway may be registered by now, and their lines wait."""
    open_lanes = {submission.lane for submission in context.submissions.values()}
    for account in context.meters.values():
        lane = f"meter~{account.meter_id}"
        if account.first is not None and not account.registered and lane not in open_lanes:
            register_meter(context, account)


TIMETABLE = (
    Appointment(offset_ns=lambda it: -it.cutoff_ns - it.report_lead_ns, action=_report),
    Appointment(offset_ns=lambda it: -it.cutoff_ns + FIX_AFTER_CUTOFF_NS, action=_fix),
    Appointment(offset_ns=lambda _it: 0, action=_start),
    Appointment(offset_ns=lambda it: it.guard_ns, action=_guard),
    Appointment(offset_ns=lambda _it: INTERVAL_NS // 2, action=_tidy),
)


def learn_price(context: StepContext, record: Mapping[str, object]) -> None:
    """Store a fixed price when it is first seen committed, and query offers where it is in time."""
    product, interval = product_of(record.get("product")), record.get("interval")
    if record.get("zone") != context.settings.zone or product is None or not isinstance(interval, int):
        return
    row = market.key(product, interval)
    if row in context.prices:
        return
    price = Price(
        product=product,
        interval=interval,
        price_mtok_per_kwh=_integer(record.get("price")),
        ceiling_mtok_per_kwh=_integer(record.get("ceiling")),
        refusal=_text(record.get("refusal")),
        seen_ns=context.now_ns,
    )
    context.prices.put(row, price)
    forecast.make_stale(context)
    context.log(
        "price.fixed", product=product, interval=interval, price_mtok_per_kwh=price.price_mtok_per_kwh
    )
    _ask_offers(context, price)


def ask_offers_again(context: StepContext) -> None:
    """After a restart, query offers again for coming intervals without slices: open queries are lost."""
    reserved = {(item.product, item.interval) for item in context.slices.values()}
    for price in context.prices.values():
        coming = price.interval * SECOND_NS > context.now_ns
        if coming and (price.product, price.interval) not in reserved:
            _ask_offers(context, price)


def _ask_offers(context: StepContext, price: Price) -> None:
    if price.in_time and price.price_mtok_per_kwh is not None and _needed(context, price) > 0:
        key = IntervalOffers(product=price.product, interval=price.interval)
        context.queries.add(key)
        arguments = {"v": 1, "zone": context.settings.zone, "product": price.product}
        context.emit(Query(key=key, function="ListOffers", arguments=arguments))


def _needed(context: StepContext, price: Price) -> int:
    """Return the gross Wh (CHARGE) or milli-token (DISCHARGE) to reserve for an interval."""
    assert price.price_mtok_per_kwh is not None
    if price.product == CHARGE:
        demand_wh = expected_demand_wh(context)
        return demand_wh * RESERVE_PERCENT // 100 + RESERVE_EXTRA_WH
    sellers = [
        evse
        for evse in context.evses.values()
        if evse.session is not None
        and evse.session.terms is not None
        and evse.session.terms.price_mtok_per_kwh_min <= price.price_mtok_per_kwh
    ]
    supply_wh = sum(sale.supply_wh(context, evse, price.interval) for evse in sellers)
    return amount_mtok(price.price_mtok_per_kwh, supply_wh * RESERVE_PERCENT // 100)


def on_offers(context: StepContext, key: IntervalOffers, result: Mapping[str, object] | None) -> None:
    """Reserve slices for what this station expects to need, in the order of the offers."""
    price = context.prices.get(market.key(key.product, key.interval))
    offers = [] if result is None else result.get("offers")
    if price is None or price.price_mtok_per_kwh is None or not isinstance(offers, list):
        return
    needed = _needed(context, price)
    for offer in offers:
        amount = min(needed, _integer(offer.get("left")) or 0)
        if amount <= 0 or not _acceptable(offer, price):
            continue
        needed -= amount
        _reserve(context, price, offer_id=str(offer["offerId"]), amount=amount)


def _acceptable(offer: Mapping[str, object], price: Price) -> bool:
    """Return whether an offer fits: a seller's limit is a minimum, a buyer's a maximum, valid for the whole interval."""
    limit = _integer(offer.get("limitPrice")) or 0
    fixed = price.price_mtok_per_kwh or 0
    within = limit <= fixed if price.product == CHARGE else limit >= fixed
    valid_to = offer.get("validTo")
    return within and isinstance(valid_to, int) and valid_to >= price.interval + INTERVAL_S


def _reserve(context: StepContext, price: Price, *, offer_id: str, amount: int) -> None:
    number = context.number()
    item = Slice(
        slice_id=f"{context.settings.gateway_id}.{price.interval}.{number}",
        number=number,
        offer_id=offer_id,
        product=price.product,
        interval=price.interval,
        amount=amount,
        left=amount,
        limit_mtok_per_kwh=price.price_mtok_per_kwh or 0,
    )
    context.slices.put(item.slice_id, item)
    context.submit(
        "Reserve",
        {
            "sliceId": item.slice_id,
            "offerId": offer_id,
            "interval": price.interval,
            "amount": str(amount),
        },
        lane=f"offer~{offer_id}",
        purpose=Purpose.SLICE,
        subject=item.slice_id,
        expires_ns=price.interval * SECOND_NS,
    )


def return_slices(context: StepContext) -> None:
    """Return slices after their interval's last line, used-up ones too: one of their lines may have been refused."""
    cut_ns = _all_cut_until_ns(context)
    used = {line.slice_id for line in context.lines.values()}
    for item in context.slices.values():
        ended = (item.interval + INTERVAL_S) * SECOND_NS <= cut_ns
        if item.state is not SliceState.OPEN or not ended or item.slice_id in used:
            continue
        context.slices.put(item.slice_id, replace(item, state=SliceState.RETURNING))
        context.submit(
            "Return",
            {"sliceId": item.slice_id},
            lane=f"offer~{item.offer_id}",
            purpose=Purpose.RETURN,
            subject=item.slice_id,
        )


def _all_cut_until_ns(context: StepContext) -> int:
    """Return the instant up to which the meters of all sessions are cut: no line can come from before it."""
    cut_ns = context.now_ns
    for evse in context.evses.values():
        drawing = evse.session is not None and evse.session.began and evse.phase is Phase.ACTIVE
        if not drawing and evse.ending is None:
            continue
        account = context.meters[context.settings.evses[evse.evse_id].meter_id]
        cut_ns = min(cut_ns, 0 if account.cut is None else account.cut.at_ns)
    return max(cut_ns, context.now_ns - SLICE_KEPT_NS)


def _integer(value: object) -> int | None:
    """Return an integer as the ledger writes it, a decimal string or a JSON integer; else None."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
