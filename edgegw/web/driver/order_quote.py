"""The quote of an order in words, numbers and a chart, shown before the driver confirms.

Decides what the quote shows, and what must not change until it is confirmed (`seen`): the order and each price that it
relies on. The figures are the core's (`core.quote`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edgegw.common.canonical_json import sha256_hex
from edgegw.common.units import INTERVAL_NS, INTERVAL_S, SECOND_NS, interval_of
from edgegw.core import forecast
from edgegw.core.orders import Aim, Order
from edgegw.core.quote import Quote, quote
from edgegw.core.state import Station
from edgegw.web import formats
from edgegw.web.charts.plan import plan
from edgegw.web.charts.series import PlanLabels, PlanMarks, PlanRow
from edgegw.web.charts.svg import Drawn
from edgegw.web.charts.tables import Table, plan_table
from edgegw.web.driver.order_forms import OrderContext
from edgegw.web.driver.order_messages import (
    about_percent,
    about_tokens,
    refusal_words,
    remark_words,
)

COUNTED_NS = (
    8 * INTERVAL_NS
)  # prices of a charge must hold for this long; those of a plan until the departure
TOKEN_MTOK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A quote as its page shows it. `code`: why it cannot be ordered; `missing_tokens`: number of tokens to buy first."""

    code: str
    reason: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    terms: tuple[str, ...]
    missing_tokens: int
    is_short: bool
    picture: Drawn | None
    table: Table | None
    until: str
    seen: str

    @property
    def can_order(self) -> bool:
        """Whether the page offers to confirm."""
        return not self.code and not self.missing_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """An order with its context and the core's quote."""

    context: OrderContext
    order: Order
    quote: Quote
    now_ns: int

    def tokens(self, amount_mtok: int) -> str:
        return about_tokens(amount_mtok, self.context.language)

    def moment(self, at_ns: int) -> str:
        zone = self.context.site.settings.time_zone
        return formats.moment(at_ns, now_ns=self.now_ns, zone=zone, language=self.context.language)


