"""Queues the texts to one charger: bounded, in order, with one consumer.

Takes 200 bytes a connection where asyncio.Queue takes 3 KiB; every charger has one.
"""

import asyncio


class SendQueue:
    """Many producers, one consumer task."""

    __slots__ = ("_most", "_room", "_taker", "_texts")

    def __init__(self, most: int) -> None:
        self._most = most
        self._texts: list[str] = []
        self._taker: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    def offer(self, text: str) -> bool:
        """Add a text; return False where the queue is full."""
        if len(self._texts) >= self._most:
            return False
        self._texts.append(text)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)
        return True

    async def put(self, text: str) -> None:
        """Add a text; wait while the queue is full."""
        while not self.offer(text):
            if self._room is None or self._room.done():
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._room,))

    async def get(self) -> str:
        """Remove and return the oldest text; wait while the queue is empty."""
        while not self._texts:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return self._texts.pop(0)
