"""`edgegw init`: create a working configuration from a few questions, or none.

Decides questions, defaults and the final output. `commissioning.install` decides which files are made.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit, can_ask, json_option, show
from edgegw.config.schema import NAME

if TYPE_CHECKING:
    from edgegw.commissioning.install import Wishes
    from edgegw.commissioning.site import PeerPlace
    from edgegw.config.schema import Config

Network = IPv4Network | IPv6Network
PEER_PORT = 7051
LEDGERS = ("sandbox", "embedded", "peer")


class NetworkType(click.ParamType[Network]):
    """An IP network as in 192.168.7.0/24."""

    name = "network"

    def convert(
        self, value: str | Network, param: click.Parameter | None, ctx: click.Context | None
    ) -> Network:
        """The network."""
        try:
            return ipaddress.ip_network(value)
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


@click.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder for the configuration."
)
@click.option("--station-id", help="Id of this station.")
@click.option("--zone", help="Price zone of the ledger.")
@click.option(
    "--geohash", default="wydm6", show_default=True, help="Approximate location of the station (sandbox)."
)
@click.option("--host", help="Address to listen on for chargers; 0.0.0.0 listens on every interface.")
@click.option(
    "--public-host", help="Address by which chargers reach this machine, if it differs from --host."
)
@click.option(
    "--ocpp-port",
    type=click.IntRange(1, 65535),
    default=8887,
    show_default=True,
    help="Port for chargers without TLS.",
)
@click.option(
    "--tls-port",
    type=click.IntRange(1, 65535),
    default=8443,
    show_default=True,
    help="Port for chargers with TLS.",
)
@click.option(
    "--health-port", type=click.IntRange(0, 65535), help="Port for health checks and metrics; default: 9464."
)
@click.option(
    "--web-port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port of the driver pages.",
)
@click.option(
    "--operator-port",
    type=click.IntRange(1, 65535),
    default=8090,
    show_default=True,
    help="Port of the operator pages.",
)
@click.option(
    "--plaintext-network", type=NetworkType(), help="Network whose chargers may connect without TLS."
)
@click.option(
    "--sandbox",
    is_flag=True,
    help="Create an embedded peer, participants, a tariff and a member with tokens.",
)
@click.option("--embedded-peer", is_flag=True, help="Create only an embedded peer.")
@click.option("--peer", help="HOST:PORT of the organisation's peer, or on which the embedded peer listens.")
@click.option(
    "--identity",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the gateway's identity: <MSP>/<name>.",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Trust file: CA certificates of the organisations.",
)
@click.option(
    "--gateway-id",
    default="gateway1",
    show_default=True,
    help="Gateway id in the certificate of the identity.",
)
@click.option(
    "--reissue", is_flag=True, help="Only issue new server certificates, for a new address of this machine."
)
@click.option("--yes", is_flag=True, help="Do not ask; use options and defaults.")
@click.option("--no-qr", is_flag=True, help="Do not draw the address as a QR code.")
@json_option
def init(*, reissue: bool, yes: bool, no_qr: bool, as_json: bool, **options: object) -> None:
    """Write a working configuration with keys and certificates, and show the address to enter in a charger."""
    from edgegw.commissioning.install import SANDBOX_CARD, install

    if reissue:
        _reissue(_folder(options), as_json=as_json)
        return
    wishes = _wishes(options, asks=not yes)
    config = install(wishes, lambda line: click.echo(line, err=True))
    card = SANDBOX_CARD if wishes.sandbox else None
    if as_json:
        show(_found(wishes, config, card), as_json=True)
    else:
        _print_result(wishes, config, card, qr=not no_qr)


def _wishes(options: dict[str, object], *, asks: bool) -> "Wishes":
    from edgegw.commissioning.addresses import is_loopback, local_addresses
    from edgegw.commissioning.install import CONFIG, ExistsError, Wishes

    folder = _folder(options)
    if (folder / CONFIG).exists():  # before a question is asked
        raise ExistsError(f"{folder / CONFIG} exists already; it is not changed")
    if asks and not can_ask():
        raise click.UsageError(
            "standard input is not a terminal: use --yes, with options for values that differ from the defaults"
        )
    station_id = options["station_id"] or _ask("Station id", _default_name(), asks=asks, fits=_name)
    zone = options["zone"] or _ask("Price zone of the ledger", "KR-SEOUL", asks=asks, fits=_name)
    near = next((str(one.address) for one in local_addresses()), "127.0.0.1") if asks else "127.0.0.1"
    host = str(options["host"] or _ask("Address to listen on for chargers", near, asks=asks))
    ledger = _ledger(options, asks=asks)
    network = options["plaintext_network"]
    if network is None and asks and not is_loopback(host):
        network = _agreed_network(host)
    return Wishes(
        folder=folder,
        station_id=str(station_id),
        zone=str(zone),
        geohash=str(options["geohash"]),
        host=host,
        port=int(str(options["ocpp_port"])),
        tls_port=int(str(options["tls_port"])),
        public_host=None if options["public_host"] is None else str(options["public_host"]),
        plaintext_network=network if isinstance(network, Network) else None,
        endpoint=_endpoint(options["peer"]),
        peer=_other_peer(options) if ledger == "peer" else None,
        sandbox=ledger == "sandbox",
        health_port=options["health_port"] if isinstance(options["health_port"], int) else None,
        web_port=int(str(options["web_port"])),
        operator_port=int(str(options["operator_port"])),
    )


def _folder(options: dict[str, object]) -> Path:
    from edgegw.commissioning.install import SYSTEM_CONFIG

    default = SYSTEM_CONFIG if os.geteuid() == 0 else Path()
    return (_path(options["folder"]) or default).absolute()


def _reissue(folder: Path, *, as_json: bool) -> None:
    from edgegw.commissioning.install import CONFIG, reissue

    authority = reissue(folder / CONFIG)
    show({"authority": str(authority.certificate), "issued": str(authority.folder)}, as_json=as_json)
    click.echo("run systemctl reload edgegw to use the new certificates", err=True)


def _ask(question: str, default: str, *, asks: bool, fits: Callable[[str], str] = str) -> str:
    """Ask a question until the answer fits; return the default if `asks` is False."""
    return str(click.prompt(question, default=default, err=True, value_proc=fits)) if asks else default


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise click.BadParameter(
            f"{text!r}: expected 1 to 48 characters of A-Z a-z 0-9 * - _ = : + | @ . without spaces"
        )
    return text


def _default_name() -> str:
    """Return this machine's host name, reduced to the characters of an OCPP identifier."""
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0])[:48] or "station-1"


