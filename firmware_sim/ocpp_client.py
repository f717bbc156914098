"""Connect a simulated charger to its server, boot it, and deliver its queued messages in order.

Decides order, retries and reconnects: one call at a time; transaction messages in the order in which they occurred, each
repeated until it is answered (1.6 §3.7.1, 2.1 E13), also across reconnects; status messages only while online. A
`Dialect` builds the messages of an OCPP version. Times are real seconds, except the ends of faults (simulated).
Built on the `ocpp` package. Transaction messages skip its validation for speed; all others are validated both ways.
"""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import ocpp.messages
from ocpp.exceptions import OCPPError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from firmware_sim.charger import ACCEPTED, Charger
from firmware_sim.visit import TxEvent, Visit
from firmware_sim.world import Clock

ocpp.messages.ASYNC_VALIDATION = False  # a thread pool costs more than the validation itself

BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 5.0
ERRORS_UNTIL_DROPPED = 3
HEARTBEAT_S = 300


@dataclass(slots=True, eq=False)
class Item:
    """A queued message: a transaction `event` or a ready `payload`. A volatile one is dropped with its connection."""

    event: TxEvent | None = None
    payload: Any = None
    answer: asyncio.Future[Any] | None = None
    volatile: bool = False
    attempts: int = 0
    errors: int = 0


class Point(Protocol):
    """The part of the `ocpp` package's charge point that is used here."""

    def set_answer_timeout(self, seconds: float) -> None:
        """Set how many real seconds the next call waits for its answer."""

    async def start(self) -> None:
        """Read messages and answer calls until the connection ends."""

    async def call(self, payload: Any, **options: Any) -> Any:
        """Send a call and return its answer."""


class Dialect(Protocol):
    """Builds the messages of one OCPP version. Payloads are the `ocpp` package's dataclasses."""

    subprotocol: str

    def point(self, connection: ClientConnection, client: OcppClient) -> Point:
        """Return a charge point that answers the server's calls on a connection."""

    def boot(self, reason: str) -> Any:
        """Return a BootNotification; `reason` is one of 2.x's BootReason values."""

    def heartbeat(self) -> Any:
        """Return a Heartbeat."""

    def status(self, status: str, at_ns: int) -> Any:
        """Return a StatusNotification; `status` is one of 1.6's ChargePointStatus values."""

    def authorize(self, id_token: str) -> Any:
        """Return an Authorize request."""

    def authorized(self, answer: Any) -> str:
        """Return the idToken's status from the answer to an Authorize."""

    def needs(self, visit: Visit, soc_percent: int) -> Any:
        """Return a NotifyEVChargingNeeds; None if the version has no such message."""

    def transaction(self, event: TxEvent) -> Any:
        """Return a transaction message; None if it cannot be sent (1.6 without a transaction id)."""

    def verdict(self, event: TxEvent, answer: Any) -> str | None:
        """Return the idToken's status of an answer, None if it has none; store 1.6's transaction id."""


