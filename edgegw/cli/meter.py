"""`edgegw meter`: read, find and diagnose meters, configured or not. Never writes to a meter.

Only `adopt` changes state, in the running daemon: it accepts a replaced meter.
"""

import asyncio
import os
import sys
import time
from asyncio import sleep
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgegw.cli.console import Ended, Exit, config_option, default_config, json_option, show
from edgegw.cli.table import show_table
from edgegw.common.errors import DeviceError, JournalError
from edgegw.common.stop_signals import run_until_stopped
from edgegw.config.schema import Config, MeterConfig, load

if TYPE_CHECKING:
    from edgegw.meters.profile import Profile
    from edgegw.meters.register_dump import Look, MeterAddress
    from edgegw.meters.scan import Candidate

_Command = TypeVar("_Command", bound=Callable[..., object])
REGISTER_COLUMNS = ("register", "address", "words", "raw", "value", "unit")
WATCH_S = 1.0

# The configuration is loaded only where a command needs it: a meter can be read before anything is configured.
config_path_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EDGEGW_CONFIG",
    default=default_config,
    help="Configuration file (or EDGEGW_CONFIG); default: edgegw.toml in the current folder or in /etc/edgegw.",
)


def _place_options(command: _Command) -> _Command:
    for option in (
        click.option(
            "--unit", type=click.IntRange(0, 247), default=1, show_default=True, help="Modbus unit id."
        ),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            default=502,
            show_default=True,
            help="Modbus TCP port.",
        ),
        click.option("--host", help="Address of the meter or its Modbus TCP gateway."),
        click.option("--profile", "profile_name", help="Meter profile: a name or a file."),
    ):
        command = option(command)
    return command


@click.group()
def meter() -> None:
    """Read, find and diagnose meters."""


# --- list -----------------------------------------------------------------------------------------------------------


@meter.command("list")
@config_option
@json_option
def list_meters(*, config: Config, as_json: bool) -> None:
    """List all configured meters with their last reading, from the daemon, or from its journal when it does not run."""
    known, source = _known_meters(config)
    serves = {evse.meter: evse.id for charger in config.chargers for evse in charger.evses}
    rows = [_row(one, serves.get(one.id), known.get(one.id)) for one in config.meters]
    if as_json:
        show({"source": source, "meters": rows}, as_json=True)
        return
    click.echo(f"from {source}", err=True)
    columns = (
        "meter",
        "evse",
        "profile",
        "address",
        "unit",
        "state",
        "import_wh",
        "export_wh",
        "power_w",
        "age_s",
    )
    show_table(rows, columns, empty="no meters are configured; run edgegw meter scan --host HOST")
    for row in rows:
        if row["code"] is not None and row["state"] != "ok":
            click.echo(f"{row['meter']}: {_explained(row)}", err=True)


def _row(one: MeterConfig, evse: str | None, told: dict[str, Any] | None) -> dict[str, Any]:
    unread = {"state": "never read", "code": None, "detail": None}
    place = {
        "meter": one.id,
        "evse": evse,
        "profile": one.profile,
        "address": f"{one.host}:{one.port}",
        "unit": one.unit,
    }
    return {**place, **(told or unread)}


def _explained(row: dict[str, Any]) -> str:
    from edgegw.common.error_codes import explained

    return explained(str(row["code"]), str(row["detail"]))


