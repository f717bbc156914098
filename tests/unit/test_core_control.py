"""Setpoints: their power, their end and their renewal; each ends by itself within what its hold pays."""

from dataclasses import replace
from typing import Any

import pytest

from edgegw.common.units import INTERVAL_NS
from edgegw.core.correlation import SetpointRetryDue
from edgegw.core.effects import ApplySetpoint, StartTimer, StopRemotely
from edgegw.core.events import (
    ChargerConnected,
    ChargerDisconnected,
    EvNeedsReported,
    MeterReadFailed,
    SetpointAnswered,
    TimerFired,
)
from edgegw.core.market import CHARGE, DISCHARGE
from edgegw.core.state import HoldState, SaleStage
from tests.support.core_bench import T0_NS, T0_S, Bench, S

HOUR_NS = 4 * INTERVAL_NS


def plan(bench: Bench) -> tuple[int, int]:
    """Power and seconds from now of the newest command."""
    setpoint = bench.setpoint()
    assert setpoint.fallback_w == 0
    return setpoint.power_w, (setpoint.ends_ns - bench.now_ns) // S


def fund(bench: Bench, total: int) -> None:
    row = bench.hold()
    bench.put(holds={row.hold_id: replace(row, total=total)})


def replan(bench: Bench, evse_id: str = "A1") -> ApplySetpoint | None:
    """Forget what was commanded, so that the present plan is said."""
    bench.put(evses={evse_id: replace(bench.evse(evse_id), setpoint=None)})
    bench.send(MeterReadFailed(meter_id=f"M{evse_id}", at_ns=bench.now_ns, reason="x"))
    commands = bench.of(ApplySetpoint)
    return commands[-1] if commands else None


# --- charging -----------------------------------------------------------------------------------------------------


def test_an_ordinary_charge() -> None:
    """Rated power for an hour ahead, well inside the hold."""
    bench = Bench()
    bench.active()
    assert plan(bench) == (22_000, 3_600)


@pytest.mark.parametrize(
    ("total", "seconds", "stops"),
    [
        (400_000_000, 3_600, False),
        (1_200_000, 490, False),  # 3 kWh at the hold's limit last 490 s at 22 kW
        (80_000, 32, False),
        (79_799, 3_600, True),  # less than 200 Wh
    ],
)
def test_a_charge_ends_inside_its_hold(total: int, seconds: int, stops: bool) -> None:
    """The end is where the worst price would have used the hold up; what is used up is stopped at 0 W."""
    bench = Bench()
    bench.active()
    fund(bench, total)
    replan(bench)
    assert plan(bench) == (0 if stops else 22_000, seconds)
    assert len(bench.of(StopRemotely)) == stops


