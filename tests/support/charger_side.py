"""Model cars and chargers for `universe`: each charger queues its messages and repeats those without an answer.

E0 uses OCPP 2.x (its own transaction ids), E1 uses 1.6 (the station's). With `echo` every start and end is sent a
second time, at a random later time.
"""

import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgegw.core.effects import Acknowledge, AnswerCall, StartAnswer
from edgegw.core.events import (
    CallRef,
    ChargerSample,
    ChargingState,
    Event,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from tests.support.plug import SECOND_NS as S
from tests.support.plug import Plug

RETRY_NS = 30 * S
Message = Callable[[CallRef], Event]


@dataclass
class Visit:
    """A car at an EVSE, as its charger knows it; in 1.6 the answer to the start has the transaction's id."""

    transaction_id: str | None = None
    answered: bool = False


class ChargerSide:
    """The chargers of a universe; the subclass provides time (`at`) and the station (`put`)."""

    now_ns: int
    rng: random.Random
    generation: int
    echo: bool

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.plugs = {name: Plug(name) for name in names}
        self._visits = {name: Visit() for name in names}
        self._queues: dict[str, deque[tuple[Message, Visit]]] = {name: deque() for name in names}
        self._sent: dict[str, set[CallRef]] = {name: set() for name in names}
        self._sequence = itertools.count()
        self._transactions = itertools.count(100)

    def put(self, event: Event) -> None:
        """Pass an event to the station."""
        raise NotImplementedError

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Call `action` at an instant."""
        raise NotImplementedError

    def plug_in(self, evse_id: str, token: str, *, wanted_wh: int, battery_wh: int = 60_000) -> None:
        """Plug in a car and start its transaction."""
        plug = self.plugs[evse_id]
        plug.advance(self.now_ns)
        plug.arrive(wanted_wh=wanted_wh, battery_wh=battery_wh)
        own = str(next(self._transactions)) if evse_id == "E0" else None
        self._visits[evse_id] = Visit(transaction_id=own)
        key = f"start:{next(self._transactions)}"
        at_ns = self.now_ns

        def start(call: CallRef) -> Event:
            return TransactionStarted(
                call=call,
                business_key=key,
                frame="[2]",
                evse_id=evse_id,
                transaction_id=own or str(next(self._transactions)),
                id_token_hash=token,
                at_ns=at_ns,
            )

        self._queue(evse_id, start)

    def report(self, evse_id: str, *, soc_bp: int, state: ChargingState) -> None:
        """Send the charger's periodic update, if a transaction is running."""
        visit = self._visits[evse_id]
        if not visit.answered or not self.plugs[evse_id].car:
            return

        def update(call: CallRef) -> Event:
            return TransactionUpdated(
                call=call,
                business_key=None,
                frame="[2]",
                evse_id=evse_id,
                transaction_id=visit.transaction_id,
                charging_state=state,
                samples=(ChargerSample(at_ns=self.now_ns, soc_bp=soc_bp),),
            )

        self._queue(evse_id, update, echo=False)
        if self.echo:
            self._queue(evse_id, update, echo=False)

    def leave(self, evse_id: str) -> None:
        """Unplug the car; the charger reports the end."""
        plug = self.plugs[evse_id]
        plug.advance(self.now_ns)
        plug.car = False
        visit = self._visits[evse_id]

        def end(call: CallRef) -> Event:
            transaction_id = visit.transaction_id or "none"
            return TransactionEnded(
                call=call,
                business_key=f"stop:{transaction_id}",
                frame="[2]",
                charger_id=call.charger_id,
                evse_id=evse_id,
                transaction_id=transaction_id,
                at_ns=self.now_ns,
                reason="EVDisconnected",
            )

        self._queue(evse_id, end)

    def _queue(self, evse_id: str, message: Message, *, echo: bool = True) -> None:
        queue = self._queues[evse_id]
        queue.append((message, self._visits[evse_id]))
        if len(queue) == 1:
            self._pump(evse_id, message)
        if echo and self.echo:
            late_ns = self.rng.randrange(5 * S, 1200 * S)
            self.at(self.now_ns + late_ns, lambda: self.put(message(self._call(evse_id))))

    def _pump(self, evse_id: str, message: Message) -> None:
        """Send the first message of a charger's queue until it is answered."""
        if not self._queues[evse_id] or self._queues[evse_id][0][0] is not message:
            return
        self.at(self.now_ns + RETRY_NS, lambda: self._pump(evse_id, message))
        call = self._call(evse_id)
        self._sent[evse_id].add(call)
        self.put(message(call))

    def _call(self, evse_id: str) -> CallRef:
        return CallRef(
            charger_id=f"C{evse_id}", connection=self.generation, message_id=str(next(self._sequence))
        )

    def _answered(self, effect: AnswerCall) -> None:
        evse_id = effect.call.charger_id[1:]
        if effect.call not in self._sent[evse_id]:
            return
        self._sent[evse_id].clear()
        assert isinstance(effect.answer, StartAnswer | Acknowledge)
        queue = self._queues[evse_id]
        _, visit = queue.popleft()
        if isinstance(effect.answer, StartAnswer):
            visit.transaction_id, visit.answered = effect.answer.transaction_id, True
        if queue:
            message, _ = queue[0]
            self.at(self.now_ns + S // 10, lambda: self._pump(evse_id, message))
