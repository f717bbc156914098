"""Calls of commands to the ledger: one client for each call; failures become exit codes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgegw.cli.console import Ended, Exit
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.ledger import LedgerClient

Result = TypeVar("Result")
Call = Callable[["LedgerClient"], Awaitable[Result]]


def call_ledger(config: Config, call: Call[Result], *, identity: Path | None = None) -> Result:
    """Run `call` with a client of the configured peer, as the gateway or as `identity`; raises Ended."""
    from edgegw import ledger

    codes: dict[type[ledger.LedgerError], Exit] = {
        ledger.BusinessRefusal: Exit.PROBLEMS,
        ledger.Forged: Exit.PROBLEMS,
        ledger.ClockRefused: Exit.TRY_AGAIN,
        ledger.IdentityRefused: Exit.NOT_ALLOWED,
    }
    try:
        return asyncio.run(_connected(config, call, identity or config.ledger.identity))
    except ledger.LedgerError as fault:
        away = isinstance(fault, ledger.Unavailable) and config.peer is not None
        hint = "\nthe embedded peer runs only while the daemon runs; check it: edgegw status" if away else ""
        raise Ended(
            f"{config.ledger.endpoint}: {fault}{hint}", codes.get(type(fault), Exit.UNAVAILABLE)
        ) from fault
    except OSError as fault:
        raise Ended(f"{fault.filename}: {fault.strerror}", Exit.CONFIGURATION) from fault


def ask(config: Config, function: str, **arguments: object) -> dict[str, Any]:
    """Evaluate a contract function; raises Ended."""
    return call_ledger(config, lambda client: client.evaluate(function, arguments))


async def _connected(config: Config, call: Call[Result], identity: Path) -> Result:
    from edgegw.ledger.client_factory import open_client

    async with open_client(config.ledger, identity=identity) as client:
        return await call(client)
