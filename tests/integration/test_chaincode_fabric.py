"""One script of calls on the embedded peer and on Hyperledger Fabric with our chaincode service; Fabric's word on packages."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgegw.ledger.client import LedgerClient, Patience
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.peer.chaincode.package import build
from tests.support.certificates import Authority
from tests.support.ledger_script import EXPECTED, ClientFor, outcomes
from tests.support.patience import PATIENCE_S
from tests.support.peer_process import ROOT, running_peer


def fabric_folder() -> Path | None:
    """Where Fabric's programs are: FABRIC_BIN, else what this checkout built."""
    named = os.environ.get("FABRIC_BIN")
    places = [Path(named)] if named else sorted((ROOT / "build" / "fabric").glob("**/bin"))
    return next((place.absolute() for place in places if (place / "peer").is_file()), None)


FABRIC = fabric_folder()
needs_fabric = pytest.mark.skipif(
    FABRIC is None,
    reason="Hyperledger Fabric's programs are not here: make fabric-bin builds them, FABRIC_BIN names those you have",
)


async def test_the_script_on_the_embedded_peer(tmp_path: Path) -> None:
    """Answers, refusals, guard keys, pages, sums and events are what the script expects."""
    async with running_peer(tmp_path, "--contract", "edgegw.contract:invoke") as peer:
        assert await outcomes(peer.client) == EXPECTED


@needs_fabric
def test_fabric_computes_the_same_package_id(tmp_path: Path) -> None:
    """Fabric's own command reads the package and gives it the id that we print."""
    assert FABRIC is not None
    package = build(address="127.0.0.1:9999", label="edgegw_1")
    (tmp_path / "edgegw.tar.gz").write_bytes(package.content)
    (tmp_path / "core.yaml").write_text("peer: {}\n")
    said = subprocess.run(
        [FABRIC / "peer", "lifecycle", "chaincode", "calculatepackageid", tmp_path / "edgegw.tar.gz"],
        env={"FABRIC_CFG_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert said.stdout.strip() == package.package_id


async def edgegw(*arguments: str) -> str:
    """Run a command of ours to its end; gives its standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.cli", *arguments), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, arguments
    return said.decode()


@asynccontextmanager
async def service(address: str, package_id: str, *tls: str) -> AsyncIterator[None]:
    """A chaincode service of one organisation, as its operator starts it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.cli", "chaincode", "serve"),
        *("--address", address, "--package-id", package_id, *tls),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        yield
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


@asynccontextmanager
async def network(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """A fresh network of configs/fabric; gives what `edgegw devnet up` says of it."""
    place = ("--folder", str(folder))
    try:
        yield json.loads(await edgegw("devnet", "up", *place, "--free-ports", "--json"))
    finally:
        await edgegw("devnet", "down", *place)


def clients_of(net: dict[str, Any]) -> ClientFor:
    """Clients with the network's identities, each at its own organisation's first peer."""
    roots = load_trust(Path(net["trust_file"]))
    tls = Path(net["tls_ca_file"]).read_bytes()

    def client_for(member: str) -> LedgerClient:
        organisation = net["organisations"][member.partition("/")[0]]
        return LedgerClient(
            next(iter(organisation["peers"].values())),
            load_signer(Path(net["identities"]) / member),
            roots,
            channel=net["channel"],
            chaincode=net["chaincode"],
            tls=tls,
            patience=Patience(undecided_s=60),
        )

    return client_for


@needs_fabric
@pytest.mark.parametrize("secured", [False, True])
async def test_the_script_on_fabric(secured: bool, tmp_path: Path) -> None:
    """Three services, one an organisation, plain or with mutual TLS: the outcomes are those of the embedded peer."""
    async with network(tmp_path / "net") as net, AsyncExitStack() as services:
        packages = []
        for msp_id, organisation in net["organisations"].items():
            address, package = organisation["chaincode_service"], tmp_path / f"{msp_id}.tar.gz"
            ours: tuple[str, ...] = ()
            theirs: tuple[str, ...] = ()
            if secured:
                (tmp_path / msp_id).mkdir()
                authority = Authority(tmp_path / msp_id)
                pair, peer = authority.issue("service"), authority.issue("peer")
                ours = _options(tls_cert=pair.certificate, tls_key=pair.key_file, client_ca=authority.ca_file)
                theirs = _options(
                    tls_ca=authority.ca_file, client_cert=peer.certificate, client_key=peer.key_file
                )
            where = ("--address", address, "--label", "edgegw_1", str(package))
            package_id = (await edgegw("chaincode", "package", *where, *theirs)).strip()
            await services.enter_async_context(service(address, package_id, *ours))
            packages.append(f"{msp_id}={package}")
        await edgegw("devnet", "deploy", "--folder", str(tmp_path / "net"), *packages)
        assert await outcomes(clients_of(net)) == EXPECTED


def _options(**files: Path) -> tuple[str, ...]:
    return tuple(part for name, path in files.items() for part in (f"--{name.replace('_', '-')}", str(path)))
