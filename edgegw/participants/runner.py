"""Runs the participants' process: opens the market, runs all roles or some, and closes the market on request.

Decides when each phase begins, and writes one JSON object per line to standard output: `{"ready": true}` after opening,
`{"closed": true, ...}` after closing. SIGUSR1 or the line `close` on standard input requests closing. SIGTERM and SIGINT
end the process at any point; a restart is safe, since it repeats its writes to the ledger under the same ids.
"""

import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from edgegw.common.clock import StationClock
from edgegw.common.errors import ConfigError
from edgegw.common.stop_signals import run_until_stopped
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.participants.consortium import ROLES, Connect, Consortium, Role, Span
from edgegw.participants.retrying_ledger import RetryingLedger
from edgegw.participants.settings import Settings, read_settings
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.token_issuance import Deposit

TRUST_FILE = "trust.json"


async def run(config: Path, environment: Mapping[str, str], roles: Collection[Role] = ROLES) -> None:
    """Run until closed or stopped; raises ConfigError, and LedgerError for a final fault or refusal."""
    await run_until_stopped(_serve(config, environment, roles))


async def _serve(config: Path, environment: Mapping[str, str], roles: Collection[Role]) -> None:
    changes = Changes(config)
    settings = read_settings(config)
    clock = StationClock.from_environment(environment)
    closing = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, closing.set)
    listening = asyncio.create_task(_listen(closing))
    async with connections(settings) as connect:
        consortium = Consortium(
            settings,
            connect=connect,
            clock=clock,
            span=Span.of(clock, settings),
            roles=roles,
            listed=changes.deposits,
        )
        await consortium.open()
        _say({"ready": True})
        await _until(closing, asyncio.create_task(consortium.run()))
        counted = await consortium.close() if set(roles) == set(ROLES) else {"counts": consortium.counts}
        _say({"closed": True} | counted)
    listening.cancel()


class Changes:
    """Watches the settings file for new deposits during the run; other changes have no effect."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen_ns = path.stat().st_mtime_ns if path.exists() else 0

    def deposits(self) -> Sequence[Deposit] | None:
        """Return all deposits where the file has changed since the last call; None where not, or where it is invalid."""
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns == self._seen_ns:
                return None
            self._seen_ns = changed_ns
            return read_settings(self._path).all_deposits
        except (OSError, ConfigError) as fault:
            sys.stderr.write(f"deposits stay as they were: {fault}\n")
            return None


@asynccontextmanager
async def connections(settings: Settings) -> AsyncIterator[Connect]:
    """Yield a function that opens a client for an identity below `crypto`; close all clients at the end."""
    roots = load_trust(settings.crypto / TRUST_FILE)
    tls = None if settings.tls_ca_file is None else settings.tls_ca_file.read_bytes()
    async with AsyncExitStack() as stack:
        clients: list[LedgerClient] = []

        def connect(msp_id: str, name: str) -> LedgerPort:
            client = LedgerClient(
                settings.endpoint,
                load_signer(settings.crypto / msp_id / name),
                roots,
                channel=settings.channel,
                chaincode=settings.chaincode,
                tls=tls,
            )
            clients.append(client)
            stack.push_async_callback(client.close)
            return RetryingLedger(ledger=client)

        yield connect


async def _until(closing: asyncio.Event, day: asyncio.Task[None]) -> None:
    """Wait for `closing`, and cancel `day` where it has not ended before. An exception of `day` is raised."""
    requested = asyncio.create_task(closing.wait())
    await asyncio.wait((requested, day), return_when=asyncio.FIRST_COMPLETED)
    if day.done():
        await day
        await requested
        return
    day.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await day


async def _listen(closing: asyncio.Event) -> None:
    """Set `closing` at the line `close` on standard input; ignore an input that is closed, or no pipe or terminal."""
    if sys.stdin is None or not _can_speak(sys.stdin.fileno()):
        return
    reader = asyncio.StreamReader()
    with contextlib.suppress(ValueError, OSError):
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        async for line in reader:
            if line.strip() == b"close":
                closing.set()


def _can_speak(descriptor: int) -> bool:
    """Return whether lines can arrive on a descriptor: not on /dev/null, which epoll does not support."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, sort_keys=True) + "\n")
    sys.stdout.flush()
