"""`edgegw participant`: the other organisations' parts, served as processes; and a deposit in a sandbox.

Decides which settings' file is meant. What a part does is decided in `participants`.
"""

import json
import secrets
import sys
from pathlib import Path

import click

from edgegw.cli.console import Ended, Exit, json_option, show
from edgegw.errors import ConfigError

ROLES = ("oracle", "producer", "industry", "desk", "representative", "all")
settings_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EDGEGW_PARTICIPANTS",
    help="The participants' settings (or EDGEGW_PARTICIPANTS); default: participants.json, here or in /etc/edgegw.",
)


@click.group()
def participant() -> None:
    """The consortium's other organisations: oracle, producer, industry, exchange desk."""


@participant.command()
@click.argument("role", type=click.Choice(ROLES))
@settings_option
@json_option
def run(*, role: str, config: Path | None, as_json: bool) -> None:
    """Play one part, or all of them, until told to end. Says {"ready": true} once the market is open."""
    from edgegw.participants.__main__ import serve

    del as_json  # one JSON object a line, always
    sys.exit(serve(_settings(config), role))


@participant.command()
@click.argument("member_id")
@click.argument("amount_mtok", type=click.IntRange(1))
@settings_option
@json_option
def deposit(*, member_id: str, amount_mtok: int, config: Path | None, as_json: bool) -> None:
    """Put a deposit (milli-token) of a member on the exchange desk's list; a desk that runs mints it within seconds."""
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
        raise Ended(f"{path}: no such file; edgegw init --sandbox writes one", Exit.CONFIGURATION)
    return path
