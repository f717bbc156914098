"""How the station handles transactions that it does not know, and what it repeats to a charger that was away."""

import pytest

from edgegw.common.errors import ConfigError
from edgegw.core import station
from edgegw.core.correlation import IntervalOffers
from edgegw.core.effects import (
    AllowEnergyTransfer,
    AnswerCall,
    ApplySetpoint,
    Query,
    StartAnswer,
    StopRemotely,
)
from edgegw.core.effects import IdTokenStatus as Status
from edgegw.core.events import ChargerBooted, ChargerConnected, ChargerSample, ChargingState
from edgegw.core.market import CHARGE
from edgegw.core.state import Phase
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import encode_row
from tests.support.core_bench import T0_S, Bench, settings


def test_a_running_stranger_is_stopped() -> None:
    """Energy in an unknown transaction: acknowledged on the wire, 0 W, asked to stop, counted; its end frees the EVSE."""
    bench = Bench()
    bench.update(transaction_id="x9", charging_state=ChargingState.CHARGING)
    assert len(bench.of(AnswerCall)) == 1
    assert bench.of(StopRemotely) == [StopRemotely(evse_id="A1", transaction_id="x9")]
    assert [command.power_w for command in bench.of(ApplySetpoint)] == [0]
    assert bench.evse().phase is Phase.STOPPING
    assert bench.station.tally["all"].refused == {"UNKNOWN_TRANSACTION": 1}
    bench.end(transaction_id="x9")
    assert bench.evse().phase is Phase.VACANT
    bench.update(transaction_id="x9", charging_state=ChargingState.CHARGING)
    assert bench.evse().phase is Phase.VACANT


@pytest.mark.parametrize(
    ("power_w", "phase"), [(7_000, Phase.STOPPING), (0, Phase.VACANT), (None, Phase.VACANT)]
)
def test_a_stranger_is_known_by_its_power(power_w: int | None, phase: Phase) -> None:
    """1.6 samples have no charging state: power decides; without power nothing is concluded."""
    bench = Bench()
    sample = ChargerSample(at_ns=bench.now_ns, power_w=power_w)
    bench.update(transaction_id="x9", charging_state=None, samples=(sample,))
    assert bench.evse().phase is phase


def test_a_start_that_comes_after_its_updates_begins_a_session() -> None:
    """If a start only came late, its session begins after all."""
    bench = Bench()
    bench.update(transaction_id="t1", charging_state=ChargingState.CHARGING)
    start = bench.start()
    bench.commit("Hold", reserved="1000")
    bench.go(61)
    bench.read("MA1", 1_000)
    assert bench.answers_to(start) == [StartAnswer(status=Status.ACCEPTED, transaction_id="t1")]


def test_a_charger_that_was_away_is_told_again() -> None:
    """After a reconnect or a boot the charger gets the pending stops, and the permission of a seller's transaction again."""
    bench = Bench()
    bench.start("stranger")
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    assert bench.of(StopRemotely) == [StopRemotely(evse_id="A1", transaction_id="t1")]
    bench.active("sel", evse_id="A2", transaction_id="t2", business_key="2")
    bench.send(ChargerBooted(charger_id="A"))
    allowed = AllowEnergyTransfer(evse_id="A2", transaction_id="t2", bidirectional=True)
    assert bench.of(AllowEnergyTransfer) == [allowed]


def test_after_a_restart_offers_are_asked_for_again() -> None:
    """A price seen before the restart still gets its slices, as long as its interval has not begun and none is there."""
    bench = Bench()
    bench.active()
    bench.price(CHARGE, T0_S + 1_800, 90_000)
    bench.price(CHARGE, T0_S, 90_000)
    bench.wake()
    assert [query.key for query in bench.of(Query)] == [
        IntervalOffers(product="CHARGE", interval=T0_S + 1_800)
    ]
    bench.slice(CHARGE, T0_S + 1_800, 1_000)
    bench.wake()
    assert bench.of(Query) == []


def test_an_evse_with_open_business_cannot_leave_the_configuration() -> None:
    """With an EVSE that has open holds or lines missing from the configuration, the daemon does not start and says why."""
    bench = Bench()
    bench.active()
    rows = {f"holds/{key}": encode_row(row) for key, row in bench.station.holds.items()}
    smaller = settings(evses={}, meter_evse={})
    fresh = station.new_station(smaller, {})
    with pytest.raises(ConfigError, match="A1: still has open holds or lines"):
        restore(fresh, lambda prefix: {k: v for k, v in rows.items() if k.startswith(prefix)})
    assert restore(fresh, lambda _prefix: {}).evses == {}


def test_a_charger_whose_start_still_waits_is_told_nothing() -> None:
    """Before its hold is there, a session has neither a setpoint nor a permission to repeat."""
    bench = Bench()
    bench.start("sel")
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    assert bench.evse().phase is Phase.STARTING
    assert [bench.of(kind) for kind in (StopRemotely, AllowEnergyTransfer, ApplySetpoint)] == [[], [], []]