def _agreed_network(host: str) -> Network | None:
    """Return the local network if the installer agrees that its chargers may connect without TLS."""
    from edgegw.commissioning.addresses import network_of

    network = network_of(host)
    if network is None:
        return None
    click.echo(
        f"Without TLS, every device in {network} can read the chargers' passwords and impersonate a charger.\n"
        "Agree only if the network contains nothing but chargers. With TLS, chargers need this station's CA certificate.",
        err=True,
    )
    agreed = click.confirm(f"May chargers in {network} connect without TLS?", default=False, err=True)
    return network if agreed else None


def _ledger(options: dict[str, object], *, asks: bool) -> str:
    """Return `sandbox`, `embedded` or `peer`; a usage error if neither options nor the installer decide."""
    if options["sandbox"] or options["embedded_peer"]:
        if options["identity"] or options["trust"]:
            raise click.UsageError("--identity and --trust are for an external peer, not for an embedded one")
        return "sandbox" if options["sandbox"] else "embedded"
    if all(options[name] for name in ("peer", "identity", "trust")):
        return "peer"
    missing = "--peer HOST:PORT --identity DIR --trust FILE, or --embedded-peer, or --sandbox to try it out"
    if not asks or any(options[name] for name in ("peer", "identity", "trust")):
        raise click.UsageError(f"choose a ledger: {missing}")
    choice = str(click.prompt("Ledger", type=click.Choice(LEDGERS), default="sandbox", err=True))
    if choice == "peer":
        options["peer"] = click.prompt("Address of the peer (HOST:PORT)", err=True)
        options["identity"] = click.prompt(
            "Identity of the gateway (folder <MSP>/<name>)", type=Path, err=True
        )
        options["trust"] = click.prompt(
            "CA certificates of the organisations (trust file)", type=Path, err=True
        )
    return choice


