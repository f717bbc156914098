"""Queries the ledger for the expected prices of the next two days and passes them to the core.

Decides which prices are queried and when: one quarter hour represents its hour, which is in one load period; the next three
hours are queried in each interval, later ones every six hours, and never more than one query a real second, at any speed
of the station's clock. For an hour without a price, the estimate for charging is its ceiling; for an unknown hour it is the
ceiling (charging) or the price (discharging) of the same hour one or two days before. Never fixes a price: the core prefers
those from the ledger's events.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from edgegw.common.clock import Clock
from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.core.events import PricesEstimated
from edgegw.core.market import CHARGE, DISCHARGE, key
from edgegw.ports.gateway import Emit
from edgegw.ports.representative import LedgerView, PriceShown, RepresentativeError

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
AHEAD_S = 2 * DAY_S  # as far as a plan may reach
NEAR_S = 3 * HOUR_S
FAR_AGAIN_S = 6 * HOUR_S
QUESTIONS_MOST = 64  # in a round
TOLD_EVERY = 16  # queries between two events to the core
APART_S = 1.0  # real seconds between two queries
AGAIN_S = 60.0  # real seconds after a fault
BEHIND_NS = 30 * SECOND_NS  # after the start of an interval, at which others post loads and fix prices

Question = tuple[Product, int]  # product, and the hour by its start in UTC epoch seconds
PRODUCTS: tuple[Product, ...] = (CHARGE, DISCHARGE)


class PriceEstimates:
    """Queries prices in rounds. `tell` passes an event to the core, `pause` sleeps real seconds."""

    def __init__(
        self,
        ledger: LedgerView,
        clock: Clock,
        tell: Emit,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._tell = tell
        self._pause = pause
        self._answers: dict[Question, PriceShown | None] = {}
        self._asked_s: dict[Question, int] = {}
        self._estimates: dict[str, int] = {}

    async def run(self) -> None:
        """Run a round at start and in each interval, until cancelled; after a fault, again after `AGAIN_S`."""
        while True:
            if not await self.round():
                await self._pause(AGAIN_S)
                continue
            begins_ns = (interval_of(self._clock.now_ns()) + INTERVAL_S) * SECOND_NS
            await self._clock.sleep_until(begins_ns + BEHIND_NS)

    async def round(self) -> bool:
        """Query the due prices and pass changes to the core; return whether the ledger answered."""
        now_s = self._clock.now_ns() // SECOND_NS
        self._forget(now_s)
        answered = True
        for number, question in enumerate(self._due(now_s)[:QUESTIONS_MOST], start=1):
            answered = await self._ask(question)
            if not answered:
                break
            if number % TOLD_EVERY == 0:
                self._tell_changes()
            await self._pause(APART_S)
        self._tell_changes()
        return answered

    async def _ask(self, question: Question) -> bool:
        product, hour = question
        now_s = self._clock.now_ns() // SECOND_NS
        upcoming = interval_of(now_s * SECOND_NS) + INTERVAL_S
        asked = max(hour, min(upcoming, hour + HOUR_S - INTERVAL_S)) if hour + HOUR_S > now_s else hour
        try:
            self._answers[question] = await self._ledger.price(product, asked)
        except RepresentativeError:
            return False
        self._asked_s[question] = now_s
        return True

    def _due(self, now_s: int) -> list[Question]:
        """Return the queries that are due: near hours, hours of the day before that are not final, far hours in order."""
        present = now_s // HOUR_S * HOUR_S
        near = range(present, present + NEAR_S, HOUR_S)
        before = range(present - DAY_S, present, HOUR_S)
        far = range(present + NEAR_S, present + AHEAD_S + HOUR_S, HOUR_S)
        return [
            *_questions(near),
            *(one for one in _questions(before) if not self._is_final(one)),
            *(one for one in _questions(far) if now_s - self._asked_s.get(one, 0) >= FAR_AGAIN_S),
        ]

    def _is_final(self, question: Question) -> bool:
        """Return whether another query of a past hour cannot change its answer."""
        return self._asked_s.get(question, 0) >= question[1] + HOUR_S or (
            (shown := self._answers.get(question)) is not None and shown.is_fixed
        )

    def _tell_changes(self) -> None:
        now_s = self._clock.now_ns() // SECOND_NS
        present = now_s // HOUR_S * HOUR_S
        expected: dict[str, int] = {}
        for product, hour in _questions(range(present, present + AHEAD_S + HOUR_S, HOUR_S)):
            price = self._expected(product, hour)
            if price is not None:
                expected |= {key(product, hour + offset): price for offset in range(0, HOUR_S, INTERVAL_S)}
        if expected != self._estimates:
            self._estimates = expected
            self._tell(PricesEstimated(estimates=expected))

    def _expected(self, product: Product, hour: int) -> int | None:
        shown = self._answers.get((product, hour))
        if shown is not None and shown.price_mtok_per_kwh is not None:
            return shown.price_mtok_per_kwh
        known = (shown, *(self._answers.get((product, hour - days * DAY_S)) for days in (1, 2)))
        for one in known:
            if one is not None and product == CHARGE:
                return one.ceiling_mtok_per_kwh
            if one is not None:
                return one.price_mtok_per_kwh
        return None

    def _forget(self, now_s: int) -> None:
        oldest = now_s - AHEAD_S - HOUR_S
        for kept in (self._answers, self._asked_s):
            for question in [one for one in kept if one[1] < oldest]:
                del kept[question]


def _questions(hours: range) -> Iterator[Question]:
    return ((product, hour) for hour in hours for product in PRODUCTS)
