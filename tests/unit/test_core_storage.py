"""What a full disk and a restored journal mean for sessions: no new one without room, a running one always to its end."""

import json

import pytest

from edgegw.core.effects import (
    AuthorizeAnswer,
    Effect,
    IdTokenStatus,
    LogEvent,
    StartAnswer,
    StartRemotely,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    ChargerConnected,
    ChargingState,
    OrderPlaced,
    StorageChanged,
    StorageLevel,
)
from edgegw.core.orders import Aim, Order
from edgegw.core.state import HoldState, Phase, Restore
from edgegw.gateway.loop import restore
from edgegw.gateway.row_codec import encode_row
from edgegw.ops.logs import EVENTS
from tests.support.core_bench import RETAIL, T0_S, Bench, S
from tests.support.days import books, plan
from tests.support.universe import Universe

ORDER = Order(order_id="o1", evse_id="A1", id_token_hash="web", terms=RETAIL, aim=Aim.CHARGE)
FULL = (StorageLevel.NO_SESSIONS, StorageLevel.BALLAST_RELEASED)
ROOM = (StorageLevel.OK, StorageLevel.WARN, StorageLevel.NO_TELEMETRY)


def at_level(level: StorageLevel) -> Bench:
    bench = Bench()
    bench.send(StorageChanged(level=level))
    return bench


def frames(bench: Bench) -> int:
    return sum(fact.kind == "frame" for fact in bench.last.facts)


@pytest.mark.parametrize("level", FULL)
def test_no_new_session_on_a_full_disk(level: StorageLevel) -> None:
    """Authorize and start are answered Blocked, a remote start is refused; each start is counted with DISK_FULL."""
    bench = at_level(level)
    bench.send(AuthorizeRequested(call=bench.call(), id_token_hash="ret"))
    (answer,) = [effect.answer for effect in bench.effects if hasattr(effect, "answer")]
    assert answer == AuthorizeAnswer(status=IdTokenStatus.BLOCKED)
    bench.send(OrderPlaced(order=ORDER, id_token="clear"))
    assert bench.of(StartRemotely) == []
    start = bench.start()
    assert bench.answers_to(start) == [StartAnswer(status=IdTokenStatus.BLOCKED, transaction_id="t1")]
    assert bench.of(StopRemotely) == [StopRemotely(evse_id="A1", transaction_id="t1")]
    assert bench.station.tally["all"].refused == {"DISK_FULL": 2}
    assert frames(bench) == 1, "what a charger says about its transaction is stored all the same"


def test_an_id_token_that_comes_later_is_blocked_too() -> None:
    """2.x may start on plug-in without an idToken: the update that brings it is refused, and its frame is stored."""
    bench = at_level(StorageLevel.NO_SESSIONS)
    bench.start(None)
    assert bench.evse().phase is Phase.STARTING
    bench.update(id_token_hash="ret")
    assert (bench.evse().phase, frames(bench)) == (Phase.STOPPING, 1)
    assert bench.station.tally["all"].refused == {"DISK_FULL": 1}


@pytest.mark.parametrize("level", ROOM)
def test_with_some_room_sessions_begin(level: StorageLevel) -> None:
    """Below the session mark nothing is refused."""
    bench = at_level(level)
    bench.send(OrderPlaced(order=ORDER, id_token="clear"))
    assert len(bench.of(StartRemotely)) == 1
    bench.active()
    assert bench.station.tally["all"].refused == {}


@pytest.mark.parametrize("level", StorageLevel)
def test_telemetry_stops_first(level: StorageLevel) -> None:
    """From NO_TELEMETRY on samples are acknowledged and used but not stored; starts and ends always are."""
    bench = at_level(StorageLevel.OK)
    bench.start()
    assert frames(bench) == 1
    bench.send(StorageChanged(level=level))
    bench.update(soc_bp=4_200)
    assert frames(bench) == (1 if level < StorageLevel.NO_TELEMETRY else 0)
    assert bench.session().soc_bp == 4_200
    bench.end()
    assert frames(bench) == 1


def test_a_running_session_goes_to_its_end_on_a_full_disk() -> None:
    """On a full disk a running session keeps its power, is metered, ends and is settled; new ones begin when there is room."""
    bench = Bench()
    bench.active()
    for level in FULL:
        bench.send(StorageChanged(level=level))
        assert bench.evse().phase is Phase.ACTIVE
        assert not [effect for effect in bench.last.effects if isinstance(effect, StopRemotely)]
    assert bench.setpoint().power_w == 22_000
    bench.go(300)
    bench.end()
    bench.read("MA1", 1_200)
    assert len(bench.station.lines) == 1
    bench.settle()
    assert bench.station.tally["all"].trades == 1
    bench.send(StorageChanged(level=StorageLevel.OK))
    bench.start(business_key="next", transaction_id="t2")
    assert bench.evse().phase is Phase.STARTING


