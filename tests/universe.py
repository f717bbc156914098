"""A station day in memory: the real core and the real contract, virtual time, seeded faults, power cuts between steps.

Everything that the shell does is done here in its order: step, commit facts and rows, perform effects. A kill throws
away what is not committed and wakes a new station from the rows. The plug side is a few lines of integer physics.
"""

import hashlib
import heapq
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from edgegw.contract import invoke
from edgegw.core import schedule, station
from edgegw.core.effects import (
    Acknowledge,
    AllowEnergyTransfer,
    AnswerCall,
    ApplySetpoint,
    Effect,
    EndorseSubmission,
    IdTokenStatus,
    LogEvent,
    Query,
    ReadMeter,
    ReportLoad,
    StartAnswer,
    StartTimer,
    StopRemotely,
    SubmitEnvelope,
)
from edgegw.core.events import (
    CallRef,
    ChargerConnected,
    ChargerDisconnected,
    ChargerSample,
    ChargingState,
    ClockTicked,
    CommitKnown,
    CommitUnknown,
    Endorsed,
    EndorseFailed,
    Event,
    LedgerEventSeen,
    MembersChanged,
    MemberTerms,
    QueryAnswered,
    RegisterRead,
    SetpointAnswered,
    TimerFired,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings, Station
from edgegw.core.turn import Outcome
from edgegw.gateway import restore
from edgegw.rows import encode_row
from tests.contract_world import DAY0, ECO, EVU, GATE, IND, MemoryStub, World, digest, market

S = 1_000_000_000
ZONE = "KR-CB-1"
POLL_NS = 60 * S


@dataclass
class Envelope:
    """An endorsed transaction, on its way."""

    writes: list[tuple[str, bytes | None]]
    reads: dict[str, int]
    event: tuple[str, bytes] | None
    committed: str | None = None
    block: int = -1


class LedgerDouble:
    """Endorse, submit, commit with MVCC over the contract's in-memory world; loses and delays by its seed."""

    def __init__(self, world: World, rng: random.Random, *, fault_rate: float) -> None:
        self.world = world
        self.rng = rng
        self.fault_rate = fault_rate
        self.down = False
        self.versions: dict[str, int] = {}
        self.envelopes: dict[str, Envelope] = {}
        self.blocks = 0
        self.events: list[tuple[str, dict[str, Any], int, str]] = []
        self.nonce = itertools.count(1)

    def _unlucky(self) -> bool:
        return self.rng.random() < self.fault_rate

    def endorse(self, function: str, arguments_json: str, at_ms: int) -> tuple[str, dict[str, Any]] | str:
        """(txid, result), or "CODE: detail", or "" when nobody answers."""
        if self.down or self._unlucky():
            return ""
        tx_id = f"{next(self.nonce):064x}"
        stub = MemoryStub(self.world.state, tx_id, at_ms, GATE)
        response = invoke(stub, function, [arguments_json])
        if response.status != 200:
            return response.message
        reads = {key: self.versions.get(key, 0) for key in stub.reads}
        self.envelopes[tx_id] = Envelope(stub.writes, reads, stub.event)
        return tx_id, json.loads(response.payload)

    def submit(self, tx_id: str) -> str:
        """A validation code, or "" where nobody knows (taken and forgotten, or taken and not told)."""
        if self.down:
            return ""
        envelope = self.envelopes[tx_id]
        forgotten, untold = self._unlucky(), self._unlucky()
        if forgotten:
            return ""
        if envelope.committed is None:
            self._commit(tx_id, envelope)
        return "" if untold else str(envelope.committed)

    def _commit(self, tx_id: str, envelope: Envelope) -> None:
        self.blocks += 1
        envelope.block = self.blocks
        if any(self.versions.get(key, 0) != version for key, version in envelope.reads.items()):
            envelope.committed = "MVCC_READ_CONFLICT"
            return
        envelope.committed = "VALID"
        self.apply(envelope.writes)
        if envelope.event is not None:
            name, payload = envelope.event
            self.events.append((name, json.loads(payload), self.blocks, tx_id))

    def apply(self, writes: list[tuple[str, bytes | None]]) -> None:
        """Change the world state; versions move."""
        for key, value in writes:
            self.versions[key] = self.versions.get(key, 0) + 1
            if value is None:
                self.world.state.pop(key, None)
            else:
                self.world.state[key] = value


@dataclass
class Plug:
    """One EVSE's physics: power by setpoint, registers in mWh exactly; a car that wants energy, then sells."""

    evse_id: str
    import_mwh: int = 5_000_000
    export_mwh: int = 2_000_000
    at_ns: int = 0
    car: bool = False
    wanted_mwh: int = 0
    battery_mwh: int = 0
    taken_mwh: int = 0
    given_mwh: int = 0
    floor_mwh: int = 0
    power_w: int = 0
    setpoint_w: int | None = None
    ends_ns: int = 0
    max_w: int = 7_000

    def advance(self, now_ns: int) -> None:
        """Integrate to `now_ns` in pieces that end where the power changes."""
        while self.at_ns < now_ns:
            power_w = self.wish_w()
            until = now_ns if self.setpoint_w is None else min(now_ns, max(self.ends_ns, self.at_ns + 1))
            if self.setpoint_w is not None and self.at_ns >= self.ends_ns:
                self.setpoint_w, until, power_w = 0, now_ns, 0
            until = min(until, self.at_ns + 10 * S)
            moved_mwh = abs(power_w) * (until - self.at_ns) // 3_600_000_000
            if power_w > 0 and not self.car:
                self.import_mwh += moved_mwh  # standby
            elif power_w > 0:
                moved_mwh = min(moved_mwh, self.wanted_mwh - self.taken_mwh)
                self.import_mwh += moved_mwh
                self.taken_mwh += moved_mwh
                self.battery_mwh += moved_mwh
            elif power_w < 0:
                moved_mwh = min(moved_mwh, max(0, self.battery_mwh - self.floor_mwh))
                self.export_mwh += moved_mwh
                self.given_mwh += moved_mwh
                self.battery_mwh -= moved_mwh
            self.at_ns = until

    def wish_w(self) -> int:
        """Power now: what the car wants within the setpoint; standby without a car."""
        if not self.car:
            return 5
        setpoint = 0 if self.setpoint_w is None else self.setpoint_w
        if setpoint > 0:
            return min(setpoint, self.max_w) if self.taken_mwh < self.wanted_mwh else 0
        return setpoint


class Universe:
    """A day of one station."""

    def __init__(self, seed: int, *, evses: int = 2, fault_rate: float = 0.0, kill_rate: float = 0.0) -> None:
        self.rng = random.Random(seed)
        self.world = market()
        self.now_ns = (DAY0 + 5 * 3600) * S
        self.world.now_s = self.now_ns // S
        self.ledger = LedgerDouble(self.world, random.Random(seed + 1), fault_rate=fault_rate)
        self.kill_rate = kill_rate
        self.kills = 0
        self.names = [f"E{n}" for n in range(evses)]
        self.plugs = {name: Plug(name, at_ns=self.now_ns) for name in self.names}
        self.start = {name: (plug.import_mwh, plug.export_mwh) for name, plug in self.plugs.items()}
        self.rows: dict[str, str] = {}
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.generation = 0
        self.answers: list[tuple[CallRef, object]] = []
        self.members: dict[str, MemberTerms] = {}
        self.seen_events = 0
        self.transactions = itertools.count(100)
        self.running: dict[str, str] = {}
        self.retry_starts: dict[str, TransactionStarted] = {}
        self.sequence = itertools.count()
        settings = Settings(
            station_id="ST-GW1",
            zone=ZONE,
            gateway_id="GW1",
            evses={
                name: EvseSettings(
                    evse_id=name, charger_id=f"C{name}", meter_id=f"M{name}", rated_w=22_000, discharge_w=7_000
                )
                for name in self.names
            },
            meter_evse={f"M{name}": name for name in self.names},
            nonce_key=b"nonce",
        )
        accounts = {
            f"M{name}": MeterAccount(
                meter_id=f"M{name}", meter_ref=digest(f"ref {name}")[:32], power_w_max=22_000
            )
            for name in self.names
        }
        self.fresh = station.new_station(settings, accounts)
        self.station: Station = self.fresh
        self._boot()
        self._every(POLL_NS, self._poll)

    # --- the consortium ---------------------------------------------------------------------------------------------

    def supply_market(self, hours: int = 16) -> None:
        """Solar lots on offer all day, an industrial buyer, loads posted and floors as the tariff has them."""
        world = self.world
        world.mint("IND1", 900_000_000)
        for n in range(8):
            interval = DAY0 + n * 900
            world.now_s = interval + 900
            world.call(
                ECO, "RegisterGeneration", lotId=f"L{n}", memberId="PRO1", meterRef="PV", epoch=0,
                interval=interval, startWh=str(500 + 9_000 * n), endWh=str(9_500 + 9_000 * n),
                evidenceHash=digest(f"pv {n}"), expiresAt=DAY0 + 90_000,
            )  # fmt: skip
            world.call(
                ECO, "Offer", offerId=f"O{n}", memberId="PRO1", product="CHARGE", zone=ZONE, lotId=f"L{n}",
                wh="9000", limitPrice="1", validFrom=DAY0, validTo=DAY0 + 90_000, maxWhPerGatewayDay="1000000",
            )  # fmt: skip
        world.call(
            IND, "Offer", offerId="B0", memberId="IND1", product="DISCHARGE", zone=ZONE, mtok="500000000",
            limitPrice="169000", validFrom=DAY0, validTo=DAY0 + 90_000, maxWhPerGatewayDay="1000000",
        )  # fmt: skip
        world.now_s = self.now_ns // S
        for interval in range(world.now_s // 900 * 900 + 1800, world.now_s + hours * 3600, 900):
            for product, who, wh in (("CHARGE", ECO, 9000), ("CHARGE", EVU, 7000), ("DISCHARGE", EVU, 3000), ("DISCHARGE", IND, 9000)):
                world.call(who, "PostLoad", zone=ZONE, product=product, interval=interval, wh=str(wh))

    def add_driver(self, name: str, *, tokens: int = 90_000_000, **terms: Any) -> None:
        """A member with tokens whose idToken is `name`."""
        self.world.sign_up(name, "EV")
        if tokens:
            self.world.mint(name, tokens)
        self.members = {**self.members, name: MemberTerms(member_id=name, **terms)}
        self.put(MembersChanged(links=self.members))

    # --- drivers ----------------------------------------------------------------------------------------------------

    def plug_in(self, evse_id: str, token: str, *, wanted_wh: int, battery_wh: int = 60_000, twice: bool = False) -> None:
        """A car arrives and its charger starts a transaction."""
        plug = self.plugs[evse_id]
        plug.advance(self.now_ns)
        plug.car, plug.wanted_mwh, plug.taken_mwh, plug.given_mwh = True, wanted_wh * 1000, 0, 0
        plug.battery_mwh, plug.floor_mwh = battery_wh * 400, battery_wh * 200
        plug.setpoint_w = None
        transaction_id = str(next(self.transactions))
        self.running[evse_id] = transaction_id
        event = TransactionStarted(
            call=self._call(evse_id), business_key=f"start:{transaction_id}", frame="[2]", evse_id=evse_id,
            transaction_id=transaction_id, id_token_hash=token, at_ns=self.now_ns,
        )  # fmt: skip
        self.retry_starts[evse_id] = event
        self.put(event)
        if twice:
            self.put(replace(event, call=self._call(evse_id)))

    def leave(self, evse_id: str, *, twice: bool = False) -> None:
        """The car goes; the charger reports the end, at last after a retry."""
        plug = self.plugs[evse_id]
        plug.advance(self.now_ns)
        plug.car = False
        transaction_id = self.running.pop(evse_id)
        self.retry_starts.pop(evse_id, None)
        event = TransactionEnded(
            call=self._call(evse_id), business_key=f"stop:{transaction_id}", frame="[2]",
            charger_id=f"C{evse_id}", evse_id=evse_id, transaction_id=transaction_id, at_ns=self.now_ns,
            reason="EVDisconnected",
        )  # fmt: skip
        self._deliver_end(event, times=2 if twice else 1)

    def _deliver_end(self, event: TransactionEnded, *, times: int) -> None:
        """An unanswered end is sent again, as chargers do."""
        for _ in range(times):
            call = self._call(event.charger_id[1:])
            self.put(replace(event, call=call))
            answered = any(ref == call for ref, _ in self.answers)
            if not answered:
                self.at(self.now_ns + 5 * S, lambda: self._deliver_end(event, times=1))

    def _call(self, evse_id: str) -> CallRef:
        return CallRef(charger_id=f"C{evse_id}", connection=self.generation, message_id=str(next(self.sequence)))

    # --- time -------------------------------------------------------------------------------------------------------

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Do something at an instant."""
        heapq.heappush(self.heap, (max(at_ns, self.now_ns), next(self.order), action))

    def _every(self, period_ns: int, action: Callable[[], None]) -> None:
        def again() -> None:
            action()
            self.at(self.now_ns + period_ns, again)

        self.at(self.now_ns + period_ns, again)

    def run_until(self, hour: float) -> None:
        """Let time pass until an hour of the day."""
        end_ns = round((DAY0 + hour * 3600) * S)
        while self.heap and self.heap[0][0] <= end_ns:
            self.now_ns, _, action = heapq.heappop(self.heap)
            self.world.now_s = self.now_ns // S
            action()
        self.now_ns = end_ns
        self.world.now_s = end_ns // S

    def hour(self, hour: float) -> int:
        """Instant of an hour of the day."""
        return round((DAY0 + hour * 3600) * S)

    def _poll(self) -> None:
        for name in self.names:
            self._read(f"M{name}")

    def _read(self, meter_id: str) -> None:
        plug = self.plugs[meter_id[1:]]
        plug.advance(self.now_ns)
        step = 1_000
        self.put(
            RegisterRead(
                meter_id=meter_id, t0_ns=self.now_ns, t1_ns=self.now_ns,
                import_mwh=plug.import_mwh // step * step, export_mwh=plug.export_mwh // step * step,
                power_w=None, serial="7",
            )  # fmt: skip
        )
        account = self.station.meters.get(meter_id)
        if self.generation and plug.car and account is not None:
            pass

    # --- the shell --------------------------------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        """Step, commit, perform; or die somewhere in between."""
        outcome = station.step(self.station, event, self.now_ns)
        quiet = isinstance(event, RegisterRead) and not outcome.facts and not outcome.effects
        if not quiet and self.rng.random() < self.kill_rate:
            if self.rng.random() < 0.5:
                self._commit(outcome)
            self.kill()
            return
        self.station = outcome.station
        if not quiet:
            self._commit(outcome)
        for effect in outcome.effects:
            self._perform(effect)
        self._deliver_ledger_events()

    def _commit(self, outcome: Outcome) -> None:
        for key, row in outcome.changes.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = encode_row(row)
        self.facts += [(fact.kind, dict(fact.body)) for fact in outcome.facts]

    def kill(self) -> None:
        """The process dies; its successor wakes from the rows and the chargers connect anew."""
        self.kills += 1
        self._boot()

    def _boot(self) -> None:
        self.generation += 1
        self.station = restore(
            self.fresh, lambda prefix: {k: v for k, v in self.rows.items() if k.startswith(prefix)}
        )
        generation = self.generation
        self.at(self.now_ns, lambda: self._wake(generation))
        self._schedule_tick(generation)

    def _wake(self, generation: int) -> None:
        if generation != self.generation:
            return
        outcome = station.wake(self.station, self.now_ns)
        self.station = outcome.station
        self._commit(outcome)
        for effect in outcome.effects:
            self._perform(effect)
        self.seen_events = 0
        self.put(MembersChanged(links=self.members))
        for name in self.names:
            if generation == self.generation:
                self.put(ChargerConnected(charger_id=f"C{name}", version="2.1"))
            start = self.retry_starts.get(name)
            if start is not None and generation == self.generation:
                self.put(replace(start, call=self._call(name)))

    def _schedule_tick(self, generation: int) -> None:
        due_ns = schedule.next_tick_ns(self.fresh.settings, self.now_ns)

        def tick() -> None:
            if generation == self.generation:
                self.put(ClockTicked())
            if generation == self.generation:
                self._schedule_tick(generation)

        self.at(due_ns, tick)

    def _later(self, event: Event, delay_ns: int = S // 5) -> None:
        """An adapter's answer reaches the process that asked, if that still lives."""
        generation = self.generation

        def deliver() -> None:
            if generation == self.generation:
                self.put(event)

        self.at(self.now_ns + delay_ns, deliver)

    def _deliver_ledger_events(self) -> None:
        while self.seen_events < len(self.ledger.events):
            name, payload, block, tx_id = self.ledger.events[self.seen_events]
            self.seen_events += 1
            self._later(LedgerEventSeen(name=name, payload=payload, block=block, tx_id=tx_id))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case AnswerCall():
                self._answered(effect)
            case ApplySetpoint():
                self._apply(effect)
            case StopRemotely():
                if self.running.get(effect.evse_id) == effect.transaction_id:
                    plug = self.plugs[effect.evse_id]
                    plug.advance(self.now_ns)
                    plug.setpoint_w, plug.ends_ns = 0, self.now_ns
            case ReadMeter():
                generation = self.generation
                meter_id = effect.meter_id
                self.at(self.now_ns + S // 10, lambda: self._read(meter_id) if generation == self.generation else None)
            case EndorseSubmission():
                self._endorse(effect)
            case SubmitEnvelope():
                code = self.ledger.submit(effect.tx_id)
                block = self.ledger.envelopes[effect.tx_id].block
                known = {"submission_id": effect.submission_id, "tx_id": effect.tx_id}
                event: Event = CommitKnown(code=code, block=block, **known) if code else CommitUnknown(**known)
                self._later(event, S // 2 + effect.wait_ms * 1_000_000)
            case Query():
                self._query(effect)
            case StartTimer():
                self._later(TimerFired(name=effect.name), effect.after_s * S)
            case ReportLoad() | LogEvent() | AllowEnergyTransfer():
                pass

    def _answered(self, effect: AnswerCall) -> None:
        self.answers.append((effect.call, effect.answer))
        answer = effect.answer
        if isinstance(answer, StartAnswer):
            evse_id = effect.call.charger_id[1:]
            self.retry_starts.pop(evse_id, None)
            plug = self.plugs[evse_id]
            plug.advance(self.now_ns)
            if answer.status is IdTokenStatus.ACCEPTED and plug.setpoint_w is None:
                plug.setpoint_w, plug.ends_ns = 0, self.now_ns

    def _apply(self, effect: ApplySetpoint) -> None:
        plug = self.plugs[effect.evse_id]
        if self.running.get(effect.evse_id) == effect.transaction_id:
            plug.advance(self.now_ns)
            plug.setpoint_w, plug.ends_ns = effect.power_w, effect.ends_ns
        answer = SetpointAnswered(evse_id=effect.evse_id, setpoint_id=effect.setpoint_id, accepted=True)
        self._later(answer)

    def _endorse(self, effect: EndorseSubmission) -> None:
        answer = self.ledger.endorse(effect.function, effect.arguments_json, self.now_ns // 1_000_000)
        submission_id = effect.submission_id
        event: Event
        if isinstance(answer, tuple):
            event = Endorsed(submission_id=submission_id, tx_id=answer[0], envelope_hex="00", result=answer[1])
        elif answer:
            code, _, detail = answer.partition(": ")
            event = EndorseFailed(submission_id=submission_id, kind="business", code=code, detail=detail)
        else:
            event = EndorseFailed(submission_id=submission_id, kind="unavailable", code="")
        self._later(event, S // 5 + effect.wait_ms * 1_000_000)

    def _query(self, effect: Query) -> None:
        result: dict[str, Any] | None = None
        if not self.ledger.down:
            stub = MemoryStub(self.world.state, "0" * 64, self.now_ns // 1_000_000, GATE)
            response = invoke(stub, effect.function, [json.dumps(dict(effect.arguments))])
            result = json.loads(response.payload) if response.status == 200 else None
        self._later(QueryAnswered(query_id=effect.query_id, result=result))

    def report_car(self, evse_id: str, *, soc_bp: int, state: ChargingState) -> None:
        """The charger's periodic update."""
        transaction_id = self.running.get(evse_id)
        self.put(
            TransactionUpdated(
                call=self._call(evse_id), business_key=None, frame="[2]", evse_id=evse_id,
                transaction_id=transaction_id, charging_state=state,
                samples=(ChargerSample(at_ns=self.now_ns, soc_bp=soc_bp),),
            )  # fmt: skip
        )

    # --- the books --------------------------------------------------------------------------------------------------

    def trades(self) -> Iterator[dict[str, Any]]:
        """Trades that stand on the ledger."""
        for key, value in self.world.state.items():
            if key.startswith("trade~"):
                yield json.loads(value)

    def books(self) -> dict[str, dict[str, int]]:
        """Per direction: metered, traded on the ledger, untraded in our facts, all in Wh."""
        found = {name: {"metered": 0, "traded": 0, "untraded": 0} for name in ("import", "export")}
        for name, plug in self.plugs.items():
            account = self.station.meters[f"M{name}"]
            if account.first is None or account.cut is None:
                continue
            found["import"]["metered"] += account.cut.import_mwh // 1000 - account.first.import_mwh // 1000
            found["export"]["metered"] += account.cut.export_mwh // 1000 - account.first.export_mwh // 1000
            assert plug.import_mwh >= account.cut.import_mwh
        for trade in self.trades():
            found[trade["direction"]]["traded"] += int(trade["endWh"]) - int(trade["startWh"])
        for kind, body in self.facts:
            if kind == "untraded":
                found[body["direction"]]["untraded"] += body["energy_wh"]
        return found


def hashed(text: str) -> str:
    """A short stable hash for test ids."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


__all__ = ["Acknowledge", "ChargerDisconnected", "Universe", "field"]
