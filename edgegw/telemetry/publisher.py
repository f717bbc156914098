"""Publish the station's state and events to the broker, and drop the oldest while it is unreachable.

Best effort: nothing waits for it, and a broker that is down, slow or refusing changes only counters. Decides the order
(availability and discovery, then the newest state of each EVSE, then events in order), how much may wait (one state per
EVSE and 1,000 events) and how much may be in flight. Subscribes to at most two topics, neither of them a command.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from edgegw.common.clock import Clock
from edgegw.common.error_codes import REMEDIES
from edgegw.core.state import Station
from edgegw.telemetry.discovery import HOME_ASSISTANT_BIRTH, birth_topic, discovery_message
from edgegw.telemetry.link import Acknowledged, Arrived, Connected, Happening, Link, Lost, Subscribed
from edgegw.telemetry.price import GridPrice, parse_price
from edgegw.telemetry.settings import PublisherSettings
from edgegw.telemetry.topics import (
    OFFLINE,
    ONLINE,
    Message,
    availability,
    event_message,
    state_messages,
    utc_text,
)

EVENTS_MAX: Final = 1_000
UNDER_WAY_MAX: Final = 20
LOOK_S: Final = 1.0
GAP_S: Final = 0.05  # least time between two reads of the station's state
REFRESH_S: Final = 60.0
LEAVE_S: Final = 1.0
PRICES_KEPT: Final = 8

Log = Callable[[str, Mapping[str, object]], None]


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counters of messages and prices since the start."""

    published: int = 0  # accepted by the broker
    dropped: int = 0  # because too many waited
    refused: int = 0  # by the broker
    reconnects: int = 0
    prices: int = 0
    prices_ignored: int = 0


