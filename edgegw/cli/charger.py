"""`edgegw charger`: list, approve and reject chargers, and show the address to enter in one.

Decides what the installer is asked and the order of the output. Waiting and refused chargers come from the daemon (control
socket); `commissioning.approval` decides what is written for an approved charger.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.console import Ended, Exit, can_ask, config_option, config_path, json_option, printable, show
from edgegw.cli.daemon import DaemonAwayError, ask_daemon
from edgegw.cli.table import show_table
from edgegw.common.error_codes import REMEDIES, explained
from edgegw.config.schema import ChargerConfig, Config

if TYPE_CHECKING:
    from edgegw.commissioning.approval import EvseWish

APPENDS = "Most chargers append their charger id to the address. If yours does not, add the id at the end."
DIALECTS = ("negative_limit_w", "negative_limit_a", "none")
COLUMNS = ("charger", "state", "from", "what")
VERSIONS = ("1.6", "2.0.1", "2.1")
RATED_W = 22_000
PASSWORD_PLACE = "Basic authentication password (1.6: AuthorizationKey, 2.x: BasicAuthPassword)"  # noqa: S105 - a place's name


@click.group()
def charger() -> None:
    """List, approve and reject chargers."""


@charger.command("list")
@config_option
@json_option
def list_chargers(*, config: Config, as_json: bool) -> None:
    """List all chargers, those with a problem first: refused, waiting, rejected, away, connected."""
    found = ask_daemon(config, "chargers")
    if as_json:
        show(found, as_json=True)
        return
    rows = [*map(_refused_row, found["refused"]), *map(_waiting_row, found["waiting"])]
    rows += [(one, "rejected", "", "admit it: edgegw charger approve") for one in found["rejected"]]
    rows += [_configured_row(one) for one in sorted(found["configured"], key=lambda one: bool(one["online"]))]
    if not rows:
        click.echo("no charger has connected yet; enter this address in a charger:")
        show_urls(config, qr=False)
        return
    show_table([dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS)


@charger.command("show")
@click.argument("charger_id")
@config_option
@json_option
def show_charger(*, charger_id: str, config: Config, as_json: bool) -> None:
    """Show one charger: its configuration, connection, approval state and refusals."""
    configured = _configured(config, charger_id)
    known: dict[str, Any] = {"charger_id": charger_id}
    if configured is not None:
        known["configuration"] = configured.model_dump(mode="json", exclude={"password_hash"})
    try:
        found = ask_daemon(config, "chargers")
    except DaemonAwayError as away:
        if configured is None:
            raise
        click.echo(away.format_message(), err=True)
        show(known, as_json=as_json)
        return
    for place, name in (("configured", "id"), ("waiting", "charger_id"), ("refused", "charger_id")):
        entries = [one for one in found[place] if one[name] == charger_id]
        if entries:
            known[place] = entries if place == "refused" else entries[0]
    if charger_id in found["rejected"]:
        known["rejected"] = True
    if len(known) == 1:
        raise Ended(f"charger {charger_id} is unknown; edgegw charger list shows all chargers", Exit.PROBLEMS)
    for one in known.get("refused", ()):
        one["remedy"] = _explained(one)
    show(known, as_json=as_json)


@charger.command()
@click.argument("charger_id")
@config_option
@json_option
def reject(*, charger_id: str, config: Config, as_json: bool) -> None:
    """Reject a waiting charger; it cannot wait again until it is approved."""
    ask_daemon(config, "reject", charger_id=charger_id)
    show({"charger_id": charger_id, "rejected": True}, as_json=as_json)


@charger.command()
@click.argument("charger_id", default="")
@click.option("--qr", is_flag=True, help="Draw the first address as a QR code.")
@config_option
@json_option
def url(*, charger_id: str, qr: bool, config: Config, as_json: bool) -> None:
    """Show the address to enter in a charger."""
    from edgegw.commissioning.addresses import charger_urls

    if as_json:
        found = [{"url": one.url, "remark": one.remark} for one in charger_urls(config.ocpp, charger_id)]
        show(found, as_json=True)
    else:
        show_urls(config, charger_id, qr=qr)


@charger.command()
@click.argument("charger_id")
@click.option(
    "--evse",
    "evses",
    multiple=True,
    metavar="NUMBER=NAME",
    help="Number and name of each EVSE; default: as the charger reports.",
)
@click.option("--meter", "meters", multiple=True, help="A configured meter for each EVSE, in their order.")
@click.option("--meter-profile", help="Meter profile of a new meter.")
@click.option(
    "--meter-host", help="Address of the new meter or its Modbus TCP gateway.  [default: 127.0.0.1]"
)
@click.option("--meter-port", type=click.IntRange(1, 65535), help="Its Modbus TCP port.  [default: 502]")
@click.option(
    "--meter-unit",
    "meter_units",
    type=click.IntRange(0, 247),
    multiple=True,
    help="Modbus unit id for each EVSE, in their order.",
)
@click.option("--rated-w", type=click.IntRange(1), help="Maximum charging power of each EVSE (W).")
@click.option(
    "--discharge-w",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Maximum discharging power of each EVSE (W).",
)
@click.option("--dialect", type=click.Choice(DIALECTS), help="How the charger discharges below OCPP 2.1.")
@click.option(
    "--version", type=click.Choice(VERSIONS), help="The only OCPP version that the charger may use."
)
@click.option(
    "--new-password",
    is_flag=True,
    help="Create a password and show it once, instead of keeping the charger's own.",
)
@click.option(
    "--lower-profile", is_flag=True, help="Allow a connection without TLS again after a connection with TLS."
)
@config_option
@json_option
def approve(
    *, charger_id: str, config: Config, new_password: bool, lower_profile: bool, as_json: bool, **options: Any
) -> None:
    """Approve a charger: write its part of the configuration and reload the daemon."""
    from edgegw.commissioning import approval
    from edgegw.common.passwords import hash_password

    place = config_path()
    configured = _configured(config, charger_id)
    if configured is not None and not (new_password or lower_profile):
        raise Ended(
            f"{charger_id} is approved already; edgegw charger show {charger_id} shows it", Exit.PROBLEMS
        )
    pending = {} if configured else _pending(config, charger_id)
    password, password_hash = None, pending.get("password_hash")
    if new_password or (configured is None and not password_hash):
        password = approval.new_password()
        password_hash = hash_password(password)
    file = None
    if configured is None:
        wish = approval.Approval(
            charger_id=charger_id,
            password_hash=str(password_hash),
            evses=_evses(charger_id, config, pending, options=options),
            rated_w=options["rated_w"]
            or _number("Maximum charging power of each EVSE (W)", RATED_W, "--rated-w"),
            discharge_w=options["discharge_w"],
            dialect=options["dialect"],
            version=options["version"],
        )
        file = approval.put_in_place(place, charger_id, wish.tables())
    elif password is not None:
        tables = approval.with_password(place, charger_id, str(password_hash))
        file = approval.put_in_place(place, charger_id, tables)
    result: dict[str, Any] = {
        "charger_id": charger_id,
        "file": None if file is None else str(file),
        "password": password,
        "reload": None if file is None else _reload(config),
        "lowered": lower_profile and _lower(config, charger_id),
    }
    if as_json:
        show(result, as_json=True)
    else:
        _print_result(config, result, pending)


def _configured(config: Config, charger_id: str) -> ChargerConfig | None:
    return next((one for one in config.chargers if one.id == charger_id), None)


def _pending(config: Config, charger_id: str) -> dict[str, Any]:
    """Return what the daemon knows of a waiting charger; empty if it has not connected or the daemon does not run."""
    try:
        found: dict[str, Any] = ask_daemon(config, "stranger", charger_id=charger_id)
    except DaemonAwayError as away:
        click.echo(away.format_message(), err=True)
        return {}
    except Ended as refusal:
        if refusal.exit_code != Exit.PROBLEMS:
            raise
        click.echo(
            f"{charger_id} does not wait for approval yet; set the password shown below in the charger",
            err=True,
        )
        return {}
    return found


def _reload(config: Config) -> dict[str, Any] | None:
    """Reload the daemon and return its answer; None if it does not run."""
    try:
        found: dict[str, Any] = ask_daemon(config, "reload")
    except DaemonAwayError:
        return None
    return found


def _lower(config: Config, charger_id: str) -> bool:
    ask_daemon(config, "lower_profile", charger_id=charger_id)
    return True


def _evses(
    charger_id: str, config: Config, pending: Mapping[str, Any], *, options: Mapping[str, Any]
) -> "tuple[EvseWish, ...]":
    """Return EVSEs with their meters: from the options, else as the charger reports, else as the installer answers."""
    from edgegw.commissioning.approval import EvseWish

    names = dict(_numbered(text) for text in options["evses"])
    if not names:
        reported = [number for number in pending.get("evses", ()) if number > 0]
        count = len(reported) or _number("Number of EVSEs (connectors)", 1, "--evse NUMBER=NAME")
        numbers = reported or list(range(1, count + 1))
        names = {number: f"{charger_id}-{number}"[-48:] for number in numbers}
    numbers = sorted(names)
    meters = options["meters"] or _chosen_meters(config, numbers, options)
    if meters:
        if len(meters) != len(numbers):
            raise click.UsageError(f"expected one --meter for each of the EVSEs {numbers}, in their order")
        return tuple(
            EvseWish(number=number, evse_id=names[number], meter_id=meter)
            for number, meter in zip(numbers, meters, strict=True)
        )
    profile = options["meter_profile"] or _meter_profile(config)
    host = options["meter_host"] or _host()
    port = options["meter_port"] or (
        _number("Modbus TCP port of the meter", 502, "--meter-port") if can_ask() else 502
    )
    units = list(options["meter_units"]) or [
        _number(f"Modbus unit id of the meter of EVSE {number}", number, "--meter-unit") for number in numbers
    ]
    if len(units) != len(numbers):
        raise click.UsageError(f"expected one --meter-unit for each of the EVSEs {numbers}, in their order")
    return tuple(
        EvseWish(
            number=number,
            evse_id=names[number],
            meter_id=f"M-{names[number]}"[:48],
            meter={
                "profile": profile,
                "host": host,
                "port": port,
                "unit": unit,
            },
        )
        for number, unit in zip(numbers, units, strict=True)
    )


def _numbered(text: str) -> tuple[int, str]:
    number, equals, name = text.partition("=")
    if not equals or not number.isdecimal() or int(number) < 1:
        raise click.UsageError(f"--evse {text}: expected NUMBER=NAME, such as 1=BAY-1")
    return int(number), name


def _chosen_meters(config: Config, numbers: Sequence[int], options: Mapping[str, Any]) -> list[str]:
    """Return free configured meters, one for each EVSE, if the installer chooses them; empty: new meters are needed."""
    free = [one.id for one in config.meters if one.id not in _serving(config)]
    if options["meter_profile"] or not can_ask() or len(free) < len(numbers):
        return []
    chosen = []
    for number in numbers:
        one = click.prompt(
            f"Meter of EVSE {number}", type=click.Choice([*free, "new"]), default=free[0], err=True
        )
        if one == "new":
            return []
        chosen.append(str(one))
        free.remove(chosen[-1])
    return chosen


def _meter_profile(config: Config) -> str:
    """Ask for the meter profile of a new meter."""
    from edgegw.common.bundled_files import configs

    known = sorted(path.stem for path in (configs() / "meters").glob("*.json"))
    free = [one.id for one in config.meters if one.id not in _serving(config)]
    hint = f"--meter-profile ({', '.join(known)})" + (f" or --meter ({', '.join(free)})" if free else "")
    if not can_ask():
        raise click.UsageError(f"the EVSEs need a meter: give {hint}")
    return str(click.prompt("Meter profile of the meter", type=click.Choice(known), err=True))


def _host() -> str:
    """Ask for the host of a new meter; without a terminal return this machine's and print it."""
    if not can_ask():
        click.echo("Address of the meter: using 127.0.0.1; --meter-host changes it", err=True)
        return "127.0.0.1"
    return str(click.prompt("Address of the meter or its Modbus TCP gateway", err=True))