class OcppClient:
    """One charger's connection to its server. Implements `charger.Link`."""

    def __init__(
        self,
        charger: Charger,
        dialect: Dialect,
        *,
        clock: Clock,
        url: str,
        answer_timeout_s: float,
        chance: random.Random,
        ca_file: str = "",
    ) -> None:
        self.charger = charger
        self.dialect = dialect
        self.online = False
        self.ready = asyncio.Event()
        self.duplicating = False
        self.holding = False
        self.heartbeat_s = HEARTBEAT_S
        self._clock = clock
        self._url = f"{url}/{charger.plan.charger_id}"
        self._tls = ssl.create_default_context(cafile=ca_file or None) if url.startswith("wss:") else None
        self._answer_timeout_s = answer_timeout_s
        self._chance = chance
        self._queue: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._status = ("Available", clock.now_ns())
        self._boot_reason: str | None = "PowerUp"
        self._dark_until_ns = 0
        self._socket: ClientConnection | None = None
        self._duplicates = 0
        self._trouble = ""

    # --- charger.Link ---
    def post(self, event: TxEvent) -> None:
        """Queue a transaction message."""
        self._push(Item(event=event))

    def show(self, status: str, at_ns: int) -> None:
        """Send a StatusNotification; while offline only the last status is kept."""
        self._status = (status, at_ns)
        if self.online:
            self._push(Item(payload=self.dialect.status(status, at_ns), volatile=True))

    def report_needs(self, visit: Visit, soc_percent: int) -> None:
        """Queue the car's charging needs, if the version has a message for them."""
        payload = self.dialect.needs(visit, soc_percent)
        if payload is not None:
            self._push(Item(payload=payload))

    async def authorize(self, id_token: str) -> str:
        """Return the status of an idToken; waits for a connection and the server's answer."""
        answer = asyncio.get_running_loop().create_future()
        self._push(Item(payload=self.dialect.authorize(id_token), answer=answer))
        return self.dialect.authorized(await answer)

    def reboot(self, until_ns: int, reason: str) -> None:
        """Drop the connection until simulated `until_ns`, then send a BootNotification with `reason`."""
        self._boot_reason = reason
        self.drop(until_ns)

    # --- faults and what the server triggers ---
    def drop(self, until_ns: int) -> None:
        """Abort the connection and do not reconnect before simulated `until_ns`."""
        end_ns = self._clock.utc_end_ns
        self._dark_until_ns = until_ns if end_ns is None else min(until_ns, end_ns)
        if self._socket is not None:
            self._socket.transport.abort()

    def hold(self, *, holding: bool) -> None:
        """Hold transaction messages back, or release them."""
        self.holding = holding
        self._wake.set()

    def trigger(self, message: str) -> bool:
        """Queue the message that a TriggerMessage requests; return False if it is unknown."""
        if message == "BootNotification":
            self._push(Item(payload=self.dialect.boot("Triggered"), volatile=True))
        elif message == "Heartbeat":
            self._push(Item(payload=self.dialect.heartbeat(), volatile=True))
        elif message == "StatusNotification":
            self._push(Item(payload=self.dialect.status(*self._status), volatile=True))
        elif message in {"MeterValues", "TransactionEvent"}:
            self.charger.sample_now()
        else:
            return False
        return True

    @property
    def waiting(self) -> int:
        """The number of transaction messages not yet answered."""
        return sum(1 for item in self._queue if item.event is not None)

    # --- the connection ---
    async def run(self) -> None:
        """Connect, and reconnect with a growing random delay, until cancelled."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            await self._clock.sleep_until(self._dark_until_ns)
            try:
                async with connect(
                    self._url,
                    subprotocols=[Subprotocol(self.dialect.subprotocol)],
                    additional_headers=self._credentials(),
                    compression=None,
                    ping_interval=None,
                    close_timeout=1,
                    proxy=None,
                    ssl=self._tls,
                ) as socket:
                    self._socket = socket
                    await self._converse(socket)
            except (OSError, WebSocketException, TimeoutError) as fault:
                self._report_trouble(str(fault) or type(fault).__name__)
            backoff_s = BACKOFF_FIRST_S if self.online else min(BACKOFF_LAST_S, backoff_s * 2)
            self._went_offline()
            await asyncio.sleep(backoff_s * (0.5 + self._chance.random()))

    def _report_trouble(self, trouble: str) -> None:
        """Write why there is no connection to standard error, once until the reason changes."""
        if trouble != self._trouble:
            self._trouble = trouble
            sys.stderr.write(f"{self.charger.plan.charger_id}: {self._url}: {trouble}\n")

    def _credentials(self) -> dict[str, str]:
        if not self.charger.plan.password:
            return {}
        pair = f"{self.charger.plan.charger_id}:{self.charger.plan.password}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    async def _converse(self, socket: ClientConnection) -> None:
        """Receive and send until either fails; a lost connection ends both."""
        point = self.dialect.point(socket, self)
        tasks = {asyncio.create_task(point.start()), asyncio.create_task(self._pump(point))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()

    async def _pump(self, point: Point) -> None:
        await self._boot(point)
        self._came_online()
        while True:
            item = self._next()
            if item is not None:
                await self._send(point, item)
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(self.heartbeat_s or None):
                    await self._wake.wait()
            except TimeoutError:
                self._push(Item(payload=self.dialect.heartbeat(), volatile=True))

    async def _boot(self, point: Point) -> None:
        """Send BootNotifications until the server accepts one, if a boot is due."""
        while self._boot_reason is not None:
            point.set_answer_timeout(self._answer_timeout_s)
            answer = await point.call(self.dialect.boot(self._boot_reason))
            if answer is not None and answer.status == ACCEPTED:
                self.heartbeat_s = int(answer.interval) or HEARTBEAT_S
                self._boot_reason = None
                return
            wait_s = BACKOFF_LAST_S if answer is None else min(BACKOFF_LAST_S, float(answer.interval))
            await asyncio.sleep(max(BACKOFF_FIRST_S, wait_s))

    def _came_online(self) -> None:
        self.online = True
        self._queue.appendleft(Item(payload=self.dialect.status(*self._status), volatile=True))
        self.ready.set()
        self.charger.came_online()

    def _went_offline(self) -> None:
        self._socket = None
        if self.online:
            self.online = False
            self.charger.went_offline()
        self._queue = deque(item for item in self._queue if not item.volatile)

    # --- sending ---
    def _push(self, item: Item) -> None:
        self._queue.append(item)
        self._wake.set()

    def _next(self) -> Item | None:
        if not self.holding:
            return self._queue[0] if self._queue else None
        return next((item for item in self._queue if item.event is None), None)

    async def _send(self, point: Point, item: Item) -> None:
        """Send an item; remove it from the queue once it is answered or given up."""
        if item.answer is not None and item.answer.done():
            self._queue.remove(item)
            return
        payload = item.payload if item.event is None else self.dialect.transaction(item.event)
        if payload is None:
            self._queue.remove(item)
            return
        item.attempts += 1
        point.set_answer_timeout(self._answer_timeout_s * item.attempts)
        try:
            answer = await point.call(payload, suppress=False, skip_schema_validation=item.event is not None)
        except TimeoutError:
            if item.event is None and item.answer is None:
                self._queue.remove(item)
            return
        except (OCPPError, TypeError):  # TypeError: the answer has fields that the version does not define
            item.errors += 1
            if item.errors < ERRORS_UNTIL_DROPPED and item.event is not None:
                await asyncio.sleep(BACKOFF_FIRST_S * item.errors)
                return
            answer = None
        self._queue.remove(item)
        self._answered(item, answer)
        if self.duplicating and item.event is not None:
            await self._repeat(point, payload)

    def _answered(self, item: Item, answer: Any) -> None:
        if item.answer is not None and not item.answer.done():
            item.answer.set_result(answer)
        if item.event is not None:
            status = None if answer is None else self.dialect.verdict(item.event, answer)
            refused = answer is None and item.event.kind == "started"
            self.charger.answered(item.event, "NO_ANSWER" if refused else status)

    async def _repeat(self, point: Point, payload: Any) -> None:
        """Send a transaction message a second time with a new message id; ignore its answer."""
        self._duplicates += 1
        try:
            await point.call(payload, suppress=True, skip_schema_validation=True)
        except TimeoutError:
            return
