"""The pages of meters, sessions, outbox and prices.

Never shows a name or contact, which the station does not have; member ids are shortened.
"""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.trade_terms import CHARGE, DISCHARGE, IMPORT, PRODUCTS, Product
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.core.market import Price, key
from edgegw.core.metering import MeterAccount
from edgegw.core.orders import OPEN, Aim, OrderState
from edgegw.core.state import Evse, Station, TradeLine
from edgegw.core.submission import InDoubt, Prepared, State
from edgegw.web import formats
from edgegw.web.operator.daemon_messages import N_
from edgegw.web.operator.operator_context import Locale, OperatorContext
from edgegw.web.operator.translations import PHASES, explained, short
from edgegw.web.pages import Word

BEHIND, AHEAD = 16, 8  # intervals shown
ROWS_MAX = 200
PRODUCT_WORDS = {CHARGE: N_("buying"), DISCHARGE: N_("selling")}
AIM_WORDS = {
    Aim.CHARGE: N_("charge"),
    Aim.SELL: N_("sell"),
    Aim.WORK: N_("charge and sell automatically"),
}
ORDER_WORDS = {OrderState.ASKED: N_("waits for its session"), OrderState.RUNNING: N_("running")}
STATE_WORDS = {
    State.NEW: N_("waits"),
    State.ENDORSING: N_("is being endorsed"),
    State.PREPARED: N_("is being submitted"),
    State.IN_DOUBT: N_("in doubt, asking the peer"),
    State.COMMITTED: N_("committed"),
    State.REFUSED: N_("refused"),
    State.EXPIRED: N_("too late"),
}


def routes(context: OperatorContext) -> Sequence[BaseRoute]:
    """The four pages."""

    async def meters(request: Request) -> Response:
        locale = await context.locale(request)
        station = context.operator_port.station()
        rows = [meter_row(account, station, locale) for account in station.meters.values()]
        rows.sort(key=lambda row: not row["why"])
        return await context.pages.answer(request, "operator/meters.html", rows=rows)

    async def sessions(request: Request) -> Response:
        locale = await context.locale(request)
        station = context.operator_port.station()
        rows = [session_row(evse, station, locale) for evse in station.evses.values()]
        return await context.pages.answer(
            request, "operator/sessions.html", rows=[row for row in rows if row is not None]
        )

    async def outbox(request: Request) -> Response:
        locale = await context.locale(request)
        station = context.operator_port.station()
        return await context.pages.answer(request, "operator/outbox.html", **outbox_values(station, locale))

    async def prices(request: Request) -> Response:
        locale = await context.locale(request)
        rows = price_rows(context.operator_port.station(), locale, context.pages.site.settings.time_zone)
        return await context.pages.answer(request, "operator/prices.html", rows=rows)

    return [
        context.page("/meters", meters),
        context.page("/sessions", sessions),
        context.page("/outbox", outbox),
        context.page("/prices", prices),
    ]


