# ruff: noqa: INP001 - a script of the build, in no package
"""`python deb/manual.py TEMPLATE`: print a manual page whose section COMMANDS is made from the click commands.

Decides how a click command looks in roff(7). The rest is the template's, in which `@COMMANDS@` and `@VERSION@` are
replaced.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from edgegw import __version__

MAIN = {"edgegw": "edgegw.cli", "firmware-sim": "firmware_sim.__main__"}


def manual(template: str, name: str) -> str:
    """Return the manual page of one of the two programs."""
    main: click.Command = importlib.import_module(MAIN[name]).main
    lines = [line for path, command in leaves(main, name) for line in entry(path, command)]
    return template.replace("@COMMANDS@\n", "".join(f"{line}\n" for line in lines)).replace(
        "@VERSION@", __version__
    )


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every leaf command with its full name, groups resolved."""
    if isinstance(command, click.Group):
        for name, inner in sorted(command.commands.items()):
            yield from leaves(inner, f"{path} {name}")
    else:
        yield path, command


def entry(path: str, command: click.Command) -> Iterator[str]:
    """Yield the lines of one command: usage, description, options."""
    context = click.Context(command, info_name=path)
    usage = " ".join(f"\\fI{plain(piece)}\\fR" for piece in command.collect_usage_pieces(context))
    yield f".SS \\fB{plain(path)}\\fR {usage}"
    for paragraph in (command.help or "").split("\n\n"):
        yield plain(" ".join(paragraph.replace("\b", "").split()))
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield ".TP"
            yield f"\\fB{plain(record[0])}\\fR"
            yield plain(" ".join(record[1].split())) or "\\&"


def plain(text: str) -> str:
    """Escape a text for roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    file = Path(sys.argv[1])
    sys.stdout.write(manual(file.read_text(encoding="utf-8"), file.stem))
