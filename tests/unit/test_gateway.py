"""The loop with fakes: what is committed when, and that nothing leaves before its commit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edgegw.common.errors import JournalError
from edgegw.core import station
from edgegw.core.correlation import StartAnswerDue
from edgegw.core.effects import AnswerCall, LogEvent, StartTimer
from edgegw.core.events import (
    CallRef,
    ChargerConnected,
    CommitKnown,
    Endorsed,
    Event,
    MembersChanged,
    RegisterRead,
    TimerFired,
    TransactionStarted,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Phase, Station
from edgegw.core.submission import State
from edgegw.gateway import loop as gateway_module
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway, restore
from edgegw.gateway.row_codec import encode_row
from tests.support.core_bench import MEMBERS, T0_S, Bench, S, settings
from tests.support.gateway_fakes import Everything, FakeClock, FakeJournal
from tests.support.patience import until


class Loop:
    """A gateway with its fakes."""

    def __init__(self, restored: Station | None = None) -> None:
        self.story: list[object] = []
        self.journal = FakeJournal(self.story)
        self.clock = FakeClock()
        self.inbox = Inbox()
        everything = Everything(self.story)
        adapters = Adapters(
            clock=self.clock,
            journal=self.journal,
            chargers=everything,
            meters=everything,
            ledger=everything,
            representative=everything,
            log=lambda name, fields: self.story.append(LogEvent(name=name, fields=fields)),
            sign_evidence=lambda text: f"signed {len(text) > 0}",
        )
        self.gateway = Gateway(restored or fresh(), adapters, self.inbox)

    async def send(self, *events: Event) -> None:
        """All events in one batch; returns when it is settled."""
        for event in events:
            self.inbox.put(event)
        await self.idle()

    async def idle(self) -> None:
        """Nothing is left to do for now."""
        for _ in range(20):
            await asyncio.sleep(0)

    def read(self, import_wh: int) -> RegisterRead:
        """A reading of A1's meter, now."""
        return RegisterRead(
            meter_id="MA1", t0_ns=self.clock.at_ns, t1_ns=self.clock.at_ns, import_mwh=import_wh * 1000,
            export_mwh=0, power_w=None, serial="7",
        )  # fmt: skip

    def start(self) -> TransactionStarted:
        """A start on A1."""
        return TransactionStarted(
            call=CallRef(charger_id="A", connection=1, message_id="1"), business_key="s", frame="[2]", evse_id="A1",
            transaction_id="t1", id_token_hash="stranger", at_ns=self.clock.at_ns,
        )  # fmt: skip


def fresh() -> Station:
    accounts = {
        f"M{name}": MeterAccount(meter_id=f"M{name}", meter_ref=f"R{name}", power_w_max=22_000)
        for name in ("A1", "A2", "B1")
    }
    return station.new_station(settings(), accounts)


@asynccontextmanager
async def running(restored: Station | None = None) -> AsyncIterator[Loop]:
    """A gateway that runs; stopped at the end."""
    loop = Loop(restored)
    task = asyncio.create_task(loop.gateway.run())
    await loop.idle()
    try:
        yield loop
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_effects_leave_after_the_commit_of_their_batch() -> None:
    """While the commit is under way nothing is answered; the commit always comes first."""
    async with running() as loop:
        loop.story.clear()
        loop.journal.gate = asyncio.Event()
        await loop.send(loop.start(), ChargerConnected(charger_id="A", version="2.1"))
        assert loop.story == []
        loop.journal.gate.set()
        await loop.idle()
        assert loop.story[0] == "commit"
        assert [type(item) for item in loop.story if isinstance(item, AnswerCall)] == [AnswerCall]
        assert loop.story.count("commit") == 1
        assert loop.gateway.station.evses["A1"].phase is Phase.STOPPING


async def test_waking_comes_first() -> None:
    """Before the first event the station wakes, is committed, and reads every meter."""
    async with running() as loop:
        assert loop.story[0] == "commit"
        assert [item for item in loop.story if isinstance(item, tuple)] == [
            ("read", "MA1"),
            ("read", "MA2"),
            ("read", "MB1"),
        ]


async def test_plain_readings_ride_on_the_next_commit() -> None:
    """Readings that decide nothing wait; with the next decision they are committed, newest last."""
    async with running() as loop:
        await loop.send(loop.read(1_000))
        count = len(loop.journal.commits)
        for seconds in (61, 62, 63):
            await loop.clock.set(seconds)
            await loop.send(loop.read(1_000 + seconds - 60))
        assert len(loop.journal.commits) == count
        await loop.clock.set(64)
        await loop.send(loop.read(1_004), ChargerConnected(charger_id="A", version="2.1"))
        assert len(loop.journal.commits) == count + 1
        restored = restore(fresh(), loop.journal.rows)
        assert restored.meters["MA1"] == loop.gateway.station.meters["MA1"]
        assert restored.evses["A1"].online


async def test_a_reading_after_a_decision_of_the_same_batch_is_the_one_committed() -> None:
    """Rows are committed as the last event of the batch left them."""
    async with running() as loop:
        await loop.send(loop.read(1_000))
        await loop.clock.set(70)
        swapped = replace(loop.read(1_010), serial="8")
        later = replace(swapped, t0_ns=swapped.t0_ns + S, t1_ns=swapped.t1_ns + S, import_mwh=1_012_000)
        await loop.send(swapped, later)
        assert restore(fresh(), loop.journal.rows).meters == loop.gateway.station.meters


