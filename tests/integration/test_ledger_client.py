"""The client against a real peer process: the flow, its faults, and exactly once."""

import asyncio
import ipaddress
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.fabric.block import codes_of, parse_block
from edgegw.ledger import (
    Committed,
    LedgerClient,
    LedgerEvent,
    Mismatch,
    Unavailable,
    Unknown,
)
from edgegw.peer.audit import read_block, verify
from edgegw.peer.server import rules_for
from tests.support.patience import PATIENCE_S
from tests.support.peer_process import PeerProcess, running_peer

FAULTY = ("--faults", "{}")


async def _set_faults(peer: PeerProcess, **switches: int) -> None:
    async with grpc.aio.insecure_channel(peer.endpoint) as channel:
        answer = await channel.unary_unary("/edgegw.Peer/SetFaults")(json.dumps(switches).encode())
    assert switches.items() <= json.loads(answer).items()


async def _take(events: AsyncIterator[LedgerEvent], count: int) -> list[LedgerEvent]:
    found: list[LedgerEvent] = []
    async with asyncio.timeout(PATIENCE_S):
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("switch", ["forget", "unavailable_after", "unavailable"])
async def test_a_lost_or_doubtful_submit_counts_once(tmp_path: Path, switch: str) -> None:
    """Forgotten after OK, refused though taken, or refused: the same envelope again, one effect."""
    async with running_peer(tmp_path, *FAULTY) as peer, peer.client() as client:
        endorsed = await client.endorse("Add", {"key": "k", "n": 1})
        await _set_faults(peer, **{switch: 1})
        outcome = await client._settle(endorsed)
        assert isinstance(outcome, Committed)
        assert await client.evaluate("Get", {"key": "k"}) == {"value": "1"}


async def test_disagreeing_endorsers_are_asked_again(tmp_path: Path) -> None:
    """One mismatch is repeated, a lasting one is an error of its own; nothing is written by it."""
    async with running_peer(tmp_path, *FAULTY) as peer, peer.client() as client:
        await _set_faults(peer, mismatch=1)
        assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 1}
        await _set_faults(peer, mismatch=-1)
        with pytest.raises(Mismatch):
            await client.execute("Add", {"key": "k", "n": 1})
        assert await client.height() == 1


async def test_a_delayed_peer_is_waited_for(tmp_path: Path) -> None:
    """Delay is no failure below the deadline."""
    async with (
        running_peer(tmp_path, "--faults", '{"delay": 1, "delay_ms": 150}') as peer,
        peer.client() as client,
    ):
        before = time.monotonic()
        await client.evaluate("Whoami")
        assert time.monotonic() - before >= 0.15


async def test_a_peer_without_switches_has_no_admin_method(tmp_path: Path) -> None:
    """Faults can only be set where the peer was started for it."""
    async with running_peer(tmp_path) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _set_faults(peer, forget=1)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_that_is_given_up_breaks_nothing(tmp_path: Path) -> None:
    """Callers that vanish while they wait leave a peer that serves the others."""
    async with running_peer(tmp_path) as peer, peer.client() as client:
        endorsed = await client.endorse("Add", {"key": "k", "n": 1})
        gone = peer.client()
        waits = [asyncio.create_task(gone.commit_status(endorsed.tx_id, 30)) for _ in range(5)]
        await asyncio.sleep(0.1)
        for task in waits[:3]:
            task.cancel()
        await gone.close()
        await asyncio.gather(*waits, return_exceptions=True)
        await client.submit(endorsed.envelope)
        assert await client.commit_status(endorsed.tx_id) == Committed(0)
        assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 2}


