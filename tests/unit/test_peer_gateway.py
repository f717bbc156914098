"""What the five calls answer, code by code, as the wire shows it: a peer served inside the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edgegw.fabric import transaction
from edgegw.fabric.identity import KeySigner
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.transaction import EventsQuery, StatusQuery
from edgegw.ledger.errors import CallFailure
from edgegw.ledger.grpc_wire import Connection
from edgegw.peer.chain import Cutting
from edgegw.peer.faults import Faults
from edgegw.peer.gateway import Gateway
from edgegw.peer.server import Options, serve
from edgegw.peer.world_state import World
from tests.support import toy_contract
from tests.support.patience import PATIENCE_S
from tests.support.peer_network import Network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


@asynccontextmanager
async def _peer(network: Network, faults: Faults | None = None) -> AsyncIterator[Connection]:
    (network.data / "chain.sqlite3").unlink(missing_ok=True)
    options = Options(
        data=network.data, contract=toy_contract.invoke, cutting=Cutting(count=1), faults=faults
    )
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(options, ready.set_result))
    connection = Connection(await asyncio.wait_for(ready, PATIENCE_S), tls=None)
    try:
        yield connection
    finally:
        await connection.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _endorse(
    signed: peer_pb2.SignedProposal, *orgs: str, channel: str = "energych"
) -> gateway_pb2.EndorseRequest:
    return gateway_pb2.EndorseRequest(
        channel_id=channel, proposed_transaction=signed, endorsing_organizations=orgs
    )


def _evaluate(signed: peer_pb2.SignedProposal) -> gateway_pb2.EvaluateRequest:
    return gateway_pb2.EvaluateRequest(channel_id="energych", proposed_transaction=signed)


def _proposal(
    network: Network, chaincode: str, *args: str, channel: str = "energych"
) -> peer_pb2.SignedProposal:
    proposal = transaction.build_proposal(
        creator=network.signer().identity.serialized,
        nonce=network.propose("x")[0].nonce,
        timestamp_ns=network.propose("x")[0].timestamp_ns,
        channel=channel,
        chaincode=chaincode,
        args=[arg.encode() for arg in args],
    )
    signature = network.signer().sign(proposal)
    return peer_pb2.SignedProposal(proposal_bytes=proposal.message, signature=signature)


def _failure(raised: pytest.ExceptionInfo[CallFailure]) -> tuple[str, str, tuple[str, ...]]:
    return raised.value.code, raised.value.message, raised.value.details


async def _refusal_of_endorse(
    peer: Connection, request: gateway_pb2.EndorseRequest
) -> tuple[str, str, tuple[str, ...]]:
    with pytest.raises(CallFailure) as raised:
        await peer.endorse(request, timeout_s=PATIENCE_S)
    return _failure(raised)


async def _refusal_of_evaluate(
    peer: Connection, request: gateway_pb2.EvaluateRequest
) -> tuple[str, str, tuple[str, ...]]:
    with pytest.raises(CallFailure) as raised:
        await peer.evaluate(request, timeout_s=PATIENCE_S)
    return _failure(raised)


async def test_chosen_organisations(network: Network) -> None:
    """Those named sign, an unknown name is UNAVAILABLE; without names the home organisation and another."""

    async def signers(peer: Connection, *orgs: str) -> list[str]:
        _, signed = network.propose("Add", key="k", n=1)
        answer = await peer.endorse(_endorse(signed, *orgs), timeout_s=PATIENCE_S)
        parsed = transaction.parse_transaction(answer.prepared_transaction.payload)
        return [endorser.split(b"MSP")[0][2:].decode() for endorser, _ in parsed.endorsements]

    async with _peer(network) as peer:
        assert await signers(peer) == ["EVUser", "Industry"]
        assert await signers(peer, "ProducerMSP") == ["Producer"]
        _, signed = network.propose("Add", key="k", n=1)
        assert await _refusal_of_endorse(peer, _endorse(signed, "NoMSP")) == (
            "UNAVAILABLE",
            "failed to find any endorsing peers for org(s): NoMSP",
            (),
        )


async def test_disagreeing_endorsers(network: Network) -> None:
    """The switch answers as a real gateway does: one detail a peer."""
    _, signed = network.propose("Add", key="k", n=1)
    async with _peer(network, Faults(mismatch=1)) as peer:
        code, message, details = await _refusal_of_endorse(peer, _endorse(signed))
        assert (code, details) == ("ABORTED", ("ProposalResponsePayloads do not match",) * 3)
        assert message.startswith("failed to collect enough transaction endorsements")


async def test_submit_takes_only_what_a_member_signed(network: Network) -> None:
    """Unsigned and unreadable: INVALID_ARGUMENT; signed by another than its creator: ABORTED, FORBIDDEN."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    other = network.signer("ProducerMSP/oracle").sign(endorsed)
    async with _peer(network) as peer:
        for payload, signature, code, says in (
            (endorsed.message, b"", "INVALID_ARGUMENT", "prepared transaction must be signed"),
            (b"\xff", b"x", "INVALID_ARGUMENT", "no Payload"),
            (endorsed.message, other, "ABORTED", "status=FORBIDDEN"),
        ):
            envelope = common_pb2.Envelope(payload=payload, signature=signature)
            with pytest.raises(CallFailure) as raised:
                await peer.submit(
                    gateway_pb2.SubmitRequest(prepared_transaction=envelope), timeout_s=PATIENCE_S
                )
            assert raised.value.code == code
            assert says in raised.value.message


