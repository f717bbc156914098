"""The operator's first page: faults with their start and remedy, then the station in figures."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.common.trade_terms import CHARGE, DISCHARGE, PRODUCTS
from edgegw.common.units import interval_of
from edgegw.core.market import key
from edgegw.core.state import Station
from edgegw.ports.station_health import Level, worst
from edgegw.web import formats
from edgegw.web.operator.daemon_messages import N_
from edgegw.web.operator.operator_context import Locale, OperatorContext
from edgegw.web.operator.translations import LEVELS, part_said


def routes(context: OperatorContext) -> Sequence[BaseRoute]:
    """The first page."""

    async def show(request: Request) -> Response:
        locale = await context.locale(request)
        parts = context.operator_port.parts()
        told = [part_said(part, locale.word) for part in parts]
        level = worst(parts)
        return await context.pages.answer(
            request,
            "operator/overview.html",
            level=level,
            level_word=locale.word(LEVELS[level]),
            alarms=[one for one in told if one.level is not Level.OK],
            well=[one for one in told if one.level is Level.OK],
            figures=figures(context.operator_port.station(), locale),
            moment=locale.moment,
            ago=locale.ago,
        )

    return [context.page("/", show)]


def figures(station: Station, locale: Locale) -> list[tuple[str, str]]:
    """Return (name, value) pairs of the station's figures."""
    word = locale.word
    evses = station.evses.values()
    powers = [account.power_w for account in station.meters.values()]
    interval = interval_of(locale.now_ns)
    found = [
        (word("EVSEs online"), f"{sum(1 for evse in evses if evse.online)} / {len(evses)}"),
        (word("Running sessions"), str(sum(1 for evse in evses if evse.session))),
        (word("Charging power now"), formats.kilowatts(sum(power for power in powers if power > 0))),
        (word("Discharging power now"), formats.kilowatts(-sum(power for power in powers if power < 0))),
        (word("Trades waiting for the ledger"), str(len(station.lines))),
        (word("Trades committed"), str(station.tally["all"].trades)),
    ]
    for product in PRODUCTS:
        price = station.prices.get(key(product, interval))
        shown = (
            word("none")
            if price is None or price.price_mtok_per_kwh is None
            else formats.price(price.price_mtok_per_kwh, locale.language)
        )
        found.append((word(PRICE_NOW[product]), shown))
    return found


PRICE_NOW = {CHARGE: N_("Price now, buying"), DISCHARGE: N_("Price now, selling")}
