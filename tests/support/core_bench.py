"""Step a station's core by one event at a time, with the ledger's answers given by the test."""

import itertools
from typing import Any, TypeVar

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Product
from edgegw.core import station
from edgegw.core.effects import AnswerCall, ApplySetpoint, Effect, Query
from edgegw.core.events import (
    CallRef,
    ChargerConnected,
    ChargerSample,
    ClockTicked,
    CommitKnown,
    Endorsed,
    EndorseFailed,
    Event,
    LedgerEventSeen,
    MembersChanged,
    QueryAnswered,
    RegisterRead,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from edgegw.core.market import Price, Slice, SliceState, key
from edgegw.core.metering import MeterAccount
from edgegw.core.state import Evse, EvseSettings, HoldBook, HoldState, Phase, Session, Settings, Station
from edgegw.core.step_context import StepContext, StepOutcome
from edgegw.core.submission import Endorsing, Open, Prepared

S = 1_000_000_000
T0_S = 1_784_041_200  # a quarter hour
T0_NS = T0_S * S
E = TypeVar("E", bound=Effect)

RETAIL = MemberTerms(member_id="ret")
MARKET_ONLY = MemberTerms(member_id="mkt", accept_retail=False)
SELLER = MemberTerms(member_id="sel", sells=True, battery_wh=60_000)
CHEAP = MemberTerms(member_id="che", price_mtok_per_kwh_max=100_000)
MEMBERS = {"ret": RETAIL, "mkt": MARKET_ONLY, "sel": SELLER, "che": CHEAP}


def settings(**changes: Any) -> Settings:
    """Charger A with EVSEs A1 and A2, charger B with B1; 22 kW each, 7 kW back; meters MA1, MA2, MB1."""
    evses = {
        name: EvseSettings(
            evse_id=name, charger_id=name[0], meter_id=f"M{name}", rated_w=22_000, discharge_w=7_000
        )
        for name in ("A1", "A2", "B1")
    }
    made: dict[str, Any] = {
        "station_id": "ST",
        "zone": "Z",
        "gateway_id": "GW1",
        "evses": evses,
        "meter_evse": {evse.meter_id: name for name, evse in evses.items()},
        "nonce_key": b"k",
    }
    return Settings(**{**made, **changes})


class Bench:
    """A station, its time, and the outcome of its last step; every meter has been read once and is registered."""

    def __init__(self, **changes: Any) -> None:
        self.now_ns = T0_NS + 60 * S
        self._sequence = itertools.count(1)
        accounts = {f"M{name}": MeterAccount(meter_id=f"M{name}", meter_ref=f"R{name}", power_w_max=22_000)
                    for name in ("A1", "A2", "B1")}  # fmt: skip
        self.station: Station = station.new_station(settings(**changes), accounts)
        self.last: StepOutcome
        self.effects: list[Effect] = []  # of all steps
        for meter_id in accounts:
            self.read(meter_id, 1_000)
            self.commit("RegisterMeter")
        self.send(MembersChanged(links=MEMBERS))
        for charger_id in ("A", "B"):
            self.send(ChargerConnected(charger_id=charger_id, version="2.1"))
        self.effects.clear()

    # --- events -----------------------------------------------------------------------------------------------------

    def send(self, event: Event) -> StepOutcome:
        """Step the core with one event."""
        return self._keep(station.step(self.station, event, self.now_ns))

    def wake(self) -> StepOutcome:
        """Restart the station from its state."""
        return self._keep(station.wake(self.station, self.now_ns))

    def _keep(self, outcome: StepOutcome) -> StepOutcome:
        self.last, self.station = outcome, outcome.station
        self.effects += outcome.effects
        return outcome

    def go(self, at_s: int) -> None:
        """Set the time to `at_s` seconds after T0."""
        self.now_ns = T0_NS + at_s * S

    def tick(self, at_s: int) -> StepOutcome:
        """Send a tick at `at_s` seconds after T0."""
        self.go(at_s)
        return self.send(ClockTicked())

    def read(self, meter_id: str, import_wh: int, export_wh: int = 0) -> StepOutcome:
        """Send a meter reading of now."""
        reading = RegisterRead(
            meter_id=meter_id, t0_ns=self.now_ns, t1_ns=self.now_ns, import_mwh=import_wh * 1000,
            export_mwh=export_wh * 1000, power_w=None, serial="7",
        )  # fmt: skip
        return self.send(reading)

    def call(self, charger_id: str = "A") -> CallRef:
        """Return a new CALL."""
        return CallRef(charger_id=charger_id, connection=1, message_id=str(next(self._sequence)))

    def start(self, token: str | None = "ret", **changes: Any) -> TransactionStarted:
        """Send a start on A1 and return it."""
        made: dict[str, Any] = {
            "call": self.call(), "business_key": "start", "frame": "[2]", "evse_id": "A1", "transaction_id": "t1",
            "id_token_hash": token, "at_ns": self.now_ns,
        }  # fmt: skip
        event = TransactionStarted(**{**made, **changes})
        self.send(event)
        return event

    def update(self, **changes: Any) -> TransactionUpdated:
        """Send an update of A1's transaction and return it; with `soc_bp` it has a sample."""
        soc_bp = changes.pop("soc_bp", None)
        samples = () if soc_bp is None else (ChargerSample(at_ns=self.now_ns, soc_bp=soc_bp),)
        made: dict[str, Any] = {
            "call": self.call(), "business_key": None, "frame": "[2]", "evse_id": "A1", "transaction_id": "t1",
            "charging_state": None, "samples": samples,
        }  # fmt: skip
        event = TransactionUpdated(**{**made, **changes})
        self.send(event)
        return event

    def end(self, **changes: Any) -> TransactionEnded:
        """Send the end of A1's transaction and return it."""
        made: dict[str, Any] = {
            "call": self.call(), "business_key": "stop", "frame": "[2]", "charger_id": "A", "evse_id": "A1",
            "transaction_id": "t1", "at_ns": self.now_ns, "reason": "Local",
        }  # fmt: skip
        event = TransactionEnded(**{**made, **changes})
        self.send(event)
        return event

    # --- the ledger's answers ---------------------------------------------------------------------------------------

    def waiting(self, function: str) -> list[Open]:
        """Return the open submissions of a function, oldest first."""
        found = [item for item in self.station.submissions.values() if item.function == function]
        return sorted(found, key=lambda item: item.number)

    def endorse(self, function: str, **result: Any) -> Prepared:
        """Answer the oldest submission of a function that is being endorsed with `result`."""
        item = next(item for item in self.waiting(function) if isinstance(item, Endorsing))
        self.send(
            Endorsed(
                submission_id=item.submission_id, tx_id=f"tx{item.number}", envelope_hex="00", result=result
            )
        )
        prepared = self.station.submissions[item.submission_id]
        assert isinstance(prepared, Prepared)
        return prepared

    def commit(self, function: str, **result: Any) -> StepOutcome:
        """Endorse the oldest submission of a function with `result` and commit it."""
        item = self.endorse(function, **result)
        return self.send(
            CommitKnown(submission_id=item.submission_id, tx_id=item.envelope.tx_id, code="VALID", block=5)
        )

    def refuse(self, function: str, code: str) -> StepOutcome:
        """Refuse the oldest submission of a function, as the contract does."""
        item = self.waiting(function)[0]
        return self.send(EndorseFailed(submission_id=item.submission_id, kind="business", code=code))

    def settle(self, *codes: str) -> StepOutcome:
        """Commit the lines in flight; those with one of `codes` at their position are refused with it."""
        lines = sorted(
            (line for line in self.station.lines.values() if line.submission_id), key=lambda line: line.number
        )
        results = []
        for index, line in enumerate(lines):
            code = codes[index] if index < len(codes) else ""
            answer = (
                {"status": "REFUSED", "code": code}
                if code
                else {"status": "RECORDED", "amount": str(line.cost)}
            )
            results.append({"tradeId": line.trade_id, **answer})
        return self.commit("RecordTrades", results=results)

    def answer(self, result: dict[str, Any] | None) -> StepOutcome:
        """Answer the newest query."""
        query = [effect for effect in self.effects if isinstance(effect, Query)][-1]
        return self.send(QueryAnswered(key=query.key, result=result))

    # --- shortcuts into a state -------------------------------------------------------------------------------------

    def active(self, token: str = "ret", **changes: Any) -> Session:
        """Return a session of `token` that charges at A1, with its hold open and a reading."""
        self.start(token, **changes)
        self.commit("Hold", reserved="40000000")
        evse = self.station.evses[changes.get("evse_id", "A1")]
        self.now_ns += S
        account = self.station.meters[f"M{evse.evse_id}"]
        assert account.last is not None
        self.read(f"M{evse.evse_id}", account.last.import_mwh // 1000, account.last.export_mwh // 1000)
        assert self.station.evses[evse.evse_id].phase is Phase.ACTIVE
        return self.session(evse.evse_id)

    def price(
        self, product: Product, interval: int, price: int | None, *, ceiling: int = 186_000, seen_s: int = -10
    ) -> None:
        """Put in a price record, seen `seen_s` seconds after its interval's start."""
        row = Price(
            product=product, interval=interval, price_mtok_per_kwh=price, ceiling_mtok_per_kwh=ceiling,
            refusal=None if price is not None else "PRICE_WINDOW_EMPTY", seen_ns=(interval + seen_s) * S,
        )  # fmt: skip
        self.put(prices={key(product, interval): row})

    def slice(
        self, product: Product, interval: int, amount: int, *, state: SliceState = SliceState.OPEN
    ) -> Slice:
        """Put in a slice of this gateway."""
        number = next(self._sequence) + 1_000
        row = Slice(
            slice_id=f"s{number}", number=number, offer_id="O", product=product, interval=interval, amount=amount,
            left=amount, limit_mtok_per_kwh=0, state=state,
        )  # fmt: skip
        self.put(slices={row.slice_id: row})
        return row

    def put(self, **tables: Any) -> None:
        """Put rows directly into the station's tables."""
        context = StepContext(self.station, self.now_ns)
        for name, rows in tables.items():
            for row, value in rows.items():
                getattr(context, name).put(row, value)
        self.station = context.outcome().station

    def price_seen(self, **record: Any) -> StepOutcome:
        """Send a `price.fixed` event of a block."""
        payload = {"zone": "Z", **record}
        return self.send(LedgerEventSeen(name="edgegw.price.fixed", payload=payload, block=3, tx_id="x"))

    # --- looking ----------------------------------------------------------------------------------------------------

    def evse(self, evse_id: str = "A1") -> Evse:
        """Return an EVSE's state."""
        return self.station.evses[evse_id]

    def session(self, evse_id: str = "A1") -> Session:
        """Return an EVSE's session."""
        session = self.station.evses[evse_id].session
        assert session is not None
        return session

    def hold(self, state: HoldState | None = None) -> HoldBook:
        """Return the only hold, in `state` if one is given."""
        (hold,) = self.station.holds.values()
        assert state is None or hold.state is state
        return hold

    def of(self, kind: type[E], outcome: StepOutcome | None = None) -> list[E]:
        """Return the effects of one kind in the last step, or in `outcome`."""
        return [effect for effect in (outcome or self.last).effects if isinstance(effect, kind)]

    def answers_to(self, event: TransactionStarted | TransactionUpdated | TransactionEnded) -> list[object]:
        """Return all answers to a message so far."""
        return [
            item.answer for item in self.effects if isinstance(item, AnswerCall) and item.call == event.call
        ]

    def setpoint(self) -> ApplySetpoint:
        """Return the newest setpoint command."""
        return [effect for effect in self.effects if isinstance(effect, ApplySetpoint)][-1]

    def untraded(self) -> dict[str, int]:
        """Return the untraded Wh by direction and code."""
        return dict(self.station.tally["all"].untraded)
