"""Run the command line `firmware-sim run|plan|charger|meter|audit`.

Decides how a scenario is started and stopped. `run`, `charger` and `meter` print one JSON object per line on standard
output, for a parent process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import uvloop

from firmware_sim import __version__
from firmware_sim.audit.report import Sources
from firmware_sim.audit.report import audit as recompute
from firmware_sim.ev import PPM, Car
from firmware_sim.places import MeterProfile
from firmware_sim.plans import VERSIONS, EvsePlan, Scenario, ScenarioFault, VisitPlan
from firmware_sim.scenario import build_scenario, read_scenario
from firmware_sim.sealed_books import replace_file
from firmware_sim.station import SimulatedStation
from firmware_sim.world import CLOCK_VARIABLE, NS_PER_S, Clock, iso

START_AFTER_S = 2
PATH = click.Path(path_type=Path, dir_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)


@click.group()
@click.version_option(__version__, prog_name="firmware-sim")
def main() -> None:
    """Simulated chargers, meters and cars for any OCPP and Modbus system."""
    for descriptor in range(
        3
    ):  # if the parent closed 0, 1 or 2, a socket could get that number, and libuv refuses to close it
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _load(path: Path) -> Scenario:
    try:
        return read_scenario(path)
    except ScenarioFault as fault:
        raise click.UsageError(f"{path}: {fault}") from fault


def _clock(scenario: Scenario, speed: str) -> Clock:
    """Return the clock from the environment, or else a new one that starts at the scenario's start."""
    clock = Clock.from_environment()
    if CLOCK_VARIABLE not in os.environ:
        clock = Clock(
            monotonic_origin_ns=time.monotonic_ns() + START_AFTER_S * NS_PER_S,
            utc_origin_ns=scenario.utc_start_ns,
            speed=Fraction(speed),
        )
    if clock.utc_end_ns is None:
        clock = dataclasses.replace(clock, utc_end_ns=scenario.utc_end_ns)
    return clock


def _run(station: SimulatedStation, ready_file: Path | None = None) -> None:
    """Run a station until SIGTERM or SIGINT."""

    def tell(message: dict[str, Any]) -> None:
        click.echo(json.dumps(message))
        sys.stdout.flush()
        if "ready" in message and ready_file is not None:
            replace_file(ready_file, json.dumps(message))

    async def go() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await station.run(stop, tell)

    try:
        uvloop.run(go())
    except OSError as fault:
        raise click.ClickException(str(fault)) from fault


@main.command()
@click.argument("scenario", type=PATH)
@click.option("--books", type=PATH, help="Where to write the sealed books.")
@click.option("--ready-file", type=PATH, help="Written when all chargers are connected.")
@click.option("--status", type=PATH, help="Rewritten each second with the station's state.")
@click.option("--csms", help="WebSocket address instead of the scenario's, without the charger's id.")
@click.option(
    "--speed", default="60", show_default=True, help=f"Simulated seconds a second, without {CLOCK_VARIABLE}."
)
def run(
    scenario: Path,
    *,
    books: Path | None,
    ready_file: Path | None,
    status: Path | None,
    csms: str | None,
    speed: str,
) -> None:
    """Run SCENARIO until it is stopped; simulated time halts at the scenario's end."""
    plan = _load(scenario)
    if csms is not None:
        plan = dataclasses.replace(plan, csms=csms)
    _run(SimulatedStation(plan, _clock(plan, speed), books=books, status=status), ready_file)


@main.command()
@click.argument("scenario", type=PATH)
def plan(scenario: Path) -> None:
    """Print SCENARIO's EVSEs and visits as JSON."""
    loaded = _load(scenario)
    visits = [
        {
            **dataclasses.asdict(visit),
            "arrival": iso(visit.arrival_ns),
            "departure": iso(visit.departure_ns),
        }
        for visit in loaded.visits
    ]
    content = {
        "seed": loaded.seed,
        "utc_start": iso(loaded.utc_start_ns),
        "utc_end": iso(loaded.utc_end_ns),
        "utc_start_ns": loaded.utc_start_ns,
        "utc_end_ns": loaded.utc_end_ns,
        "evses": [dataclasses.asdict(evse) for evse in loaded.evses],
        "visits": visits,
    }
    click.echo(json.dumps(content, indent=1))


