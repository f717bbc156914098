"""`edgegw status`: show the health of the station, the worst part first."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from edgegw.cli.console import Exit, config_option, json_option, show
from edgegw.cli.daemon import ask_daemon
from edgegw.cli.table import show_table
from edgegw.config.schema import Config

_SIGNS = {"ok": "ok  ", "degraded": "WARN", "down": "FAIL"}
WATCH_S = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Repeat each second until Ctrl-C.")
@config_option
@json_option
def status(*, watch: bool, config: Config, as_json: bool) -> None:
    """Show the state of the station, the worst part first, then its EVSEs. Exit status 1 if a part is not ok, 69 if it does not run."""
    while True:
        present = ask_daemon(config, "status")
        if watch and not as_json:
            click.clear()
        if as_json:
            show(present, as_json=True)
        else:
            _print_status(present)
        if not watch:
            raise click.exceptions.Exit(Exit.DONE if present["level"] == "ok" else Exit.PROBLEMS)
        time.sleep(WATCH_S)


def _print_status(present: dict[str, Any]) -> None:
    click.echo(
        f"{present['station_id']}: {present['level']} (edgegw {present['version']}, pid {present['pid']})"
    )
    for part in present["parts"]:
        since = datetime.fromtimestamp(part["since_ns"] / 1e9, UTC)
        click.echo(
            f"{_SIGNS[part['level']]}  {part['part']}: {part['reason']} (since {since:%Y-%m-%d %H:%M:%S}Z)"
        )
        if part["hint"] and part["level"] != "ok":
            click.echo(f"      {part['hint']}")
    rows = [
        {
            "evse": evse["evse_id"],
            "charger": evse["charger_id"],
            "state": evse["state"],
            "power": f"{evse['power_w'] / 1000:.1f} kW",
            "battery": None if evse["soc_bp"] is None else f"{evse['soc_bp'] // 100} %",
            "delivered": _kwh(evse["import_mwh"]),
            "discharged": _kwh(evse["export_mwh"]),
        }
        for evse in present["evses"]
    ]
    if rows:
        show_table(rows, list(rows[0]))
    tally = present["tally"]
    prices = ", ".join(
        f"{product.lower()} {price / 1000} token/kWh" for product, price in present["prices"].items() if price
    )
    click.echo(
        f"trades: {tally['trades']} committed, {present['lines_open']} waiting; price now: {prices or 'not fixed'}"
    )


def _kwh(register_mwh: int | None) -> str | None:
    return (
        None if register_mwh is None else f"{register_mwh // 1_000_000}.{register_mwh // 1000 % 1000:03d} kWh"
    )
