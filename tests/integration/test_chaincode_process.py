"""The chaincode service as a process: TLS, valid and invalid addresses, kill, restart and orderly end."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import grpc.aio
import pytest

from edgegw.contract import invoke
from edgegw.ops.logs import EVENTS
from edgegw.peer.chaincode.server import Options, Tls, serving
from edgegw.peer.listen_address import StartRefusedError
from tests.support.background import in_background
from tests.support.certificates import Authority
from tests.support.chaincode_host import PACKAGE_ID, Lines, adding, service
from tests.support.chaincode_peer import FakePeer, connected
from tests.support.patience import PATIENCE_S
from tests.support.peer_network import Network
from tests.support.peer_process import ROOT


@pytest.fixture(scope="module")
def someone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Network(tmp_path_factory.mktemp("net")).signer().identity.serialized


@dataclass(frozen=True)
class Secured:
    """Certificates of a service and of a peer, each from an authority of its own."""

    tls: Tls
    service_ca: bytes
    peer: tuple[bytes, bytes]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    pair, peer = ours.issue("service"), theirs.issue("peer")
    return Secured(
        Tls(certificate=pair.certificate, key=pair.key_file, client_ca=theirs.ca_file),
        ours.ca_file.read_bytes(),
        (peer.key_file.read_bytes(), peer.certificate.read_bytes()),
    )


async def test_mutual_tls(secured: Secured, someone: bytes) -> None:
    """A peer with a certificate of the named authority is served; one without is not, nor is plain text."""
    async with service(adding, tls=secured.tls) as (address, log):
        key, certificate = secured.peer
        known = grpc.ssl_channel_credentials(secured.service_ca, key, certificate)
        async with connected(address, FakePeer({"a": b"3"}), credentials=known) as peer:
            assert (await peer.call(someone, "s", "a")).response.payload == b"3"
        for credentials in (grpc.ssl_channel_credentials(secured.service_ca), None):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async with connected(address, credentials=credentials):
                    pass
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert log.of("chaincode.listening")[0]["mutual_tls"] is True
    assert len(log.of("chaincode.registered")) == 1


async def test_tls_without_client_certificates(secured: Secured, someone: bytes) -> None:
    """Without a client authority any peer that trusts the service's certificate is served."""
    tls = Tls(certificate=secured.tls.certificate, key=secured.tls.key)
    async with service(adding, tls=tls) as (address, log):
        trusting = grpc.ssl_channel_credentials(secured.service_ca)
        async with connected(address, FakePeer({"a": b"3"}), credentials=trusting) as peer:
            assert (await peer.call(someone, "s", "a")).response.payload == b"3"
    assert log.of("chaincode.listening")[0] == {
        "address": address,
        "package_id": PACKAGE_ID,
        "tls": True,
        "mutual_tls": False,
        "level": "info",
    }


async def test_what_it_cannot_start_with(secured: Secured, tmp_path: Path) -> None:
    """A certificate that is not there, an address in use and one without a port are refused in words."""
    async with service() as (address, _):
        for where, tls, complaint in (
            ("127.0.0.1:0", replace(secured.tls, key=tmp_path / "none.key"), "none.key: No such file"),
            (address, None, "in use"),
            ("127.0.0.1", None, "expected HOST:PORT"),
            ("example.org:0", None, "beyond loopback"),
        ):
            with pytest.raises(StartRefusedError, match=complaint):
                await _refused(where, tls)


async def _refused(address: str, tls: Tls | None) -> None:
    options = Options(address=address, package_id=PACKAGE_ID, contract=invoke, log=Lines(), tls=tls)
    async with serving(options):
        raise AssertionError("it started")


async def start(*options: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        *in_background(sys.executable, "-m", "edgegw.cli", "chaincode", "serve"),
        *("--package-id", PACKAGE_ID, "--log-format", "json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
    return process, json.loads(line)["listening"]


async def test_the_process_killed_started_again_and_told_to_end(someone: bytes) -> None:
    """A killed service is a lost stream; the next one at the same address serves, and SIGINT ends it with status 0."""
    process, address = await start("--address", "127.0.0.1:0")
    with pytest.raises(grpc.aio.AioRpcError) as lost:  # noqa: PT012 - the stream fails when it is left
        async with connected(address) as peer:
            assert (await peer.call(someone, "totalSupply")).response.status == 200
            process.kill()
            await process.wait()
    assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
    process, address = await start("--address", address)
    async with connected(address) as peer:
        assert (await peer.call(someone, "totalSupply")).response.status == 200
    process.send_signal(signal.SIGINT)
    _, log = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0
    names = [json.loads(line)["event"] for line in log.splitlines()]
    assert names == [
        *("chaincode.listening", "chaincode.registered", "chaincode.disconnected", "chaincode.stopped")
    ]
    assert set(names) <= EVENTS
