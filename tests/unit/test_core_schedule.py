"""The timetable of a quarter hour (report, fix, reserve, start, guard, tidy), and how prices and slices are learnt."""

import json
from dataclasses import replace
from typing import Any

import pytest

from edgegw.common.units import INTERVAL_S
from edgegw.core import schedule
from edgegw.core.correlation import IntervalOffers
from edgegw.core.effects import ApplySetpoint, IdTokenStatus, Query, ReportLoad
from edgegw.core.events import EndorseFailed, QueryAnswered
from edgegw.core.market import CHARGE, DISCHARGE, Price, SliceState
from edgegw.core.metering import MeterAccount
from edgegw.core.schedule import KEEP_ANSWERS_NS, next_tick_ns
from edgegw.core.state import CachedAnswer, SaleStage
from edgegw.core.station import new_station
from edgegw.core.step_context import StepContext
from tests.support.core_bench import T0_NS, T0_S, Bench, S, settings

NEXT = T0_S + 900


def offers(*limits: int, left: int = 5_000, valid_to: int = NEXT + 900) -> dict[str, Any]:
    return {
        "offers": [
            {"offerId": f"O{n}", "left": str(left), "limitPrice": str(limit), "validTo": valid_to}
            for n, limit in enumerate(limits)
        ]
    }


def reserved(bench: Bench) -> list[tuple[str, int]]:
    found = [json.loads(item.arguments_json) for item in bench.waiting("Reserve")]
    return [(item["offerId"], int(item["amount"])) for item in found]