def _known_meters(config: Config) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what is known of each meter, and the source: daemon or journal."""
    from edgegw.cli.daemon import DaemonAwayError, ask_daemon

    try:
        answer = ask_daemon(config, "status")
    except DaemonAwayError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("meters"), dict):
        return answer["meters"], "the running daemon"
    return _journalled(
        config
    ), f"the journal {config.journal_path} (the daemon is not running)" if answer is None else (
        f"the journal {config.journal_path}"
    )


def _journalled(config: Config) -> dict[str, dict[str, Any]]:
    from edgegw.common.units import SECOND_NS
    from edgegw.core.metering import MeterAccount
    from edgegw.gateway.row_codec import decode_row
    from edgegw.meters.meter_status import present
    from edgegw.store.journal_reader import JournalReader

    try:
        rows = JournalReader(config.journal_path).rows("meters/")
    except JournalError:
        return {}  # nothing is journalled yet
    stale_ns = config.settlement.stale_meter_s * SECOND_NS
    accounts = {key.removeprefix("meters/"): decode_row(MeterAccount, text) for key, text in rows.items()}
    return {name: present(account, time.time_ns(), stale_ns) for name, account in accounts.items()}


# --- read -----------------------------------------------------------------------------------------------------------


@meter.command()
@click.argument("meter_id", required=False)
@_place_options
@click.option("--watch", is_flag=True, help="Repeat each second until Ctrl-C.")
@config_path_option
@json_option
def read(*, meter_id: str | None, watch: bool, config: Path, as_json: bool, **place: Any) -> None:
    """Read every register of a meter once: by its id, or with --profile and --host before it is configured."""
    profile, where, _ = _which(meter_id, config, **place)

    async def again_and_again() -> None:
        while True:
            try:
                await _show_look(meter_id, profile, where, as_json=as_json)
            except DeviceError as fault:
                click.echo(str(fault), err=True)
            await sleep(WATCH_S)

    if watch:
        asyncio.run(run_until_stopped(again_and_again()))
    else:
        asyncio.run(_show_look(meter_id, profile, where, as_json=as_json))


async def _show_look(
    meter_id: str | None, profile: "Profile", where: "MeterAddress", *, as_json: bool
) -> None:
    from edgegw.meters.register_dump import look_once

    seen = await look_once(where, profile, name=meter_id or "")
    if as_json:
        show(
            {"meter": meter_id, "profile": profile.profile_id, "at": str(where), **_look_json(seen)},
            as_json=True,
        )
        return
    click.echo(f"{meter_id or profile.profile_id}: {where}", err=True)
    show_table(_look_rows(seen), REGISTER_COLUMNS)


def _which(
    meter_id: str | None,
    config: Path,
    *,
    profile_name: str | None,
    host: str | None,
    port: int,
    unit: int,
) -> tuple["Profile", "MeterAddress", MeterConfig | None]:
    """Return profile, address and configuration of a meter: the configured one, or as the options state (None)."""
    from edgegw.meters.profile import named_profile, shipped_profiles
    from edgegw.meters.register_dump import MeterAddress

    if meter_id is not None:
        one = _configured(load(config), meter_id)
        return named_profile(one.profile), MeterAddress(host=one.host, port=one.port, unit_id=one.unit), one
    if profile_name is None or host is None:
        raise click.UsageError(
            f"give a meter id, or --profile and --host; meter profiles: {', '.join(shipped_profiles())}"
        )
    return named_profile(profile_name), MeterAddress(host=host, port=port, unit_id=unit), None


def _configured(config: Config, meter_id: str) -> MeterConfig:
    found = next((one for one in config.meters if one.id == meter_id), None)
    if found is None:
        known = ", ".join(one.id for one in config.meters) or "none"
        raise Ended(f"no [[meters]] has the id {meter_id!r}; configured meters: {known}", Exit.PROBLEMS)
    return found


def _look_rows(seen: "Look") -> list[dict[str, object]]:
    return [
        {
            "register": one.name,
            "address": f"{one.address:#06x}",
            "words": one.hex_words,
            "raw": one.raw,
            "value": one.value,
            "unit": one.unit,
        }
        for one in seen.shown
    ]


def _look_json(seen: "Look") -> dict[str, object]:
    return {
        "registers": [
            {**row, "function_code": one.fc} for row, one in zip(_look_rows(seen), seen.shown, strict=True)
        ],
        "import_mwh": seen.sample.energy.import_mwh,
        "export_mwh": seen.sample.energy.export_mwh,
        "power_w": seen.power_w,
        "serial": seen.serial,
        "round_trip_us": (seen.sample.t1_ns - seen.sample.t0_ns) // 1000,
    }


# --- scan -----------------------------------------------------------------------------------------------------------


@meter.command()
@click.option("--host", help="Address of a meter or a Modbus TCP gateway.")
@click.option("--network", help="Scan every address of a network, at most a /24, such as 192.168.1.0/24.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=502, show_default=True, help="Modbus TCP port."
)
@click.option(
    "--units", help="Unit ids, such as 1-247 or 1,2,5; default: 1-247 with --host, 1 with --network."
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.05, 10),
    default=0.3,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@config_path_option
@json_option
def scan(
    *, host: str | None, network: str | None, units: str | None, config: Path, as_json: bool, **how: Any
) -> None:
    """Find the units that answer at an address and the meter profile of each. Reads only, and only there."""
    from edgegw.meters import scan as room
    from edgegw.meters.profile import named_profile, shipped_profiles

    if (host is None) == (network is None):
        raise click.UsageError("give either --host or --network: only addresses that you name are scanned")
    hosts = room.hosts_of(host, network)
    unit_ids = room.unit_ids_of(units or ("1-247" if host else "1"))
    profiles = [named_profile(name) for name in shipped_profiles()]
    with _progress() as asked:
        found = asyncio.run(room.scan(hosts, unit_ids, profiles, asked=asked, **how))
    configured = load(config).meters if os.access(config, os.R_OK) else ()
    names = {(one.host, one.port, one.unit): one.id for one in configured}
    rows = [_candidate_row(one, names.get((one.host, one.port, one.unit_id))) for one in found]
    if as_json:
        show({"asked": len(hosts) * len(unit_ids), "found": rows}, as_json=True)
    else:
        columns = ("address", "unit", "meter", "profile", "sure", "reason", "others")
        show_table(rows, columns, empty="no unit answers")
        for row in rows:
            if row["meter"] is None:
                click.echo(f"\n{row['toml']}", nl=False)
    if not found:
        raise click.exceptions.Exit(Exit.PROBLEMS)


def _candidate_row(one: "Candidate", meter_id: str | None) -> dict[str, object]:
    from edgegw.meters.scan import as_toml

    return {
        "address": f"{one.host}:{one.port}",
        "unit": one.unit_id,
        "meter": meter_id,
        "profile": one.profile_id,
        "sure": one.sure,
        "reason": one.reason,
        "others": ", ".join(one.others) or None,
        "serial": one.serial,
        "toml": as_toml(one),
    }


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Provide a progress counter on standard error; silent unless that is a terminal."""
    tells = sys.stderr.isatty()

    def asked(done: int, total: int) -> None:
        if tells:
            click.echo(f"\rscanned {done} of {total} ", nl=False, err=True)

    yield asked
    if tells:
        click.echo(err=True)


