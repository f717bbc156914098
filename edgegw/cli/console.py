"""What all commands share: the options --config and --json, printing a result, and exit codes.

Decides how a fault ends the process. Never prints a traceback for a fault that has a class of its own.
"""

import errno
import json
import os
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgegw.common.errors import (
    ConfigError,
    DeviceError,
    EdgegwError,
    JournalError,
    LedgerError,
)
from edgegw.common.sanitize import harmless
from edgegw.common.standard_streams import open_standard_streams
from edgegw.config.schema import Config, load


class Exit(IntEnum):
    """Exit codes; those from 64 on are sysexits."""

    DONE = 0
    PROBLEMS = 1
    USAGE = 2
    UNAVAILABLE = 69
    TRY_AGAIN = 75
    NOT_ALLOWED = 77
    CONFIGURATION = 78


class Ended(click.ClickException):
    """End the command with a message on standard error and an exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it off the instance


class EdgegwGroup(click.Group):
    """A group whose commands end in our exit codes when one of our faults comes up."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises Ended for every EdgegwError, and for a file that the system refuses."""
        open_standard_streams()
        try:
            return super().invoke(ctx)
        except EdgegwError as fault:
            raise Ended(f"{fault}\n{fault.hint}".strip(), exit_code(fault)) from fault
        except OSError as fault:
            if fault.errno == errno.EPIPE:  # whoever read our output has enough: click ends quietly
                raise
            place = "" if fault.filename is None else f"{fault.filename}: "
            code = Exit.NOT_ALLOWED if isinstance(fault, PermissionError) else Exit.PROBLEMS
            raise Ended(f"{place}{fault.strerror or fault}", code) from fault


def exit_code(fault: EdgegwError) -> Exit:
    """The exit code of a fault that ends a command."""
    if isinstance(fault.__cause__, PermissionError):
        return Exit.NOT_ALLOWED
    classes: tuple[tuple[type[EdgegwError], Exit], ...] = (
        (ConfigError, Exit.CONFIGURATION),
        (JournalError, Exit.TRY_AGAIN),
        (LedgerError, Exit.UNAVAILABLE),
        (DeviceError, Exit.UNAVAILABLE),
    )
    return next((code for kind, code in classes if isinstance(fault, kind)), Exit.PROBLEMS)


_PATH = "edgegw.config_path"
PLACES = (Path("edgegw.toml"), Path("/etc/edgegw/edgegw.toml"), Path("configs/edgegw.toml"))
"""Where the configuration is looked for when nobody says; `edgegw init` writes the first, and as root the second."""


def default_config() -> Path:
    """The first that is there; for root the installation's own before any of the folder it happens to stand in."""
    as_root = os.geteuid() == 0
    places = sorted(PLACES, key=lambda place: not place.is_absolute()) if as_root else PLACES
    return next((place for place in places if _is_there(place)), PLACES[0])


def _is_there(place: Path) -> bool:
    """Whether there is such a file; one that is not ours to see is there: reading it will say so."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def config_path() -> Path:
    """The file that this command's configuration was read from."""
    path = click.get_current_context().meta[_PATH]
    assert isinstance(path, Path)
    return path


def _load(context: click.Context, option: click.Parameter, path: Path) -> Config:
    context.meta[_PATH] = path
    try:
        return load(path)
    except ConfigError as fault:
        message = str(fault)
        if isinstance(fault.__cause__, FileNotFoundError):
            asked = context.get_parameter_source(option.name or "") != ParameterSource.DEFAULT
            others = "" if asked else f" (and no {PLACES[1]})"
            message += f"{others}\nrun sudo edgegw init to create it, or name another file with --config FILE or EDGEGW_CONFIG"
        elif exit_code(fault) is Exit.NOT_ALLOWED:
            message += "\nrun as the service's user: sudo -u edgegw edgegw …"
        raise Ended(message, exit_code(fault)) from fault


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    envvar="EDGEGW_CONFIG",
    default=default_config,
    callback=_load,
    help="Configuration file of the gateway (or EDGEGW_CONFIG).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON value.")


def show(result: object, *, as_json: bool) -> None:
    """Print a result: as one JSON value, or as indented lines for people."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, sort_keys=True))
    else:
        for line in lines_of(result):
            click.echo(line)


def lines_of(value: object, *, indent: str = "") -> list[str]:
    """A nested value as text: `name: value`, nested ones two spaces deeper, elements of a list after a dash."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, inner in value.items():
            nested = isinstance(inner, Mapping | list) and bool(inner)
            lines.append(f"{indent}{name}:" + ("" if nested else f" {_plain(inner)}"))
            lines += lines_of(inner, indent=indent + "  ") if nested else []
    elif isinstance(value, list):
        for inner in value:
            first, *rest = lines_of(inner, indent=indent + "  ") or [indent]
            lines += [f"{indent}- {first.lstrip()}", *rest]
    else:
        lines.append(f"{indent}{_plain(value)}")
    return lines


def can_ask() -> bool:
    """Whether somebody is there to answer: standard input is a terminal."""
    return sys.stdin.isatty()


def printable(text: str) -> str:
    """Text, from a device perhaps, that cannot do anything to a terminal."""
    return harmless(text)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value) if isinstance(value, Mapping | list) else printable(str(value))