class Publisher:
    """Publishes one station until cancelled; while `paused`, only availability and discovery."""

    def __init__(self, settings: PublisherSettings, *, clock: Clock, log: Log) -> None:
        self.counts = Counts()
        self.connected = False
        self.paused = False
        self._settings = settings
        self._clock = clock
        self.log = log
        self._link: Link | None = None
        self._urgent: deque[Message] = deque()
        self._known: dict[str, Message] = {}  # newest state, by topic
        self._unsent: dict[str, Message] = {}
        self._events: deque[Message] = deque()
        self._under_way: dict[int, Message] = {}
        self._arrived: dict[str, bytes] = {}  # newest by topic, so that its size is limited
        self._prices: deque[GridPrice] = deque(maxlen=PRICES_KEPT)
        self._discovery: Message | None = None
        self._evses: tuple[str, ...] = ()  # in the discovery message
        self._wake = asyncio.Event()
        self._was_connected = False
        self._trouble = ""  # the code last logged of the broker, so that it is logged once
        self._said_refused = False  # during this connection
        self._price_bad = False

    def note(self, name: str, fields: Mapping[str, object]) -> None:
        """Queue an event that the core logged; return at once."""
        message = event_message(self._settings.root, name, fields, now_ns=self._clock.now_ns())
        if message is None:
            return
        self._keep(message)
        self._wake.set()

    def grid_price(self) -> GridPrice | None:
        """Return the newest accepted price that is valid now, or None."""
        now_ns = self._clock.now_ns()
        return next((price for price in self._prices if price.holds_at(now_ns)), None)

    async def run(self, snapshot: Callable[[], Station]) -> None:
        """Publish until cancelled, then publish `offline` and disconnect."""
        loop = asyncio.get_running_loop()
        refresh_at = look_at = 0.0
        self._link = self._open()
        try:
            while True:
                self._judge_arrivals()
                if loop.time() >= look_at:
                    look_at = loop.time() + LOOK_S
                    everything = loop.time() >= refresh_at
                    refresh_at = loop.time() + REFRESH_S if everything else refresh_at
                    self._look(snapshot(), everything=everything)
                self._pump()
                await asyncio.sleep(GAP_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, look_at - loop.time())):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            await self._leave()

    # --- outgoing messages --------------------------------------------------------------------------------------------

    def _look(self, station: Station, *, everything: bool) -> None:
        if self._settings.discovery_prefix and self._evses != tuple(station.evses):
            self._evses = tuple(station.evses)
            self._discovery = discovery_message(station, self._settings.root, self._settings.discovery_prefix)
            self._urgent.append(self._discovery)
        for message in state_messages(station, self._settings.root, self._clock.now_ns()):
            if everything or self._known.get(message.topic) != message:
                self._known[message.topic] = self._unsent[message.topic] = message

    def _keep(self, message: Message) -> None:
        if len(self._events) >= EVENTS_MAX:
            self._events.popleft()
            self.counts.dropped += 1
        self._events.append(message)

    def _introduce(self) -> None:
        """Queue availability, discovery and all states, for a new subscriber or connection."""
        self._urgent = deque([availability(self._settings.root, ONLINE)])
        if self._discovery is not None:
            self._urgent.append(self._discovery)
        self._unsent = dict(self._known)

    # --- the connection -----------------------------------------------------------------------------------------------

    def _open(self) -> Link:
        """Open the link, which reconnects by itself and then sends messages in flight again."""
        topics = [self._settings.price_topic] if self._settings.price_topic else []
        if self._settings.discovery_prefix:
            topics.append(birth_topic(self._settings.discovery_prefix))
        return Link(
            self._settings.broker,
            self._hear,
            client_id=f"edgegw-{self._settings.station_id}",
            will=availability(self._settings.root, OFFLINE),
            topics=topics,
        )

    def _hear(self, happening: Happening) -> None:
        match happening:
            case Connected():
                self._on_connected()
            case Lost():
                self._on_lost(happening)
            case Acknowledged():
                self._on_acknowledged(happening)
            case Arrived(topic=topic, payload=payload):
                self._arrived[topic] = payload
            case Subscribed(refused=reasons):
                for reason in reasons:
                    self._say_refused("subscription", reason)
            case _:
                assert_never(happening)
        self._wake.set()

    def _on_connected(self) -> None:
        self.connected = True
        self.counts.reconnects += self._was_connected
        self._was_connected = True
        self._trouble = ""
        self._said_refused = False
        self.log("mqtt.connected", {"host": self._settings.broker.host, "port": self._settings.broker.port})
        self._introduce()
        self._pump()

    def _on_lost(self, lost: Lost) -> None:
        self.connected = False
        if self._trouble == lost.code:
            return
        self._trouble = lost.code
        self.log(
            "mqtt.lost",
            {
                "host": self._settings.broker.host,
                "port": self._settings.broker.port,
                "reason": lost.reason,
                **_explained(lost.code),
            },
        )

    def _on_acknowledged(self, answer: Acknowledged) -> None:
        message = self._under_way.pop(answer.mid, None)
        if message is None:
            return
        if answer.refused is None:
            self.counts.published += 1
        else:
            self.counts.refused += 1
            self._say_refused(message.topic, answer.refused)
        self._pump()

    def _say_refused(self, topic: str, reason: str) -> None:
        if not self._said_refused:
            self.log("mqtt.refused", {"topic": topic, "reason": reason, **_explained("EGW-6003")})
        self._said_refused = True

    def _pump(self) -> None:
        """Pass messages to the link, up to the limit in flight."""
        while self.connected and self._link is not None and len(self._under_way) < UNDER_WAY_MAX:
            message = self._next()
            if message is None:
                return
            self._under_way[self._link.publish(message)] = message

    def _next(self) -> Message | None:
        if self._urgent:
            return self._urgent.popleft()
        if self.paused:
            return None
        if self._unsent:
            return self._unsent.pop(next(iter(self._unsent)))
        return self._events.popleft() if self._events else None

    async def _leave(self) -> None:
        """Send waiting messages, publish `offline` and close, each within `LEAVE_S`."""
        if self._link is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._all_acknowledged()
        self._urgent = deque([availability(self._settings.root, OFFLINE)])
        self._unsent, self._events = {}, deque()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._all_acknowledged()
        await self._link.stop()
        self.connected = False

    async def _all_acknowledged(self) -> None:
        while self.connected:
            self._pump()
            waiting = self._urgent or (not self.paused and (self._unsent or self._events))
            if not waiting and not self._under_way:
                return
            self._wake.clear()
            await self._wake.wait()

    # --- incoming messages --------------------------------------------------------------------------------------------

    def _judge_arrivals(self) -> None:
        arrived, self._arrived = self._arrived, {}
        for topic, payload in arrived.items():
            if topic == self._settings.price_topic:
                self._judge_price(payload)
            elif payload == HOME_ASSISTANT_BIRTH:
                self._introduce()

    def _judge_price(self, payload: bytes) -> None:
        price = parse_price(payload, self._clock.now_ns())
        if isinstance(price, str):
            self.counts.prices_ignored += 1
            if not self._price_bad:
                self.log("price.ignored", {"reason": price, **_explained("EGW-6001")})
            self._price_bad = True
            return
        self.counts.prices += 1
        self._price_bad = False
        if price in self._prices:
            self._prices.remove(price)
            self._prices.appendleft(price)
            return
        self._prices.appendleft(price)
        self.log("price.received", price_fields(price))


def price_fields(price: GridPrice) -> dict[str, object]:
    """Return a grid price in the form of logs and pages."""
    return {
        "price": str(price.price),
        "unit": price.unit,
        "valid_from": utc_text(price.valid_from_ns),
        "valid_to": utc_text(price.valid_to_ns),
    }


def _explained(code: str) -> dict[str, object]:
    return {"code": code, "remedy": REMEDIES[code].remedy}
