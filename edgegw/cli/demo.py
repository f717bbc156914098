"""`edgegw demo`: a station day with simulated chargers, meters and cars, and its settlement."""

import asyncio
import json
import shutil
import sys
import tempfile
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit
from edgegw.common.bundled_files import configs
from edgegw.common.errors import EdgegwError
from edgegw.common.stop_signals import run_until_stopped

if TYPE_CHECKING:
    from edgegw.demo.plan import DayPlan
    from edgegw.demo.report import Settlement
    from edgegw.demo.run import Run

CONFIGS = configs()
WEEK = CONFIGS / "scenarios" / "data" / "acn_jpl_2019-06-10_week.csv"
SHORT_DAY = CONFIGS / "scenarios" / "demo_day.csv"
SPEED, SHORT_DAY_SPEED = 360, 900
INTERRUPTED = 130


class Share(click.ParamType[Decimal]):
    """A decimal from 0 to 1."""

    name = "share"

    def convert(
        self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """The share."""
        try:
            share = Decimal(value)
        except InvalidOperation:
            share = Decimal(-1)
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a number from 0 to 1", param, ctx)
        return share


@click.command()
@click.option(
    "--sessions",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="CSV file of charging sessions; default: a short day that edgegw includes.",
)
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Simulate the arrivals of this local day, until the last departure.",
)
@click.option(
    "--v2g-share",
    type=Share(),
    default="0.5",
    show_default=True,
    help="Share of cars that also sell at peak load.",
)
@click.option(
    "--ocpp",
    type=click.Choice(["1.6", "2.0.1", "2.1", "mixed"]),
    default="mixed",
    show_default=True,
    help="OCPP version of the chargers.",
)
@click.option(
    "--chargers", type=click.IntRange(1), help="Number of chargers; default: one for each EVSE of the file."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--speed",
    type=click.IntRange(1, 3600),
    help="Simulated seconds per real second; default: chosen for the day.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Empty folder that keeps the files of the run; default: a temporary folder.",
)
@click.option(
    "--stay",
    is_flag=True,
    help="Afterwards run a station with pages to try out, until Ctrl-C.",
)
@click.option("--no-day", is_flag=True, help="Run the station to try out at once, without a day before it.")
@click.option("--json", "as_json", is_flag=True, help="Print the settlement as one JSON object.")
def demo(  # noqa: PLR0913 - one parameter an option
    *,
    sessions: Path | None,
    day: datetime | None,
    v2g_share: Decimal,
    ocpp: str,
    chargers: int | None,
    seed: int,
    speed: int | None,
    data: Path | None,
    stay: bool,
    no_day: bool,
    as_json: bool,
) -> None:
    """Simulate a station day on this machine and settle it; exit status 0 only if all books agree."""
    from edgegw.demo.plan import Wishes, plan_day, read_sessions

    short = sessions is None and day is None
    root = _empty_folder(data)
    if no_day:
        _host(root, seed)
        _leave(root, is_kept=data is not None)
        sys.exit(Exit.DONE)
    found = read_sessions(
        SHORT_DAY if short else sessions or WEEK, None if day is None else f"{day:%Y-%m-%d}"
    )
    wishes = Wishes(
        ocpp=ocpp,  # type: ignore[arg-type]  # click checked it
        v2g_share=v2g_share,
        chargers=chargers or 0,
        seed=seed,
        speed=speed or (SHORT_DAY_SPEED if short else SPEED),
    )
    plan = plan_day(found, wishes)
    settlements = _play(plan, root, as_json=as_json)
    agrees = bool(settlements) and settlements[0].agrees
    if stay and agrees:
        _host(root / "open-house", seed)
    _leave(root, is_kept=data is not None or not agrees)
    sys.exit(Exit.DONE if agrees else Exit.PROBLEMS if settlements else INTERRUPTED)


def _play(plan: "DayPlan", root: Path, *, as_json: bool) -> list["Settlement"]:
    """Run the day and print its settlement; return no settlement if it was interrupted."""
    from edgegw.demo.documents import Places
    from edgegw.demo.live_view import View, show
    from edgegw.demo.run import Run

    settlements: list[Settlement] = []
    with View(plan, to_stderr=as_json) as view:

        def settled(settlement: "Settlement") -> None:
            settlements.append(settlement)
            view.calm()
            show(view.console, settlement)
            if as_json:
                click.echo(json.dumps(settlement.numbers, sort_keys=True))

        _run(Run(plan=plan, places=Places(root=root, configs=CONFIGS), view=view, settled=settled))
    return settlements


def _leave(root: Path, *, is_kept: bool) -> None:
    if is_kept:
        click.echo(f"the files of this run are in {root}", err=True)
    else:
        shutil.rmtree(root)


def _empty_folder(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="edgegw-demo-"))
    data.mkdir(parents=True, exist_ok=True)
    if any(data.iterdir()):
        raise click.UsageError(f"--data {data}: the folder is not empty")
    return data.resolve()


def _run(run: "Run") -> None:
    """Run until the end or a signal; every child process has ended when this returns."""
    try:
        if not asyncio.run(run_until_stopped(run.run())):
            run.view.calm()
            click.echo("interrupted", err=True)
    except EdgegwError as fault:
        run.view.calm()
        raise _ended(fault, run.places.root) from fault


def _host(root: Path, seed: int) -> None:
    """Run the interactive demo until a signal."""
    from edgegw.demo.documents import Places
    from edgegw.demo.hosting import OpenHouse

    house = OpenHouse(
        places=Places(root=root, configs=CONFIGS), tell=lambda line: click.echo(line, err=True), seed=seed
    )
    try:
        if not asyncio.run(run_until_stopped(house.run())):
            click.echo("closed", err=True)
    except EdgegwError as fault:
        raise _ended(fault, root) from fault


def _ended(fault: EdgegwError, root: Path) -> Ended:
    logs = f"logs: {root / 'logs'}"
    return Ended("\n".join(filter(None, (str(fault), fault.hint, logs))), Exit.PROBLEMS)
