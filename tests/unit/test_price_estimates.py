"""Expected prices: near intervals are queried each time, far ones rarely, and the ledger's load is bounded."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.core.events import Event, PricesEstimated
from edgegw.daemon.price_estimates import (
    AGAIN_S,
    AHEAD_S,
    APART_S,
    DAY_S,
    HOUR_S,
    QUESTIONS_MOST,
    PriceEstimates,
)
from edgegw.ports.representative import PriceShown, RepresentativeError
from tests.support.representative_fake import NOW_S, StoodClock
from tests.support.web_site import FakeLedger

HERE = interval_of(NOW_S * SECOND_NS)


@dataclass
class Asked(FakeLedger):
    """A ledger that keeps what it was asked; `change` may have it tell something else, or fail."""

    questions: list[tuple[Product, int]] = field(default_factory=list)
    change: Callable[[PriceShown], PriceShown | None] = lambda shown: shown

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        self.questions.append((product, interval))
        shown = await super().price(product, interval)
        assert shown is not None
        return self.change(shown)


@dataclass
class Bench:
    """The task between a fake ledger, a fixed clock, and a list in place of the core."""

    ledger: Asked = field(default_factory=Asked)
    clock: StoodClock = field(default_factory=StoodClock)
    told: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    passes: int = 1  # station seconds in a real one
    most: int = 1_000_000  # pauses, until somebody ends it all

    def __post_init__(self) -> None:
        self.duty = PriceEstimates(self.ledger, self.clock, self.told.append, pause=self.pause)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) >= self.most:
            raise asyncio.CancelledError
        self.clock.at_ns += int(seconds * self.passes) * SECOND_NS

    @property
    def now_s(self) -> int:
        return self.clock.now_ns() // SECOND_NS

    @property
    def known(self) -> dict[str, int]:
        """Return the last prices that the core got."""
        last = self.told[-1]
        assert isinstance(last, PricesEstimated)
        return dict(last.estimates)

    async def rounds(self, count: int) -> None:
        """So many, a quarter hour apart."""
        for _ in range(count):
            assert await self.duty.round()
            self.clock.at_ns = (interval_of(self.clock.now_ns()) + INTERVAL_S) * SECOND_NS


def expected(interval: int) -> int:
    """The price that FakeLedger has."""
    hour = interval // HOUR_S % 24
    return 165_000 if 6 <= hour < 12 else 95_000 if hour >= 13 else 125_000


async def test_two_days_are_known_soon() -> None:
    """After a few rounds both products have a price in each quarter hour of two days."""
    bench = Bench()
    await bench.rounds(3)
    for product in ("CHARGE", "DISCHARGE"):
        ahead = range(HERE, HERE + AHEAD_S, INTERVAL_S)
        assert {one: bench.known[f"{product}:{one}"] for one in ahead} == {
            one: expected(one) for one in ahead
        }


async def test_a_round_is_bounded_and_its_questions_are_apart() -> None:
    """No more than so many, each but the last followed by a pause; an hour is asked about once in it."""
    bench = Bench()
    await bench.duty.round()
    assert len(bench.ledger.questions) == QUESTIONS_MOST
    assert bench.pauses == [APART_S] * QUESTIONS_MOST
    hours = [(product, interval // HOUR_S) for product, interval in bench.ledger.questions]
    assert len(set(hours)) == len(hours)
    assert 1 <= len(bench.told) <= 4


async def test_later_rounds_ask_what_is_near() -> None:
    """Later rounds query the next three hours and what has passed since, and far hours rarely."""
    bench = Bench()
    await bench.rounds(8)
    bench.ledger.questions.clear()
    await bench.rounds(4)
    assert len(bench.ledger.questions) <= 4 * (6 + 4)
    near = [one for one in bench.ledger.questions if HERE < one[1] < bench.now_s + 3 * HOUR_S]
    assert len(near) >= 4 * 6
    bench.ledger.questions.clear()
    await bench.rounds(24)
    far = {one for one in bench.ledger.questions if one[1] > bench.now_s + 6 * HOUR_S}
    assert far, "far hours are asked about again"


async def test_a_price_that_changed_is_told_and_one_that_did_not_is_not() -> None:
    """The core hears of changes alone."""
    bench = Bench()
    await bench.rounds(3)
    bench.clock.at_ns = (bench.now_s // HOUR_S * HOUR_S + HOUR_S) * SECOND_NS
    await bench.duty.round()
    bench.clock.at_ns += INTERVAL_S * SECOND_NS
    heard = len(bench.told)
    await bench.duty.round()
    assert len(bench.told) == heard
    bench.ledger.change = lambda shown: replace(shown, price_mtok_per_kwh=77_000)
    await bench.duty.round()
    assert bench.known[f"CHARGE:{interval_of(bench.clock.now_ns()) + INTERVAL_S}"] == 77_000


async def test_an_empty_window_is_charged_at_its_ceiling_and_not_sold_in() -> None:
    """A charge in an empty window is expected at its ceiling, and a sale not at all."""
    bench = Bench()
    bench.ledger.change = lambda shown: replace(shown, price_mtok_per_kwh=None)
    await bench.rounds(3)
    assert bench.known[f"CHARGE:{HERE + DAY_S}"] == expected(HERE) + 5_000
    assert not any(one.startswith("DISCHARGE") for one in bench.known)


async def test_what_nobody_posted_for_is_expected_as_the_days_before() -> None:
    """Without posts, an hour is expected at the ceiling or sale price of the same hour one or two days before."""
    bench = Bench()
    bench.ledger.change = lambda shown: shown if shown.interval < HERE else None
    await bench.rounds(4)
    for interval in (HERE + 5 * HOUR_S, HERE + 29 * HOUR_S):
        assert bench.known[f"CHARGE:{interval}"] == expected(interval) + 5_000
        assert bench.known[f"DISCHARGE:{interval}"] == expected(interval)
    bench = Bench()
    bench.ledger.change = lambda _: None
    await bench.rounds(4)
    assert bench.told == [], "nothing is known at all"


async def test_a_ledger_that_fails_leaves_what_is_known() -> None:
    """If the ledger fails, the round ends at once and known prices are kept; the next one repeats the query."""
    bench = Bench()
    await bench.rounds(3)
    before = bench.known

    def fail(_: PriceShown) -> None:
        raise RepresentativeError("nobody answers")

    bench.ledger.change = fail
    bench.ledger.questions.clear()
    assert not await bench.duty.round()
    assert len(bench.ledger.questions) == 1
    now = f"CHARGE:{interval_of(bench.clock.now_ns())}"
    assert bench.known[now] == before[now]
    bench.most = len(bench.pauses) + 3
    with contextlib.suppress(asyncio.CancelledError):
        await bench.duty.run()
    assert bench.pauses[-3:] == [AGAIN_S] * 3


@pytest.mark.parametrize("speed", [1, 60, 900])
async def test_it_never_asks_more_than_once_a_real_second(speed: int) -> None:
    """However fast the station's time passes; and all is known after some minutes."""
    bench = Bench(passes=speed, most=400)
    with contextlib.suppress(asyncio.CancelledError):
        await bench.duty.run()
    assert len(bench.ledger.questions) == len(bench.pauses) == 400
    assert set(bench.pauses) == {APART_S}
    assert (
        len({key for event in bench.told if isinstance(event, PricesEstimated) for key in event.estimates})
        > 300
    )


async def test_old_answers_are_forgotten() -> None:
    """A month of rounds keeps what two days need."""
    bench = Bench()
    for _ in range(60):
        await bench.duty.round()
        bench.clock.at_ns += 12 * HOUR_S * SECOND_NS
    kept = bench.duty._answers
    assert 0 < len(kept) <= 2 * (4 * 24 + 4)
