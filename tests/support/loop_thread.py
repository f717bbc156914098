"""An event loop in a thread of its own, for tests whose subject runs a loop itself."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from tests.support.patience import PATIENCE_S

T = TypeVar("T")


class Loop(threading.Thread):
    """An event loop beside the test, in which servers run while a command blocks the test's own thread."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.loop = asyncio.new_event_loop()
        self.start()

    def run(self) -> None:
        self.loop.run_forever()

    @contextmanager
    def serving(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
        """Enter a context in the loop, leave it there."""
        ready: Future[T] = Future()
        leave = asyncio.Event()

        async def hold() -> None:
            try:
                async with make() as made:
                    ready.set_result(made)
                    await leave.wait()
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                raise

        held = asyncio.run_coroutine_threadsafe(hold(), self.loop)
        try:
            yield ready.result(timeout=PATIENCE_S)
        finally:
            self.loop.call_soon_threadsafe(leave.set)
            held.result(timeout=PATIENCE_S)
