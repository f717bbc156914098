"""Deploy a chaincode package: install it at each peer, approve it for each organisation, commit the definition.

An installed package is not an error. A package contains the address of an organisation's chaincode service, so each
organisation may have its own package and package id. Source: Fabric documentation, Fabric chaincode lifecycle.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgegw.devnet.layout import Node
from edgegw.devnet.network import Network
from edgegw.devnet.programs import DevnetError, Programs

CALL_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A chaincode definition with a package file per MSP id; `policy` is in the command line's syntax."""

    name: str
    version: str
    sequence: int
    policy: str
    packages: Mapping[str, Path]


def package_id(package: Path) -> str:
    """Return a package's id, its label and the SHA-256 of the file; raise DevnetError."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            member = archive.extractfile("metadata.json")
            assert member is not None
            label = json.loads(member.read())["label"]
    except (OSError, tarfile.TarError, KeyError, ValueError, AssertionError) as fault:
        raise DevnetError(f"{package} is not a chaincode package: {fault}") from fault
    return f"{label}:{hashlib.sha256(package.read_bytes()).hexdigest()}"


def deploy(network: Network, programs: Programs, contract: Contract) -> dict[str, str]:
    """Install, approve and commit; return each organisation's package id. Raises DevnetError."""
    layout = network.layout
    lacking = {member.msp_id for member in layout.organisations} - set(contract.packages)
    if lacking:
        raise DevnetError(f"no package for {', '.join(sorted(lacking))}")
    ids = {msp_id: package_id(package) for msp_id, package in contract.packages.items()}
    for peer in layout.peers:
        install(network, programs, peer, package=contract.packages[peer.member.msp_id])
    for member in layout.organisations:
        approve(network, programs, contract, msp_id=member.msp_id)
    commit(network, programs, contract)
    return ids


def committed_sequence(network: Network, programs: Programs, name: str) -> int:
    """Return the sequence of the committed definition; 0 if there is none."""
    peer = network.layout.peers[0]
    channel = network.layout.definition.channel
    said = programs.call(
        "peer",
        ("lifecycle", "chaincode", "querycommitted", "--channelID", channel, "--output", "json"),
        network.as_admin(peer),
        timeout_s=CALL_S,
    )
    definitions = json.loads(said).get("chaincode_definitions") or []
    return next((int(one["sequence"]) for one in definitions if one["name"] == name), 0)


def install(network: Network, programs: Programs, peer: Node, *, package: Path) -> None:
    """Install a package at one peer unless it is installed."""
    arguments = ("lifecycle", "chaincode", "install", str(package))
    try:
        programs.call("peer", arguments, network.as_admin(peer), timeout_s=CALL_S)
    except DevnetError as fault:
        if not re.search("already successfully installed", str(fault)):
            raise


def approve(network: Network, programs: Programs, contract: Contract, *, msp_id: str) -> None:
    """Approve the definition for one organisation, and wait until its peer has committed the approval."""
    peer = network.layout.peers_of(msp_id)[0]
    arguments = (
        *("lifecycle", "chaincode", "approveformyorg"),
        *_definition(network, contract),
        *("--package-id", package_id(contract.packages[msp_id])),
    )
    programs.call("peer", arguments, network.as_admin(peer), timeout_s=CALL_S)


def commit(network: Network, programs: Programs, contract: Contract) -> None:
    """Commit the definition that the organisations have approved, and wait until their peers have committed it."""
    firsts = [network.layout.peers_of(member.msp_id)[0] for member in network.layout.organisations]
    places = [
        argument
        for peer in firsts
        for argument in ("--peerAddresses", peer.address, "--tlsRootCertFiles", str(peer.member.tls_ca))
    ]
    arguments = ("lifecycle", "chaincode", "commit", *_definition(network, contract), *places)
    programs.call("peer", arguments, network.as_admin(firsts[0]), timeout_s=CALL_S)


def _definition(network: Network, contract: Contract) -> tuple[str, ...]:
    layout = network.layout
    return (
        *("--channelID", layout.definition.channel, "--name", contract.name),
        *("--version", contract.version, "--sequence", str(contract.sequence)),
        *("--signature-policy", contract.policy),
        *("-o", layout.orderers[0].address, "--tls", "--cafile", str(layout.ordering.tls_ca)),
    )
