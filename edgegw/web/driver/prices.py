"""Prices for drivers: of now with their origin, and over the local day.

Decides which intervals are queried and how long an answer is kept; never a price. A past or fixed price is queried once.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import cast, get_args

from edgegw.common.trade_terms import CHARGE, DISCHARGE, PRODUCTS, Product
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.ports.representative import Language, PriceShown, RepresentativeError
from edgegw.web import formats
from edgegw.web.charts.price_curve import price_curve
from edgegw.web.charts.series import Period, PriceLabels, PricePoint
from edgegw.web.charts.svg import Drawn
from edgegw.web.charts.tables import Table, price_table
from edgegw.web.pages import Word
from edgegw.web.site import Site

AGAIN_S = 30  # real seconds between queries of a price that is not fixed yet
ASKED_AT_ONCE = 8
RENEW_S_MIN = 5  # however fast a simulated clock goes
SAMPLE_WH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Both prices of this quarter hour; None: the ledger has no price."""

    buy: PriceShown | None
    sell: PriceShown | None
    until_ns: int


async def now_of(site: Site) -> Now:
    """Query the prices of this quarter hour; raises RepresentativeError."""
    interval = interval_of(site.clock.now_ns())
    buy, sell = await asyncio.gather(*(site.ledger.price(product, interval) for product in PRODUCTS))
    return Now(buy=buy, sell=sell, until_ns=(interval + INTERVAL_S) * SECOND_NS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The chart of a day and the same numbers as a table."""

    picture: Drawn
    table: Table
    has_prices: bool


@dataclass(slots=True)
class DayPrices:
    """Prices of the local day, cached; concurrent requests share one query."""

    site: Site
    _known: dict[tuple[Product, int], PriceShown | None] = field(default_factory=dict)
    _asked_ns: int | None = None
    _drawn: dict[tuple[Language, int, tuple[PricePoint, ...]], Day] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def day(self, language: Language, word: Word) -> Day:
        """Return today's prices as chart and table; raises RepresentativeError."""
        now_ns = self.site.clock.now_ns()
        zone = self.site.settings.time_zone
        intervals = day_of(now_ns, zone)
        async with self._turn:
            await self._look(intervals, now_ns)
        points = tuple(self._points(intervals))
        minute = now_ns // SECOND_NS // 60
        key = (language, minute, points)
        if key not in self._drawn:
            if len(self._drawn) >= 4:
                self._drawn.clear()
            labels = price_labels(word, formats.clock(now_ns, zone))
            self._drawn[key] = Day(
                picture=price_curve(points, labels, chart_id="day", zone=zone, now_s=now_ns // SECOND_NS),
                table=price_table(points, labels, zone),
                has_prices=bool(points),
            )
        return self._drawn[key]

    async def _look(self, intervals: range, now_ns: int) -> None:
        """Query the intervals that are unknown or may have changed."""
        old = [key for key in self._known if key[1] not in intervals]
        for key in old:
            del self._known[key]
        clock, asked_ns = self.site.clock, self._asked_ns
        is_fresh = asked_ns is not None and 0 <= clock.real_seconds(now_ns - asked_ns) < AGAIN_S
        now = interval_of(now_ns)
        wanted = [
            (product, interval)
            for product in PRODUCTS
            for interval in intervals
            if (product, interval) not in self._known
            or (not is_fresh and interval >= now and not self._is_fixed(product, interval))
        ]
        places = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(product: Product, interval: int) -> PriceShown | None:
            async with places:
                return await self.site.ledger.price(product, interval)

        if wanted:
            found = await asyncio.gather(*(ask(*one) for one in wanted))
            self._known.update(zip(wanted, found, strict=True))
            self._asked_ns = now_ns

    def _is_fixed(self, product: Product, interval: int) -> bool:
        known = self._known[product, interval]
        return known is not None and known.is_fixed

    def _points(self, intervals: range) -> Iterable[PricePoint]:
        for interval in intervals:
            buy, sell = (self._known.get((product, interval)) for product in PRODUCTS)
            shown = buy or sell
            if shown is None:
                continue
            yield PricePoint(
                interval_s=interval,
                buy_mtok_per_kwh=None if buy is None else buy.price_mtok_per_kwh,
                sell_mtok_per_kwh=None if sell is None else sell.price_mtok_per_kwh,
                period=_period(shown.period),
                is_fixed=all(one.is_fixed for one in (buy, sell) if one is not None),
            )


def _period(name: str) -> Period:
    assert name in get_args(Period)
    return cast("Period", name)


def day_of(now_ns: int, zone: tzinfo) -> range:
    """Return the intervals that begin on the local day of an instant: 96, except on days when clocks change."""
    day = formats.local(now_ns, zone).date()
    first, last = (
        int(datetime(one.year, one.month, one.day, tzinfo=zone).timestamp())
        for one in (day, day + timedelta(days=1))
    )
    return range(first - first % INTERVAL_S, last, INTERVAL_S)


def price_labels(word: Word, now: str) -> PriceLabels:
    """Return the words of the day's chart and table."""
    return PriceLabels(
        title=word("Prices today"),
        description=word("Cost of a kWh when you charge, and earnings when you sell, for each quarter hour."),
        buy=word("Buy (charge)"),
        sell=word("Sell (discharge)"),
        fixed=word("fixed"),
        expected=word("expected"),
        periods={"light": word("light load"), "mid": word("mid load"), "peak": word("peak load")},
        unit=word("tokens/kWh"),
        now=word("now %(time)s") % {"time": now},
        empty=word("No prices yet"),
        time=word("Time"),
        load=word("Load"),
        state=word("State"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One price in words: the figure, its certainty and its origin."""

    figure: str
    state: str
    sample: str
    origin: str
    facts: tuple[tuple[str, str], ...]


def said(shown: PriceShown | None, product: Product, *, word: Word, language: Language) -> Said:
    """Return a price and its origin in words and numbers."""
    if shown is None or shown.price_mtok_per_kwh is None:
        return Said(figure="", state=_absent(product, word), sample="", origin="", facts=_facts(shown, word))
    price = shown.price_mtok_per_kwh
    sample = formats.tokens(price * SAMPLE_WH // 1000, language)
    sentence = word("10 kWh cost %(tokens)s") if product == CHARGE else word("10 kWh earn %(tokens)s")
    return Said(
        figure=formats.decimal(price, scale=3),
        state=word("fixed") if shown.is_fixed else word("expected"),
        sample=sentence % {"tokens": sample},
        origin=_origin(shown, word),
        facts=_facts(shown, word),
    )


def _absent(product: Product, word: Word) -> str:
    if product == CHARGE:
        return word("No market price now: you charge at the retail price.")
    return word("No market price now: nothing can be sold.")


def _origin(shown: PriceShown, word: Word) -> str:
    """Return in words how the price follows from supply and demand between floor and ceiling."""
    if shown.weight_ppm is None:
        return word("The price lies between floor and ceiling, so that both sides gain.")
    share = formats.percent(shown.weight_ppm // 100)
    text = word(
        "The price lies between floor and ceiling, so that both sides gain. Higher demand for "
        "the supply moves it towards the ceiling: here by %(share)s."
    )
    return text % {"share": share}


def _facts(shown: PriceShown | None, word: Word) -> tuple[tuple[str, str], ...]:
    if shown is None:
        return ()
    floor, ceiling = (
        formats.decimal(value, scale=3) for value in (shown.floor_mtok_per_kwh, shown.ceiling_mtok_per_kwh)
    )
    periods = price_labels(word, "").periods
    rows = [
        (word("Load period"), periods[_period(shown.period)]),
        (word("Floor: price that the grid pays"), f"{floor} {word('tokens/kWh')}"),
        (word("Ceiling: retail price of the tariff"), f"{ceiling} {word('tokens/kWh')}"),
        (word("Supply"), formats.kwh(shown.supply_wh)),
        (word("Demand"), formats.kwh(shown.demand_wh)),
    ]
    if shown.weight_ppm is not None:
        rows.append((word("Weight between floor and ceiling"), formats.percent(shown.weight_ppm // 100)))
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both prices of now in words, for the template; `until` is the end of the quarter hour."""

    buy: Said
    sell: Said
    until: str
    until_at: str
    renew_s: int  # real seconds after which an open page asks again
    is_known: bool = True


def pair(now: Now | None, site: Site, *, word: Word, language: Language) -> Pair:
    """Return both prices in words; `now` is None if the ledger is unreachable."""
    zone = site.settings.time_zone
    until_ns = 0 if now is None else now.until_ns
    return Pair(
        buy=said(None if now is None else now.buy, CHARGE, word=word, language=language),
        sell=said(None if now is None else now.sell, DISCHARGE, word=word, language=language),
        until=formats.clock(until_ns, zone),
        until_at=formats.machine_time(until_ns, zone),
        renew_s=_renew_s(now, site),
        is_known=now is not None,
    )


def _renew_s(now: Now | None, site: Site) -> int:
    """Until the quarter hour is over; sooner while a price is missing."""
    if now is None:
        return AGAIN_S
    left_s = int(site.clock.real_seconds(now.until_ns - site.clock.now_ns())) + 1
    is_whole = all(one is not None and one.price_mtok_per_kwh is not None for one in (now.buy, now.sell))
    return max(RENEW_S_MIN, left_s if is_whole else min(left_s, AGAIN_S))


async def pair_of(site: Site, word: Word, language: Language) -> Pair:
    """Query both prices of now and return them in words, or the words for an unreachable ledger."""
    try:
        now = await now_of(site)
    except RepresentativeError:
        now = None
    return pair(now, site, word=word, language=language)