def test_the_running_segment_counts_against_the_hold() -> None:
    """Energy since the last cut is not on a line yet; at the limit it is taken off."""
    bench = Bench()
    bench.active()
    bench.go(200)
    bench.read("MA1", 1_800)
    fund(bench, 800 * 400 + 400_000)
    replan(bench)
    assert plan(bench) == (22_000, 1_000 * 3_600 // 22_000)


def test_car_and_site_limit_the_power() -> None:
    """The least of EVSE, car and the site's share per active EVSE; never below 1 W."""
    bench = Bench(site_w_max=20_000)
    bench.active()
    assert plan(bench)[0] == 20_000
    bench.active("mkt", evse_id="A2", transaction_id="t2", business_key="2")
    replan(bench)
    assert plan(bench)[0] == 10_000
    needs: dict[str, Any] = {"bidirectional": False, "discharge_power_w_max": None, "departure_ns": None}
    bench.send(EvNeedsReported(evse_id="A1", charge_power_w_max=3_700, **needs))
    assert plan(bench)[0] == 3_700
    bench.send(EvNeedsReported(evse_id="A1", charge_power_w_max=0, **needs))
    assert plan(bench)[0] == 1


def test_no_energy_without_a_meter() -> None:
    """A meter that is silent for longer than `stale_ns` stops the flow; a failed read is the moment to look."""
    bench = Bench()
    bench.active()
    bench.go(61 + 600)
    bench.send(MeterReadFailed(meter_id="MA1", at_ns=bench.now_ns, reason="timeout"))
    assert bench.of(ApplySetpoint) == []
    bench.go(61 + 601)
    bench.send(MeterReadFailed(meter_id="MA1", at_ns=bench.now_ns, reason="timeout"))
    assert plan(bench)[0] == 0
    bench.send(MeterReadFailed(meter_id="M9", at_ns=bench.now_ns, reason="timeout"))
    assert bench.of(ApplySetpoint) == []


def test_a_released_hold_charges_nothing() -> None:
    """ACTIVE without an open hold stays at 0 W."""
    bench = Bench()
    bench.active()
    row = bench.hold()
    bench.put(holds={row.hold_id: replace(row, state=HoldState.CLOSING)})
    replan(bench)
    assert plan(bench) == (0, 3_600)


@pytest.mark.parametrize(
    ("token", "price", "ceiling", "slice_wh", "expected"),
    [
        ("mkt", 100_000, 186_000, 2_200, (22_000, 360)),
        ("mkt", 100_000, 186_000, 90_000, (22_000, 839)),
        ("mkt", 100_000, 186_000, 199, (0, 839)),
        ("mkt", None, 186_000, 2_200, (0, 839)),
        ("che", 95_000, 186_000, 2_200, (22_000, 360)),  # retail above its limit: market only
        ("che", 101_000, 186_000, 2_200, (0, 839)),
        ("che", 95_000, 99_000, 2_200, (22_000, 3_600)),
    ],
)
def test_who_is_bound_to_the_market(
    token: str, price: int | None, *, ceiling: int, slice_wh: int, expected: tuple[int, int]
) -> None:
    """A driver without retail is bound by slices and the interval's end; without a price the power is 0 W."""
    bench = Bench()
    bench.price(CHARGE, T0_S, price, ceiling=ceiling)
    bench.slice(CHARGE, T0_S, slice_wh)
    bench.active(token)
    assert plan(bench) == expected


def test_who_is_bound_to_the_market_shares_it() -> None:
    """Two drivers without retail plan with half of the slices each; a satisfied one leaves its half."""
    bench = Bench()
    bench.price(CHARGE, T0_S, 100_000)
    bench.slice(CHARGE, T0_S, 2_200)
    bench.active("mkt")
    bench.active("mkt", evse_id="A2", transaction_id="t2", business_key="2")
    assert plan(bench) == (22_000, 180)
    session = replace(bench.session(), satisfied=True)
    bench.put(evses={"A1": replace(bench.evse(), session=session)})
    replan(bench, "A2")
    assert plan(bench) == (22_000, 360)


# --- when to say so -----------------------------------------------------------------------------------------------


def test_a_command_is_renewed_before_it_ends() -> None:
    """A command is sent once, and again when less than half an hour is left, when it has ended, or when it must end sooner."""
    bench = Bench()
    bench.active()
    read_failed = MeterReadFailed(meter_id="MA1", at_ns=0, reason="x")
    said = []
    for at_s in (600, 1_200, 1_859, 1_862, 2_400, 8_000):
        bench.go(at_s)
        bench.read("MA1", 1_000)
        bench.send(read_failed)
        said.append(len(bench.of(ApplySetpoint)))
    assert said == [0, 0, 0, 1, 0, 1]
    fund(bench, 1_200_000)
    bench.send(read_failed)
    assert plan(bench) == (22_000, 490)
    bench.send(read_failed)
    assert bench.of(ApplySetpoint) == []


def test_an_ended_command_is_said_again_however_short() -> None:
    """A last minute that the hold still pays is commanded after the old profile ended."""
    bench = Bench()
    bench.active()
    fund(bench, 1_200_000)
    replan(bench)
    bench.go(600)
    bench.read("MA1", 2_500)
    bench.send(MeterReadFailed(meter_id="MA1", at_ns=0, reason="x"))
    assert plan(bench) == (22_000, 245)


def test_nothing_is_said_to_the_absent() -> None:
    """Offline, vacant or starting EVSEs get no command; on connecting the plan is said at once."""
    bench = Bench()
    bench.start()
    bench.commit("Hold", reserved="1000")
    assert bench.of(ApplySetpoint) == []
    bench.end()
    bench.commit("Release")
    bench.active(transaction_id="t2", business_key="2")
    bench.send(ChargerDisconnected(charger_id="A"))
    assert replan(bench) is None
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    assert [command.transaction_id for command in bench.of(ApplySetpoint)] == ["t2"]


# --- selling ------------------------------------------------------------------------------------------------------


def selling(bench: Bench, evse_id: str = "A1", *, hold_wh: int = 10_000) -> None:
    """A sale is ready on an EVSE."""
    changes = {} if evse_id == "A1" else {"transaction_id": f"t{evse_id}", "business_key": evse_id}
    bench.active("sel", evse_id=evse_id, **changes)
    session = bench.session(evse_id)
    hold_id = session.charge_hold_id
    assert hold_id is not None
    hold = replace(bench.station.holds[hold_id], hold_id=evse_id, product=DISCHARGE, total=hold_wh, used=0)
    ready = replace(session, sale=SaleStage.READY, sale_hold_id=evse_id, satisfied=True)
    bench.put(
        holds={evse_id: hold}, evses={evse_id: replace(bench.evse(evse_id), session=ready, setpoint=None)}
    )


def market(bench: Bench, *, price: int | None = 150_000, slice_mtok: int = 10_000_000) -> None:
    bench.price(DISCHARGE, T0_S, price)
    bench.slice(DISCHARGE, T0_S, slice_mtok)


def test_a_sale_stays_inside_the_guards() -> None:
    """Discharging power from the guard after the start to the guard before the end; else 0 W."""
    for at_s, power_w in ((100, -7_000), (869, -7_000), (870, 0)):
        bench = Bench()
        market(bench)
        selling(bench)
        bench.go(at_s)
        bench.read("MA1", 1_000)
        replan(bench)
        assert bench.setpoint().power_w == power_w
        if power_w:
            assert bench.setpoint().ends_ns == T0_NS + 870 * S
    early = Bench()
    early.price(DISCHARGE, T0_S + 900, 150_000)
    early.slice(DISCHARGE, T0_S + 900, 10_000_000)
    selling(early)
    for at_s, power_w in ((929, 0), (930, -7_000)):
        early.go(at_s)
        early.read("MA1", 1_000)
        replan(early)
        assert early.setpoint().power_w == power_w


@pytest.mark.parametrize(
    ("price", "slice_mtok", "hold_wh", "expected"),
    [
        (150_000, 10_000_000, 700, (-7_000, 360)),
        (150_000, 105_000, 10_000, (-7_000, 360)),
        (150_000, 10_000_000, 199, (0, 3_600)),
        (150_000, 29_000, 10_000, (0, 3_600)),
        (139_999, 10_000_000, 10_000, (0, 3_600)),
        (None, 10_000_000, 10_000, (0, 3_600)),
    ],
)
def test_a_sale_ends_inside_slices_and_hold(
    price: int | None, slice_mtok: int, *, hold_wh: int, expected: tuple[int, int]
) -> None:
    """Energy that price, buyers and hold do not cover is not discharged."""
    bench = Bench()
    market(bench, price=price, slice_mtok=slice_mtok)
    selling(bench, hold_wh=hold_wh)
    bench.go(70)
    replan(bench)
    assert plan(bench) == expected


def test_two_sales_share_the_buyers() -> None:
    """A running sale's most is taken off what the slices carry for another."""
    bench = Bench()
    market(bench, slice_mtok=(1_750 + 700) * 150)
    selling(bench)
    bench.go(70)
    replan(bench)
    assert plan(bench) == (-7_000, 800)
    selling(bench, "A2")
    bench.active("ret", evse_id="B1", transaction_id="t3", business_key="3", call=bench.call("B"))  # charges
    bench.go(75)
    replan(bench, "A2")
    assert plan(bench) == (-7_000, 360)
    bench.go(869)
    bench.read("MA2", 1_000)
    bench.put(evses={"A1": replace(bench.evse(), setpoint=None)})
    replan(bench, "A2")
    assert plan(bench) == (-7_000, 1)


def test_a_sale_without_power_or_hold_rests() -> None:
    """A car that cannot discharge, or a sale whose hold is closing, stays at 0 W."""
    bench = Bench()
    market(bench)
    selling(bench)
    needs = EvNeedsReported(
        evse_id="A1",
        bidirectional=False,
        charge_power_w_max=None,
        discharge_power_w_max=None,
        departure_ns=None,
    )
    bench.send(needs)
    assert bench.setpoint().power_w == 0
    bench.send(replace(needs, bidirectional=True, discharge_power_w_max=4_000))
    assert bench.setpoint().power_w == -4_000
    row = bench.station.holds["A1"]
    bench.put(holds={"A1": replace(row, state=HoldState.CLOSING)})
    replan(bench)
    assert bench.setpoint().power_w == 0


def test_a_refused_sale_is_over() -> None:
    """A charger that does not discharge is not asked again in this session; its hold is released."""
    bench = Bench()
    market(bench)
    selling(bench)
    bench.go(70)
    replan(bench)
    bench.send(SetpointAnswered(evse_id="A1", setpoint_id=bench.setpoint().setpoint_id, accepted=False))
    assert bench.session().sale is SaleStage.OVER
    assert [command.power_w for command in bench.of(ApplySetpoint)] == [0]
    assert bench.station.holds["A1"].state is HoldState.CLOSING


def test_a_refused_charge_is_tried_again_soon() -> None:
    """A refused charge is repeated after a second, three times in a row, then at the next tick; an accepted one resets this."""
    bench = Bench()
    bench.active()
    for attempt in range(1, 6):
        number = bench.setpoint().setpoint_id
        bench.send(SetpointAnswered(evse_id="A1", setpoint_id=number, accepted=False))
        timers = (
            [StartTimer(key=SetpointRetryDue(evse_id="A1", setpoint_id=number), after_s=1)]
            if attempt <= 3
            else []
        )
        assert bench.of(StartTimer) == timers
        bench.send(TimerFired(key=SetpointRetryDue(evse_id="A1", setpoint_id=number)))
        assert [command.power_w for command in bench.of(ApplySetpoint)] == [22_000]
        bench.send(TimerFired(key=SetpointRetryDue(evse_id="A1", setpoint_id=number)))
        assert bench.of(ApplySetpoint) == []
    bench.send(SetpointAnswered(evse_id="A1", setpoint_id=bench.setpoint().setpoint_id, accepted=True))
    assert bench.evse().setpoints_refused == 0
