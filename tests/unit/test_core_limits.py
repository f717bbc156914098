"""What bounds a setpoint beyond prices: the site, what may flow unseen, the driver's minimum, what a sale earned."""

from dataclasses import replace

from edgegw.core import control
from edgegw.core.effects import ApplySetpoint
from edgegw.core.events import TransactionEnded
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.state import HoldState, SaleStage
from edgegw.core.step_context import StepContext
from tests.support.core_bench import T0_S, Bench, S
from tests.unit.test_core_control import fund, market, replan, selling


def powers(bench: Bench) -> dict[str, int]:
    """The newest commanded power of each EVSE."""
    return {effect.evse_id: effect.power_w for effect in bench.effects if isinstance(effect, ApplySetpoint)}


def test_the_site_is_shared_anew_when_one_begins_or_ends() -> None:
    """When a session begins or ends, the site's power is shared again at once, without waiting for a tick."""
    bench = Bench(site_w_max=22_000)
    bench.active()
    assert powers(bench) == {"A1": 22_000}
    bench.active("mkt", evse_id="A2", transaction_id="t2", business_key="2")
    assert powers(bench)["A1"] == 11_000
    end = bench.end()
    assert isinstance(end, TransactionEnded)
    bench.active("ret", evse_id="B1", transaction_id="t3", business_key="3", call=bench.call("B"))
    assert powers(bench)["B1"] == 11_000


def test_a_sale_gives_no_more_than_the_site_takes() -> None:
    """The site's limit holds in both directions."""
    bench = Bench(site_w_max=3_000)
    market(bench)
    selling(bench)
    bench.go(70)
    replan(bench)
    assert powers(bench)["A1"] == -3_000


def test_what_may_flow_unseen_counts_against_the_hold() -> None:
    """While readings are late the commanded power counts as delivered, and planning again never moves the end outwards."""
    bench = Bench()
    bench.active()
    fund(bench, 2_000 * 400)
    replan(bench)
    commanded = bench.setpoint()
    bench.go(61 + 200)
    evse, session = bench.evse(), bench.session()
    plan = control.plan_for(StepContext(bench.station, bench.now_ns), evse, session)
    assert commanded.ends_ns - 2 * S <= plan.ends_ns <= commanded.ends_ns


def test_a_car_at_its_minimum_sells_nothing() -> None:
    """The reported state of charge decides, not the declared capacity: at its minimum a car sells nothing."""
    bench = Bench()
    market(bench)
    selling(bench)
    low = replace(bench.session(), soc_bp=3_000)
    bench.put(evses={"A1": replace(bench.evse(), session=low)})
    bench.go(70)
    replan(bench)
    assert powers(bench)["A1"] == 0


def test_a_car_that_sold_is_charged_again_only_where_that_is_cheaper() -> None:
    """After a sale a satisfied car rests until the ceiling is below the lowest price at which it sells."""
    bench = Bench()
    market(bench)
    selling(bench)
    over = replace(bench.session(), sale=SaleStage.OVER)
    bench.put(evses={"A1": replace(bench.evse(), session=over)})
    bench.price(CHARGE, T0_S, 90_000, ceiling=186_000)
    replan(bench)
    assert powers(bench)["A1"] == 0
    bench.price(CHARGE, T0_S, 90_000, ceiling=98_300)
    replan(bench)
    assert powers(bench)["A1"] == 22_000


def test_slices_are_not_kept_for_a_silent_meter_for_ever() -> None:
    """After six hours slices are returned, even if a meter has not been read."""
    bench = Bench()
    bench.active()
    kept = bench.slice(DISCHARGE, T0_S, 900)
    bench.tick(900 + 450)
    assert kept.slice_id in bench.station.slices
    assert bench.waiting("Return") == []
    bench.tick(7 * 3_600 + 450)
    assert [item.subject for item in bench.station.submissions.values() if item.function == "Return"] == [
        kept.slice_id
    ]


def test_a_hold_of_a_session_is_named_in_no_clear() -> None:
    """Hold ids do not reveal the EVSE or the transaction."""
    bench = Bench()
    bench.active()
    hold = bench.hold(HoldState.OPEN)
    assert "A1" not in hold.hold_id
    assert "t1" not in hold.hold_id
