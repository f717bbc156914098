"""The bounded queue of events for the core: a full one drops its oldest meter reading, and no other event."""

import asyncio
from collections import deque

from edgegw.common.errors import EdgegwError
from edgegw.core.events import Event, MeterReading


class InboxFullError(EdgegwError):
    """The inbox is full and holds no meter reading: the station must stop rather than lose an event."""


class Inbox:
    """At most `capacity` waiting events, taken in batches; `dropped` counts the readings lost."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._events: deque[Event] = deque()
        self._capacity = capacity
        self._not_empty = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Add an event; a full inbox drops its oldest meter reading. Raise InboxFullError where it holds none."""
        if len(self._events) >= self._capacity:
            self._drop_oldest_sample()
        self._events.append(event)
        self._not_empty.set()

    def wake(self) -> None:
        """Let `take` return, also where no event waits."""
        self._not_empty.set()

    async def take(self, most: int) -> list[Event]:
        """Wait for events or a `wake`, then remove and return up to `most` events in order."""
        await self._not_empty.wait()
        taken = [self._events.popleft() for _ in range(min(most, len(self._events)))]
        if not self._events:
            self._not_empty.clear()
        return taken

    def _drop_oldest_sample(self) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, MeterReading):
                del self._events[index]
                self.dropped += 1
                return
        raise InboxFullError(f"{len(self._events)} facts wait")
