"""`python -m edgegw.participants --config participants.json`: the other organisations of a run, in one process."""

import asyncio
import os
import sys
from pathlib import Path

import click

from edgegw.errors import ConfigError
from edgegw.participants.runner import run


@click.command()
@click.option("--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(config: Path) -> None:
    """Run oracle, producer, industry, exchange desk and representatives for a simulated day."""
    try:
        asyncio.run(run(config, os.environ))
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(78)


if __name__ == "__main__":
    main()
