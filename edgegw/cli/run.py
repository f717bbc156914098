"""`edgegw run`: run the daemon."""

import sys
from pathlib import Path

import click

from edgegw.cli.console import config_option, config_path
from edgegw.config.schema import Config


@click.command()
@config_option
def run(config: Config) -> None:
    """Run the gateway until SIGTERM; SIGHUP reloads the configuration."""
    from edgegw import app

    path: Path = config_path()
    sys.exit(app.run(path, config))
