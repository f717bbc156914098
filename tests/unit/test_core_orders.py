"""Orders: what an EVSE accepts, how an order begins or joins a session and how it is stopped; no order is lost."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.common.units import INTERVAL_NS
from edgegw.core.correlation import OrderStartDue
from edgegw.core.effects import AllowEnergyTransfer, LogEvent, StartRemotely, StartTimer, StopRemotely
from edgegw.core.events import (
    ChargerConnected,
    ChargerDisconnected,
    ConnectorStatus,
    ConnectorStatusChanged,
    DrainStarted,
    OrderPlaced,
    OrderStopped,
    RemoteStartAnswered,
    TimerFired,
)
from edgegw.core.orders import DEPARTURE_NS_MOST, REFUSALS, Aim, Order, OrderState
from edgegw.core.state import HoldState, Phase
from edgegw.ops.logs import EVENTS
from tests.support.core_bench import RETAIL, SELLER, T0_NS, Bench, S

TOKEN = "clear-token-04A1"
DRIVER = replace(RETAIL, member_id="drv")
HOUR_NS = 4 * INTERVAL_NS


def an_order(**changes: Any) -> Order:
    made: dict[str, Any] = {
        "order_id": "o1", "evse_id": "A1", "id_token_hash": "web", "terms": DRIVER, "aim": Aim.CHARGE,
    }  # fmt: skip
    return Order(**{**made, **changes})


def place(bench: Bench, **changes: Any) -> Order:
    """Place an order and return its row."""
    order = an_order(**changes)
    bench.send(OrderPlaced(order=order, id_token=TOKEN))
    return bench.station.orders[order.order_id]


def row(bench: Bench, order_id: str = "o1") -> tuple[OrderState, str]:
    order = bench.station.orders[order_id]
    return order.state, order.code


def begun(**changes: Any) -> Bench:
    """An order whose charger has begun its session."""
    bench = Bench()
    place(bench, **changes)
    bench.active("web")
    return bench


# --- placing ------------------------------------------------------------------------------------------------------


def test_an_order_at_a_free_evse_asks_the_charger() -> None:
    """The charger is asked once, with the stored token and number, after the row's commit; a timer limits the wait."""
    bench = Bench()
    order = place(bench)
    (request,) = bench.of(StartRemotely)
    assert (request.evse_id, request.id_token) == ("A1", TOKEN)
    assert order.remote_start_id == request.remote_start_id == bench.station.tally["all"].number > 0
    assert (order.state, order.placed_ns) == (OrderState.ASKED, bench.now_ns)
    assert bench.last.changes["orders/o1"] == order
    assert bench.of(StartTimer) == [StartTimer(key=OrderStartDue(order_id="o1"), after_s=120)]
    assert bench.evse().session is None
    names = [line.name for line in bench.of(LogEvent)]
    assert names == ["order.placed", "charger.start_requested"]
    assert set(names) <= EVENTS


def test_the_token_in_clear_is_told_to_the_charger_only() -> None:
    """No fact, row, log line or printed form has the token; only the command has it."""
    bench = Bench()
    event = OrderPlaced(order=an_order(), id_token=TOKEN)
    outcome = bench.send(event)
    assert bench.of(StartRemotely)[0].id_token == TOKEN
    assert TOKEN not in repr((outcome, event))


def test_the_same_order_again_changes_nothing() -> None:
    """An order id belongs to one order for ever."""
    bench = Bench()
    place(bench)
    before = bench.station
    place(bench, energy_wh=5)
    assert bench.station is before
    assert bench.last.effects == ()


