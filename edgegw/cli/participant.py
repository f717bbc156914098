"""`edgegw participant`: run the market's other roles as processes, and make a deposit in a sandbox.

Decides which settings file is used. `participants` decides what a role does.
"""

import json
import secrets
import sys
from pathlib import Path

import click

from edgegw.cli.console import Ended, Exit, json_option, show
from edgegw.common.errors import ConfigError

ROLES = ("oracle", "producer", "industry", "desk", "representative", "all")
settings_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EDGEGW_PARTICIPANTS",
    help="Settings of the participants (or EDGEGW_PARTICIPANTS); default: participants.json in the current folder or in /etc/edgegw.",
)


@click.group()
def participant() -> None:
    """Run the market participants: oracle, producer, industry, exchange desk, representative."""


@participant.command()
@click.argument("role", type=click.Choice(ROLES))
@settings_option
@json_option
def run(*, role: str, config: Path | None, as_json: bool) -> None:
    """Run one participant, or all of them, until SIGTERM; prints {"ready": true} once the market is open."""
    from edgegw.participants.__main__ import serve

    del as_json  # output is always one JSON object per line
    sys.exit(serve(_settings(config), role))


@participant.command()
@click.argument("member_id")
@click.argument("amount_mtok", type=click.IntRange(1))
@settings_option
@json_option
def deposit(*, member_id: str, amount_mtok: int, config: Path | None, as_json: bool) -> None:
    """Add a member's deposit (milli-token) to the exchange desk's list; a running desk mints it within seconds."""
    from edgegw.commissioning.files import replace_keeping
    from edgegw.participants.settings import read_settings

    path = _settings(config)
    try:
        read_settings(path)
    except ConfigError as fault:
        raise Ended(str(fault), Exit.CONFIGURATION) from fault
    settings = json.loads(path.read_text(encoding="utf-8"))
    row = {"member_id": member_id, "amount_mtok": amount_mtok, "ref": f"deposit:{secrets.token_hex(8)}"}
    settings["deposits"] = [*settings.get("deposits", []), row]
    replace_keeping(path, json.dumps(settings, indent=1) + "\n")
    show(row, as_json=as_json)


def _settings(told: Path | None) -> Path:
    places = (Path("participants.json"), Path("/etc/edgegw/participants.json"))
    path = told or next((place for place in places if place.exists()), places[0])
    if not path.exists():
        raise Ended(f"{path} does not exist; edgegw init --sandbox creates it", Exit.CONFIGURATION)
    return path
