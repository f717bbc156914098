"""`edgegw representative`: run one organisation's representative as a process, for many stations."""

import sys
from pathlib import Path

import click

PLACES = (Path("representative.toml"), Path("/etc/edgegw/representative.toml"))


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EDGEGW_REPRESENTATIVE",
    default=lambda: next((place for place in PLACES if place.exists()), PLACES[0]),
    help="Configuration file of the representative (or EDGEGW_REPRESENTATIVE).",
)
def representative(*, config: Path) -> None:
    """Run the representative of one organisation until SIGTERM: its members, for its stations (docs/representative.md)."""
    import uvloop

    from edgegw.app import exit_status
    from edgegw.common.errors import EdgegwError, leaves
    from edgegw.daemon.representative_process import serve
    from edgegw.representative.settings import load_representative

    settings = load_representative(config)
    faults: list[BaseException] = []
    try:
        uvloop.run(serve(settings))
    except* (EdgegwError, OSError) as failed:
        faults = leaves(failed)
    sys.exit(exit_status(faults))