def test_the_timetable_of_an_interval() -> None:
    """-420 s report, -299 s fix, start, +30 s guard, +450 s tidy; each instant comes once."""
    at_ns, found = T0_NS, []
    for _ in range(6):
        at_ns = next_tick_ns(settings(), at_ns)
        found.append((at_ns - T0_NS) // S)
    assert found == [30, 450, 480, 601, 900, 930]


def test_a_long_cut_off_looks_many_intervals_ahead() -> None:
    """A sandbox with a cut-off of an hour still finds the next instant."""
    long = settings(cutoff_ns=3_600 * S)
    assert {(next_tick_ns(long, T0_NS + n * S) - T0_NS) // S for n in range(900)} == {1, 30, 450, 780, 900}


def test_actions_come_once_and_only_the_newest() -> None:
    """A tick that is repeated does nothing; after a long sleep only the newest interval of each kind counts."""
    bench = Bench()
    assert len(bench.of(ReportLoad, bench.tick(600))) == 2
    assert bench.of(ReportLoad, bench.tick(600)) == []
    bench.tick(601 + 900 * 20)
    assert {report.interval for report in bench.of(ReportLoad)} == {T0_S + 900 * 21}
    assert {json.loads(item.arguments_json)["interval"] for item in bench.waiting("FixPrice")} == {
        T0_S + 900 * 21
    }


def test_expected_demand() -> None:
    """A fresh session counts with rated power, a running one with its measured power; a satisfied one not at all."""
    bench = Bench()
    assert schedule.expected_demand_wh(StepContext(bench.station, bench.now_ns)) == 0
    bench.active()
    assert schedule.expected_demand_wh(StepContext(bench.station, bench.now_ns)) == 5_500
    bench.go(361)
    bench.read("MA1", 1_400)
    assert schedule.expected_demand_wh(StepContext(bench.station, bench.now_ns)) == 4_800 // 4
    session = replace(bench.session(), satisfied=True)
    bench.put(evses={"A1": replace(bench.evse(), session=session)})
    assert schedule.expected_demand_wh(StepContext(bench.station, bench.now_ns)) == 0
    bench.start(evse_id="A2", transaction_id="t2", business_key="2", token="stranger")
    assert schedule.expected_demand_wh(StepContext(bench.station, bench.now_ns)) == 0


def test_a_price_is_fixed_once_and_in_time() -> None:
    """FixPrice goes out for both products after the cut-off, unless the price is known or its interval began."""
    bench = Bench()
    bench.price(CHARGE, NEXT, 100_000)
    bench.tick(601)
    assert [json.loads(item.arguments_json)["product"] for item in bench.waiting("FixPrice")] == [DISCHARGE]
    late = Bench()
    late.tick(901)
    assert late.waiting("FixPrice") == []


def test_a_fix_that_came_too_early_is_asked_again() -> None:
    """CUT_OFF_OPEN heals with time: the same payload, until its interval begins."""
    bench = Bench()
    bench.tick(601)
    bench.refuse("FixPrice", "CUT_OFF_OPEN")
    assert len(bench.waiting("FixPrice")) == 2
    bench.go(900)
    for item in bench.waiting("FixPrice"):
        bench.send(EndorseFailed(submission_id=item.submission_id, kind="unavailable", code=""))
    assert bench.waiting("FixPrice") == []


@pytest.mark.parametrize("through", ["event", "own submission"])
def test_a_price_is_learnt_when_it_is_seen_committed(through: str) -> None:
    """A price is learnt once, from the block's event or this station's FixPrice; then offers are queried."""
    bench = Bench()
    record = {"product": CHARGE, "interval": NEXT, "price": "100000", "ceiling": "186000"}
    if through == "event":
        bench.price_seen(**record)
    else:
        bench.tick(601)
        bench.commit("FixPrice", zone="Z", **record)
    row = bench.station.prices[f"CHARGE:{NEXT}"]
    assert (row.price_mtok_per_kwh, row.ceiling_mtok_per_kwh, row.refusal) == (100_000, 186_000, None)
    assert [query.function for query in bench.of(Query)] == ["ListOffers"]
    bench.price_seen(**{**record, "price": "1"})
    assert bench.station.prices[f"CHARGE:{NEXT}"] == row
    assert bench.of(Query) == []


@pytest.mark.parametrize(
    "record",
    [
        {"zone": "other"},
        {"product": 5},
        {"interval": "x"},
    ],
)
def test_records_of_others_are_not_learnt(record: dict[str, Any]) -> None:
    """A price of another zone, or with another shape, is ignored."""
    bench = Bench()
    bench.price_seen(**{"product": CHARGE, "interval": NEXT, "price": "1", **record})
    assert bench.station.prices == {}


def test_a_refused_price_fix_teaches_nothing() -> None:
    """NO_TARIFF leaves the interval without a record."""
    bench = Bench()
    bench.tick(601)
    bench.refuse("FixPrice", "NO_TARIFF")
    assert bench.station.prices == {}


@pytest.mark.parametrize(
    ("price", "at_s"),
    [({"price": "100000"}, 900), ({"refusal": "PRICE_WINDOW_EMPTY"}, 700), ({"price": True}, 700)],
)
def test_no_offers_without_a_price_in_time(price: dict[str, Any], at_s: int) -> None:
    """A late price, or none, reserves nothing."""
    bench = Bench()
    bench.go(at_s)
    bench.price_seen(product=CHARGE, interval=NEXT, **price)
    assert bench.of(Query) == []


def test_slices_are_reserved_oldest_offer_first() -> None:
    """115 % of the expected demand and a reserve, in the order of the offers, as far as limits and validity allow."""
    bench = Bench()
    bench.active()
    bench.price_seen(product=CHARGE, interval=NEXT, price="100000")
    bench.answer(offers(90_000, 110_000, 100_000, 90_000))
    assert reserved(bench) == [("O0", 5_000), ("O2", 5_500 * 115 // 100 + 1_500 - 5_000)]
    assert {item.state for item in bench.station.slices.values()} == {SliceState.REQUESTED}
    bench.commit("Reserve")
    bench.refuse("Reserve", "OFFER_CLOSED")
    assert [item.state for item in bench.station.slices.values()] == [SliceState.OPEN]


def test_no_slices_for_sellers_without_need() -> None:
    """Buyers' slices are reserved for what sellers with a lower price could give: none here."""
    bench = Bench()
    bench.price_seen(product=DISCHARGE, interval=NEXT, price="150000")
    assert bench.of(Query) == []


def test_buyers_slices_are_counted_in_money() -> None:
    """115 % of the supply at the price, from buyers whose limit is at least the price."""
    bench = Bench()
    bench.active("sel")
    session = replace(bench.session(), soc_bp=7_000, satisfied=True)
    bench.put(evses={"A1": replace(bench.evse(), session=session)})
    bench.price_seen(product=DISCHARGE, interval=NEXT, price="150000")
    bench.answer(offers(149_999, 150_000, left=10**9))
    supply_wh = 7_000 * 840 // 3_600
    assert reserved(bench) == [("O1", supply_wh * 115 // 100 * 150)]
    dear = Bench()
    dear.active("sel")
    dear.put(evses={"A1": replace(dear.evse(), session=session)})
    dear.price_seen(product=DISCHARGE, interval=NEXT, price="139999")
    assert dear.of(Query) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"offers": "?"},
        offers(90_000, valid_to=NEXT + 899),
        offers(90_000, left=0),
        {"offers": [{"left": "x"}]},
    ],
)
def test_no_slices_from_no_offers(answer: dict[str, Any] | None) -> None:
    """No answer, no list, an offer that ends too early or is empty: nothing is reserved."""
    bench = Bench()
    bench.price_seen(product=CHARGE, interval=NEXT, price="100000")
    bench.answer(answer)
    assert reserved(bench) == []


def test_offers_for_a_price_that_is_gone() -> None:
    """An answer to a question of another life changes nothing."""
    bench = Bench()
    asked = IntervalOffers(product=CHARGE, interval=NEXT)
    bench.send(QueryAnswered(key=asked, result=offers(1)))
    bench.station = replace(bench.station, queries=frozenset({asked}))
    bench.send(QueryAnswered(key=asked, result=offers(1)))
    assert reserved(bench) == []
    assert bench.station.queries == frozenset()


def test_a_committed_slice_may_begin_a_sale() -> None:
    """The first slice of a buyer is the moment to prepare a parked seller's car."""
    bench = Bench()
    bench.active("sel")
    bench.update(soc_bp=7_000)
    session = replace(bench.session(), satisfied=True)
    bench.put(evses={"A1": replace(bench.evse(), session=session)})
    bench.price_seen(product=DISCHARGE, interval=NEXT, price="150000")
    bench.answer(offers(160_000, left=10**9))
    assert bench.session().sale is SaleStage.NONE
    bench.commit("Reserve")
    assert bench.session().sale is SaleStage.CUTTING


def test_start_and_guard_say_what_changed() -> None:
    """At the start a market-only charge continues; at the guard only sales are checked."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.slice(CHARGE, T0_S, 90_000)
    bench.active("mkt")
    bench.price(CHARGE, NEXT, 100_000)
    bench.slice(CHARGE, NEXT, 90_000)
    bench.go(900)
    bench.read("MA1", 1_000)
    bench.tick(900)
    assert [command.ends_ns for command in bench.of(ApplySetpoint)] == [T0_NS + 1_800 * S]
    bench.put(evses={"A1": replace(bench.evse(), setpoint=None)})
    bench.tick(930)
    assert bench.of(ApplySetpoint) == []
    bench.put(evses={"A1": replace(bench.evse(), session=replace(bench.session(), sale=SaleStage.OVER))})
    bench.tick(930 + 900)
    assert len(bench.of(ApplySetpoint)) == 1


# --- after the interval -------------------------------------------------------------------------------------------


def test_slices_go_back_after_the_last_line() -> None:
    """Slices are returned when every session's meter is cut past the interval and no line draws on them, used up or not."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    used, spare = bench.slice(CHARGE, T0_S, 100), bench.slice(CHARGE, T0_S, 50_000)
    bench.active()
    bench.tick(900 + 450)
    assert bench.waiting("Return") == []
    bench.read("MA1", 1_200)
    bench.tick(1_800 + 450)
    assert bench.waiting("Return") == []
    bench.settle()
    bench.read("MA1", 1_200)
    bench.tick(2_700 + 450)
    assert {item.subject for item in bench.waiting("Return")} == {used.slice_id, spare.slice_id}
    bench.refuse("Return", "INTERVAL_OPEN")
    assert len(bench.waiting("Return")) == 2
    for _ in range(2):
        bench.commit("Return")
    assert bench.station.slices == {}


def test_a_session_without_a_reading_keeps_every_slice() -> None:
    """A meter that was never read may still have counted in that interval."""
    bench = Bench()
    bench.slice(CHARGE, T0_S - 900, 100)
    bench.active()
    bench.put(meters={"MA1": MeterAccount(meter_id="MA1", meter_ref="R", power_w_max=1)})
    bench.tick(450)
    assert bench.waiting("Return") == []
    bench.end()
    bench.tick(900 + 450)
    assert bench.waiting("Return") == []


def test_old_prices_are_forgotten() -> None:
    """Four hours after their interval, unless a line still waits for theirs."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.price(DISCHARGE, T0_S, 150_000)
    bench.active()
    bench.go(900)
    bench.read("MA1", 1_200)
    bench.tick(450 + 16 * INTERVAL_S)
    assert set(bench.station.prices) == {f"CHARGE:{T0_S}", f"DISCHARGE:{T0_S}"}
    bench.tick(450 + 17 * INTERVAL_S)
    assert set(bench.station.prices) == {f"CHARGE:{T0_S}"}
    bench.settle()
    bench.tick(450 + 18 * INTERVAL_S)
    assert bench.station.prices == {}


def test_answers_are_kept_for_seven_days() -> None:
    """Answers are kept as long as a charger may be offline and repeat a message; the table does not grow without bound."""
    bench = Bench()
    old = CachedAnswer(
        status=IdTokenStatus.ACCEPTED, transaction_id="t", at_ns=T0_NS + 450 * S - KEEP_ANSWERS_NS - 1
    )
    bench.put(answers={"old": old, "young": replace(old, at_ns=old.at_ns + 1)})
    bench.tick(450)
    assert set(bench.station.answers) == {"young"}


def test_an_unread_meter_is_not_registered() -> None:
    """A meter that was never read has no starting registers, and is not registered."""
    bench = Bench()
    bench.station = new_station(
        settings(), {"MA1": MeterAccount(meter_id="MA1", meter_ref="R", power_w_max=1)}
    )
    bench.tick(450)
    assert bench.waiting("RegisterMeter") == []


def test_a_price_row() -> None:
    """Seen at or after its interval's start it is late."""
    row = Price(
        product=CHARGE, interval=5, price_mtok_per_kwh=1, ceiling_mtok_per_kwh=2, refusal=None, seen_ns=5 * S
    )
    assert not row.in_time
    assert replace(row, seen_ns=5 * S - 1).in_time