FULL = {"terms": replace(SELLER, member_id="drv"), "departure_ns": T0_NS + HOUR_NS}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"evse_id": "X9"}, "UNKNOWN_EVSE"),
        ({"energy_wh": 0}, "NO_ENERGY"),
        ({"departure_ns": T0_NS}, "DEPARTURE_PAST"),
        ({"departure_ns": T0_NS + 61 * S + DEPARTURE_NS_MOST}, "DEPARTURE_TOO_FAR"),
        ({"aim": Aim.WORK}, "NO_BATTERY"),
        ({**FULL, "aim": Aim.WORK, "departure_ns": None}, "NO_DEPARTURE"),
        ({**FULL, "aim": Aim.SELL, "terms": replace(DRIVER, battery_wh=60_000)}, "NO_DISCHARGE"),
        ({**FULL, "aim": Aim.SELL, "energy_wh": 499}, "ENERGY_TOO_SMALL"),
        ({**FULL, "aim": Aim.SELL, "soc_bp_wanted": 8_000, "departure_ns": None}, "NO_DEPARTURE"),
    ],
)
def test_an_order_that_cannot_be_is_refused(changes: dict[str, Any], code: str) -> None:
    """An order that cannot be accepted is counted, stored with its code and logged; no charger is asked."""
    bench = Bench()
    order = place(bench, **changes)
    assert (order.state, order.code) == (OrderState.REFUSED, code)
    assert code in REFUSALS
    assert bench.of(StartRemotely) == []
    assert bench.station.tally["all"].refused == {code: 1}
    (line,) = bench.of(LogEvent)
    assert (line.name, line.fields["code"]) == ("order.refused", code)
    assert [fact.kind for fact in bench.last.facts] == ["refused", "order"]


def offline(bench: Bench) -> None:
    bench.send(ChargerDisconnected(charger_id="A"))


def broken(bench: Bench) -> None:
    bench.send(ConnectorStatusChanged(evse_id="A1", status=ConnectorStatus.FAULTED, at_ns=bench.now_ns))


def draining(bench: Bench) -> None:
    bench.send(DrainStarted())


def somebody(bench: Bench) -> None:
    bench.active("ret")


def stopping(bench: Bench) -> None:
    bench.start("nobody")


def other_order(bench: Bench) -> None:
    place(bench, order_id="o0", terms=RETAIL)


def own_order(bench: Bench) -> None:
    place(bench, order_id="o0")


def own_stopped(bench: Bench) -> None:
    place(bench, order_id="o0")
    bench.active("web")
    bench.send(OrderStopped(evse_id="A1", member_id="drv"))


@pytest.mark.parametrize(
    ("before", "code"),
    [
        (offline, "CHARGER_OFFLINE"),
        (broken, "OUT_OF_ORDER"),
        (draining, "DRAINING"),
        (somebody, "EVSE_BUSY"),
        (stopping, "EVSE_BUSY"),
        (other_order, "EVSE_BUSY"),
        (own_order, "ORDER_OPEN"),
        (own_stopped, "STOPPED"),
    ],
)
def test_an_evse_that_cannot_take_an_order(before: Any, code: str) -> None:
    """The code names what prevents the order; an existing order is unchanged."""
    bench = Bench()
    before(bench)
    others = dict(bench.station.orders)
    order = place(bench)
    assert (order.state, order.code) == (OrderState.REFUSED, code)
    assert code in REFUSALS
    assert bench.of(StartRemotely) == []
    assert {**bench.station.orders, "o1": None} == {**others, "o1": None}


def test_a_session_that_waits_for_its_driver_takes_an_order() -> None:
    """A 2.x transaction that started on plug-in takes the order when an update brings the request's idToken."""
    bench = Bench()
    bench.start(None)
    place(bench)
    assert len(bench.of(StartRemotely)) == 1
    bench.update(id_token_hash="web")
    assert (row(bench)[0], bench.session().order_id) == (OrderState.RUNNING, "o1")


# --- the charger's answer and its start ---------------------------------------------------------------------------


@pytest.mark.parametrize(("accepted", "reason"), [(True, ""), (False, "Rejected"), (False, "lost")])
def test_the_answer_is_a_fact(*, accepted: bool, reason: str) -> None:
    """The charger's answer is stored and logged; a rejected order is refused, an accepted one still waits for its start."""
    bench = Bench()
    order = place(bench)
    assert order.remote_start_id is not None
    answer = RemoteStartAnswered(
        evse_id="A1", remote_start_id=order.remote_start_id, accepted=accepted, reason=reason
    )
    outcome = bench.send(answer)
    expected = {"evse_id": "A1", "remote_start_id": order.remote_start_id, "accepted": accepted, "reason": reason}  # fmt: skip
    assert outcome.facts[0].body == {"at_ns": bench.now_ns, **expected}
    assert bench.of(LogEvent)[0].fields == expected
    assert row(bench) == ((OrderState.ASKED, "") if accepted else (OrderState.REFUSED, "CHARGER_REFUSED"))


