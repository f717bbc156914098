"""Runs the station's loop, which alone connects core and adapters: take events, step, journal, perform effects.

Effects are performed only after the commit of the batch that decided them. Plain readings change rows and cause no effect:
they are saved with the next commit, or with one of their own every ten seconds. Makes no business decision.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from edgegw.common.canonical_json import canonical_json
from edgegw.common.clock import Clock
from edgegw.common.errors import ConfigError
from edgegw.core import schedule, station
from edgegw.core.correlation import TimerKey
from edgegw.core.effects import (
    AnswerCall,
    ChargerCommand,
    Effect,
    EndorseSubmission,
    LogEvent,
    Query,
    ReadMeter,
    ReportLoad,
    StartTimer,
    SubmitEnvelope,
)
from edgegw.core.events import ClockTicked, DrainStarted, Event, TimerFired
from edgegw.core.state import TABLES, Station
from edgegw.core.step_context import FactNoted, StepOutcome
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.row_codec import decode_row, encode_row
from edgegw.ports.gateway import (
    ChargerPort,
    Fact,
    Journal,
    LedgerPort,
    LoadReportPort,
    MeterPort,
)

EVENTS_A_BATCH = 256
READINGS_COMMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The ports through which the gateway acts."""

    clock: Clock
    journal: Journal
    chargers: ChargerPort
    meters: MeterPort
    ledger: LedgerPort
    representative: LoadReportPort
    log: Callable[[str, Mapping[str, object]], None]
    sign_evidence: Callable[[str], str]  # canonical text -> signature, hex


class Gateway:
    """One station's loop."""

    def __init__(self, restored: Station, adapters: Adapters, inbox: Inbox) -> None:
        self.station = restored
        self._adapters = adapters
        self._inbox = inbox
        self._unsaved: dict[str, object] = {}
        self._timers: dict[TimerKey, asyncio.TimerHandle] = {}
        self._settled = asyncio.Event()
        self._probes: list[asyncio.Future[None]] = []
        self.awake = asyncio.Event()

    async def run(self) -> None:
        """Wake, then serve until cancelled."""
        now_ns = self._adapters.clock.now_ns()
        await self._settle([station.wake(self.station, now_ns)])
        self.awake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick(), name="ticker")
            group.create_task(self._save_readings(), name="readings saver")
            while True:
                events = await self._inbox.take(EVENTS_A_BATCH)
                probes, self._probes = self._probes, []
                if events:
                    await self._settle([self._step(event) for event in events])
                for probe in probes:
                    probe.set_result(None)

    async def prove(self) -> None:
        """Return once the loop has decided, committed and performed a batch taken after this call."""
        probe = asyncio.get_running_loop().create_future()
        self._probes.append(probe)
        self._inbox.wake()
        await asyncio.shield(probe)

    def adopt(self, fresh: Station) -> None:
        """Apply changed settings: add new EVSEs and meters, and send new limits for existing meters."""
        self.station = station.adopt(self.station, fresh)
        for event in station.rerated(fresh):
            self._inbox.put(event)

    async def drain(self, timeout_s: float) -> bool:
        """Close the open segments and wait until all lines are settled; return False where the time is over first."""
        self._inbox.put(DrainStarted())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
                return True
        return False

    def _step(self, event: Event) -> StepOutcome:
        outcome = station.step(self.station, event, self._adapters.clock.now_ns())
        self.station = outcome.station
        return outcome

    async def _settle(self, outcomes: Sequence[StepOutcome]) -> None:
        """Commit the outcomes of a batch, then perform their effects."""
        self.station = outcomes[-1].station
        facts = [self._fact(note) for outcome in outcomes for note in outcome.facts]
        for outcome in outcomes:
            self._unsaved.update(outcome.changes)
        if not all(is_plain_reading(outcome) for outcome in outcomes):
            changes, self._unsaved = self._unsaved, {}
            await self._commit(facts, changes)
        for outcome in outcomes:
            for effect in outcome.effects:
                self._do(effect)
        if self.station.draining and station.is_settled(self.station):
            self._settled.set()

    async def _commit(self, facts: Sequence[Fact], changes: Mapping[str, object]) -> None:
        rows = {key: None if row is None else encode_row(row) for key, row in changes.items()}
        await self._adapters.journal.commit(facts, rows)

    def _fact(self, note: FactNoted) -> Fact:
        if "evidence" in note.body:
            evidence = note.body["evidence"]
            assert isinstance(evidence, dict)
            signature = self._adapters.sign_evidence(canonical_json(evidence))
            return Fact(kind=note.kind, body={**note.body, "signature": signature})
        return Fact(kind=note.kind, body=note.body)

    def _do(self, effect: Effect) -> None:
        """Hand an effect to the adapter that performs it."""
        adapters = self._adapters
        if isinstance(effect, ChargerCommand):
            adapters.chargers.command(effect)
            return
        match effect:
            case AnswerCall():
                adapters.chargers.answer(effect)
            case ReadMeter(meter_id=meter_id):
                adapters.meters.request(meter_id)
            case EndorseSubmission():
                adapters.ledger.endorse(effect)
            case SubmitEnvelope():
                adapters.ledger.submit(effect)
            case Query():
                adapters.ledger.query(effect)
            case ReportLoad(product=product, interval=interval, energy_wh=energy_wh):
                adapters.representative.report(product, interval, energy_wh)
            case StartTimer():
                self._start_timer(effect)
            case LogEvent(name=name, fields=fields):
                adapters.log(name, fields)
            case _:
                assert_never(effect)

    def _start_timer(self, effect: StartTimer) -> None:
        old = self._timers.pop(effect.key, None)
        if old is not None:
            old.cancel()
        loop = asyncio.get_running_loop()
        self._timers[effect.key] = loop.call_later(effect.after_s, self._fire, effect.key)

    def _fire(self, key: TimerKey) -> None:
        self._timers.pop(key, None)
        self._inbox.put(TimerFired(key=key))

    async def _tick(self) -> None:
        while True:
            now_ns = self._adapters.clock.now_ns()
            await self._adapters.clock.sleep_until(schedule.next_tick_ns(self.station.settings, now_ns))
            self._inbox.put(ClockTicked())

    async def _save_readings(self) -> None:
        while True:
            await asyncio.sleep(READINGS_COMMIT_S)
            if self._unsaved:
                changes, self._unsaved = self._unsaved, {}
                await self._commit((), changes)