def meter_row(account: MeterAccount, station: Station, locale: Locale) -> dict[str, object]:
    """Return the row of a meter: registers, age of the reading, and the reason why it is not in use."""
    last, trouble, word = account.last, account.trouble, locale.word
    why = ""
    if trouble is not None:
        why = explained(trouble.code, word).replace(" ID", f" {account.meter_id}")
    elif last is None:
        why = word("There is no reading yet.")
    elif locale.now_ns - last.at_ns > station.settings.stale_ns:
        why = word("The meter does not answer: its EVSE is at 0 W.")
    return {
        "meter_id": account.meter_id,
        "evse_id": station.settings.meter_evse.get(account.meter_id, ""),
        "serial": account.serial or "",
        "imported": "" if last is None else formats.kwh(last.import_mwh // 1000, places=3),
        "exported": "" if last is None else formats.kwh(last.export_mwh // 1000, places=3),
        "power": "" if last is None else formats.kilowatts(account.power_w),
        "read": "" if last is None else locale.ago(last.at_ns),
        "why": why,
        "is_fault": trouble is not None and trouble.is_fault,
        "detail": "" if trouble is None else trouble.detail,
        "since": "" if trouble is None else locale.moment(trouble.since_ns),
        "discarded": account.quarantined,
    }


def session_row(evse: Evse, station: Station, locale: Locale) -> dict[str, object] | None:
    """Return the row of a session that runs or waits for its last reading; None if the EVSE has none."""
    session, word = evse.session or evse.ending, locale.word
    if session is None:
        return None
    settings = station.settings.evses[evse.evse_id]
    power_w = station.meters[settings.meter_id].power_w
    state = word("waits for its last reading") if evse.session is None else word(PHASES[evse.phase.value])
    holds = [hold for hold in station.holds.values() if hold.session_id == session.session_id]
    return {
        "evse_id": evse.evse_id,
        "state": state,
        "offline": not evse.online,
        "direction": word("charging") if power_w > 0 else word("discharging") if power_w < 0 else "",
        "power": formats.kilowatts(abs(power_w)),
        "soc": "" if session.soc_bp is None else formats.percent(session.soc_bp),
        "since": locale.moment(session.started_ns),
        "member": "" if session.terms is None else short(session.terms.member_id),
        "setpoint": "" if evse.setpoint is None else formats.kilowatts(evse.setpoint.power_w),
        "order": order_words(station, evse.evse_id, word),
        "holds": [
            {
                "product": word(PRODUCT_WORDS[hold.product]),
                "used": _amount(hold.product, hold.used, locale),
                "total": _amount(hold.product, hold.total, locale),
            }
            for hold in holds
        ],
    }


def order_words(station: Station, evse_id: str, word: Word) -> str:
    """Return the open orders at an EVSE in words; "" if there is none."""
    found = [one for one in station.orders.values() if one.evse_id == evse_id and one.state in OPEN]
    return ", ".join(f"{word(AIM_WORDS[one.aim])} ({word(ORDER_WORDS[one.state])})" for one in found)


def _amount(product: Product, amount: int, locale: Locale) -> str:
    return formats.tokens(amount, locale.language) if product == CHARGE else formats.kwh(amount)


def _line_row(line: TradeLine, locale: Locale) -> dict[str, object]:
    return {
        "trade_id": line.trade_id,
        "evse_id": line.evse_id,
        "product": locale.word("charging") if line.direction == IMPORT else locale.word("discharging"),
        "energy": formats.kwh(line.energy_wh, places=3),
        "interval": locale.moment(line.interval * SECOND_NS),
        "kind": line.kind,
        "reason": line.reason or "",
        "submitted": line.submission_id is not None,
    }


def outbox_values(station: Station, locale: Locale) -> dict[str, Any]:
    """Return the values of the outbox page: open lines and submissions, and untraded energy by reason."""
    word = locale.word
    lines = sorted(station.lines.values(), key=lambda line: line.number)
    tally = station.tally["all"]
    return {
        "count": len(lines),
        "oldest": locale.moment(min(locale.now_ns, (lines[0].interval + INTERVAL_S) * SECOND_NS))
        if lines
        else "",
        "lines": [_line_row(line, locale) for line in lines[:ROWS_MAX]],
        "submissions": [
            {
                "function": one.function,
                "state": word(STATE_WORDS[one.state]),
                "attempt": one.attempt,
                "why": one.code,
                "tx_id": one.envelope.tx_id[:16] if isinstance(one, Prepared | InDoubt) else "",
            }
            for one in sorted(station.submissions.values(), key=lambda one: one.number)[:ROWS_MAX]
        ],
        "untraded": [(code, formats.kwh(wh, places=3)) for code, wh in sorted(tally.untraded.items())],
        "retail": [(code, formats.kwh(wh, places=3)) for code, wh in sorted(tally.retail_reasons.items())],
        "sums": [
            (word("Bought from the market"), formats.kwh(tally.market_wh)),
            (word("Bought at retail"), formats.kwh(tally.retail_wh)),
            (word("Energy sold"), formats.kwh(tally.sold_wh)),
        ],
    }


def price_rows(station: Station, locale: Locale, zone: tzinfo) -> list[dict[str, object]]:
    """Return the prices of the quarter hours around now, newest first: fixed, late, empty window or not fixed."""
    now = interval_of(locale.now_ns)
    rows = []
    for number in range(AHEAD, -BEHIND - 1, -1):
        interval = now + number * INTERVAL_S
        begin_ns = interval * SECOND_NS
        rows.append(
            {
                "when": formats.span(begin_ns, begin_ns + INTERVAL_S * SECOND_NS, zone),
                "is_now": number == 0,
                "cells": [
                    _price_cell(station.prices.get(key(product, interval)), locale) for product in PRODUCTS
                ],
            }
        )
    return rows


def _price_cell(price: Price | None, locale: Locale) -> dict[str, str]:
    word = locale.word
    if price is None:
        return {"price": "", "state": word("not fixed"), "kind": "none"}
    if price.price_mtok_per_kwh is None:
        return {"price": "", "state": word("empty window"), "kind": "empty"}
    shown = formats.price(price.price_mtok_per_kwh, locale.language)
    if not price.in_time:
        return {"price": shown, "state": word("seen too late: not used"), "kind": "late"}
    return {"price": shown, "state": word("fixed"), "kind": "fixed"}