@main.command()
@click.option(
    "--csms", required=True, help="WebSocket address without the charger's id; wss:// for security profile 2."
)
@click.option("--ca-file", type=FILE, help="The authority to trust with wss://, instead of the system's.")
@click.option("--id", "charger_id", required=True, help="The charger's identity.")
@click.option("--ocpp", type=click.Choice(VERSIONS), default="2.1", show_default=True)
@click.option("--password", default="", help="Basic auth password; the user name is the identity.")
@click.option("--id-token", default="04A1B2C3D4E5F6", show_default=True)
@click.option("--no-card", is_flag=True, help="No card is presented: the car waits for a remote start.")
@click.option("--wanted-wh", type=int, default=10_000, show_default=True, help="Energy the car wants.")
@click.option("--minutes", type=int, default=60, show_default=True, help="How long the car stays.")
@click.option("--sells", is_flag=True, help="The car can discharge.")
@click.option(
    "--soc",
    "soc_percent",
    type=click.IntRange(0, 100),
    default=60,
    show_default=True,
    help="Its state of charge.",
)
@click.option(
    "--battery-wh",
    type=click.IntRange(min=1),
    default=60_000,
    show_default=True,
    help="Its battery's capacity.",
)
@click.option(
    "--meter-profile",
    type=MeterProfile(),
    help="Also serve a Modbus meter of this profile: a name or a file.",
)
@click.option("--meter-port", type=int, default=0)
def charger(  # noqa: PLR0913 - one parameter per option
    *,
    csms: str,
    ca_file: Path | None,
    charger_id: str,
    ocpp: str,
    password: str,
    id_token: str,
    no_card: bool,
    wanted_wh: int,
    minutes: int,
    sells: bool,
    soc_percent: int,
    battery_wh: int,
    meter_profile: Path | None,
    meter_port: int,
) -> None:
    """Run one charger in real time; a car plugs in after five seconds."""
    now_ns = time.time_ns()
    evse = EvsePlan(
        evse="EVSE1",
        charger_id=charger_id,
        ocpp=ocpp,
        dialect="setpoint" if ocpp == "2.1" else "negative_limit",
        password=password,
        sample_interval_s=30,
        meter_profile=str(meter_profile or ""),
        meter_port=meter_port,
    )
    visit = VisitPlan(
        evse="EVSE1",
        arrival_ns=now_ns + 5 * NS_PER_S,
        departure_ns=now_ns + minutes * 60 * NS_PER_S,
        wanted_wh=wanted_wh,
        id_token="" if no_card else id_token,
        car=Car(
            capacity_wh=battery_wh,
            soc_ppm=PPM * soc_percent // 100,
            max_discharge_w=10_000 if sells else None,
        ),
    )
    scenario = Scenario(
        seed=now_ns,
        utc_start_ns=now_ns,
        utc_end_ns=now_ns,
        csms=csms,
        ca_file=str(ca_file or ""),
        answer_timeout_s=10,
        evses=(evse,),
        visits=(visit,),
        faults=(),
    )
    _run(SimulatedStation(scenario, Clock.from_environment()))


@main.command()
@click.option(
    "--profile", type=MeterProfile(), required=True, help="The meter's register map: a name or a file."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=0, help="0: a free port, which is printed.")
@click.option("--unit", type=int, default=1, show_default=True)
@click.option("--power-w", type=int, default=5000, show_default=True, help="A constant import.")
def meter(*, profile: Path, host: str, port: int, unit: int, power_w: int) -> None:
    """Serve one meter in real time, with a constant power."""
    row = {
        "evse": "METER1",
        "charger_id": "METER1",
        "standby_w": power_w,
        "meter_profile": str(profile.resolve()),
        "meter_host": host,
        "meter_port": port,
        "unit_id": unit,
    }
    now_ns = time.time_ns()
    world = {"utc_start": iso(now_ns), "utc_end": iso(now_ns + NS_PER_S)}
    scenario = build_scenario({"world": world, "evses": [row]}, Path())
    station = SimulatedStation(scenario, Clock.from_environment(), chargers=False)
    _run(station)


@main.command()
@click.option("--blocks", type=FILE, required=True, help="All raw blocks, each after its length (varint).")
@click.option(
    "--trust", type=FILE, required=True, help="JSON object: organisation to root certificate (PEM)."
)
@click.option("--books", type=FILE, required=True, help="The sealed books of the same run.")
@click.option(
    "--station-facts", type=FILE, required=True, help="The station's facts, one JSON object a line."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON object.")
def audit(*, blocks: Path, trust: Path, books: Path, station_facts: Path, as_json: bool) -> None:
    """Recompute a ledger's blocks and compare them with the sealed books; exit status 1 on any difference."""
    report = recompute(Sources(blocks=blocks, trust=trust, books=books, facts=station_facts))
    if as_json:
        click.echo(json.dumps(report))
    else:
        for finding in report["findings"]:
            click.echo("{code} {where}: expected {expected}, found {found}".format(**finding))
        counts = {
            name: report.get(name) for name in ("blocks", "transactions", "trades", "witness", "ledger")
        }
        click.echo(f"{'verified' if report['verified'] else 'NOT VERIFIED'}: {json.dumps(counts)}")
    if not report["verified"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
