"""`python -m edgegw.participants --config participants.json`: runs the roles of the other organisations in one process.

Exit status: 0 stopped, 69 the ledger is unreachable or refuses, 78 the settings are invalid.
"""

import asyncio
import os
import sys
from pathlib import Path

import click

from edgegw.common.errors import ConfigError, LedgerError, leaves
from edgegw.participants.consortium import ROLES, Role
from edgegw.participants.runner import run

_EX_UNAVAILABLE = 69
_EX_CONFIG = 78


def serve(config: Path, role: str) -> int:
    """Run one role, or `all`, until stopped; return the exit status and write the reason to standard error."""
    roles: tuple[Role, ...] = tuple(one for one in ROLES if role in {one, "all"})
    status = 0
    try:
        asyncio.run(run(config, os.environ, roles))
    except* ConfigError as refused:
        status = _tell(refused, _EX_CONFIG)
    except* (LedgerError, OSError) as failed:
        status = _tell(failed, _EX_UNAVAILABLE)
    return status


def _tell(group: BaseExceptionGroup[BaseException], status: int) -> int:
    for fault in leaves(group):
        click.echo(str(fault), err=True)
    return status


@click.command()
@click.option("--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--role", type=click.Choice([*ROLES, "all"]), default="all", show_default=True)
def main(config: Path, *, role: str) -> None:
    """Run oracle, producer, industry, exchange desk and representatives, or one of them."""
    sys.exit(serve(config, role))


if __name__ == "__main__":
    main()
