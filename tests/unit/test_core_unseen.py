"""Between two readings energy that may have flowed counts as flowed, and the meter is read when a command has ended."""

from edgegw.core.correlation import SetpointEnded
from edgegw.core.effects import ReadMeter, StartTimer, StopRemotely
from edgegw.core.events import EvNeedsReported, TimerFired
from tests.unit.test_core_order_control import commanded, ordered


def test_at_rest_it_is_not_forgotten_what_may_have_flowed() -> None:
    """Whatever makes the station plan again, an order's energy is not commanded twice between two readings."""
    bench = ordered(energy_wh=2_000)
    bench.go(389)
    bench.update(soc_bp=4_000)
    for at_s, soc_bp in ((395, 4_100), (420, 4_200)):
        bench.go(at_s)
        bench.update(soc_bp=soc_bp)
        assert commanded(bench)[0] == 0
    bench.go(430)
    bench.read("MA1", 2_500)
    assert commanded(bench) == (22_000, 81)
    bench.go(470)
    needs = EvNeedsReported(
        evse_id="A1", bidirectional=False, charge_power_w_max=11_000, discharge_power_w_max=None, departure_ns=None
    )  # fmt: skip
    bench.send(needs)
    assert commanded(bench) == (11_000, 83), "22 kW for 40 s and 11 kW for 83 s are 500 Wh"
    bench.go(520)
    bench.update(soc_bp=4_300)
    assert commanded(bench) == (11_000, 33), "... and it is no other end that they come to"


def test_the_meter_is_read_when_an_orders_command_ends() -> None:
    """A timer reads the meter a second after the newest command ends; an older command's timer does nothing."""
    bench = ordered(energy_wh=2_000)
    (timer,) = bench.of(StartTimer)
    assert timer == StartTimer(key=SetpointEnded(evse_id="A1"), after_s=329)
    bench.go(61 + 200)
    bench.send(TimerFired(key=timer.key))
    assert bench.of(ReadMeter) == [], "it has not ended"
    bench.go(61 + 329)
    bench.send(TimerFired(key=timer.key))
    assert bench.of(ReadMeter) == [ReadMeter(meter_id="MA1")]
    bench.update(soc_bp=4_000)
    assert commanded(bench)[0] == 0
    bench.send(TimerFired(key=timer.key))
    assert bench.of(ReadMeter) == []
    bench.end()
    bench.send(TimerFired(key=timer.key))
    assert bench.of(ReadMeter) == []


def test_a_car_far_slower_than_its_charger_hardly_rests() -> None:
    """7 of 22 kW, a meter read every 70 s: 3.1 kWh take 27 minutes of charging, and little more; never more than ordered."""
    bench = ordered(energy_wh=3_100)
    flowed_mwh = rested_s = 0
    timer_s: int | None = 61 + bench.of(StartTimer)[-1].after_s
    for at_s in range(62, 3_000):
        setpoint = bench.evse().setpoint
        assert setpoint is not None
        bench.go(at_s)
        flows = setpoint.power_w > 0 and bench.now_ns <= setpoint.ends_ns
        flowed_mwh += 7_000_000 // 3_600 if flows else 0
        rested_s += not flows
        outcomes = []
        if at_s == timer_s:
            outcomes.append(bench.send(TimerFired(key=SetpointEnded(evse_id="A1"))))
        if (at_s - 61) % 70 == 0 or any(bench.of(ReadMeter, outcome) for outcome in outcomes):
            outcomes.append(bench.read("MA1", 1_000 + flowed_mwh // 1_000))
        for outcome in outcomes:
            timer_s = next((at_s + found.after_s for found in bench.of(StartTimer, outcome)), timer_s)
        if outcomes and bench.of(StopRemotely, outcomes[-1]):
            break
    assert 3_100 - 13 < flowed_mwh // 1_000 <= 3_100
    assert rested_s < 60
    assert at_s - 61 < 28 * 60
