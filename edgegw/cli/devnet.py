"""`edgegw devnet`: a Hyperledger Fabric network on this machine, for tests and experiments."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.console import Ended, Exit, json_option, show

if TYPE_CHECKING:
    from edgegw.devnet.network import Network

FOLDER = Path("build") / "fabric" / "net"

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder of the network: files, keys, ledgers and logs.",
)


@click.group()
def devnet() -> None:
    """Run a Hyperledger Fabric network on this machine: three organisations, six peers, three orderers."""


@devnet.command()
@folder_option
@click.option(
    "--definition",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Definition of a new network; default: configs/fabric/network.toml.",
)
@click.option("--free-ports", is_flag=True, help="Use free ports instead of those of the definition.")
@json_option
def up(*, folder: Path, definition: Path | None, free_ports: bool, as_json: bool) -> None:
    """Create the network if it does not exist, start its stopped nodes, and print how to reach it."""
    from edgegw.devnet.definition import default_definition, read_definition
    from edgegw.devnet.network import Network, NoNetworkError, make
    from edgegw.devnet.programs import find_programs

    programs = find_programs()
    try:
        network = Network.at(folder)
    except NoNetworkError:
        defined = read_definition(definition or default_definition())
        if free_ports:
            defined = defined.model_copy(update={"ports_base": 0})
        network = make(defined, folder, programs)
    network.start(programs)
    show(network.describe(), as_json=as_json)


@devnet.command()
@folder_option
@json_option
def status(*, folder: Path, as_json: bool) -> None:
    """Show every node: whether it runs, the Raft leader, the number of blocks; exit status 1 if one does not run."""
    found = _network(folder).status()
    show(found, as_json=as_json)
    if not all(node["running"] for node in found["nodes"].values()):
        raise click.exceptions.Exit(Exit.PROBLEMS)


@devnet.command()
@folder_option
@click.option("--keep", is_flag=True, help="Keep the files: the next `up` continues with the same ledger.")
@json_option
def down(*, folder: Path, keep: bool, as_json: bool) -> None:
    """Stop every node of the network and delete its files."""
    from edgegw.devnet.network import remove

    network = _network(folder)
    ended = network.processes.names
    network.end()
    if not keep:
        remove(folder)
    show({"ended": ended, "files": "kept" if keep else "deleted"}, as_json=as_json)


@devnet.command()
@click.argument("packages", nargs=-1, required=True, metavar="[MSP=]PACKAGE...")
@folder_option
@click.option("--version", default="1", show_default=True, help="Version of the chaincode definition.")
@json_option
def deploy(*, packages: tuple[str, ...], folder: Path, version: str, as_json: bool) -> None:
    """Deploy chaincode packages: one for all organisations, or MSP=PACKAGE for each; a repeated deploy is an upgrade."""
    from edgegw.devnet.lifecycle import Contract, committed_sequence
    from edgegw.devnet.lifecycle import deploy as carry_out
    from edgegw.devnet.programs import find_programs

    network, programs = _network(folder), find_programs()
    definition = network.layout.definition
    contract = Contract(
        name=definition.chaincode,
        version=version,
        sequence=committed_sequence(network, programs, definition.chaincode) + 1,
        policy=definition.endorsement_policy,
        packages=_by_organisation(packages, [one.msp_id for one in network.layout.organisations]),
    )
    ids = carry_out(network, programs, contract)
    show({"chaincode": contract.name, "sequence": contract.sequence, "package_ids": ids}, as_json=as_json)


def _by_organisation(packages: tuple[str, ...], msp_ids: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package in packages:
        msp_id, mark, path = package.rpartition("=")
        if mark and msp_id not in msp_ids:
            raise Ended(f"{msp_id} is not an organisation of the network: {', '.join(msp_ids)}", Exit.USAGE)
        found |= dict.fromkeys([msp_id] if mark else msp_ids, Path(path).absolute())
    return found


def _network(folder: Path) -> "Network":
    from edgegw.devnet.network import Network

    return Network.at(folder)
