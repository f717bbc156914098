"""Simulate a station day in memory: the real core and contract, virtual time, seeded faults, kills between steps.

It does what the gateway's loop does, in the same order: step, commit facts and rows, perform effects. A kill discards what
is not committed; some time later a new station starts from the rows. Chargers queue messages without an answer.
"""

import heapq
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from edgegw.common.member_terms import MemberTerms
from edgegw.core import schedule, station
from edgegw.core.effects import (
    AnswerCall,
    ApplySetpoint,
    ChargerCommand,
    Effect,
    EndorseSubmission,
    LogEvent,
    Query,
    ReadMeter,
    ReportLoad,
    StartTimer,
    StopRemotely,
    SubmitEnvelope,
)
from edgegw.core.events import (
    ChargerConnected,
    ClockTicked,
    CommitKnown,
    CommitUnknown,
    DrainStarted,
    Endorsed,
    EndorseFailed,
    Event,
    LedgerEventSeen,
    MembersChanged,
    QueryAnswered,
    RegisterRead,
    SetpointAnswered,
    TimerFired,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings, Station
from edgegw.core.step_context import StepOutcome
from edgegw.gateway.loop import is_plain_reading, restore
from edgegw.gateway.row_codec import encode_row
from tests.support.charger_side import ChargerSide
from tests.support.contract_world import DAY0, digest, market
from tests.support.ledger_fake import ZONE, LedgerDouble, supply_market
from tests.support.plug import SECOND_NS as S

POLL_NS = 70 * S


def settings_of(names: list[str]) -> Settings:
    """Return a station of 22 kW EVSEs that discharge at 7 kW, each with its own charger and meter."""
    evses = {
        name: EvseSettings(
            evse_id=name, charger_id=f"C{name}", meter_id=f"M{name}", rated_w=22_000, discharge_w=7_000
        )
        for name in names
    }
    return Settings(
        station_id="ST-GW1",
        zone=ZONE,
        gateway_id="GW1",
        evses=evses,
        meter_evse={f"M{name}": name for name in names},
        nonce_key=b"nonce",
    )


class Universe(ChargerSide):
    """A day of one station. With `echo` every start and end arrives a second time, at a random later time."""

    def __init__(
        self,
        seed: int,
        *,
        hour: int = 14,
        fault_rate: float = 0.0,
        kill_rate: float = 0.0,
        echo: bool = False,
    ) -> None:
        self.rng = random.Random(seed)
        self.meter_rng = random.Random(seed + 2)
        self.fault_rate, self.kill_rate, self.echo = fault_rate, kill_rate, echo
        self.now_ns = self.began_ns = (DAY0 + hour * 3600) * S
        self.world = market()
        self.world.now_s = self.now_ns // S
        supply_market(self.world, hours=6)
        self.ledger = LedgerDouble(self.world, random.Random(seed + 1), fault_rate=fault_rate)
        super().__init__(["E0", "E1"])
        for plug in self.plugs.values():
            plug.at_ns = self.now_ns
        self.starts = {name: (plug.import_mwh, plug.export_mwh) for name, plug in self.plugs.items()}
        self.rows: dict[str, str] = {}
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.commands: list[tuple[int, ApplySetpoint]] = []
        self.logged: Counter[str] = Counter()
        self.members: dict[str, MemberTerms] = {}
        self.strays: set[str] = set()  # holds that were open on the ledger and in no row of the journal
        self.kills = 0
        self.killed_in: Counter[str] = Counter()
        self.kill_when: Callable[[Mapping[str, str]], bool] | None = None
        self.dead_discharge: list[
            tuple[int, int]
        ] = []  # what a plug gave while the gateway was dead, and might have
        self.generation = 0
        self.alive = False
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._seen_events = 0
        accounts = {
            f"M{name}": MeterAccount(
                meter_id=f"M{name}", meter_ref=digest(f"ref {name}")[:32], power_w_max=22_000
            )
            for name in self.names
        }
        self.fresh = station.new_station(settings_of(self.names), accounts)
        self.station: Station = self.fresh
        self._boot()
        self._every(POLL_NS, self._poll)

    # --- drivers ------------------------------------------------------------------------------------------------------

    def add_driver(self, name: str, *, tokens: int = 90_000_000, **terms: Any) -> None:
        """Add a member with tokens, whose idToken is `name`."""
        self.world.sign_up(name, "EV")
        if tokens:
            self.world.mint(name, tokens)
        self.members = {**self.members, name: MemberTerms(member_id=name, **terms)}
        self.put(MembersChanged(links=self.members))

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Call `action` at an instant."""
        heapq.heappush(self._heap, (max(at_ns, self.now_ns), next(self._order), action))

    def at_hour(self, hour: float, action: Callable[[], None]) -> None:
        """Call `action` at an hour of the local day."""
        self.at(round((DAY0 + hour * 3600) * S), action)

    def _every(self, period_ns: int, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self.at(self.now_ns + period_ns, again)

        self.at(self.now_ns + period_ns, again)

    def run_until(self, hour: float) -> None:
        """Advance time to an hour of the local day."""
        end_ns = round((DAY0 + hour * 3600) * S)
        while self._heap and self._heap[0][0] <= end_ns:
            self._set_now(self._heap[0][0])
            heapq.heappop(self._heap)[2]()
        self._set_now(end_ns)

    def _set_now(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.world.now_s = now_ns // S

    def close(self, hour: float) -> None:
        """End the faults at `hour`; within the next hour read every meter once more and shut the station down."""
        self.run_until(hour)
        self.fault_rate = self.ledger.fault_rate = self.kill_rate = 0
        self.run_until(hour + 0.75)
        for name in self.names:
            self._read(f"M{name}")
        self.put(DrainStarted())
        for plug in self.plugs.values():
            plug.stands_still = True
        self.run_until(hour + 1.75)

    def _poll(self) -> None:
        for name in self.names:
            self._read(f"M{name}")

    def _read(self, meter_id: str) -> None:
        plug = self.plugs[meter_id[1:]]
        plug.advance(self.now_ns)
        registers: list[int | None] = [plug.import_mwh // 1000 * 1000, plug.export_mwh // 1000 * 1000]
        if self.now_ns > self.began_ns + 60 * S and self.meter_rng.random() < self.fault_rate / 4:
            registers[self.meter_rng.randrange(2)] = self.meter_rng.choice((None, 0, 10**12))
        self.put(
            RegisterRead(
                meter_id=meter_id,
                t0_ns=self.now_ns,
                t1_ns=self.now_ns,
                import_mwh=registers[0],
                export_mwh=registers[1],
                power_w=None,
                serial="7",
            )
        )

    # --- the shell --------------------------------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        """Step, commit and perform, or be killed before the commit, after it, or between two effects."""
        if not self.alive:
            return
        outcome = station.step(self.station, event, self.now_ns)
        self._settle(outcome)

    def _settle(self, outcome: StepOutcome) -> None:
        plain = is_plain_reading(outcome)
        dies_after = None
        if not plain and self.now_ns > self.began_ns + 60 * S and self.rng.random() < self.kill_rate:
            dies_after = self.rng.randint(-1, len(outcome.effects))
        if dies_after == -1:
            self.kill()
            return
        self.station = outcome.station
        if not plain:
            self._commit(outcome)
        if self.kill_when is not None and self.kill_when(self.rows):
            self.kill_when, dies_after = None, 0
        generation = self.generation
        for effect in outcome.effects[:dies_after]:
            self._perform(effect)
            if generation != self.generation:
                return
        if dies_after is not None:
            self.kill()
            return
        self._deliver_ledger_events()

    def _commit(self, outcome: StepOutcome) -> None:
        for key, row in outcome.changes.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = encode_row(row)
        self.strays |= {hold_id for hold_id in self.ledger.open_holds if f"holds/{hold_id}" not in self.rows}
        self.facts += [(fact.kind, dict(fact.body)) for fact in outcome.facts]

    def kill(self) -> None:
        """Kill the process; a new one starts from the rows, at once or up to forty minutes later."""
        self.kills += 1
        self.alive = False
        self.generation += 1
        for key, text in self.rows.items():
            if key.startswith("submissions/"):
                self.killed_in[json.loads(text)["state"]] += 1
        before = {}
        for name, plug in self.plugs.items():
            plug.advance(self.now_ns)
            before[name] = (self.now_ns, plug.given_mwh, plug.setpoint_w, plug.ends_ns)
        dead_ns = self.rng.choice((0, S, 60 * S, self.rng.randrange(2400 * S)))
        self.at(self.now_ns + dead_ns, lambda: self._resurrect(before))

    def _resurrect(self, before: dict[str, tuple[int, int, int, int]]) -> None:
        for name, (died_ns, given_mwh, power_w, ends_ns) in before.items():
            self.plugs[name].advance(self.now_ns)
            runs_ns = max(0, ends_ns - died_ns) if power_w < 0 else 0
            gave_mwh = max(0, self.plugs[name].given_mwh - given_mwh)
            self.dead_discharge.append((gave_mwh, -power_w * runs_ns // 3_600_000_000 + 1 if runs_ns else 0))
        self._boot()

    def _boot(self) -> None:
        self.generation += 1
        self.alive = True
        stored = dict(self.rows)
        fresh = restore(self.fresh, lambda prefix: {k: v for k, v in stored.items() if k.startswith(prefix)})
        self._seen_events = max(0, self._seen_events - 3)  # the checkpoint is a little behind
        generation = self.generation
        self._settle(station.wake(fresh, self.now_ns))
        for event in (MembersChanged(links=self.members), *self._connections()):
            if generation == self.generation:
                self.put(event)
        if generation == self.generation:
            self._schedule_tick()

    def _connections(self) -> list[Event]:
        return [ChargerConnected(charger_id=f"C{name}", version="2.1") for name in self.names]

    def _schedule_tick(self) -> None:
        due_ns = schedule.next_tick_ns(self.fresh.settings, self.now_ns)
        generation = self.generation

        def tick() -> None:
            if generation == self.generation:
                self.put(ClockTicked())
            if generation == self.generation:
                self._schedule_tick()

        self.at(due_ns, tick)

    def _later(self, event: Event, delay_ns: int = S // 5) -> None:
        """Deliver an adapter's answer to the process that requested it, if it is still alive."""
        generation = self.generation

        def deliver() -> None:
            if generation == self.generation:
                self.put(event)

        self.at(self.now_ns + delay_ns, deliver)

    def _deliver_ledger_events(self) -> None:
        while self._seen_events < len(self.ledger.events):
            name, payload, block, tx_id = self.ledger.events[self._seen_events]
            self._seen_events += 1
            self._later(LedgerEventSeen(name=name, payload=payload, block=block, tx_id=tx_id))

    # --- adapters ---------------------------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, ChargerCommand):
            self._command(effect)
            return
        match effect:
            case AnswerCall():
                self._answered(effect)
            case ReadMeter():
                generation, meter_id = self.generation, effect.meter_id
                self.at(
                    self.now_ns + S, lambda: self._read(meter_id) if generation == self.generation else None
                )
            case EndorseSubmission():
                self._endorse(effect)
            case SubmitEnvelope():
                self._submit(effect)
            case Query():
                result = self.ledger.query(effect.function, dict(effect.arguments), self.now_ns // 1_000_000)
                self._later(QueryAnswered(key=effect.key, result=result))
            case StartTimer():
                self._later(TimerFired(key=effect.key), effect.after_s * S)
            case LogEvent():
                self.logged[effect.name] += 1
            case ReportLoad():
                pass
            case _:
                assert_never(effect)

    def _command(self, command: ChargerCommand) -> None:
        """Apply setpoints and stops to the plug; no other command moves energy."""
        if isinstance(command, ApplySetpoint):
            self._apply(command)
        elif isinstance(command, StopRemotely) and self._runs(command):
            self.plugs[command.evse_id].advance(self.now_ns)
            self.plugs[command.evse_id].command(0, self.now_ns)

    def _runs(self, command: ApplySetpoint | StopRemotely) -> bool:
        return self._visits[command.evse_id].transaction_id == command.transaction_id

    def _apply(self, effect: ApplySetpoint) -> None:
        self.commands.append((self.now_ns, effect))
        accepted = self.rng.random() >= self.fault_rate
        if accepted and self._runs(effect):
            self.plugs[effect.evse_id].advance(self.now_ns)
            self.plugs[effect.evse_id].command(effect.power_w, effect.ends_ns)
        self._later(
            SetpointAnswered(evse_id=effect.evse_id, setpoint_id=effect.setpoint_id, accepted=accepted)
        )

    def _endorse(self, effect: EndorseSubmission) -> None:
        answer = self.ledger.endorse(effect.function, effect.arguments_json, self.now_ns // 1_000_000)
        known = {"submission_id": effect.submission_id}
        event: Event
        if isinstance(answer, tuple):
            event = Endorsed(**known, tx_id=answer[0], envelope_hex="00", result=answer[1])
        elif answer:
            code, _, detail = answer.partition(": ")
            event = EndorseFailed(**known, kind="business", code=code, detail=detail)
        else:
            event = EndorseFailed(**known, kind="unavailable", code="")
        self._later(event, S // 5 + effect.wait_ms * 1_000_000)

    def _submit(self, effect: SubmitEnvelope) -> None:
        code = self.ledger.submit(effect.tx_id)
        known = {"submission_id": effect.submission_id, "tx_id": effect.tx_id}
        block = self.ledger.envelopes[effect.tx_id].block
        event: Event = CommitKnown(code=code, block=block, **known) if code else CommitUnknown(**known)
        self._later(event, S // 2 + effect.wait_ms * 1_000_000)