def _serving(config: Config) -> set[str]:
    return {evse.meter for one in config.chargers for evse in one.evses}


def _number(question: str, default: int, option: str) -> int:
    """Ask the installer for a number; without a terminal return the default and print it."""
    if not can_ask():
        click.echo(f"{question}: using {default}; {option} changes it", err=True)
        return default
    return int(click.prompt(question, type=click.IntRange(0), default=default, err=True))


def _print_result(config: Config, result: Mapping[str, Any], pending: Mapping[str, Any]) -> None:
    charger_id, reloaded = result["charger_id"], result["reload"]
    if result["file"]:
        click.echo(f"{charger_id} is approved: {result['file']}")
    if result["lowered"]:
        click.echo(f"{charger_id} may connect without TLS again")
    if result["password"]:
        click.echo(f"Password of {charger_id}, shown only once: {result['password']}")
        click.echo(f"Set it in the charger as {PASSWORD_PLACE}, with the user name {charger_id}.")
        show_urls(config, charger_id, qr=False)
    elif pending.get("password_hash"):  # the first charger with this id chose it: show which one that was
        nameplate = printable(
            " ".join(str(pending[name]) for name in ("vendor", "model", "serial") if pending.get(name))
        )
        click.echo(
            f"The charger keeps the password that {nameplate or 'it'} at {pending['address']} sent, and is admitted at "
            "its next connection, within minutes. If that is not your charger, use --new-password."
        )
    if not result["file"]:
        return
    if reloaded is None:
        click.echo("The daemon does not run; it reads the new configuration when it starts.")
    elif reloaded["needs_restart"]:
        click.echo(f"Restart the daemon to apply: {', '.join(map(str, reloaded['needs_restart']))}")
    else:
        click.echo(f"The daemon applies: {', '.join(map(str, reloaded['changed'])) or 'nothing changed'}")


