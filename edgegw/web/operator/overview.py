"""The operator's first page: what is wrong first, with since when and what to do; then the station in figures."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from edgegw.condition import Level, worst
from edgegw.core.market import PRODUCTS, key
from edgegw.core.state import Station
from edgegw.units import interval_of
from edgegw.web import formats
from edgegw.web.operator.room import Room, Tongue
from edgegw.web.operator.sentences import N_
from edgegw.web.operator.wording import LEVELS, part_said


def routes(room: Room) -> Sequence[BaseRoute]:
    """The first page."""

    async def show(request: Request) -> Response:
        tongue = await room.tongue(request)
        parts = room.desk.parts()
        told = [part_said(part, tongue.word) for part in parts]
        level = worst(parts)
        return await room.pages.answer(
            request,
            "operator/overview.html",
            level=level,
            level_word=tongue.word(LEVELS[level]),
            alarms=[one for one in told if one.level is not Level.OK],
            well=[one for one in told if one.level is Level.OK],
            figures=figures(room.desk.station(), tongue),
            moment=tongue.moment,
            ago=tongue.ago,
        )

    return [room.page("/", show)]


def figures(station: Station, tongue: Tongue) -> list[tuple[str, str]]:
    """The station in a few figures: name and figure."""
    word = tongue.word
    evses = station.evses.values()
    powers = [account.power_w for account in station.meters.values()]
    interval = interval_of(tongue.now_ns)
    found = [
        (word("Charging points online"), f"{sum(1 for evse in evses if evse.online)} / {len(evses)}"),
        (word("Running sessions"), str(sum(1 for evse in evses if evse.session))),
        (word("Charging now"), formats.kilowatts(sum(power for power in powers if power > 0))),
        (word("Discharging now"), formats.kilowatts(-sum(power for power in powers if power < 0))),
        (word("Trades waiting for the ledger"), str(len(station.lines))),
        (word("Trades committed"), str(station.tally["all"].trades)),
    ]
    for product in PRODUCTS:
        price = station.prices.get(key(product, interval))
        shown = (
            word("none")
            if price is None or price.price_mtok_per_kwh is None
            else formats.price(price.price_mtok_per_kwh, tongue.language)
        )
        found.append((word(PRICE_NOW[product]), shown))
    return found


PRICE_NOW = {"CHARGE": N_("Price now, buying"), "DISCHARGE": N_("Price now, selling")}
