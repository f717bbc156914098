"""What all commands share: the options --config and --json, output of results, and exit codes.

Decides the exit code of each exception. Never prints a traceback for an EdgegwError.
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
    """Exit codes; those from 64 on are those of sysexits(3)."""

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
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance


class EdgegwGroup(click.Group):
    """A click group that turns exceptions of its commands into exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises Ended for every EdgegwError and for an OSError of a file."""
        open_standard_streams()
        try:
            return super().invoke(ctx)
        except EdgegwError as fault:
            raise Ended(f"{fault}\n{fault.hint}".strip(), exit_code(fault)) from fault
        except OSError as fault:
            if fault.errno == errno.EPIPE:  # the reader of the output closed it: click ends quietly
                raise
            place = "" if fault.filename is None else f"{fault.filename}: "
            code = Exit.NOT_ALLOWED if isinstance(fault, PermissionError) else Exit.PROBLEMS
            raise Ended(f"{place}{fault.strerror or fault}", code) from fault


def exit_code(fault: EdgegwError) -> Exit:
    """Return the exit code of an exception that ends a command."""
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
"""Default locations of the configuration; `edgegw init` writes the first, and as root the second."""


def default_config() -> Path:
    """Return the first default location that exists; for root the system's comes before the current folder's."""
    as_root = os.geteuid() == 0
    places = sorted(PLACES, key=lambda place: not place.is_absolute()) if as_root else PLACES
    return next((place for place in places if _is_there(place)), PLACES[0])


def _is_there(place: Path) -> bool:
    """Return whether a file exists; True if it may not be looked up, so that reading it reports the permission."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def config_path() -> Path:
    """Return the path of this command's configuration."""
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
    """Print a result as one JSON value, or as indented lines."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, sort_keys=True))
    else:
        for line in lines_of(result):
            click.echo(line)


def lines_of(value: object, *, indent: str = "") -> list[str]:
    """Format a nested value as lines: `name: value`, nested values two spaces deeper, list elements after a dash."""
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
    """Return whether questions can be asked: standard input is a terminal."""
    return sys.stdin.isatty()


def printable(text: str) -> str:
    """Replace control characters in text, which may come from a device, so that a terminal does not interpret it."""
    return harmless(text)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value) if isinstance(value, Mapping | list) else printable(str(value))
