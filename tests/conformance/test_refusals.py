"""What a peer refuses, with which text and status code, and how the client classifies it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from edgegw.fabric import transaction
from edgegw.fabric.identity import Identity
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.wire import decode
from edgegw.ledger import (
    BusinessRefusal,
    ClockRefused,
    IdentityRefused,
    LedgerClient,
    LedgerError,
    Misused,
    Unavailable,
)
from edgegw.ledger.errors import CallFailure, classify
from edgegw.ledger.identity import Document, Signer, load_signer
from edgegw.peer import membership
from tests.support.conformance_network import (
    GATEWAY,
    LedgerNetwork,
    Way,
    client_of,
    connection_of,
    fresh,
)
from tests.support.patience import PATIENCE_S

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FAILED = "failed to endorse transaction, see attached details for more info"
EVALUATE = "evaluate call to endorser returned error: "
MINUTE_NS = 60 * 10**9


@dataclass
class Spoilt:
    """Signs as another one does, and then spoils the signature."""

    signer: Signer
    spoil: Callable[[bytes], bytes]

    @property
    def identity(self) -> Identity:
        return self.signer.identity

    def sign(self, document: Document) -> bytes:
        return self.spoil(self.signer.sign(document))


def high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDER - s)


def another(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(s, r if r <= ORDER // 2 else ORDER - r)


async def everything_is(kind: type[LedgerError], client: LedgerClient) -> None:
    """Endorse, evaluate, status and events are refused so."""
    for ask in (client.evaluate, client.endorse):
        with pytest.raises(kind):
            await ask("Get", {"key": "k"})
    with pytest.raises(kind):
        await client.commit_status("0" * 64)
    with pytest.raises(kind):
        await anext(client.events(0))


@pytest.mark.parametrize("spoil", [high_s, another, lambda _: b"no signature"])
async def test_a_signature_that_does_not_hold(
    ledger_network: LedgerNetwork, spoil: Callable[[bytes], bytes]
) -> None:
    """Wrong, unreadable, or right with the larger s: none is taken, in no call."""
    async with client_of(ledger_network, signer=Spoilt(ledger_network.signer(GATEWAY), spoil)) as client:
        await everything_is(IdentityRefused, client)


async def test_an_envelope_with_high_s(ledger_network: LedgerNetwork) -> None:
    """The orderer refuses it too, and the same bytes signed well are taken afterwards."""
    good = ledger_network.signer(GATEWAY)
    key = fresh()
    async with client_of(ledger_network) as client:
        endorsed = await client.endorse("Add", {"key": key, "n": 1})
        message = transaction.parse_transaction(decode(common_pb2.Envelope, endorsed.envelope).payload)
        with pytest.raises(IdentityRefused):
            await client.submit(transaction.build_envelope(message.message, high_s(good.sign(message))))
        await client.submit(endorsed.envelope)
        await client.commit_status(endorsed.tx_id)
        assert await client.evaluate("Get", {"key": key}) == {"value": "1"}


async def test_an_expired_certificate(ledger_network: LedgerNetwork, tmp_path: Path) -> None:
    """A member of yesterday is refused; the same member with a certificate of today is served."""
    expired = ledger_network.issue(tmp_path / "old", lasts=timedelta(seconds=-30))
    async with client_of(ledger_network, signer=expired) as client:
        await everything_is(IdentityRefused, client)
    valid = ledger_network.issue(tmp_path / "new", lasts=timedelta(hours=1))
    async with client_of(ledger_network, signer=valid) as client:
        assert (await client.evaluate("Whoami"))["gateway"] == "fresh"
        assert await client.execute("Add", {"key": fresh(), "n": 1}) == {"value": 1}


async def test_a_stranger(ledger_network: LedgerNetwork, tmp_path: Path) -> None:
    """An organisation of the same name with another root is a stranger in every call."""
    membership.found(tmp_path / "crypto")
    async with client_of(ledger_network, signer=load_signer(tmp_path / "crypto" / GATEWAY)) as client:
        await everything_is(IdentityRefused, client)


@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_wrong_clock(ledger_network: LedgerNetwork, minutes: int) -> None:
    """Twenty minutes off, either way, is no identity's fault; fourteen are within the window."""
    for off, refused in ((minutes, True), (minutes * 7 // 10, False)):

        def now_ns(off: int = off) -> int:
            return time.time_ns() + off * MINUTE_NS

        async with client_of(ledger_network, now_ns=now_ns) as client:
            for ask in (client.evaluate, client.endorse):
                if refused:
                    with pytest.raises(ClockRefused):
                        await ask("Get", {"key": "k"})
                else:
                    await ask("Get", {"key": "k"})


async def test_a_contracts_refusal(ledger_network: LedgerNetwork) -> None:
    """An answer, with its code, from evaluate and endorse alike; it leaves nothing behind."""
    key = fresh()
    async with client_of(ledger_network) as client:
        for ask in (client.evaluate, client.endorse, client.execute):
            with pytest.raises(BusinessRefusal) as refused:
                await ask("Add", {"key": key, "n": -1})
            assert refused.value.code == "INSUFFICIENT"
            assert refused.value.detail == "the counter would be negative"
            with pytest.raises(BusinessRefusal) as refused:
                await ask("NoSuchFunction")
            assert refused.value.code == "UNKNOWN_FUNCTION"
        assert await client.evaluate("Get", {"key": key}) == {"value": None}


def _signed(
    network: LedgerNetwork, function: str, arguments: bytes, *, way: Way | None = None
) -> tuple[transaction.Proposal, peer_pb2.SignedProposal]:
    way = way or network.toy
    signer = network.signer(GATEWAY)
    proposal = transaction.build_proposal(
        creator=signer.identity.serialized,
        nonce=fresh().encode()[-24:],
        timestamp_ns=time.time_ns(),
        channel=way.channel,
        chaincode=way.chaincode,
        args=(function.encode(), arguments),
    )
    return proposal, peer_pb2.SignedProposal(proposal_bytes=proposal.message, signature=signer.sign(proposal))


async def _failures(
    network: LedgerNetwork, proposal: transaction.Proposal, signed: peer_pb2.SignedProposal, *orgs: str
) -> tuple[CallFailure, CallFailure]:
    """How Endorse and Evaluate refuse it."""
    wire = connection_of(network)
    endorse = gateway_pb2.EndorseRequest(
        transaction_id=proposal.tx_id,
        channel_id=proposal.channel,
        proposed_transaction=signed,
        endorsing_organizations=orgs,
    )
    evaluate = gateway_pb2.EvaluateRequest(
        transaction_id=proposal.tx_id,
        channel_id=proposal.channel,
        proposed_transaction=signed,
        target_organizations=orgs,
    )
    try:
        with pytest.raises(CallFailure) as by_endorse:
            await wire.endorse(endorse, timeout_s=PATIENCE_S)
        with pytest.raises(CallFailure) as by_evaluate:
            await wire.evaluate(evaluate, timeout_s=PATIENCE_S)
    finally:
        await wire.close()
    return by_endorse.value, by_evaluate.value


async def test_the_words_of_a_contracts_refusal(ledger_network: LedgerNetwork) -> None:
    """ABORTED with the contract's words in the details on Endorse, UNKNOWN with them in the message on Evaluate."""
    said = "chaincode response 500, INSUFFICIENT: the counter would be negative"
    signed = _signed(ledger_network, "Add", f'{{"key": "{fresh()}", "n": -1}}'.encode())
    endorse, evaluate = await _failures(ledger_network, *signed)
    assert (endorse.code, endorse.message) == ("ABORTED", FAILED)
    assert set(endorse.details) == {said}
    assert (evaluate.code, evaluate.message) == ("UNKNOWN", EVALUATE + said)


async def test_the_words_of_a_wrong_signature(ledger_network: LedgerNetwork) -> None:
    """Access denied: in the details on Endorse, in the message on Evaluate."""
    proposal, signed = _signed(ledger_network, "Get", b'{"key": "k"}')
    signed.signature = another(signed.signature)
    said = "error validating proposal: access denied: channel [energych] creator org [EVUserMSP]"
    endorse, evaluate = await _failures(ledger_network, proposal, signed)
    assert (endorse.code, endorse.message) == ("ABORTED", FAILED)
    assert set(endorse.details) == {said}
    assert (evaluate.code, evaluate.message) == ("FAILED_PRECONDITION", EVALUATE + said)


async def test_an_id_that_is_not_the_nonces(ledger_network: LedgerNetwork) -> None:
    """The id is the hash of nonce and creator, or the proposal is malformed."""
    proposal, _ = _signed(ledger_network, "Get", b'{"key": "k"}')
    message = proposal.message.replace(proposal.tx_id.encode(), b"0" * 64)
    forged = transaction.parse_proposal(message)
    signature = ledger_network.signer(GATEWAY).sign(forged)
    signed = peer_pb2.SignedProposal(proposal_bytes=message, signature=signature)
    for failure in await _failures(ledger_network, forged, signed):
        assert type(classify(failure)) is Misused
        assert "incorrectly computed txid" in "; ".join((failure.message, *failure.details))


async def test_an_unknown_chaincode_or_channel(ledger_network: LedgerNetwork) -> None:
    """An unknown chaincode or channel is FAILED_PRECONDITION without details, and may be retried."""
    toy = ledger_network.toy
    way = Way(endpoints=toy.endpoints, channel=toy.channel, chaincode="other")
    endorse, evaluate = await _failures(ledger_network, *_signed(ledger_network, "Get", b"{}", way=way))
    assert (endorse.code, endorse.details) == ("FAILED_PRECONDITION", ())
    assert "no combination of peers can be derived" in endorse.message
    assert (evaluate.code, evaluate.details) == ("FAILED_PRECONDITION", ())
    assert evaluate.message.startswith("no peers available to evaluate chaincode other in channel")
    assert {type(classify(one)) for one in (endorse, evaluate)} == {Unavailable}
    nowhere = Way(endpoints=toy.endpoints, channel="elsewhere", chaincode=toy.chaincode)
    for failure in await _failures(ledger_network, *_signed(ledger_network, "Get", b"{}", way=nowhere)):
        assert failure.code == "FAILED_PRECONDITION"


async def test_an_organisation_that_does_not_exist(ledger_network: LedgerNetwork) -> None:
    """Named to endorse, it is UNAVAILABLE."""
    proposal, signed = _signed(ledger_network, "Get", b'{"key": "k"}')
    wire = connection_of(ledger_network)
    request = gateway_pb2.EndorseRequest(
        transaction_id=proposal.tx_id,
        channel_id=proposal.channel,
        proposed_transaction=signed,
        endorsing_organizations=["NoMSP"],
    )
    with pytest.raises(CallFailure) as refused:
        await wire.endorse(request, timeout_s=PATIENCE_S)
    assert refused.value.code == "UNAVAILABLE"
    assert refused.value.message == "failed to find any endorsing peers for org(s): NoMSP"
    await wire.close()


async def test_what_is_no_envelope_is_not_submitted(ledger_network: LedgerNetwork) -> None:
    """A damaged stored envelope is our own fault, and said so without a call."""
    async with client_of(ledger_network) as client:
        with pytest.raises(Misused):
            await client.submit(b"\xff")