def test_an_answer_to_another_request_refuses_nothing() -> None:
    """Only an answer with the order's number counts, and only while the order waits."""
    bench = Bench()
    order = place(bench)
    assert order.remote_start_id is not None
    refused = RemoteStartAnswered(evse_id="A1", remote_start_id=order.remote_start_id + 1, accepted=False)
    bench.send(refused)
    bench.send(replace(refused, evse_id="B1"))
    assert row(bench)[0] is OrderState.ASKED
    bench.active("web")
    bench.send(replace(refused, remote_start_id=order.remote_start_id))
    assert row(bench)[0] is OrderState.RUNNING


def test_a_start_without_a_link_gets_the_orders_terms() -> None:
    """A start with an order's token needs no linked card: it gets the order's terms, and a hold in its driver's name."""
    bench = Bench()
    place(bench, energy_wh=10_000)
    assert "web" not in bench.station.members
    bench.start("web")
    order, session = bench.station.orders["o1"], bench.session()
    assert (order.state, order.session_id, session.order_id) == (OrderState.RUNNING, session.session_id, "o1")
    assert session.terms == DRIVER
    (asked,) = bench.waiting("Hold")
    assert '"memberId":"drv"' in asked.arguments_json
    assert '"maxWh":"11000"' in asked.arguments_json


@pytest.mark.parametrize(
    ("changes", "most_wh"),
    [
        ({}, 100_000),
        ({**FULL, "aim": Aim.WORK}, 100_000),
        ({**FULL, "aim": Aim.SELL}, 1_000),
        ({**FULL, "aim": Aim.SELL, "soc_bp_wanted": 9_000}, 61_000),
        ({"energy_wh": 200_000}, 100_000),
    ],
)
def test_a_hold_is_as_large_as_the_order(changes: dict[str, Any], most_wh: int) -> None:
    """The hold covers what is ordered: for a seller, what the car may draw or charge back."""
    bench = Bench()
    place(bench, **changes)
    bench.start("web")
    (asked,) = bench.waiting("Hold")
    assert f'"maxWh":"{most_wh}"' in asked.arguments_json


@pytest.mark.parametrize(
    ("changes", "code", "phase"),
    [
        ({}, "ZERO_TOKENS", Phase.STOPPING),
        ({**FULL, "aim": Aim.SELL}, "ZERO_TOKENS", Phase.ACTIVE),
        ({**FULL, "aim": Aim.SELL}, "MEMBER_BLOCKED", Phase.STOPPING),
    ],
)
def test_a_seller_needs_no_tokens(changes: dict[str, Any], code: str, phase: Phase) -> None:
    """A seller begins without a charging hold, at 0 W; for any other order a refused hold refuses it."""
    bench = Bench()
    place(bench, **changes)
    bench.start("web")
    bench.read("MA1", 1_000)
    bench.go(61)
    bench.read("MA1", 1_000)
    bench.refuse("Hold", code)
    assert bench.evse().phase is phase
    if phase is Phase.ACTIVE:
        assert row(bench)[0] is OrderState.RUNNING
        assert bench.setpoint().power_w == 0
    else:
        assert row(bench) == (OrderState.REFUSED, code)


def test_a_charger_that_begins_nothing_costs_the_order() -> None:
    """An order that still waits after its time is refused; a running or removed one is not."""
    bench = Bench()
    place(bench)
    bench.send(TimerFired(key=OrderStartDue(order_id="o1")))
    assert row(bench) == (OrderState.REFUSED, "NO_START")
    bench.send(TimerFired(key=OrderStartDue(order_id="o9")))
    bench = begun()
    bench.send(TimerFired(key=OrderStartDue(order_id="o1")))
    assert row(bench)[0] is OrderState.RUNNING


def test_a_start_with_the_token_of_an_ended_order_is_unknown() -> None:
    """A token is valid for one start."""
    bench = Bench()
    place(bench)
    bench.send(TimerFired(key=OrderStartDue(order_id="o1")))
    bench.start("web")
    assert bench.station.tally["all"].refused == {"UNKNOWN_TOKEN": 1}


