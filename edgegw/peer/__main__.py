"""Run the embedded peer as a process: `python -m edgegw.peer --data DIR --listen 127.0.0.1:PORT`.

Prints one JSON line once it answers calls, then nothing. Ends on SIGTERM or SIGINT after the current block.
Exit status: 0 done, 2 usage error, 74 disk error, 78 configuration error.
"""

import asyncio
import json
import sqlite3
import sys
from importlib import import_module
from pathlib import Path

import click

from edgegw.common.stop_signals import run_until_stopped
from edgegw.peer.chain import Cutting
from edgegw.peer.faults import Faults
from edgegw.peer.invocation import Contract
from edgegw.peer.listen_address import StartRefusedError
from edgegw.peer.membership import Enrolment
from edgegw.peer.server import CHAINCODE, CHANNEL, Options, serve
from edgegw.peer.store import StoreError

_EX_IOERR = 74
_EX_CONFIG = 78


def load_contract(place: str) -> Contract:
    """Return the function at `module:name`; raise click.BadParameter."""
    module, _, name = place.partition(":")
    try:
        contract: Contract = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as fault:
        raise click.BadParameter(f"{place}: {fault}") from fault
    return contract


def announce(address: str) -> None:
    """Print the listen address as JSON for the parent process."""
    click.echo(json.dumps({"listening": address}))


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    await run_until_stopped(serve(options, announce))


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the embedded network.",
)
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, help="Listen address; port 0 selects a free port."
)
@click.option("--channel", default=CHANNEL, show_default=True, help="Name of the channel.")
@click.option("--chaincode", default=CHAINCODE, show_default=True, help="Name of the chaincode.")
@click.option(
    "--contract", default="edgegw.contract:invoke", show_default=True, help="Contract as MODULE:FUNCTION."
)
@click.option(
    "--batch-timeout-ms",
    type=click.IntRange(0),
    default=2,
    show_default=True,
    help="Longest wait before a block is cut.",
)
@click.option(
    "--batch-max", type=click.IntRange(1), default=50, show_default=True, help="Most transactions in a block."
)
@click.option("--enrol", multiple=True, help="Issue a further identity, MSP:NAME:ROLE[:GATEWAY]; repeatable.")
@click.option(
    "--faults", envvar="EDGEGW_PEER_FAULTS", help="Fault injection as JSON; also enables the admin method."
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Server certificate."
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Private key of the server certificate.",
)
def main(  # noqa: PLR0913 - one parameter per option
    *,
    data: Path,
    listen: str,
    channel: str,
    chaincode: str,
    contract: str,
    batch_timeout_ms: int,
    batch_max: int,
    enrol: tuple[str, ...],
    faults: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Run the embedded peer: three organisations, one process, one SQLite file."""
    try:
        options = Options(
            data=data,
            listen=listen,
            channel=channel,
            chaincode=chaincode,
            contract=load_contract(contract),
            cutting=Cutting(count=batch_max, timeout_s=batch_timeout_ms / 1000),
            enrolments=tuple(Enrolment.parse(text) for text in enrol),
            faults=None if faults is None else Faults.parse(faults),
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        )
    except ValueError as fault:
        raise click.UsageError(str(fault)) from fault
    try:
        asyncio.run(run(options))
    except (StartRefusedError, StoreError) as fault:
        click.echo(f"edgegw.peer: {fault}", err=True)
        sys.exit(_EX_CONFIG)
    except sqlite3.Error as fault:
        click.echo(f"edgegw.peer: {options.data}: {fault}", err=True)
        sys.exit(_EX_IOERR)


if __name__ == "__main__":
    main()
