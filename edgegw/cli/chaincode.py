"""`edgegw chaincode`: the contract as an external chaincode service of Hyperledger Fabric peers, and its package."""

import os
from pathlib import Path

import click

from edgegw.cli.console import EdgegwGroup, Ended, Exit, json_option, show

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group(cls=EdgegwGroup)
def chaincode() -> None:
    """Serve the contract to Hyperledger Fabric peers, and build the package that they install."""


@chaincode.command()
@click.option(
    "--address",
    envvar="CHAINCODE_SERVER_ADDRESS",
    required=True,
    help="HOST:PORT to listen on; port 0 selects a free port (or CHAINCODE_SERVER_ADDRESS).",
)
@click.option(
    "--package-id",
    envvar="CHAINCODE_ID",
    required=True,
    help="Package id that `package` printed (or CHAINCODE_ID).",
)
@click.option(
    "--tls-cert", type=_FILE, help="Server certificate; required for an address other than loopback."
)
@click.option("--tls-key", type=_FILE, help="Private key of the server certificate.")
@click.option("--client-ca", type=_FILE, help="Accept only peers with a certificate of this CA.")
@click.option(
    "--contract", default="edgegw.contract:invoke", show_default=True, help="Contract as MODULE:FUNCTION."
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Number of calls that run at once.",
)
@click.option(
    "--calls-max",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Maximum number of open calls.",
)
@click.option(
    "--log-format", type=click.Choice(["auto", "json", "pretty"]), default="auto", show_default=True
)
def serve(  # noqa: PLR0913 - one parameter an option
    *,
    address: str,
    package_id: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    contract: str,
    threads: int,
    calls_max: int,
    log_format: str,
) -> None:
    """Serve the contract until SIGTERM; prints one JSON line with the address, then logs to standard error."""
    import uvloop

    from edgegw.ops.logs import configure, log_event
    from edgegw.peer.__main__ import announce, load_contract
    from edgegw.peer.chaincode.server import Options, Tls, run
    from edgegw.peer.listen_address import StartRefusedError

    if bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls-cert and --tls-key go together")
    if client_ca and not tls_cert:
        raise click.UsageError("--client-ca needs --tls-cert and --tls-key")
    configure("info", log_format)
    options = Options(
        address=address,
        package_id=package_id,
        contract=load_contract(contract),
        log=log_event,
        tls=Tls(certificate=tls_cert, key=tls_key, client_ca=client_ca) if tls_cert and tls_key else None,
        threads=threads,
        calls_max=calls_max,
    )
    try:
        uvloop.run(run(options, announce))
    except StartRefusedError as fault:
        raise Ended(str(fault), Exit.CONFIGURATION) from fault


@chaincode.command()
@click.option(
    "--address", required=True, help="HOST:PORT at which the organisation's peers reach the service."
)
@click.option("--label", required=True, help="Package label: name and version, such as edgegw_1.")
@click.option("--tls-ca", type=_FILE, help="CA certificate of the service; peers then use TLS.")
@click.option("--client-cert", type=_FILE, help="Client certificate of the peers (mutual TLS).")
@click.option(
    "--client-key", type=_FILE, help="Private key of the client certificate; the package contains it."
)
@click.option(
    "--server-name",
    default="",
    help="Host name in the service's certificate, if it differs from the address.",
)
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def package(
    *,
    address: str,
    label: str,
    tls_ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    server_name: str,
    out: Path,
    as_json: bool,
) -> None:
    """Write the package of a service to OUT (.tar.gz) and print its id; the same input gives the same bytes."""
    from edgegw.peer.chaincode.package import Trust, UnfitPackageError, build

    if not tls_ca and (client_cert or client_key or server_name):
        raise click.UsageError("--client-cert, --client-key and --server-name need --tls-ca")
    try:
        trust = None
        if tls_ca:
            trust = Trust(
                root_certificate=tls_ca.read_text("ascii"),
                client_certificate=client_cert.read_text("ascii") if client_cert else "",
                client_key=client_key.read_text("ascii") if client_key else "",
                server_name=server_name,
            )
        built = build(address=address, label=label, trust=trust)
        _write(out, built.content, secret=client_key is not None)
    except UnfitPackageError as fault:
        raise click.UsageError(str(fault)) from fault
    except UnicodeDecodeError as fault:
        raise Ended("a certificate or key file is not PEM text", Exit.CONFIGURATION) from fault
    except OSError as fault:
        raise Ended(f"{fault.filename}: {fault.strerror}", Exit.CONFIGURATION) from fault
    if as_json:
        show({"package_id": built.package_id, "file": str(out)}, as_json=True)
    else:
        click.echo(built.package_id)


def _write(out: Path, content: bytes, *, secret: bool) -> None:
    """Write the file, with mode 0600 if it contains a key (`secret`)."""
    out.unlink(missing_ok=True)
    with os.fdopen(
        os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if secret else 0o644), "wb"
    ) as file:
        file.write(content)