def test_an_order_ends_with_its_session() -> None:
    """The end of the transaction makes the order DONE; if the driver leaves before the start is answered, it is refused."""
    bench = begun()
    bench.end()
    assert row(bench) == (OrderState.DONE, "")
    bench = Bench()
    place(bench)
    bench.start("web")
    bench.end()
    assert row(bench) == (OrderState.REFUSED, "LEFT_EARLY")


# --- joining a session --------------------------------------------------------------------------------------------


def test_a_session_by_card_takes_its_drivers_order() -> None:
    """A running session takes its driver's order: its terms apply from now on, energy counts from here, the hold is kept."""
    bench = Bench()
    bench.active("sel")
    hold = bench.hold(HoldState.OPEN)
    bench.go(400)
    bench.read("MA1", 3_000)
    terms = replace(SELLER, accept_retail=False)
    order = place(bench, terms=terms, aim=Aim.SELL, departure_ns=T0_NS + HOUR_NS)
    assert (order.state, order.session_id) == (OrderState.RUNNING, bench.session().session_id)
    assert (order.from_import_wh, order.from_export_wh) == (2_000, 0)
    assert (bench.session().terms, bench.session().order_id) == (terms, "o1")
    assert bench.of(StartRemotely) == []
    assert bench.of(AllowEnergyTransfer) != []
    assert bench.hold() == hold
    assert bench.setpoint().power_w == 0, "a seller's car is not charged"


def test_an_order_takes_the_place_of_the_one_before() -> None:
    """An EVSE has at most one open order: a new one makes the session's older order DONE."""
    bench = begun()
    place(bench, order_id="o2", id_token_hash="web2", energy_wh=3_000)
    assert (row(bench), row(bench, "o2")) == ((OrderState.DONE, ""), (OrderState.RUNNING, ""))
    assert bench.session().order_id == "o2"


def test_a_session_joined_before_it_began() -> None:
    """A session that still waits for its hold takes an order, before any energy has flowed."""
    bench = Bench()
    bench.start("sel")
    order = place(bench, terms=SELLER)
    assert (order.from_import_wh, bench.session().order_id) == (0, "o1")
    assert bench.of(AllowEnergyTransfer) == []


# --- stopping -----------------------------------------------------------------------------------------------------


def test_a_driver_stops_the_own_session() -> None:
    """A stop asks the charger and stops the flow; after a lost connection the charger is asked again."""
    bench = begun()
    bench.send(OrderStopped(evse_id="A1", member_id="drv"))
    assert StopRemotely(evse_id="A1", transaction_id="t1") in bench.of(StopRemotely)
    assert bench.setpoint().power_w == 0
    assert row(bench) == (OrderState.RUNNING, "STOPPED")
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    assert StopRemotely(evse_id="A1", transaction_id="t1") in bench.of(StopRemotely)
    bench.end()
    assert row(bench) == (OrderState.DONE, "STOPPED")


def test_a_session_by_card_is_stopped_too() -> None:
    """A driver stops their own session, with an order or without."""
    bench = Bench()
    bench.active("ret")
    bench.send(OrderStopped(evse_id="A1", member_id="ret"))
    assert bench.of(StopRemotely) != []


def test_an_order_that_waits_is_called_off() -> None:
    """A stopped order that waits is DONE, and a start that still comes is unknown."""
    bench = Bench()
    place(bench)
    bench.send(OrderStopped(evse_id="A1", member_id="drv"))
    assert row(bench) == (OrderState.DONE, "STOPPED")
    assert bench.of(StopRemotely) == []


def test_nobody_stops_another() -> None:
    """A stop for another's order or session, a free or unknown EVSE, or a session that is being stopped has no effect."""
    bench = Bench()
    place(bench)
    for _ in range(2):
        bench.send(OrderStopped(evse_id="A1", member_id="eve"))
        assert bench.of(StopRemotely) == []
        assert row(bench)[1] == ""
        if bench.evse().session is None:
            bench.active("web")
    bench.send(OrderStopped(evse_id="X9", member_id="drv"))
    bench.send(OrderStopped(evse_id="A2", member_id="drv"))
    assert bench.last.effects == ()
    bench = Bench()
    bench.start("ret")
    bench.refuse("Hold", "ZERO_TOKENS")
    bench.send(OrderStopped(evse_id="A1", member_id="ret"))
    assert bench.last.effects == ()