def _status(signer: KeySigner, tx_id: str) -> gateway_pb2.SignedCommitStatusRequest:
    query = StatusQuery(tx_id=tx_id, channel="energych", creator=signer.identity.serialized)
    return gateway_pb2.SignedCommitStatusRequest(request=query.message, signature=signer.sign(query))


async def test_commit_status_waits_and_wants_a_reader(network: Network) -> None:
    """There is no "not found": an unknown id ends with the caller's deadline. A stranger is refused at once."""
    signed = _status(network.signer(), "0" * 64)
    async with _peer(network) as peer:
        with pytest.raises(CallFailure) as raised:
            await peer.commit_status(signed, timeout_s=0.1)
        assert raised.value.code == "DEADLINE_EXCEEDED"
        signed.signature = b"wrong"
        unreadable = gateway_pb2.SignedCommitStatusRequest(request=b"\xff")
        nobody = gateway_pb2.SignedCommitStatusRequest(request=b"")
        for request, code in (
            (signed, "PERMISSION_DENIED"),
            (nobody, "PERMISSION_DENIED"),
            (unreadable, "INVALID_ARGUMENT"),
        ):
            with pytest.raises(CallFailure) as raised:
                await peer.commit_status(request, timeout_s=PATIENCE_S)
            assert raised.value.code == code


async def test_a_peers_identity_may_read(network: Network) -> None:
    """Readers are clients, admins and peers: a peer may ask for an outcome though it may not propose."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    envelope = common_pb2.Envelope(payload=endorsed.message, signature=network.signer().sign(endorsed))
    async with _peer(network) as peer:
        await peer.submit(gateway_pb2.SubmitRequest(prepared_transaction=envelope), timeout_s=PATIENCE_S)
        signed = _status(network.peers["IndustryMSP"][0], endorsed.tx_id)
        answer = await peer.commit_status(signed, timeout_s=PATIENCE_S)
        assert (answer.result, answer.block_number) == (peer_pb2.VALID, 0)


async def _first_event(peer: Connection, network: Network, **position: object) -> int:
    """Block of the first event from this start position on."""
    inner = gateway_pb2.ChaincodeEventsRequest.FromString(
        EventsQuery(
            channel="energych",
            chaincode="token",
            creator=network.signer().identity.serialized,
            start_block=0,
        ).message
    )
    inner.ClearField("start_position")
    for name in position:
        getattr(inner.start_position, name).SetInParent()
    request = inner.SerializeToString()

    class Raw:
        message = request

    signature = network.signer().sign(Raw())
    signed = gateway_pb2.SignedChaincodeEventsRequest(request=request, signature=signature)
    async with asyncio.timeout(PATIENCE_S):
        async for answer in peer.chaincode_events(signed):
            return answer.block_number
    raise AssertionError("the stream ended")


async def test_event_positions(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oldest starts at block 0, newest at the last block, next commit and nothing said at what comes."""

    async def commit(peer: Connection) -> None:
        endorsed = network.endorsed(World(), "PutBlind", key="k", value="v")
        added = network.endorsed(World(), "Add", key=endorsed.tx_id, n=1)
        envelope = common_pb2.Envelope(payload=added.message, signature=network.signer().sign(added))
        await peer.submit(gateway_pb2.SubmitRequest(prepared_transaction=envelope), timeout_s=PATIENCE_S)
        await peer.commit_status(_status(network.signer(), added.tx_id), timeout_s=PATIENCE_S)

    readers: list[bytes] = []
    check = Gateway._check_reader

    def noted(gateway: Gateway, identity: bytes, message: bytes, signature: bytes) -> None:
        check(gateway, identity, message, signature)
        readers.append(identity)

    monkeypatch.setattr(Gateway, "_check_reader", noted)
    async with _peer(network) as peer:
        await commit(peer)
        await commit(peer)
        assert await _first_event(peer, network, oldest=True) == 0
        assert await _first_event(peer, network, newest=True) == 1
        readers.clear()
        waiting = [
            asyncio.create_task(_first_event(peer, network, next_commit=True)),
            asyncio.create_task(_first_event(peer, network)),
        ]
        async with asyncio.timeout(PATIENCE_S):
            while len(readers) < len(waiting):  # noqa: ASYNC110 - the peer tells nobody who listens
                await asyncio.sleep(0.01)
        await commit(peer)
        assert await asyncio.gather(*waiting) == [2, 2]


@pytest.mark.parametrize(
    "args", [("GetBlockByNumber", "energych", "7"), ("GetBlockByTxID", "energych", "x"), ("Else",), ()]
)
async def test_blocks_that_do_not_exist(network: Network, args: tuple[str, ...]) -> None:
    """Qscc answers with status 500, as a chaincode does."""
    async with _peer(network) as peer:
        code, message, _ = await _refusal_of_evaluate(peer, _evaluate(_proposal(network, "qscc", *args)))
        assert code == "UNKNOWN"
        assert "chaincode response 500" in message


async def test_blocks_by_transaction(network: Network) -> None:
    """A transaction id leads to its block's raw bytes."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    envelope = common_pb2.Envelope(payload=endorsed.message, signature=network.signer().sign(endorsed))
    async with _peer(network) as peer:
        await peer.submit(gateway_pb2.SubmitRequest(prepared_transaction=envelope), timeout_s=PATIENCE_S)
        await peer.commit_status(_status(network.signer(), endorsed.tx_id), timeout_s=PATIENCE_S)
        signed = _proposal(network, "qscc", "GetBlockByTxID", "energych", endorsed.tx_id)
        answer = await peer.evaluate(_evaluate(signed), timeout_s=PATIENCE_S)
        block = common_pb2.Block.FromString(answer.result.payload)
        assert list(block.data.data) == [envelope.SerializeToString()]
