"""Keep one MQTT 5 connection: bridge paho and its thread to an asyncio event loop.

Decides how a connection is opened, kept and closed, and the text of its faults. Never decides what is published.
Calls return at once, because sockets, name look-ups and handshakes run in paho's thread. The only module that imports
paho. Source: docs/mqtt.md; MQTT 5.
"""

import asyncio
import contextlib
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgegw.telemetry.settings import BrokerSettings
from edgegw.telemetry.topics import Message

QUEUED_MAX: Final = 100  # in paho; the publisher keeps fewer in flight
PACKET_BYTES_MAX: Final = 8_192  # the broker does not send larger packets
CONNECT_S: Final = 3.0
STOP_S: Final = 2.0
_NO_LISTENER: Final = 0x10
# Bad user or password, not authorized, banned, bad method.
_NOT_ALLOWED: Final = frozenset({0x86, 0x87, 0x8A, 0x8C})

AWAY: Final = "EGW-6002"
NOT_ALLOWED: Final = "EGW-6003"
NOT_TRUSTED: Final = "EGW-6004"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker has accepted the connection; the subscriptions are requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """There is no connection; the link retries. `code` is one of `common.error_codes`."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker has accepted or refused the message with number `mid`, from `Link.publish`."""

    mid: int
    refused: str | None  # the reason
    heard: bool  # False if the broker reports no subscriber


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The broker's response to the subscriptions; `refused` holds the reasons of refused ones."""

    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A message on a subscribed topic."""

    topic: str
    payload: bytes


Happening = Connected | Lost | Acknowledged | Subscribed | Arrived


class Link:
    """Connects and reconnects until `stop`; calls `tell` with each event on the event loop that created it."""

    def __init__(
        self,
        broker: BrokerSettings,
        tell: Callable[[Happening], None],
        *,
        client_id: str = "",
        will: Message | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._topics = [(topic, 1) for topic in topics]
        self._stopped = False
        self._refused = False  # the broker gave its reason; the disconnect that follows is not reported
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        client.reconnect_delay_set(1, broker.retry_s_max)
        client.max_queued_messages_set(QUEUED_MAX)
        client.connect_timeout = CONNECT_S
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # not annotated in paho
        limits.MaximumPacketSize = PACKET_BYTES_MAX
        client.connect_async(
            broker.host, broker.port, keepalive=broker.keepalive_s, clean_start=True, properties=limits
        )
        client.loop_start()

    def publish(self, message: Message) -> int:
        """Queue a message and return its number, which `Acknowledged` repeats, also after a reconnect."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # not annotated in paho
        if message.expiry_s is not None:
            properties.MessageExpiryInterval = message.expiry_s
        if message.schema:
            properties.ContentType = "application/json"
            properties.UserProperty = ("schema", message.schema)
        done = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, properties=properties
        )
        assert done.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE, "more under way than QUEUED_MAX"
        return done.mid

    async def stop(self) -> None:
        """Disconnect and end the thread; wait at most `STOP_S` for a thread blocked in a system call."""
        self._client.disconnect()
        ended = asyncio.Event()

        def join() -> None:
            self._client.loop_stop()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=join, daemon=True, name="mqtt goodbye").start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await ended.wait()
        self._stopped = True

    # --- in paho's thread ---------------------------------------------------------------------------------------------

    def _say(self, happening: Happening) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._hear, happening)

    def _on_connect(self, client: Client, *told: Any) -> None:
        _user, _flags, reason, _properties = told
        self._refused = reason.is_failure
        if reason.is_failure:
            self._say(Lost(code=NOT_ALLOWED if reason.value in _NOT_ALLOWED else AWAY, reason=str(reason)))
            return
        if self._topics:
            client.subscribe(self._topics)
        self._say(Connected())

    def _on_connect_fail(self, *_told: Any) -> None:
        fault = sys.exception()  # paho calls this in its except block
        self._say(Lost(code=NOT_TRUSTED if isinstance(fault, ssl.SSLError) else AWAY, reason=worded(fault)))

    def _on_disconnect(self, *told: Any) -> None:
        _client, _user, _flags, reason, _properties = told
        if not self._refused:
            self._say(Lost(code=AWAY, reason=str(reason)))
        self._refused = False

    def _on_publish(self, *told: Any) -> None:
        _client, _user, mid, reason, _properties = told
        refused = str(reason) if reason.is_failure else None
        self._say(Acknowledged(mid=mid, refused=refused, heard=reason.value != _NO_LISTENER))

    def _on_subscribe(self, *told: Any) -> None:
        _client, _user, _mid, reasons, _properties = told
        self._say(Subscribed(refused=tuple(str(reason) for reason in reasons if reason.is_failure)))

    def _on_message(self, _client: Client, _user: Any, message: MQTTMessage) -> None:
        self._say(Arrived(topic=message.topic, payload=bytes(message.payload)))

    # --- in the loop --------------------------------------------------------------------------------------------------

    def _hear(self, happening: Happening) -> None:
        if not self._stopped:
            self._tell(happening)


def worded(fault: BaseException | None) -> str:
    """Return a short text for a connection's fault."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return fault.verify_message
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return str(fault) if fault is not None and str(fault) else "no connection"
