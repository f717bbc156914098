"""Installs handlers of SIGTERM and SIGINT (Ctrl-C) in commands that run until they are stopped.

A shell without job control starts its background jobs with SIGINT ignored, and Python then installs no handler of its own:
KeyboardInterrupt is never raised. Every long-running command therefore installs its handlers here.
"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def on_stop(callback: Callable[[], object]) -> None:
    """Call `callback` in the running loop at each of the signals, also where SIGINT was ignored before."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, callback)


async def run_until_stopped(coroutine: Coroutine[Any, Any, None]) -> bool:
    """Run a coroutine and cancel it at a signal; return whether it ended by itself."""
    task = asyncio.ensure_future(coroutine)
    on_stop(task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True
