"""Print rows: a table on a terminal, plain columns elsewhere, so that `grep` and `awk` see one line for each row.

Text from devices is sanitised, so that the terminal does not interpret it.
"""

import sys
from collections.abc import Mapping, Sequence

import click

from edgegw.cli.console import printable


def show_table(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, empty: str = "nothing"
) -> None:
    """Print the named columns of each row, with the names as heads; `empty` is printed if there is no row."""
    if not rows:
        click.echo(empty, err=True)
        return
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _rich_table(texts, columns)
        return
    widths = [max(len(column), *(len(text[at]) for text in texts)) for at, column in enumerate(columns)]
    for line in ([column.upper() for column in columns], *texts):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ("no", "yes")[value] if isinstance(value, bool) else printable(str(value))


def _rich_table(texts: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for text in texts:
        table.add_row(*(escape(cell) for cell in text))
    Console().print(table)
