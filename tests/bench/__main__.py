"""Run the benchmarks (`python -m tests.bench [--only NAME]`), and write build/bench.json and the table of docs/benchmarks.md.

Exit status: 0 measured (a missed goal is a figure, not a failure), 2 usage. With `--only` the other figures in the file
are kept, and the table is not written, because it describes one whole run.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.bench import (
    bench_idle,
    bench_memory,
    bench_meters,
    bench_ocpp,
    bench_pages,
    bench_trades,
    bench_web,
    figures,
)
from tests.bench.figures import MEANINGS, Figure
from tests.bench.processes import ROOT

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "ocpp": bench_ocpp.measure,
    "meters": bench_meters.measure,
    "trades": bench_trades.measure,
    "memory": bench_memory.measure,
    "idle": bench_idle.measure,
    "pages": bench_pages.measure,
    "web": bench_web.measure,
}


@click.command()
@click.option("--only", type=click.Choice(sorted(BENCHMARKS)), multiple=True, help="Run these and no others.")
@click.option("--results", type=click.Path(path_type=Path), default=ROOT / "build" / "bench.json")
@click.option("--document", type=click.Path(path_type=Path), default=ROOT / "docs" / "benchmarks.md")
def main(only: Sequence[str], results: Path, document: Path) -> None:
    """Measure the gateway's costs, beside those of what it is compared with."""
    measured: list[Figure] = []
    for name in only or BENCHMARKS:
        began = time.monotonic()
        click.echo(f"{name} …", err=True)
        with _folder() as folder:
            measured += BENCHMARKS[name](folder, short=False)
        click.echo(f"{name}: {time.monotonic() - began:.0f} s", err=True)
    rows = figures.write(results, measured, keep=bool(only))
    if not only:
        figures.put_table(document, figures.table(rows, when=datetime.now(UTC)))
    for name, row in rows.items():
        ratio = "" if row["ratio"] is None else f", {row['ratio']:g} times {row['baseline']:g}"
        missed = " (goal missed)" if MEANINGS[name].is_met(row) is False else ""
        click.echo(f"{name}: {row['value']:g} {row['unit']}{ratio}{missed}")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a temporary folder on the repository's disk: the system's temporary folder may be in memory."""
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
