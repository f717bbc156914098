"""`edgegw run`: the daemon."""

import sys

import click

from edgegw.cli.console import config_option
from edgegw.config import Config


@click.command()
@config_option
def run(config: Config) -> None:
    """Run the gateway until it is told to stop."""
    from edgegw import app

    sys.exit(app.run(config))
