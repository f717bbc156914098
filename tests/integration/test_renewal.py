"""An identity renewed under a running client, and by the commands that an operator uses."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgegw.cli import main
from edgegw.commissioning.enrolment import Wanted, install, request
from edgegw.ledger import Committed, IdentityRefused, LedgerClient, Unknown
from edgegw.ledger.client import Patience
from edgegw.ledger.identity import load_trust
from edgegw.ledger.renewal import RenewableSigner
from edgegw.peer import membership
from tests.integration.test_cli_ledger import run, write_config
from tests.support.peer_process import PeerProcess, running_peer


def renewable(peer: PeerProcess, told: list[str] | None = None) -> RenewableSigner:
    """Return the gateway's identity; `told` records its renewals and rejections."""
    heard: list[str] = [] if told is None else told
    return RenewableSigner(
        peer.data / "crypto/EVUserMSP/gateway1",
        renewed=lambda _: heard.append("renewed"),
        rejected=lambda _: heard.append("rejected"),
    )


def client_with(peer: PeerProcess, signer: RenewableSigner) -> LedgerClient:
    return LedgerClient(
        peer.endpoint,
        signer,
        load_trust(peer.data / "crypto" / "trust.json"),
        channel="energych",
        chaincode="token",
        patience=Patience(pause_s=0.01, status_s=0.3, endorse_s=10, submit_s=10, undecided_s=10),
    )


def renew(peer: PeerProcess, *, lasts: timedelta = timedelta(days=365)) -> None:
    crypto = peer.data / "crypto"
    wanted = Wanted(folder=crypto / "EVUserMSP" / "gateway1", role="gateway", gateway="gateway1")
    asked = request(wanted).read_bytes()
    signed = membership.sign_request(crypto, "EVUserMSP", asked, lasts=lasts)
    install(wanted, signed, membership.load_roots(crypto))


async def test_a_new_certificate_signs_what_begins_after_it(tmp_path: Path) -> None:
    """No restart; what was endorsed under the old identity is submitted under it; a damaged file changes nothing."""
    async with running_peer(tmp_path) as peer:
        told: list[str] = []
        signer = renewable(peer, told)
        async with client_with(peer, signer) as client:
            old = signer.identity.certificate_pem
            endorsed = await client.endorse("Add", {"key": "k", "n": 1})
            renew(peer)
            assert signer.identity.certificate_pem != old
            await client.submit(endorsed.envelope)
            assert isinstance(await client.commit_status(endorsed.tx_id), Committed)
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 2}
            assert told == ["renewed"]
            place = tmp_path / "crypto/EVUserMSP/gateway1/cert.pem"
            good = place.read_bytes()
            place.write_bytes(old)
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 3}
            assert told == ["renewed", "rejected"]
            place.unlink()
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 4}
            place.write_bytes(good)
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 5}


async def test_a_renewal_between_proposal_and_envelope(tmp_path: Path) -> None:
    """The identity that proposed signs the envelope, though the folder has another one by then."""
    async with running_peer(tmp_path, "--faults", '{"delay": 1, "delay_ms": 400}') as peer:
        signer = renewable(peer)
        async with client_with(peer, signer) as client:
            endorsing = asyncio.create_task(client.endorse("Add", {"key": "k", "n": 1}))
            await asyncio.sleep(0)  # the proposal is made; the peer's answer takes its time
            renew(peer)
            _ = signer.identity
            endorsed = await endorsing
            await client.submit(endorsed.envelope)
            assert isinstance(await client.commit_status(endorsed.tx_id), Committed)


async def test_an_expired_identity_is_the_one_exception(tmp_path: Path) -> None:
    """An expired identity's envelope is refused for ever; only after the renewal may the call be endorsed again."""
    async with running_peer(tmp_path) as peer:
        ends = time.time() + 5
        renew(peer, lasts=timedelta(seconds=5))
        signer = renewable(peer)
        async with client_with(peer, signer) as client:
            endorsed = await client.endorse("Add", {"key": "k", "n": 1})
            assert not client.outlived(endorsed.envelope)
            await asyncio.sleep(max(0, ends + 1 - time.time()))
            with pytest.raises(IdentityRefused):
                await client.submit(endorsed.envelope)
            with pytest.raises(IdentityRefused):
                await client.endorse("Add", {"key": "k", "n": 1})
            assert not client.outlived(endorsed.envelope)
            renew(peer)
            with pytest.raises(IdentityRefused):
                await client.submit(endorsed.envelope)
            assert isinstance(await client.commit_status(endorsed.tx_id), Unknown)
            assert client.outlived(endorsed.envelope)
            assert not client.outlived(b"noise")
            assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 1}


async def test_an_operator_enrols_and_renews(tmp_path: Path) -> None:
    """Request, signature, installation: for the gateway and the representative; what does not fit changes nothing."""
    async with running_peer(tmp_path / "peer", "--contract", "edgegw.contract:invoke") as peer:
        config = write_config(tmp_path, peer)
        signed = tmp_path / "signed.pem"
        for options in ((), ("--representative",)):
            asked = (await run(config, "enroll", *options))["request"]
            result = await asyncio.to_thread(
                CliRunner().invoke, main, ["enroll", *options, "--sign", asked, "--config", str(config)]
            )
            assert result.exit_code == 0, result.output
            signed.write_text(result.stdout)
            done = await run(config, "enroll", *options, "--install", str(signed))
            assert (len(done["certificate_sha256"]), done["in_use"]) == (64, False)
        assert "must be gateway, and is representative" in await run(
            config, "enroll", "--install", str(signed), status=1
        )
        assert "one at a time" in await run(
            config, "enroll", "--keep-key", "--install", str(signed), status=2
        )
        assert "Unable to load PEM" in await run(config, "enroll", "--sign", str(config), status=1)
        async with peer.client("EVUserMSP/admin") as admin:
            await admin.execute("Configure", {"channel": "energych"})
        assert (await run(config, "ledger", "supply"))["supply"] == "0"