def offered(station: Station, context: OrderContext, order: Order, *, available_mtok: int) -> Offered:
    """Return the quote of an order for a driver with `available_mtok`."""
    now_ns, word = context.site.clock.now_ns(), context.word
    made = quote(station, order, now_ns)
    told = _Told(context=context, order=order, quote=made, now_ns=now_ns)
    needed_mtok = made.amount_mtok if order.aim is Aim.CHARGE else max(0, made.amount_mtok)
    short_mtok = max(0, needed_mtok - available_mtok)
    pays_first = order.aim is not Aim.SELL and available_mtok <= 0
    rows = _plan_rows(told, _soc_bp(station, order))
    picture, table = _picture(told, rows, _soc_bp(station, order))
    return Offered(
        code=made.code or "",
        reason="" if made.code is None else refusal_words(word, made.code),
        headline=_headline(told),
        facts=tuple(_facts(told)),
        remarks=tuple(remark_words(word, remark) for remark in made.remarks),
        terms=tuple(_terms(told)),
        missing_tokens=max(1, -(-short_mtok // TOKEN_MTOK)) if pays_first else 0,
        is_short=short_mtok > 0,
        picture=picture,
        table=table,
        until=formats.clock((interval_of(now_ns) + INTERVAL_S) * SECOND_NS, context.site.settings.time_zone),
        seen=_seen(station, order, now_ns),
    )


def _headline(told: _Told) -> str:
    word, made = told.context.word, told.quote
    amount = told.tokens(abs(made.amount_mtok))
    if told.order.aim is Aim.CHARGE:
        return word("Charge %(energy)s for about %(tokens)s") % {
            "energy": formats.kwh(made.import_wh, places=None),
            "tokens": amount,
        }
    if told.order.aim is Aim.SELL:
        return word("Sell up to %(energy)s") % {
            "energy": formats.kwh(told.order.energy_wh or made.export_wh, places=None)
        }
    if made.amount_mtok < 0:
        return word("Charge and sell automatically until %(time)s, earn about %(tokens)s") % _until(
            told, amount
        )
    return word("Charge and sell automatically until %(time)s, for about %(tokens)s") % _until(told, amount)


def _until(told: _Told, amount: str) -> dict[str, str]:
    return {"time": told.moment(told.order.departure_ns or told.now_ns), "tokens": amount}


def _facts(told: _Told) -> Iterable[tuple[str, str]]:
    word, made, order = told.context.word, told.quote, told.order
    if made.import_wh:
        yield word("Energy charged"), formats.kwh(made.import_wh)
    if made.export_wh:
        yield word("Energy sold"), formats.kwh(made.export_wh)
    yield _amount_fact(told, made.amount_mtok, cost=word("Expected cost"), earnings=word("Expected earnings"))
    yield _amount_fact(told, made.worst_mtok, cost=word("Maximum cost"), earnings=word("Minimum earnings"))
    if made.begin_ns is not None:
        yield word("Begins"), told.moment(made.begin_ns)
    if made.ready_ns is not None:
        at = told.moment(made.ready_ns)
        yield word("Ready"), at if order.departure_ns else word("about %(time)s") % {"time": at}
    if made.soc_bp is not None:
        yield word("Battery at the end"), about_percent(made.soc_bp)
    if order.aim is not Aim.CHARGE:
        yield word("Lowest state of charge"), formats.percent(order.terms.soc_bp_min)
    if made.cycle_bp is not None and (made.import_wh or made.export_wh):
        share = formats.decimal(made.cycle_bp, scale=4, places=2)
        yield word("Battery use"), word("about %(share)s full cycles") % {"share": share}


def _amount_fact(told: _Told, amount_mtok: int, *, cost: str, earnings: str) -> tuple[str, str]:
    return (earnings if amount_mtok < 0 else cost), told.tokens(abs(amount_mtok))


def _terms(told: _Told) -> Iterable[str]:
    """Yield the terms that hold in any case."""
    word, terms, language = told.context.word, told.order.terms, told.context.language
    most = {"price": formats.price(terms.price_mtok_per_kwh_max, language)}
    yield word("You can stop at any time and pay only for the energy that flowed.")
    if told.order.aim is not Aim.CHARGE:
        least = {"price": formats.price(terms.price_mtok_per_kwh_min, language)}
        yield (word("Nothing is sold below %(price)s, or in a quarter hour without a fixed price.") % least)
    if terms.accept_retail:
        yield (
            word(
                "In a quarter hour without a market price, charging continues at the retail price, "
                "never above %(price)s."
            )
            % most
        )
    else:
        yield (
            word(
                "In a quarter hour without a market price, charging pauses; the price is never above "
                "%(price)s."
            )
            % most
        )


def _soc_bp(station: Station, order: Order) -> int | None:
    """Return the state of charge at the start of the chart in basis points; None if unknown."""
    session = station.evses[order.evse_id].session
    own = session is not None and (session.terms is None or session.terms.member_id == order.terms.member_id)
    if session is not None and own and session.soc_bp is not None:
        return session.soc_bp
    return order.soc_bp_told


def _plan_rows(told: _Told, soc_bp: int | None) -> list[PlanRow]:
    """Return the quote's rows, each with the state of charge at its end."""
    terms, rows = told.order.terms, []
    battery_wh = max(1, terms.battery_wh)
    stored_wh = None if soc_bp is None else soc_bp * battery_wh // 10_000
    for row in told.quote.rows:
        charge_wh, sale_wh = max(0, row.energy_wh), max(0, -row.energy_wh)
        if stored_wh is not None:
            stored_wh += charge_wh * forecast.CHARGE_EFFICIENCY_BP // 10_000
            stored_wh -= sale_wh * 10_000 // terms.discharge_efficiency_bp
            stored_wh = min(battery_wh, max(0, stored_wh))
        rows.append(
            PlanRow(
                interval_s=row.interval,
                charge_wh=charge_wh,
                sale_wh=sale_wh,
                soc_bp=None if stored_wh is None else stored_wh * 10_000 // battery_wh,
            )
        )
    return rows


def _picture(told: _Told, rows: list[PlanRow], soc_bp: int | None) -> tuple[Drawn | None, Table | None]:
    if not rows:
        return None, None
    order, zone = told.order, told.context.site.settings.time_zone
    labels = _labels(told)
    marks = PlanMarks(
        soc_start_bp=soc_bp,
        soc_min_bp=None if order.aim is Aim.CHARGE or soc_bp is None else order.terms.soc_bp_min,
        departure_s=None if order.departure_ns is None else order.departure_ns // SECOND_NS,
        now_s=told.now_ns // SECOND_NS,
    )
    table = plan_table(rows, labels, zone)
    if soc_bp is None and order.aim is Aim.CHARGE:
        return None, table  # without a state of charge half of the chart would be empty
    return plan(rows, labels, chart_id="plan", zone=zone, marks=marks), table


def _labels(told: _Told) -> PlanLabels:
    word, order, zone = told.context.word, told.order, told.context.site.settings.time_zone
    leaves_ns = order.departure_ns or told.now_ns
    return PlanLabels(
        title=word("The plan"),
        description=word(
            "Energy to charge and to sell in each quarter hour. The plan is updated when prices are fixed."
        ),
        charge=word("charged"),
        sale=word("sold"),
        soc=word("battery"),
        soc_min=word("at least %(share)s") % {"share": formats.percent(order.terms.soc_bp_min)},
        departure=word("departure %(time)s") % {"time": formats.clock(leaves_ns, zone)},
        now=word("now %(time)s") % {"time": formats.clock(told.now_ns, zone)},
        unit=word("kWh per quarter hour"),
        empty=word("No plan"),
        time=word("Time"),
    )


def _seen(station: Station, order: Order, now_ns: int) -> str:
    """Return a digest of the order and of the prices that it relies on; it changes when any of them does."""
    ahead = forecast.ahead_of(station)
    first = interval_of(now_ns)
    last_ns = order.departure_ns if order.departure_ns is not None else now_ns + COUNTED_NS
    prices = [
        (
            interval,
            _figure(forecast.buying(ahead, interval, order.terms)),
            _figure(forecast.selling(ahead, interval, order.terms)),
        )
        for interval in range(first, interval_of(last_ns) + 1, INTERVAL_S)
    ]
    order_request = (
        order.aim,
        order.energy_wh,
        order.departure_ns,
        order.soc_bp_wanted,
        order.soc_bp_told,
        order.terms,
    )
    return sha256_hex(repr((order_request, prices)))[:32]


def _figure(expected: forecast.Expected | None) -> int | None:
    return None if expected is None else expected.mtok_per_kwh