def show_urls(config: Config, charger_id: str = "", *, qr: bool) -> None:
    """Print the addresses with their remarks."""
    from edgegw.commissioning.addresses import charger_urls

    urls = charger_urls(config.ocpp, charger_id)
    width = max(len(one.url) for one in urls)
    for one in urls:
        click.echo(f"  {one.url:<{width}}  {one.remark}")
    if not charger_id:
        click.echo(APPENDS)
    if qr:
        from edgegw.common.qr import qr_terminal

        click.echo(qr_terminal(urls[0].url))


def _refused_row(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    times = f" ({one['count']} times, last {_time(one['at_ns'])})"
    return (one["charger_id"] or "-", "refused", one["address"], _explained(one) + times)


def _explained(one: Mapping[str, Any]) -> str:
    """Return cause and remedy of a refusal, with the charger's id if it is known."""
    if one["code"] not in REMEDIES:
        return str(one["code"])
    text = explained(one["code"], one.get("detail") or "")
    return text.replace("approve ID", f"approve {one['charger_id']}") if one["charger_id"] else text


def _waiting_row(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    named = " ".join(str(one[name]) for name in ("vendor", "model", "serial") if one.get(name))
    evses = f"EVSEs {', '.join(map(str, one['evses']))}" if one["evses"] else "no EVSE reported yet"
    state = "waiting" if one["connected"] else "waited"
    what = "; ".join(filter(None, (named, f"OCPP {one['version']}" if one["version"] else "", evses)))
    return (
        one["charger_id"],
        state,
        one["address"],
        f"{what}; edgegw charger approve {one['charger_id']}",
    )


def _configured_row(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    version = f"OCPP {one['version']}" if one.get("version") else ""
    profile = f"security profile {one['security_profile']}" if one.get("security_profile") else ""
    what = "; ".join(filter(None, (version, profile)))
    return (one["id"], "connected" if one["online"] else "AWAY", "", what)


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