async def test_readings_alone_are_saved_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a decision the newest readings are committed every ten seconds, and nothing is written without readings."""
    monkeypatch.setattr(gateway_module, "READINGS_COMMIT_S", 0.01)
    async with running() as loop:
        await loop.send(loop.read(1_000))
        await loop.clock.set(61)
        await loop.send(loop.read(1_001))
        count = len(loop.journal.commits)
        await until(lambda: len(loop.journal.commits) > count)
        assert len(loop.journal.commits) == count + 1
        assert list(loop.journal.commits[-1][1]) == ["meters/MA1"]


async def test_a_step_without_a_change_commits_nothing() -> None:
    """Members that stay as they are cost no fsync."""
    async with running() as loop:
        await loop.send(MembersChanged(links=MEMBERS))
        count = len(loop.journal.commits)
        await loop.send(MembersChanged(links=MEMBERS))
        assert len(loop.journal.commits) == count


async def test_a_journal_fault_stops_the_gateway() -> None:
    """If the journal cannot commit, the loop ends with the fault, and no effect is performed."""
    loop = Loop()
    loop.journal.fault = JournalError("disk full")
    with pytest.raises(JournalError):
        await loop.gateway.run()
    assert loop.story == []
    loop = Loop()
    task = asyncio.create_task(loop.gateway.run())
    await loop.idle()
    loop.story.clear()
    loop.journal.fault = JournalError("disk full")
    await loop.send(loop.start())
    with pytest.raises(BaseExceptionGroup) as caught:
        await task
    assert caught.group_contains(JournalError)
    assert loop.story == []


async def test_the_timetable_ticks() -> None:
    """The core gets a tick at each instant of the timetable, and only then."""
    async with running() as loop:
        await loop.clock.set(449)
        await loop.idle()
        assert not [item for item in loop.story if isinstance(item, tuple) and item[0] == "report"]
        for at_s in (450, 480):
            await loop.clock.set(at_s)
            await loop.idle()
        reports = [item for item in loop.story if isinstance(item, tuple) and item[0] == "report"]
        assert [report[2] for report in reports] == [T0_S, T0_S, T0_S + 900, T0_S + 900]


async def test_timers_fire_once_and_a_newer_one_replaces_an_older(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time; equal keys have one timer."""
    async with running() as loop:
        fired: list[Event] = []
        monkeypatch.setattr(loop.inbox, "put", fired.append)
        for _ in range(2):
            loop.gateway._do(StartTimer(key=StartAnswerDue(evse_id="A1", session_id="x"), after_s=0))
        await until(lambda: fired)
        await asyncio.sleep(0.01)
        assert fired == [TimerFired(key=StartAnswerDue(evse_id="A1", session_id="x"))]


async def test_evidence_is_signed_before_it_is_stored() -> None:
    """The journal's evidence carries the signature over its canonical text."""
    async with running(active()) as loop:
        await loop.clock.set(960)
        await loop.send(loop.read(1_500))
        facts = [fact for facts, _ in loop.journal.commits for fact in facts if fact.kind == "evidence"]
        assert [fact.body["signature"] for fact in facts] == ["signed True"]


def active() -> Station:
    """A1 charges."""
    bench = Bench()
    bench.active()
    return bench.station


async def settle(loop: Loop, function: str, **result: object) -> None:
    """The ledger answers the open submission of a function."""
    item = next(item for item in loop.gateway.station.submissions.values() if item.function == function)
    assert item.state is State.ENDORSING
    await loop.send(Endorsed(submission_id=item.submission_id, tx_id="tx", envelope_hex="00", result=result))
    await loop.send(CommitKnown(submission_id=item.submission_id, tx_id="tx", code="VALID", block=1))


async def test_draining_waits_for_the_last_line() -> None:
    """Open segments become lines; drain ends when they are settled, or says that some are left."""
    async with running(active()) as loop:
        await loop.clock.set(200)
        await loop.send(loop.read(1_500))
        assert not await loop.gateway.drain(0.01)
        (line,) = loop.gateway.station.lines.values()
        assert line.energy_wh == 500
        draining = asyncio.create_task(loop.gateway.drain(5))
        await settle(
            loop, "RecordTrades", results=[{"tradeId": line.trade_id, "status": "RECORDED", "amount": "1"}]
        )
        assert await draining
        assert not loop.gateway.station.submissions


def test_restoring_keeps_the_configuration() -> None:
    """EVSEs and meters that the configuration dropped are gone, new ones start fresh, settings are today's."""
    stored = {
        f"{name}/{key}": encode_row(row)
        for name in ("evses", "meters", "holds", "tally")
        for key, row in getattr(active(), name).items()
    }
    stored["evses/A9"] = stored["evses/A1"]
    del stored["meters/MB1"]
    restored = restore(
        fresh(), lambda prefix: {key: row for key, row in stored.items() if key.startswith(prefix)}
    )
    assert set(restored.evses) == {"A1", "A2", "B1"}
    assert restored.evses["A1"] == active().evses["A1"]
    assert restored.meters["MB1"].epoch == 0
    assert restored.holds == active().holds
    assert restored.settings == settings()


async def test_a_configured_limit_reaches_meters_that_were_there() -> None:
    """An account keeps what it has counted and takes the limit of the configuration, by a step that is committed."""
    async with running() as loop:
        await loop.send(loop.read(1_000))
        other = fresh()
        meters = {name: replace(account, power_w_max=44_000) for name, account in other.meters.items()}
        loop.gateway.adopt(replace(other, meters=meters))
        await loop.idle()
        account = loop.gateway.station.meters["MA1"]
        assert (account.power_w_max, account.last is not None) == (44_000, True)
        assert restore(other, loop.journal.rows).meters["MA1"] == account
