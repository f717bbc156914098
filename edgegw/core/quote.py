"""Quotes an order: what it would move, cost and earn, before it is placed. Changes nothing.

Prices are those of `forecast`, and a plan is the one that the order would follow. The worst case uses the driver's limits:
the highest price for all charged energy, the lowest for sold energy. A sale is quoted with the state of charge that the
driver entered, but takes place only where the car reports its own (docs/ledger.md, Life of a session): the quote then has
the remark NO_SOC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgegw.common.units import INTERVAL_NS, INTERVAL_S, SECOND_NS, amount_mtok, interval_of
from edgegw.core import driver_orders, forecast, order_intake
from edgegw.core.forecast import CHARGE_EFFICIENCY_BP, Expected, PriceSource
from edgegw.core.orders import DEPARTURE_NS_MOST, SALE_WH_MIN, Aim, Order
from edgegw.core.planning import WH_NS
from edgegw.core.state import Session, Station


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRow:
    """One interval: energy at the meter (import positive), its price, and the source of the price ("" without one)."""

    interval: int
    energy_wh: int
    price_mtok_per_kwh: int | None
    kind: PriceSource | Literal[""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The expected outcome of an order. `code`: why the station would refuse it now; `remarks`: what is uncertain.

    Amounts are costs; earnings are negative.
    """

    order_id: str
    code: str | None
    remarks: tuple[str, ...]
    energy_wh: int  # by aim: charged, sold, or the sum of both
    import_wh: int
    export_wh: int
    amount_mtok: int  # expected
    worst_mtok: int
    begin_ns: int | None  # when energy first flows
    ready_ns: int | None  # when all energy has flowed, or the departure
    soc_bp: int | None  # at the end, where it is known
    cycle_bp: int | None  # share of a full cycle of the battery
    rows: tuple[QuoteRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Rows under construction, with the instants between which energy flows."""

    rows: tuple[QuoteRow, ...] = ()
    begin_ns: int | None = None
    ready_ns: int | None = None
    reached: bool = True


def quote(station: Station, order: Order, now_ns: int) -> Quote:
    """Return the quote of an order at this instant."""
    code = order_intake.refusal(station, order, now_ns=now_ns)
    session = _session(station, order)
    soc_bp = _soc_bp(station, order, session)
    draft = Draft()
    if order.evse_id in station.evses:
        draft = _draft(station, order, session=session, soc_bp=soc_bp, now_ns=now_ns)
    import_wh = sum(row.energy_wh for row in draft.rows if row.energy_wh > 0)
    export_wh = -sum(row.energy_wh for row in draft.rows if row.energy_wh < 0)
    terms = order.terms
    worst_mtok = amount_mtok(terms.price_mtok_per_kwh_max, import_wh)
    worst_mtok -= amount_mtok(terms.price_mtok_per_kwh_min, export_wh)
    moved_wh = import_wh * CHARGE_EFFICIENCY_BP // 10_000
    drawn_wh = export_wh * 10_000 // terms.discharge_efficiency_bp
    battery_wh = terms.battery_wh
    return Quote(
        order_id=order.order_id,
        code=code,
        remarks=_remarks(order, draft, session=session, soc_bp=soc_bp),
        energy_wh={Aim.CHARGE: import_wh, Aim.SELL: export_wh, Aim.WORK: import_wh + export_wh}[order.aim],
        import_wh=import_wh,
        export_wh=export_wh,
        amount_mtok=sum(_amount(row, terms.price_mtok_per_kwh_max) for row in draft.rows),
        worst_mtok=worst_mtok,
        begin_ns=draft.begin_ns,
        ready_ns=draft.ready_ns,
        soc_bp=_end_bp(soc_bp, moved_wh - drawn_wh, battery_wh),
        cycle_bp=None if battery_wh <= 0 else (moved_wh + drawn_wh) * 10_000 // (2 * battery_wh),
        rows=draft.rows,
    )


def _session(station: Station, order: Order) -> Session | None:
    """Return the session that the order would join or identify; None where there is none, or another member's."""
    evse = station.evses.get(order.evse_id)
    session = None if evse is None else evse.session
    if session is None or (session.terms is not None and session.terms.member_id != order.terms.member_id):
        return None
    return session


def _soc_bp(station: Station, order: Order, session: Session | None) -> int | None:
    if session is not None:
        # As if it started now: the state of charge that the driver entered holds from here on.
        import_wh, export_wh = driver_orders.moved_wh(station, station.evses[order.evse_id], session)
        taken = replace(order, from_import_wh=import_wh, from_export_wh=export_wh)
        if order.terms.battery_wh > 0:
            return forecast.soc_now_bp(station, station.evses[order.evse_id], session, order=taken)
        return session.soc_bp
    return order.soc_bp_told


def _end_bp(soc_bp: int | None, gained_wh: int, battery_wh: int) -> int | None:
    if soc_bp is None or battery_wh <= 0:
        return None
    return min(10_000, max(0, soc_bp + gained_wh * 10_000 // battery_wh))


def _amount(row: QuoteRow, worst: int) -> int:
    price = worst if row.price_mtok_per_kwh is None else row.price_mtok_per_kwh
    sign = 1 if row.energy_wh >= 0 else -1
    return sign * amount_mtok(price, abs(row.energy_wh))


def _remarks(order: Order, draft: Draft, *, session: Session | None, soc_bp: int | None) -> tuple[str, ...]:
    moving = [row for row in draft.rows if row.energy_wh]
    sold = any(row.energy_wh < 0 for row in moving)
    checks = (
        (any(row.price_mtok_per_kwh is None for row in moving), "NO_PRICE"),
        (order.aim is Aim.SELL and not sold, "NOTHING_TO_SELL"),
        (order.aim is Aim.WORK and soc_bp is None, "NO_SOC"),
        (
            (sold or order.aim is Aim.SELL) and (session is None or session.soc_bp is None),
            "NO_SOC",
        ),
        (not draft.reached, "SOC_NOT_REACHED" if order.aim is not Aim.CHARGE else "NO_PRICE"),
    )
    return tuple(dict.fromkeys(remark for holds, remark in checks if holds))


def _draft(
    station: Station, order: Order, *, session: Session | None, soc_bp: int | None, now_ns: int
) -> Draft:
    leaves_ns = order.departure_ns
    planned = order.aim is Aim.WORK or (order.aim is Aim.SELL and order.soc_bp_wanted is not None)
    if planned and soc_bp is not None and leaves_ns is not None and leaves_ns > now_ns:
        return _planned(station, order, session=session, soc_bp=soc_bp, now_ns=now_ns)
    settings = station.settings.evses[order.evse_id]
    if order.aim is Aim.CHARGE:
        energy_wh = order.energy_wh if order.energy_wh is not None else _room_wh(order, soc_bp)
        power_w = forecast.charge_w(settings, session)
    elif order.aim is Aim.SELL:
        energy_wh, power_w = _for_sale_wh(order, soc_bp), -forecast.discharge_w(settings, session)
    else:
        return Draft(ready_ns=leaves_ns)
    return _walk(station, order, energy_wh=energy_wh, power_w=power_w, now_ns=now_ns)


def _room_wh(order: Order, soc_bp: int | None) -> int:
    """Return what fills the battery; 0 where that is unknown."""
    if soc_bp is None or order.terms.battery_wh <= 0:
        return 0
    return -(-(10_000 - soc_bp) * order.terms.battery_wh // CHARGE_EFFICIENCY_BP)


def _for_sale_wh(order: Order, soc_bp: int | None) -> int:
    """Return what may be sold: the order's energy, at most what the car has above its minimum."""
    terms = order.terms
    if soc_bp is None:
        return order.energy_wh or 0
    over_bp = max(0, soc_bp - terms.soc_bp_min)
    has_wh = over_bp * terms.battery_wh // 10_000 * terms.discharge_efficiency_bp // 10_000
    energy_wh = has_wh if order.energy_wh is None else min(order.energy_wh, has_wh)
    return energy_wh if energy_wh >= SALE_WH_MIN else 0


def _walk(station: Station, order: Order, *, energy_wh: int, power_w: int, now_ns: int) -> Draft:
    """Move energy at full power in the intervals with an acceptable price, until all has moved or the car leaves."""
    ahead = forecast.ahead_of(station)
    sells = power_w < 0
    guard_ns = station.settings.guard_ns if sells else 0
    until_ns = order.departure_ns or now_ns + DEPARTURE_NS_MOST
    draft = Draft()
    interval, left_wh = interval_of(now_ns), energy_wh
    while left_wh > 0 and power_w != 0 and interval * SECOND_NS < until_ns:
        start_ns = interval * SECOND_NS
        if sells:
            price: Expected | None = forecast.selling(ahead, interval, order.terms)
        else:
            price = forecast.buying(ahead, interval, order.terms)
        flows = price is not None or (not sells and not forecast.is_known(ahead, interval))
        first_ns = max(now_ns, start_ns + guard_ns)
        last_ns = min(until_ns, start_ns + INTERVAL_NS - guard_ns)
        moved_wh = min(left_wh, max(0, last_ns - first_ns) * abs(power_w) // WH_NS) if flows else 0
        if moved_wh:
            left_wh -= moved_wh
            draft = _with(
                draft,
                QuoteRow(
                    interval=interval,
                    energy_wh=-moved_wh if sells else moved_wh,
                    price_mtok_per_kwh=None if price is None else price.mtok_per_kwh,
                    kind="" if price is None else price.kind,
                ),
                begin_ns=first_ns,
                ready_ns=first_ns + -(-moved_wh * WH_NS // abs(power_w)),
            )
        interval += INTERVAL_S
    return replace(draft, reached=sells or left_wh <= 0)


def _with(draft: Draft, row: QuoteRow, *, begin_ns: int, ready_ns: int) -> Draft:
    begin_ns = begin_ns if draft.begin_ns is None else draft.begin_ns
    return replace(draft, rows=(*draft.rows, row), begin_ns=begin_ns, ready_ns=ready_ns)


def _planned(station: Station, order: Order, *, session: Session | None, soc_bp: int, now_ns: int) -> Draft:
    """Return the rows of the plan, including those at rest."""
    ahead = forecast.ahead_of(station)
    sale_wh_left = None if order.aim is Aim.WORK else order.energy_wh
    settings = station.settings.evses[order.evse_id]
    if not order.terms.sells or settings.discharge_w <= 0:
        sale_wh_left = 0
    made = forecast.plan_of(
        station, order, session=session, soc_bp=soc_bp, sale_wh_left=sale_wh_left, now_ns=now_ns
    )
    rows: Sequence[QuoteRow] = [
        QuoteRow(
            interval=interval_of(row.start_ns),
            energy_wh=row.energy_wh,
            price_mtok_per_kwh=price.mtok_per_kwh if price is not None else None,
            kind="" if price is None else price.kind,
        )
        for row in made.rows
        for price in [forecast.price_of(ahead, order, row)]
    ]
    begins = [row.start_ns for row in made.rows if row.energy_wh]
    return Draft(
        rows=tuple(rows),
        begin_ns=begins[0] if begins else None,
        ready_ns=order.departure_ns,
        reached=made.reached,
    )
