"""Show a live table while the day runs (plain lines without a terminal), and the settlement.

Everything goes to standard error when standard output carries JSON.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from edgegw.common.trade_terms import IMPORT
from edgegw.demo.orchestrator import Orchestrator
from edgegw.demo.plan import DayPlan
from edgegw.demo.report import Settlement
from edgegw.store.journal_reader import JournalReader

PLAIN_EVERY_S = 5.0
TRADES_SHOWN = 5


class View:
    """Shows the run's state as a live table, or as a line every five seconds without a terminal."""

    def __init__(self, plan: DayPlan, *, to_stderr: bool) -> None:
        self.console = Console(stderr=to_stderr, highlight=False)
        self._plan = plan
        self._live = Live(console=self.console, refresh_per_second=4, transient=True)
        self._spoke_at = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calm()

    def calm(self) -> None:
        """Remove the live table."""
        self._live.stop()

    def tell(self, step: str) -> None:
        """Print one step of the run."""
        self.console.print(f"[dim]{datetime.now(UTC):%H:%M:%S}[/dim] {step}", soft_wrap=True)

    def watch(self, stage: Orchestrator) -> None:
        """Show the daemon's current status."""
        status = stage.status()
        if "tally" not in status:
            return
        if self.console.is_terminal:
            self._live.update(self._table(status, _last_trades(stage)))
        elif time.monotonic() - self._spoke_at >= PLAIN_EVERY_S:
            self._spoke_at = time.monotonic()
            self.console.print(self._line(status), soft_wrap=True)

    def _local(self, epoch_s: int) -> datetime:
        return datetime.fromtimestamp(epoch_s, UTC) + timedelta(seconds=self._plan.utc_offset_s)

    def _line(self, status: Mapping[str, Any]) -> str:
        tally = status["tally"]
        return (
            f"{self._local(status['second']):%Y-%m-%d %H:%M}  {status['sessions']} cars  "
            f"in {status['import_w'] / 1000:.1f} kW  out {status['export_w'] / 1000:.1f} kW  "
            f"price {_price(status, 'CHARGE')} / {_price(status, 'DISCHARGE')} token/kWh  "
            f"{tally['trades']} trades  outbox {status['lines_open'] + status['submissions_open']}"
        )

    def _table(self, status: Mapping[str, Any], trades: list[Mapping[str, Any]]) -> Table:
        begin_s, end_s = self._plan.begin_s, self._plan.end_s
        table = Table.grid(padding=(0, 2))
        done = min(end_s, status["second"]) - begin_s
        table.add_row("station time", f"{self._local(status['second']):%A %Y-%m-%d %H:%M}")
        table.add_row("progress", ProgressBar(total=end_s - begin_s, completed=done, width=40))
        table.add_row("cars / chargers", f"{status['sessions']} / {status['chargers_online']}")
        table.add_row("power in", f"{status['import_w'] / 1000:8.1f} kW")
        table.add_row("power out", f"{status['export_w'] / 1000:8.1f} kW")
        table.add_row("price to charge", f"{_price(status, 'CHARGE')} token/kWh")
        table.add_row("price to sell", f"{_price(status, 'DISCHARGE')} token/kWh")
        tally = status["tally"]
        for name in ("market_wh", "retail_wh", "sold_wh"):
            table.add_row(name.removesuffix("_wh"), f"{tally[name] / 1000:8.1f} kWh")
        table.add_row("trades / outbox", f"{tally['trades']} / {status['lines_open']}")
        for trade in trades:
            table.add_row("", _trade(trade))
        return table


def _price(status: Mapping[str, Any], product: str) -> str:
    price_mtok = status["prices"].get(product)
    return "-" if price_mtok is None else f"{price_mtok / 1000:.1f}"


def _last_trades(stage: Orchestrator) -> list[Mapping[str, Any]]:
    path = stage.places.station / "station.db"
    return [] if not path.exists() else JournalReader(path).last("trade", TRADES_SHOWN)


def _trade(trade: Mapping[str, Any]) -> str:
    energy_wh = trade["end_wh"] - trade["start_wh"]
    amount = "-" if trade["amount_mtok"] is None else f"{trade['amount_mtok'] / 1000:.1f}"
    way = "->" if trade["direction"] == IMPORT else "<-"
    return f"{trade['evse_id']} {way} {energy_wh} Wh {trade['kind'].lower()} {amount} token"


def show(console: Console, settlement: Settlement) -> None:
    """Print the settlement."""
    numbers = settlement.numbers
    table = Table(title="Settlement", show_header=True, title_justify="left")
    for name in ("", "delivered", "discharged"):
        table.add_column(name, justify="left" if not name else "right")
    for label, key in (
        ("meters", "metered"),
        ("ledger", "ledger"),
        ("untraded", "untraded"),
        ("sealed books", "witness"),
    ):
        sums = numbers[key]
        table.add_row(label, _kwh(sums["import_wh"]), _kwh(sums["export_wh"]))
    console.print(table)
    for label, text in _sentences(numbers):
        console.print(f"{label:<18}{text}", soft_wrap=True)
    for fault in settlement.faults:
        console.print(f"[red]DIFFERS[/red]  {escape(fault)}", soft_wrap=True)
    console.print(
        "[green]all books agree[/green]" if settlement.agrees else "[red]the books do not agree[/red]"
    )


def _sentences(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    tokens = numbers["tokens"]
    return [
        (
            "cars",
            f"{numbers['served']} of {numbers['sessions']} served; refused: {_counts(numbers['refused'])}",
        ),
        ("market", _kwh(numbers["market_wh"])),
        ("retail", f"{_kwh(numbers['retail_wh'])}: {_counts(numbers['retail_reasons'], 'Wh')}"),
        ("untraded", _counts(numbers["untraded"]["by_code"], "Wh")),
        ("tokens", ", ".join(f"{name} {amount / 1000:,.1f}" for name, amount in tokens.items())),
        ("energy", ", ".join(f"{name} {_kwh(wh)}" for name, wh in numbers["energy"].items() if wh)),
        (
            "price weights",
            "{min} to {max} ppm, {distinct} different".format(**numbers["price_weights"]),
        ),
        ("ledger", f"{numbers['trades']} trades in {numbers['blocks']} blocks"),
        (
            "polls",
            "{done} done, {lost} lost".format(**numbers["polls"])
            + "; clock lag p99 {p99} s".format(**numbers["clock_lag_s"])
            + "; cut error p99 {p99} Wh, most {max} Wh".format(**numbers["boundary_error_wh"]),
        ),
        ("wall time", f"{numbers['wall_seconds']} s"),
    ]


def _kwh(energy_wh: int) -> str:
    return f"{energy_wh / 1000:,.3f} kWh"


def _counts(counts: Mapping[str, int], unit: str = "") -> str:
    return ", ".join(f"{code} {count} {unit}".strip() for code, count in sorted(counts.items())) or "none"