def _other_peer(options: dict[str, object]) -> "PeerPlace":
    """Return the organisation's own peer; checks that identity and trust file are usable."""
    from edgegw.commissioning.site import PeerPlace
    from edgegw.common.errors import ConfigError
    from edgegw.ledger.identity import load_signer, load_trust

    identity, trust = _path(options["identity"]), _path(options["trust"])
    assert identity is not None
    assert trust is not None
    try:
        load_signer(identity)
        load_trust(trust)
    except ConfigError as fault:
        raise Ended(str(fault), Exit.CONFIGURATION) from fault
    return PeerPlace(
        endpoint=_endpoint(options["peer"]),
        identity=identity.absolute(),
        trust_file=trust.absolute(),
        gateway_id=str(options["gateway_id"]),
    )


def _endpoint(given: object) -> str:
    """Return HOST:PORT from the options, else the first free loopback port."""
    if given is None:
        from edgegw.commissioning.addresses import free_port

        return f"127.0.0.1:{free_port(PEER_PORT)}"
    if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):[1-9]\d{0,4}", str(given)):
        raise click.UsageError(f"--peer {given}: expected HOST:PORT")
    return str(given)


def _path(given: object) -> Path | None:
    return given if isinstance(given, Path) else None


def _found(wishes: "Wishes", config: "Config", card: str | None) -> dict[str, object]:
    from edgegw.commissioning.addresses import charger_urls

    pages = _pages(config)
    return {
        "config": str(wishes.config),
        "urls": [one.url for one in charger_urls(config.ocpp)],
        "authority": str(wishes.folder / "tls" / "ca.pem"),
        "card": card,
        "peer": config.ledger.endpoint,
        **({"pages": pages} if pages else {}),
    }


def _pages(config: "Config") -> dict[str, str]:
    """Return the origins of the drivers' and the operator's pages."""
    from edgegw.daemon.pages import origins

    return dict(origins(config))


def _print_result(wishes: "Wishes", config: "Config", card: str | None, *, qr: bool) -> None:
    from edgegw.cli.charger import show_urls

    click.echo("\nEnter this address in each charger:")
    show_urls(config, qr=qr)
    is_found = wishes.system or wishes.folder == Path.cwd()  # without --config
    option = "" if is_found else f" --config {wishes.config}"
    start = "sudo systemctl enable --now edgegw" if wishes.system else f"edgegw run{option}"
    steps = [
        f"edgegw check{option}",
        start,
        f"connect a charger, then run edgegw charger list{option}; edgegw charger approve ID{option}",
    ]
    if card is None:
        steps.append(
            f"add a driver and a card: edgegw member add{option}; edgegw member link MEMBER_ID{option}"
        )
    else:
        steps.append(
            f"plug in with the card {card}, whose driver has tokens, then run edgegw trade list{option}"
        )
    pages = _pages(config)
    if "operator" in pages:
        steps.append(
            f"set the operator password: edgegw operator password{option}, then open {pages['operator']}"
        )
    if "drivers" in pages:
        steps.append(
            f"open the driver pages: {pages['drivers']}; print the label of each EVSE: /evse/ID/label"
        )
    click.echo("\nNext:")
    for number, step in enumerate(steps, start=1):
        click.echo(f"  {number}. {step}")
