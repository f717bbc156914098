"""Write the benchmarks' results to `build/bench.json`, and the table of docs/benchmarks.md.

Decides the format of a figure and the meaning of each name. A figure is `{value, unit, baseline, ratio}`: `baseline` is the
value of the other side of the comparison in the same run (None if there is none), `ratio` is value / baseline. Never
measures.
"""

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOTHING = "\N{EN DASH}"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
KEYS = ("value", "unit", "baseline", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure, and the baseline of the same run."""

    name: str
    value: float
    unit: str
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over baseline; None without a baseline."""
        return None if not self.baseline else self.value / self.baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """A name's row in the table. A goal bounds `field` from below or from above; None: there is no goal."""

    text: str
    baseline: str = NOTHING
    field: str = "ratio"
    least: float | None = None
    most: float | None = None

    @property
    def goal(self) -> str:
        """The goal as text."""
        what = "ratio " if self.field == "ratio" else ""
        if self.least is not None:
            return f"{what}≥ {self.least:g}"
        return NOTHING if self.most is None else f"{what}≤ {self.most:g}"

    def is_met(self, row: Mapping[str, Any]) -> bool | None:
        """Return whether the goal is met; None without a goal."""
        measured = row[self.field]
        if self.least is not None:
            return bool(measured >= self.least)
        return None if self.most is None else bool(measured <= self.most)


_STORED = "answered after full validation and group commit on disk"
_PACKAGE, _ECHO = "a server on the `ocpp` package with its defaults", "a bare `websockets` echo"
MEANINGS: Mapping[str, Meaning] = {
    "ocpp.1.6.meter_values": Meaning(text=f"1.6 MeterValues {_STORED}", baseline=_PACKAGE, least=5),
    "ocpp.2.0.1.transaction_event": Meaning(
        text=f"2.0.1 TransactionEvent {_STORED}", baseline=_PACKAGE, least=5
    ),
    "ocpp.2.1.transaction_event": Meaning(text=f"2.1 TransactionEvent {_STORED}", baseline=_PACKAGE, least=5),
    "ocpp.1.6.meter_values.echo": Meaning(text="1.6 MeterValues, the same", baseline=_ECHO),
    "ocpp.2.0.1.transaction_event.echo": Meaning(text="2.0.1 TransactionEvent, the same", baseline=_ECHO),
    "ocpp.2.1.transaction_event.echo": Meaning(text="2.1 TransactionEvent, the same", baseline=_ECHO),
    "meters.readings": Meaning(
        text="register read, decoded and accepted by the core, one meter after the other",
        baseline="bare `pymodbus` reads of the same registers",
        least=0.8,
    ),
    "trades.batch": Meaning(
        text="100 segments closed at once until all their trades are committed on the embedded peer",
        baseline="one ECDSA P-256 signature and one SQLite FULL commit for each trade",
    ),
    "trades.single": Meaning(
        text="one segment closed until its trade is committed on the embedded peer",
        baseline="one ECDSA P-256 signature and one SQLite FULL commit",
    ),
    "memory.two_chargers": Meaning(text="resident memory, 2 chargers connected", field="value", most=110),
    "memory.two_hundred_chargers": Meaning(
        text="resident memory, 200 chargers connected", field="value", most=110
    ),
    "memory.further_charger": Meaning(
        text="each further charger: its configuration, EVSE, meter and open connection",
        field="value",
        most=40,
    ),
    "memory.further_connection": Meaning(
        text="of that, its open connection (partly in pages that the start left free)", field="value", most=40
    ),
    "start.ready": Meaning(text="start of the process to READY, 2 chargers and 2 meters", field="value"),
    "idle.each_second": Meaning(
        text="CPU share of the daemon, 2 chargers, 2 meters read each second", field="value", most=3
    ),
    "idle.each_minute": Meaning(
        text="the same, meters read each minute (the default)", field="value", most=3
    ),
    "web.phones": Meaning(
        text="what 200 phones with live updates cost the daemon, median of the rounds' differences",
        field="value",
        most=10,
    ),
    "web.share": Meaning(
        text="CPU share of the daemon with them, 2 chargers that send 20 samples a second each",
        baseline="without phones",
    ),
    "web.updates": Meaning(text="updates that each phone got", field="value"),
    "web.answer.p50": Meaning(
        text="a sample's answer after its commit on disk, with 200 phones, median",
        baseline="without phones",
    ),
    "web.answer.p99": Meaning(text="the same, 99th percentile", baseline="without phones"),
    "pages.paint": Meaning(
        text="first contentful paint of the first page, slow 4G (150 ms, 1.6 Mbit/s), processor 4 times slower",
        field="value",
        most=1,
    ),
    "pages.paint.devtools": Meaning(
        text="the same, DevTools' preset of that name (562.5 ms, 1.4 Mbit/s)", field="value", most=1
    ),
}


def rows_of(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Return value, unit, baseline and ratio by name. Raise AssertionError for a name without a meaning."""
    rows = {}
    for figure in figures:
        assert figure.name in MEANINGS, figure.name
        rows[figure.name] = {
            "value": _rounded(figure.value),
            "unit": figure.unit,
            "baseline": None if figure.baseline is None else _rounded(figure.baseline),
            "ratio": None if figure.ratio is None else _rounded(figure.ratio),
        }
    return rows


def write(path: Path, figures: Sequence[Figure], *, keep: bool = False) -> dict[str, dict[str, Any]]:
    """Write the file and return all rows; with `keep`, figures of other names in it are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8")) if keep and path.exists() else {}
    rows = {**before, **rows_of(figures)}
    ordered = {name: rows[name] for name in MEANINGS if name in rows}
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    return ordered


def table(rows: Mapping[str, Mapping[str, Any]], *, when: datetime) -> str:
    """Return the table with its date and machine, between its markers."""
    lines = [
        BEGIN,
        f"`make bench` of {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC, on {machine()}.",
        "",
        "| name | what | measured | beside it, in the same run | ratio | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        meaning = MEANINGS[name]
        met = {True: "yes", False: "**no**", None: NOTHING}[meaning.is_met(row)]
        beside = (
            NOTHING if row["baseline"] is None else f"{row['baseline']:g} {row['unit']}: {meaning.baseline}"
        )
        ratio = NOTHING if row["ratio"] is None else f"{row['ratio']:g}"
        lines.append(
            f"| `{name}` | {meaning.text} | {row['value']:g} {row['unit']} | {beside} | {ratio} | {meaning.goal} | {met} |"
        )
    return "\n".join([*lines, END])


def put_table(document: Path, text: str) -> None:
    """Replace the text between the markers. Raise ValueError if there are none."""
    before, found, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{document.name} has no {BEGIN} … {END}")
    document.write_text(before + text + after, encoding="utf-8")


def machine() -> str:
    """Return processor, number of cores, memory, system and Python."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    cores = len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))
    parts = [
        f"{cores} cores ({model[1].strip() if model else platform.machine()})",
        f"{int(memory[1]) // 1024 // 1024 if memory else 0} GiB",
        f"Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(parts)


def _rounded(number: float) -> float:
    """Return four significant digits: the measurement is not more precise."""
    return float(f"{number:.4g}")