def test_a_restart_forgets_the_level() -> None:
    """The level is of now: it is no row, and a restored station takes it for OK until the first look."""
    bench = at_level(StorageLevel.NO_SESSIONS)
    assert bench.last.changes == {}
    rows = {f"evses/{key}": encode_row(row) for key, row in bench.station.evses.items()}
    again = restore(bench.station, lambda prefix: {k: v for k, v in rows.items() if k.startswith(prefix)})
    assert again.storage is StorageLevel.OK


# --- a restored journal ---------------------------------------------------------------------------------------------


def restored(bench: Bench) -> list[Effect]:
    """Wake from these rows as after `edgegw db restore`."""
    bench.put(restores={"journal": Restore(source="station-v1-x.db", at_ns=5)})
    bench.now_ns += 3600 * S
    return list(bench.wake().effects)


def test_a_restored_journal_begins_new_epochs_and_ends_its_sessions() -> None:
    """After a restore sessions are over, holds are released, ids continue far ahead, and each meter begins a new epoch."""
    bench = Bench()
    bench.active()
    bench.go(200)
    bench.read("MA1", 1_100)
    number = bench.station.tally["all"].number
    effects = restored(bench)
    assert all(evse.phase is Phase.VACANT and evse.session is None for evse in bench.station.evses.values())
    assert bench.hold().state is HoldState.CLOSING
    assert bench.station.lines == {}, "the Wh since the last cut are the ledger's to know"
    assert bench.station.tally["all"].number > number + 1_000_000_000
    assert bench.last.changes["restores/journal"] is None
    (note,) = [fact for fact in bench.last.facts if fact.kind == "restored"]
    assert note.body["sessions"] == ["A1.t1"]
    assert [effect.name for effect in effects if isinstance(effect, LogEvent)] == ["journal.restored"]
    assert "journal.restored" in EVENTS
    bench.read("MA1", 1_500)
    account = bench.station.meters["MA1"]
    assert account.epoch == T0_S + 200 + 3_600 + 1
    assert json.loads(bench.waiting("RegisterMeter")[0].arguments_json)["importWh"] == "1500"
    assert bench.untraded() == {}
    bench.wake()
    assert not [fact for fact in bench.last.facts if fact.kind == "restored"], "once is enough"


def test_what_still_runs_after_a_restore_is_stopped() -> None:
    """A transaction that the restored journal takes for over gets 0 W and is asked to stop as soon as it shows itself."""
    bench = Bench()
    bench.active()
    restored(bench)
    bench.send(ChargerConnected(charger_id="A", version="2.1"))
    bench.update(charging_state=ChargingState.CHARGING)
    assert bench.of(StopRemotely) == [StopRemotely(evse_id="A1", transaction_id="t1")]
    assert bench.setpoint().power_w == 0


def test_a_session_that_waits_for_its_last_reading_is_over_too() -> None:
    """Both sessions of an EVSE, the ended one and the one after it, are named in the fact."""
    bench = Bench()
    bench.active()
    bench.end()
    bench.start(business_key="next", transaction_id="t2")
    restored(bench)
    (note,) = [fact for fact in bench.last.facts if fact.kind == "restored"]
    assert note.body["sessions"] == ["A1.t2", "A1.t1"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hours", [(15.0, 16.0), (14.6, 17.0)])
def test_days_that_are_put_back_bill_nothing_twice(seed: int, hours: tuple[float, float]) -> None:
    """A journal put back by an hour or more: no Wh is traded twice, none is booked twice, and the day settles to its end."""
    universe = Universe(seed, hour=14)
    plan(universe, seed)
    kept: dict[str, str] = {}

    def back_up() -> None:
        kept.update(universe.rows)
        universe.kept_facts = len(universe.facts)  # type: ignore[attr-defined]  # the day's own note

    def put_back() -> None:
        universe.rows = {**kept, "restores/journal": encode_row(Restore(source="x", at_ns=1))}
        del universe.facts[universe.kept_facts :]  # type: ignore[attr-defined]  # as above
        universe.kill()

    universe.at_hour(hours[0], back_up)
    universe.at_hour(hours[1], put_back)
    universe.close(18)
    for where, (metered_wh, traded_wh, untraded_wh) in books(universe).items():
        assert traded_wh + untraded_wh <= metered_wh, where
    ends: dict[tuple[object, ...], int] = {}
    for trade in sorted(universe.ledger.recorded(), key=lambda one: int(one["startWh"])):
        register = trade["meterRef"], trade["epoch"], trade["direction"]
        assert int(trade["startWh"]) >= ends.get(register, 0), trade
        ends[register] = int(trade["endWh"])
    for table in ("lines", "submissions", "holds", "restores"):
        assert not getattr(universe.station, table), table
    assert universe.logged["journal.restored"] == 1
