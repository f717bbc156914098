"""`edgegw operator`: set the password of the operator's pages."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.config.schema import OperatorConfig


@click.group()
def operator() -> None:
    """Manage access to the operator pages."""


@operator.command()
@click.option("--generate", is_flag=True, help="Create a password and show it once, instead of asking.")
@config_option
@json_option
def password(*, generate: bool, config: Config, as_json: bool) -> None:
    """Set the password of the operator pages; only its hash is stored. systemctl reload edgegw then ends open logins."""
    from edgegw.common.passwords import hash_password
    from edgegw.web.operator import login

    place = _place(config).password_file
    made = login.new_password() if generate else _asked(login.PASSWORD_MIN, login.PASSWORD_MAX)
    _keep(place, hash_password(made))
    told: dict[str, object] = {"password_file": str(place)}
    show(told | ({"password": made} if generate else {}), as_json=as_json)


def _asked(least: int, most: int) -> str:
    text = str(click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    if not least <= len(text) <= most:
        raise Ended(
            f"the password must have {least} to {most} characters; --generate creates one", Exit.USAGE
        )
    return text


def _place(config: Config) -> "OperatorConfig":
    if config.operator is None:
        raise Ended("the configuration has no [operator]; configs/edgegw.toml shows one", Exit.CONFIGURATION)
    return config.operator


def _keep(place: Path, text: str) -> None:
    """Replace the daemon's file atomically; no other user can read it at any moment."""
    from edgegw.commissioning.files import Owner, replaced

    with replaced(place, text + "\n") as partial:
        owner = Owner.of_daemon()
        if owner is not None:
            owner.take(partial)