def is_plain_reading(outcome: StepOutcome) -> bool:
    """Return whether only meters' registers changed: their loss does no harm, as a later reading includes them."""
    if outcome.facts or outcome.effects:
        return False
    return all(key.startswith("meters/") for key in outcome.changes)


def restore(fresh: Station, rows: Callable[[str], Mapping[str, str]]) -> Station:
    """Return the station of the journal's rows, with settings and members of `fresh`.

    Args:
        fresh: a new station of the present configuration; EVSEs and meters without a row stay as they are in it.
        rows: returns the committed rows by key prefix.
    """
    tables: dict[str, dict[str, object]] = {}
    for name, cls in TABLES.items():
        stored = rows(f"{name}/")
        known: dict[str, object] = {
            key.removeprefix(f"{name}/"): decode_row(cls, text) for key, text in stored.items()
        }
        tables[name] = {**getattr(fresh, name), **known}
    for name in ("evses", "meters"):
        configured = getattr(fresh, name)
        tables[name] = {key: row for key, row in tables[name].items() if key in configured}
    _refuse_orphans(fresh, tables)
    return Station(settings=fresh.settings, members=fresh.members, **tables)  # type: ignore[arg-type]  # by TABLES


def _refuse_orphans(fresh: Station, tables: Mapping[str, Mapping[str, object]]) -> None:
    """Raise ConfigError where an EVSE or meter with open holds or lines is missing from the configuration."""
    open_evses = {getattr(row, "evse_id", "") for name in ("holds", "lines") for row in tables[name].values()}
    open_meters = {getattr(row, "meter_id", "") for row in tables["lines"].values()}
    gone = sorted(open_evses - set(fresh.evses)) + sorted(open_meters - set(fresh.meters))
    if gone:
        names = ", ".join(gone)
        raise ConfigError((f"{names}: still has open holds or lines; start once with it, then remove it",))
