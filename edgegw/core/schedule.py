"""The quarter hour's timetable: report, fix, reserve, start, guard; and what is given back after it.

Everything about one interval happens before it starts, except drawing on it and returning what is left.
Source: docs/ledger.md, Price (cut-off, fixed once) and Life of a session (slices).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from edgegw.core import control, market, order_book, outlook, sale
from edgegw.core.correlation import IntervalOffers
from edgegw.core.effects import Query, ReportLoad
from edgegw.core.market import CHARGE, DISCHARGE, PRODUCTS, Price, Slice, SliceState
from edgegw.core.state import Phase, SaleStage, Settings
from edgegw.core.trade import register_meter
from edgegw.core.turn import Turn
from edgegw.units import INTERVAL_NS, INTERVAL_S, SECOND_NS, amount_mtok, interval_of

FIX_AFTER_CUTOFF_NS = SECOND_NS
RESERVE_PERCENT = 115
RESERVE_EXTRA_WH = 1_500
SLICE_KEPT_NS = 6 * 3_600 * SECOND_NS  # a meter silent for longer does not keep others' energy
KEEP_INTERVALS = 16  # rows of prices kept after their interval, for late segments
KEEP_ANSWERS_NS = 7 * 24 * 3600 * SECOND_NS  # as long as a charger may stay offline and then repeat itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """What is done once for each interval, at an instant counted from its start (negative: before it)."""

    offset_ns: Callable[[Settings], int]
    action: Callable[[Turn, int], None]  # takes the interval


def next_tick_ns(settings: Settings, now_ns: int) -> int:
    """The first timetable instant after `now_ns`."""
    first = interval_of(now_ns) * SECOND_NS
    return min(
        start_ns + offset
        for offset in (appointment.offset_ns(settings) for appointment in TIMETABLE)
        for start_ns in range(first - INTERVAL_NS, first + 9 * INTERVAL_NS, INTERVAL_NS)
        if start_ns + offset > now_ns
    )


def on_tick(turn: Turn) -> None:
    """Do what the timetable asks for between the last tick and now; only the newest interval of each kind counts."""
    since_ns = turn.tally.ticked_ns
    turn.tally = replace(turn.tally, ticked_ns=turn.now_ns)
    for appointment in TIMETABLE:
        offset = appointment.offset_ns(turn.settings)
        start_ns = (turn.now_ns - offset) // INTERVAL_NS * INTERVAL_NS
        if start_ns + offset > since_ns:
            appointment.action(turn, start_ns // SECOND_NS)


def _report(turn: Turn, interval: int) -> None:
    evses = turn.evses.values()
    supply_wh = sum(sale.supply_wh(turn, evse, interval) for evse in evses)
    turn.emit(
        ReportLoad(product=CHARGE, interval=interval, energy_wh=expected_demand_wh(turn)),
        ReportLoad(product=DISCHARGE, interval=interval, energy_wh=supply_wh),
    )


def expected_demand_wh(turn: Turn) -> int:
    """What the cars that take power now would take in a whole interval."""
    demand_wh = 0
    for evse in turn.evses.values():
        session = evse.session
        if session is None or session.satisfied or evse.phase is Phase.STOPPING:
            continue
        settings = turn.settings.evses[evse.evse_id]
        power_w = max(0, turn.meters[settings.meter_id].power_w)
        fresh = turn.now_ns - session.started_ns < INTERVAL_NS // 3
        demand_wh += (settings.rated_w if fresh else power_w) * INTERVAL_S // 3600
    return demand_wh


def _fix(turn: Turn, interval: int) -> None:
    for product in PRODUCTS:
        if turn.now_ns >= interval * SECOND_NS or market.key(product, interval) in turn.prices:
            continue
        turn.submit(
            "FixPrice",
            {"zone": turn.settings.zone, "product": product, "interval": interval},
            lane=f"price~{product}",
            purpose="price",
            subject=market.key(product, interval),
            expires_ns=interval * SECOND_NS,
        )


def _start(turn: Turn, _interval: int) -> None:
    outlook.make_stale(turn)
    for evse in turn.evses.values():
        sale.consider(turn, evse)
        control.replan(turn, turn.evses[evse.evse_id])


def _guard(turn: Turn, _interval: int) -> None:
    for evse in turn.evses.values():
        if evse.session is not None and evse.session.sale is not SaleStage.NONE:
            control.replan(turn, evse)


def _tidy(turn: Turn, interval: int) -> None:
    return_slices(turn)
    _forget_answers(turn)
    order_book.forget(turn)
    _register_again(turn)
    oldest = interval - KEEP_INTERVALS * INTERVAL_S
    waiting = {market.key(market.CHARGE, line.interval) for line in turn.lines.values()}
    for price in turn.prices.values():
        row = market.key(price.product, price.interval)
        if price.interval < oldest and row not in waiting:
            turn.prices.drop(row)


def _forget_answers(turn: Turn) -> None:
    for row in [row for row, kept in turn.answers.rows.items() if turn.now_ns - kept.at_ns > KEEP_ANSWERS_NS]:
        turn.answers.drop(row)


def _register_again(turn: Turn) -> None:
    """A refused meter is asked for again: its gateway may be registered by now, and its lines wait for it."""
    open_lanes = {submission.lane for submission in turn.submissions.values()}
    for account in turn.meters.values():
        lane = f"meter~{account.meter_id}"
        if account.first is not None and not account.registered and lane not in open_lanes:
            register_meter(turn, account)


TIMETABLE = (
    Appointment(offset_ns=lambda it: -it.cutoff_ns - it.report_lead_ns, action=_report),
    Appointment(offset_ns=lambda it: -it.cutoff_ns + FIX_AFTER_CUTOFF_NS, action=_fix),
    Appointment(offset_ns=lambda _it: 0, action=_start),
    Appointment(offset_ns=lambda it: it.guard_ns, action=_guard),
    Appointment(offset_ns=lambda _it: INTERVAL_NS // 2, action=_tidy),
)


def learn_price(turn: Turn, record: Mapping[str, object]) -> None:
    """Keep a fixed price the first time it is seen committed, and look for offers while there is time."""
    product, interval = record.get("product"), record.get("interval")
    if (
        record.get("zone") != turn.settings.zone
        or not isinstance(product, str)
        or not isinstance(interval, int)
    ):
        return
    row = market.key(product, interval)
    if row in turn.prices:
        return
    price = Price(
        product=product,
        interval=interval,
        price_mtok_per_kwh=_integer(record.get("price")),
        ceiling_mtok_per_kwh=_integer(record.get("ceiling")),
        refusal=_text(record.get("refusal")),
        seen_ns=turn.now_ns,
    )
    turn.prices.put(row, price)
    outlook.make_stale(turn)
    turn.log("price.fixed", product=product, interval=interval, price_mtok_per_kwh=price.price_mtok_per_kwh)
    _ask_offers(turn, price)


def ask_offers_again(turn: Turn) -> None:
    """After a restart: the questions that were open are forgotten, and so may be slices of coming intervals."""
    reserved = {(item.product, item.interval) for item in turn.slices.values()}
    for price in turn.prices.values():
        coming = price.interval * SECOND_NS > turn.now_ns
        if coming and (price.product, price.interval) not in reserved:
            _ask_offers(turn, price)


def _ask_offers(turn: Turn, price: Price) -> None:
    if price.in_time and price.price_mtok_per_kwh is not None and _needed(turn, price) > 0:
        key = IntervalOffers(product=price.product, interval=price.interval)
        turn.queries.add(key)
        arguments = {"v": 1, "zone": turn.settings.zone, "product": price.product}
        turn.emit(Query(key=key, function="ListOffers", arguments=arguments))


def _needed(turn: Turn, price: Price) -> int:
    """Gross Wh (CHARGE) or milli-token (DISCHARGE) to reserve for an interval."""
    assert price.price_mtok_per_kwh is not None
    if price.product == CHARGE:
        demand_wh = expected_demand_wh(turn)
        return demand_wh * RESERVE_PERCENT // 100 + RESERVE_EXTRA_WH
    sellers = [
        evse
        for evse in turn.evses.values()
        if evse.session is not None
        and evse.session.terms is not None
        and evse.session.terms.price_mtok_per_kwh_min <= price.price_mtok_per_kwh
    ]
    supply_wh = sum(sale.supply_wh(turn, evse, price.interval) for evse in sellers)
    return amount_mtok(price.price_mtok_per_kwh, supply_wh * RESERVE_PERCENT // 100)


def on_offers(turn: Turn, key: IntervalOffers, result: Mapping[str, object] | None) -> None:
    """Reserve slices, oldest offer first, for what this station expects to need."""
    price = turn.prices.get(market.key(key.product, key.interval))
    offers = [] if result is None else result.get("offers")
    if price is None or price.price_mtok_per_kwh is None or not isinstance(offers, list):
        return
    needed = _needed(turn, price)
    for offer in offers:
        amount = min(needed, _integer(offer.get("left")) or 0)
        if amount <= 0 or not _acceptable(offer, price):
            continue
        needed -= amount
        _reserve(turn, price, offer_id=str(offer["offerId"]), amount=amount)


def _acceptable(offer: Mapping[str, object], price: Price) -> bool:
    """A seller's limit is a least price, a buyer's a greatest; both must hold for the whole interval."""
    limit = _integer(offer.get("limitPrice")) or 0
    fixed = price.price_mtok_per_kwh or 0
    within = limit <= fixed if price.product == CHARGE else limit >= fixed
    valid_to = offer.get("validTo")
    return within and isinstance(valid_to, int) and valid_to >= price.interval + INTERVAL_S


def _reserve(turn: Turn, price: Price, *, offer_id: str, amount: int) -> None:
    number = turn.number()
    item = Slice(
        slice_id=f"{turn.settings.gateway_id}.{price.interval}.{number}",
        number=number,
        offer_id=offer_id,
        product=price.product,
        interval=price.interval,
        amount=amount,
        left=amount,
        limit_mtok_per_kwh=price.price_mtok_per_kwh or 0,
    )
    turn.slices.put(item.slice_id, item)
    turn.submit(
        "Reserve",
        {
            "sliceId": item.slice_id,
            "offerId": offer_id,
            "interval": price.interval,
            "amount": str(amount),
        },
        lane=f"offer~{offer_id}",
        purpose="slice",
        subject=item.slice_id,
        expires_ns=price.interval * SECOND_NS,
    )


def return_slices(turn: Turn) -> None:
    """Give slices back after their interval's last line, also used-up ones: a line of theirs may have been refused."""
    cut_ns = _all_cut_until_ns(turn)
    used = {line.slice_id for line in turn.lines.values()}
    for item in turn.slices.values():
        ended = (item.interval + INTERVAL_S) * SECOND_NS <= cut_ns
        if item.state is not SliceState.OPEN or not ended or item.slice_id in used:
            continue
        turn.slices.put(item.slice_id, replace(item, state=SliceState.RETURNING))
        turn.submit(
            "Return",
            {"sliceId": item.slice_id},
            lane=f"offer~{item.offer_id}",
            purpose="return",
            subject=item.slice_id,
        )


def _all_cut_until_ns(turn: Turn) -> int:
    """Until when the meters of every session are cut: no line of an earlier interval can come any more."""
    cut_ns = turn.now_ns
    for evse in turn.evses.values():
        drawing = evse.session is not None and evse.session.began and evse.phase is Phase.ACTIVE
        if not drawing and evse.ending is None:
            continue
        account = turn.meters[turn.settings.evses[evse.evse_id].meter_id]
        cut_ns = min(cut_ns, 0 if account.cut is None else account.cut.at_ns)
    return max(cut_ns, turn.now_ns - SLICE_KEPT_NS)


def _integer(value: object) -> int | None:
    """An integer as the ledger writes it: a decimal string or a JSON integer."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