async def test_kill_and_restart_on_the_same_port(tmp_path: Path) -> None:
    """A submitted envelope that is sent again after kill -9 counts once; the event stream continues where it was."""
    async with running_peer(tmp_path) as peer:
        client = peer.client()
        await client.execute("Add", {"key": "k", "n": 1})
        endorsed = await client.endorse("Add", {"key": "k", "n": 1})
        events = client.events(0)
        assert [event.payload["value"] for event in await _take_open(events, 1)] == [1]
        await client.submit(endorsed.envelope)
        await peer.kill()
        with pytest.raises(Unavailable):
            await client.evaluate("Get", {"key": "k"})
        assert isinstance(await client.commit_status(endorsed.tx_id), Unknown)
    async with running_peer(tmp_path, listen=peer.endpoint), aclosing(events):
        assert isinstance(await _patiently(client, endorsed.envelope, endorsed.tx_id), Committed)
        assert await client.evaluate("Get", {"key": "k"}) == {"value": "2"}
        assert [event.payload["value"] for event in await _take_open(events, 1)] == [2]
        await client.close()
    assert verify(tmp_path, rules_for(tmp_path)).faults == ()


async def _take_open(events: AsyncIterator[LedgerEvent], count: int) -> list[LedgerEvent]:
    """Like `_take`, leaving the stream open."""
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(events) for _ in range(count)]


async def _patiently(client: LedgerClient, envelope: bytes, tx_id: str) -> object:
    for _ in range(50):
        try:
            await client.submit(envelope)
        except Unavailable:
            await asyncio.sleep(0.1)
            continue
        outcome = await client.commit_status(tx_id)
        if not isinstance(outcome, Unknown):
            return outcome
    return None


async def test_the_blocks_of_a_running_peer_are_whole(tmp_path: Path) -> None:
    """Auditors may read while the peer writes."""
    async with running_peer(tmp_path) as peer, peer.client() as client:
        for n in range(3):
            await client.execute("Add", {"key": "k", "n": n})
        raw = [read_block(tmp_path, number) or b"" for number in range(3)]
        assert read_block(tmp_path, 3) is None
        assert raw == [await client.block(n) for n in range(3)]
        assert all(codes_of(parse_block(block)) == b"\x00" for block in raw)
        assert verify(tmp_path, rules_for(tmp_path)).faults == ()


async def test_further_members_are_enrolled_at_start(tmp_path: Path) -> None:
    """`--enrol` makes an identity that the running peer knows."""
    async with (
        running_peer(tmp_path, "--enrol", "EVUserMSP:gateway9:gateway:gateway9") as peer,
        peer.client("EVUserMSP/gateway9") as client,
    ):
        assert (await client.evaluate("Whoami"))["gateway"] == "gateway9"


def _server_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1: (certificate, key) files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("peer.example")]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder / "tls.pem", folder / "tls.key"


async def test_the_wire_can_be_encrypted(tmp_path: Path) -> None:
    """With certificate files the peer serves TLS, to clients that trust it and to no others."""
    certificate, key = _server_certificate(tmp_path)
    async with running_peer(tmp_path / "net", "--tls-cert", str(certificate), "--tls-key", str(key)) as peer:
        async with peer.client(tls=certificate.read_bytes()) as client:
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 1}
        async with peer.client(tls=certificate.read_bytes(), tls_name="peer.example") as named:
            assert (await named.evaluate("Whoami"))["role"] == "gateway"
        for refused in (peer.client(), peer.client(tls=certificate.read_bytes(), tls_name="other.example")):
            with pytest.raises(Unavailable):
                await refused.evaluate("Whoami")
            await refused.close()


async def test_one_peer_a_folder_and_one_a_port(tmp_path: Path) -> None:
    """A second peer on the same folder or port ends with status 78 and says why."""
    async with running_peer(tmp_path / "one") as peer:
        for options, says in (
            (("--data", str(tmp_path / "one")), "another peer uses this folder"),
            (("--data", str(tmp_path / "two"), "--listen", peer.endpoint), "cannot listen there"),
            (("--data", str(tmp_path / "two"), "--listen", "0.0.0.0:0"), "beyond loopback"),
        ):
            status, err = await _start(*options)
            assert status == 78
            assert says in err
            assert "Traceback" not in err
    assert (await _start("--data", str(tmp_path / "two"), "--faults", "{"))[0] == 2


async def _start(*options: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.peer", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, err.decode()
