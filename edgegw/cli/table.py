"""Tables for people: columns as wide as what stands in them; no colour, no frame, fit for a narrow terminal and for grep."""

from collections.abc import Sequence

import click

GAP = "  "


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their heads; nothing where there are none."""
    if not rows:
        return
    texts = [[str(head) for head in heads], *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(heads))]
    for row in texts:
        line = GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())
