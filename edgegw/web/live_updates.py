"""Push live updates by server-sent events: each channel is drawn once a second and sent to its viewers when it changed.

Decides when a fragment is drawn and sent, never its content: a channel has a draw function. A browser that loses its
connection reconnects by itself and gets the newest text at once.
Source: WHATWG HTML, server-sent events.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

EVERY_S = 1.0
STILL_S = 15.0  # a comment after this time without a change, so that a dead connection is noticed
STREAMS_MAX = 512
STREAMS_OF_ONE = 128  # per address: drivers of a car park may share one behind a router
AGAIN_MS = 2_000

Draw = Callable[[], str]


class TooManyStreamsError(Exception):
    """STREAMS_MAX streams are open, or STREAMS_OF_ONE of this address."""


@dataclass(slots=True)
class _Channel:
    draw: Draw
    text: str = ""
    viewers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class LiveUpdates:
    """All channels of one server; `run` calls `beat` once a second."""

    def __init__(self) -> None:
        self._channels: dict[Hashable, _Channel] = {}
        self._sources: Counter[str] = Counter()
        self._is_over = False

    async def run(self) -> None:
        """Draw the open channels once a second until cancelled; then end every stream."""
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                self.beat()
        finally:
            self._is_over = True
            for channel in self._channels.values():
                channel.changed.set()

    def beat(self) -> None:
        """Draw every channel, and wake the viewers of those that changed."""
        for channel in list(self._channels.values()):
            text = channel.draw()
            if text != channel.text:
                channel.text = text
                channel.changed.set()
                channel.changed = asyncio.Event()

    @property
    def viewers(self) -> int:
        """Number of open streams."""
        return sum(channel.viewers for channel in self._channels.values())

    def stream(
        self, key: Hashable, draw: Draw, *, event: str = "message", source: str = ""
    ) -> StreamingResponse:
        """Return an event stream of a channel; raises TooManyStreamsError.

        `key` identifies the channel: all viewers with an equal key share one drawing by the `draw` of the first. `event` is
        the event name, `source` the client address, by which streams are counted.
        """
        if self.viewers >= STREAMS_MAX or self._sources[source] >= STREAMS_OF_ONE:
            raise TooManyStreamsError
        return StreamingResponse(
            self._news(key, draw, event, source=source),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _news(self, key: Hashable, draw: Draw, event: str, *, source: str) -> AsyncIterator[str]:
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(draw=draw, text=draw())
        channel.viewers += 1
        self._sources[source] += 1
        try:
            yield f"retry: {AGAIN_MS}\n\n{_worded(event, channel.text)}"
            while not self._is_over:
                sent, changed = channel.text, channel.changed
                try:
                    async with asyncio.timeout(STILL_S):
                        await changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                if channel.text != sent:
                    yield _worded(event, channel.text)
        finally:
            channel.viewers -= 1
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]
            if not channel.viewers and self._channels.get(key) is channel:
                del self._channels[key]


def _worded(event: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"event: {event}\n{lines}\n"
