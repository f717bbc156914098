"""Serve `edgegw mqtt`: test the broker once, or listen to what the station publishes. Publishes only a probe.

Decides which responses of a broker end a command. Raises BrokerError with a code of `common.error_codes`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, assert_never

from edgegw.common.error_codes import REMEDIES
from edgegw.common.errors import DeviceError
from edgegw.telemetry.link import (
    AWAY,
    NOT_ALLOWED,
    Acknowledged,
    Arrived,
    Connected,
    Happening,
    Link,
    Lost,
    Subscribed,
)
from edgegw.telemetry.settings import PublisherSettings
from edgegw.telemetry.topics import Message

ANSWER_S: Final = 10.0
_WAITING_MAX: Final = 10_000


class BrokerError(DeviceError):
    """The broker is unreachable or refuses the connection; `code` states which."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code} {REMEDIES[code].problem}: {detail}")
        self.code = code
        self.hint = REMEDIES[code].remedy


async def probe(settings: PublisherSettings) -> bool:
    """Publish a probe and return whether it had a subscriber. Raises BrokerError."""
    message = Message(topic=f"{settings.root}/probe", payload="probe")
    heard: asyncio.Queue[Happening] = asyncio.Queue()
    link = Link(settings.broker, heard.put_nowait)
    try:
        async with asyncio.timeout(ANSWER_S):
            while True:
                match _or_raise(await heard.get(), settings):
                    case Connected():
                        link.publish(message)
                    case Acknowledged(refused=None) as answer:
                        return answer.heard
                    case Acknowledged(refused=reason):
                        raise BrokerError(NOT_ALLOWED, f"{message.topic}: {reason}")
                    case Lost() | Subscribed() | Arrived():
                        pass
                    case unhandled:
                        assert_never(unhandled)
    except TimeoutError as fault:
        raise BrokerError(AWAY, f"{_place(settings)}: no answer in {ANSWER_S:.0f} s") from fault
    finally:
        await link.stop()


async def listen(settings: PublisherSettings) -> AsyncIterator[Arrived | Connected]:
    """Yield messages on the station's topics, and `Connected` for each connection. Raises BrokerError."""
    heard: asyncio.Queue[Happening] = asyncio.Queue(_WAITING_MAX)

    def keep(happening: Happening) -> None:
        if not heard.full():
            heard.put_nowait(happening)

    link = Link(settings.broker, keep, topics=(f"{settings.root}/#",))
    try:
        while True:
            happening = _or_raise(await heard.get(), settings)
            if isinstance(happening, Subscribed) and happening.refused:
                raise BrokerError(NOT_ALLOWED, f"{settings.root}/#: {happening.refused[0]}")
            if isinstance(happening, Arrived | Connected):
                yield happening
    finally:
        await link.stop()


def _or_raise(happening: Happening, settings: PublisherSettings) -> Happening:
    if isinstance(happening, Lost):
        raise BrokerError(happening.code, f"{_place(settings)}: {happening.reason}")
    return happening


def _place(settings: PublisherSettings) -> str:
    return f"{settings.broker.host}:{settings.broker.port}"