# --- diagnose -------------------------------------------------------------------------------------------------------


@meter.command()
@click.argument("meter_id", required=False)
@_place_options
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    help="Seconds between the two readings.",
)
@config_path_option
@json_option
def diagnose(*, meter_id: str | None, seconds: float, config: Path, as_json: bool, **place: Any) -> None:
    """Read a meter twice and report faults of its wiring or its meter profile; exit status 1 if a check failed."""
    from edgegw.meters.diagnose import FAILED, as_rows
    from edgegw.meters.diagnose import diagnose as judge
    from edgegw.meters.register_dump import observe_once

    profile, where, one = _which(meter_id, config, **place)
    told: dict[str, Any] = {}
    if one is not None:
        station = load(config)
        known = _journalled(station).get(one.id, {})
        rated_w = {
            evse.meter: evse.rated_w + evse.discharge_w
            for charger in station.chargers
            for evse in charger.evses
        }
        told = {"known_serial": known.get("serial"), "swapped": one.swapped, "rated_w": rated_w.get(one.id)}
    seen = asyncio.run(observe_once(where, profile, seconds_s=seconds, name=meter_id or ""))
    findings = judge(profile, seen, **told)
    failed = any(finding.verdict == FAILED for finding in findings)
    if as_json:
        looks = {"first": _look_json(seen.first), "last": _look_json(seen.last)}
        show({"ok": not failed, "at": str(where), "findings": as_rows(findings), **looks}, as_json=True)
    else:
        click.echo(f"{meter_id or profile.profile_id}: {where}, profile {profile.profile_id}", err=True)
        show_table(_look_rows(seen.last), REGISTER_COLUMNS)
        click.echo()
        show_table(as_rows(findings), ("what", "measured", "verdict", "remedy"))
    if failed:
        raise click.exceptions.Exit(Exit.PROBLEMS)


# --- adopt ----------------------------------------------------------------------------------------------------------


@meter.command()
@click.argument("meter_id")
@config_option
@json_option
def adopt(*, meter_id: str, config: Config, as_json: bool) -> None:
    """Adopt the meter that answers now as METER_ID, after a planned replacement; until then its EVSE stays at 0 W."""
    from edgegw.cli.daemon import ask_daemon

    show(ask_daemon(config, "adopt", meter_id=_configured(config, meter_id).id), as_json=as_json)
