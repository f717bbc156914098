"""Orders that outlive a restart, a backup and their time."""

from dataclasses import replace

from edgegw.core import station
from edgegw.core.correlation import OrderStartDue
from edgegw.core.driver_orders import KEEP_NS, KEPT_MOST
from edgegw.core.effects import StartTimer
from edgegw.core.events import (
    ChargerConnected,
    OrderStopped,
)
from edgegw.core.orders import OrderState
from edgegw.core.state import Restore
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import encode_row
from tests.support.core_bench import T0_NS, Bench, S
from tests.unit.test_core_orders import an_order, begun, place, row


def reborn(bench: Bench) -> None:
    """The station as its rows tell it, woken."""
    rows: dict[str, str] = {}
    for table in ("evses", "meters", "orders", "holds", "submissions", "tally", "answers", "restores"):
        for key, item in getattr(bench.station, table).items():
            rows[f"{table}/{key}"] = encode_row(item)
    fresh = station.new_station(bench.station.settings, dict(bench.station.meters))
    bench.station = restore(
        fresh, lambda prefix: {key: text for key, text in rows.items() if key.startswith(prefix)}
    )
    bench.wake()


def test_a_power_cut_loses_no_order() -> None:
    """After a restart a waiting order gets new time and its start; a running one continues with its session."""
    bench = Bench()
    place(bench)
    reborn(bench)
    assert StartTimer(key=OrderStartDue(order_id="o1"), after_s=120) in bench.of(StartTimer)
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    bench.active("web")
    assert row(bench)[0] is OrderState.RUNNING
    reborn(bench)
    assert (row(bench)[0], bench.session().order_id) == (OrderState.RUNNING, "o1")
    assert bench.of(StartTimer) == []


def test_an_order_whose_evse_left_the_configuration() -> None:
    """A waiting order whose EVSE is no longer configured is refused at the restart."""
    bench = Bench()
    place(bench)
    bench.put(orders={"o1": replace(bench.station.orders["o1"], evse_id="GONE")})
    reborn(bench)
    assert row(bench) == (OrderState.REFUSED, "UNKNOWN_EVSE")


def test_a_journal_from_a_backup_runs_no_order() -> None:
    """After a restore from a backup all orders are over, because what happened since is unknown."""
    bench = begun()
    bench.put(restores={"r": Restore(source="b", at_ns=1)})
    reborn(bench)
    assert row(bench) == (OrderState.DONE, "JOURNAL_RESTORED")


def test_a_loop_of_orders_fills_nothing() -> None:
    """Only the newest ended orders of an EVSE are kept, however many were placed and stopped."""
    bench = Bench()
    for number in range(KEPT_MOST + 5):
        place(bench, order_id=f"loop{number}")
        bench.send(OrderStopped(evse_id="A1", member_id="drv"))
        bench.now_ns += S
    assert list(bench.station.orders) == [f"loop{number}" for number in range(5, KEPT_MOST + 5)]


def test_ended_orders_are_forgotten_after_a_week() -> None:
    """Open orders are never removed."""
    bench = begun()
    bench.put(orders={"old": an_order(order_id="old", state=OrderState.DONE)})
    bench.put(orders={"new": an_order(order_id="new", state=OrderState.REFUSED, placed_ns=T0_NS)})
    bench.tick(450)
    assert set(bench.station.orders) == {"o1", "new"}
    bench.tick(KEEP_NS // S + 1350)
    assert set(bench.station.orders) == {"o1"}
