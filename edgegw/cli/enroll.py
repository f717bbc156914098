"""`edgegw enroll`: the station's identity on the ledger: certificate request, then installation; renewal is the same."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.commissioning.enrolment import Wanted

File = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.option("--representative", is_flag=True, help="Enroll the representative instead of the gateway.")
@click.option(
    "--key-uri", help="Where the private key is kept: pkcs11:... (created there) or credential:NAME."
)
@click.option("--keep-key", is_flag=True, help="Request a new certificate for the current key.")
@click.option("--install", "signed", type=File, help="Install this signed certificate.")
@click.option("--sign", "asked", type=File, help="Sign this request with the CA of the embedded peer.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    show_default=True,
    help="Validity of a certificate that --sign issues.",
)
@config_option
@json_option
def enroll(
    *,
    representative: bool,
    key_uri: str | None,
    keep_key: bool,
    signed: Path | None,
    asked: Path | None,
    days: int,
    config: Config,
    as_json: bool,
) -> None:
    """Create a key and a certificate request; --install puts the certificate in use without a restart."""
    if sum(bool(one) for one in (key_uri or keep_key, signed, asked)) > 1:
        raise click.UsageError(
            "use only one at a time: a request (--key-uri, --keep-key), --install or --sign"
        )
    wanted = _wanted(config, representative=representative)
    try:
        if asked is not None:
            _sign(config, wanted, asked, days=days, as_json=as_json)
        elif signed is not None:
            _install(config, wanted, signed, as_json=as_json)
        else:
            _request(wanted, key_uri, keep_key=keep_key, as_json=as_json)
    except OSError as fault:
        code = Exit.NOT_ALLOWED if isinstance(fault, PermissionError) else Exit.CONFIGURATION
        raise Ended(f"{fault.filename}: {fault.strerror}", code) from fault
    except ValueError as fault:
        raise Ended(str(fault), Exit.PROBLEMS) from fault


def _wanted(config: Config, *, representative: bool) -> "Wanted":
    from edgegw.commissioning.enrolment import Wanted

    if not representative:
        return Wanted(folder=config.ledger.identity, role="gateway", gateway=config.ledger.gateway_id)
    if config.own_representative is None:
        raise Ended("the configuration has no [representative] on this machine", Exit.CONFIGURATION)
    return Wanted(folder=config.own_representative.identity, role="representative")


def _request(wanted: "Wanted", key_uri: str | None, *, keep_key: bool, as_json: bool) -> None:
    from edgegw.commissioning.enrolment import request

    path = request(wanted, key_uri=key_uri, keep_key=keep_key)
    marks = {
        "msp": wanted.msp_id,
        "name": wanted.name,
        "node_role": "client",
        "attributes": wanted.attributes,
    }
    show({"request": str(path), **marks}, as_json=as_json)
    click.echo(f"have the CA of {wanted.msp_id} sign it, then run edgegw enroll --install CERT", err=True)


def _install(config: Config, wanted: "Wanted", signed: Path, *, as_json: bool) -> None:
    from edgegw.cli.daemon import ask_daemon
    from edgegw.commissioning.enrolment import install
    from edgegw.ledger.identity import load_trust

    identity = install(wanted, signed.read_bytes(), load_trust(config.ledger.trust_file))
    until = identity.certificate.not_valid_after_utc
    try:
        ask_daemon(config, "reload")
        in_use = True
    except Ended as fault:  # the certificate is installed: a running daemon notices the new file by itself
        click.echo(fault.message, err=True)
        in_use = False
    shown = {
        "identity": str(wanted.folder),
        "until": until.isoformat(),
        "certificate_sha256": identity.certificate_sha256,
        "in_use": in_use,
    }
    show(shown, as_json=as_json)


def _sign(config: Config, wanted: "Wanted", asked: Path, *, days: int, as_json: bool) -> None:
    from edgegw.peer.membership import sign_request

    if config.peer is None:
        raise Ended(
            "--sign needs the CA of an embedded peer; the configuration has no [peer]",
            Exit.CONFIGURATION,
        )
    crypto = config.peer.data_dir / "crypto"
    pem = sign_request(crypto, wanted.msp_id, asked.read_bytes(), lasts=timedelta(days=days))
    if as_json:
        show({"certificate": pem.decode()}, as_json=True)
    else:
        click.echo(pem.decode(), nl=False)
