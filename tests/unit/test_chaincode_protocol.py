"""The chaincode's half of the protocol, tested message by message without a socket."""

import pytest

from edgegw.contract.stub import Response
from edgegw.fabric.proto import chaincode_pb2, peer_pb2
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.wire import decode, encode
from edgegw.peer.chaincode.protocol import (
    Answered,
    Begun,
    Broken,
    CallId,
    Conversation,
    Phase,
    Registered,
    Send,
)
from tests.support.chaincode_peer import CHANNEL, FakePeer
from tests.support.peer_network import Network

ABILITIES = chaincode_pb2.ChaincodeAdditionalParams(use_write_batch=True, max_size_write_batch=7)


@pytest.fixture(scope="module")
def creator(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Network(tmp_path_factory.mktemp("net")).signer().identity.serialized


def message(kind: int, payload: bytes = b"", tx_id: str = "") -> ChaincodeMessage:
    return ChaincodeMessage(type=kind, payload=payload, txid=tx_id, channel_id=CHANNEL)  # type: ignore[arg-type]  # a number, as on the wire


def ready() -> Conversation:
    talk = Conversation("edgegw_1:00")
    talk.receive(message(ChaincodeMessage.REGISTERED))
    talk.receive(message(ChaincodeMessage.READY, encode(ABILITIES)))
    return talk


async def transaction(creator: bytes, *args: str) -> ChaincodeMessage:
    peer = FakePeer()
    peer.begin(creator, *args, at_ms=1_234)
    sent = await peer.outgoing.get()
    assert sent is not None
    return sent


async def begun(creator: bytes) -> tuple[Conversation, CallId]:
    talk = ready()
    reaction = talk.receive(await transaction(creator, "Get", "{}"))
    assert isinstance(reaction, Begun)
    return talk, reaction.call.call_id


def test_registration() -> None:
    """The chaincode names its package, is accepted, and learns the peer's batch limits for writes."""
    talk = Conversation("edgegw_1:00")
    first = talk.opening()
    assert first.type == ChaincodeMessage.REGISTER
    assert decode(peer_pb2.ChaincodeID, first.payload).name == "edgegw_1:00"
    assert talk.receive(message(ChaincodeMessage.REGISTERED)) is None
    assert talk.receive(message(ChaincodeMessage.READY, encode(ABILITIES))) == Registered(7)
    assert talk.phase is Phase.READY


def test_a_peer_without_write_batches() -> None:
    """A READY without abilities, as v2.5 sends it, means writes one by one."""
    talk = Conversation("p")
    talk.receive(message(ChaincodeMessage.REGISTERED))
    assert talk.receive(message(ChaincodeMessage.READY)) == Registered(0)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", ChaincodeMessage.Type.values())
def test_every_message_in_every_phase(phase: Phase, kind: int) -> None:
    """A message that the phase does not allow breaks the stream, an allowed one does not; nothing raises."""
    talk = Conversation("p")
    talk.phase = phase
    allowed = {
        Phase.OPENED: {ChaincodeMessage.REGISTERED, ChaincodeMessage.KEEPALIVE},
        Phase.ACCEPTED: {ChaincodeMessage.READY, ChaincodeMessage.KEEPALIVE},
        Phase.READY: {
            *(ChaincodeMessage.TRANSACTION, ChaincodeMessage.INIT, ChaincodeMessage.RESPONSE),
            *(ChaincodeMessage.ERROR, ChaincodeMessage.KEEPALIVE),
        },
    }
    assert isinstance(talk.receive(message(kind)), Broken) == (kind not in allowed[phase])


def test_a_type_nobody_knows_breaks_the_stream() -> None:
    """A message type beyond the list is named by its number."""
    assert ready().receive(message(99)) == Broken("the peer sent type 99 in phase READY")


def test_a_refused_registration_says_why() -> None:
    """An ERROR instead of REGISTERED carries the peer's reason."""
    reaction = Conversation("p").receive(message(ChaincodeMessage.ERROR, b"unknown ccid"))
    assert reaction == Broken("the peer does not accept the package: unknown ccid")


def test_a_ready_that_cannot_be_read() -> None:
    """Bytes that are no parameters break the stream."""
    talk = Conversation("p")
    talk.receive(message(ChaincodeMessage.REGISTERED))
    assert isinstance(talk.receive(message(ChaincodeMessage.READY, b"\xff")), Broken)


def test_keepalive_is_sent_back() -> None:
    """A keepalive is returned unchanged."""
    ping = message(ChaincodeMessage.KEEPALIVE)
    assert ready().receive(ping) == Send(ping)


async def test_a_call_as_the_contract_sees_it(creator: bytes) -> None:
    """Function, arguments, time and creator come from what the submitter signed."""
    reaction = ready().receive(await transaction(creator, "Get", '{"key":"a"}'))
    assert isinstance(reaction, Begun)
    call = reaction.call
    assert (call.function, call.args, call.timestamp_ms) == ("Get", ('{"key":"a"}',), 1_234)
    assert (call.creator.msp_id, call.creator.role, call.creator.gateway_id) == (
        "EVUserMSP",
        "gateway",
        "gateway1",
    )
    assert len(call.creator.certificate_sha256) == 64


async def test_one_request_and_its_answer(creator: bytes) -> None:
    """An answer belongs to the request under way; a second request before it is a fault of ours."""
    talk, call_id = await begun(creator)
    asked = talk.request(call_id, ChaincodeMessage.GET_STATE, chaincode_pb2.GetState(key="a"))
    assert asked is not None
    assert (asked.channel_id, asked.txid) == call_id
    with pytest.raises(AssertionError, match="one request"):
        talk.request(call_id, ChaincodeMessage.GET_STATE, chaincode_pb2.GetState(key="b"))
    answer = message(ChaincodeMessage.RESPONSE, b"value", call_id.tx_id)
    assert talk.receive(answer) == Answered(call_id, b"value")
    assert talk.receive(answer) is None, "nothing was asked: dropped"


async def test_the_peer_may_fail_a_request(creator: bytes) -> None:
    """An ERROR answers the request with the peer's text, or with a default text if it has none."""
    talk, call_id = await begun(creator)
    for said, heard in ((b"closed", "closed"), (b"", "the peer gave no reason")):
        talk.request(call_id, ChaincodeMessage.GET_STATE, chaincode_pb2.GetState(key="a"))
        reaction = talk.receive(message(ChaincodeMessage.ERROR, said, call_id.tx_id))
        assert reaction == Answered(call_id, b"", heard)


async def test_a_call_ends_once(creator: bytes) -> None:
    """A completed call takes no request and no answer any more."""
    talk, call_id = await begun(creator)
    done = talk.complete(call_id, Response(status=500, message="NO: because"), ("edgegw.x", b"{}"))
    said = decode(peer_pb2.Response, done.payload)
    assert (done.type, said.status, said.message) == (ChaincodeMessage.COMPLETED, 500, "NO: because")
    assert (done.chaincode_event.event_name, done.chaincode_event.payload) == ("edgegw.x", b"{}")
    assert not talk._waiting
    assert talk.request(call_id, ChaincodeMessage.GET_STATE, chaincode_pb2.GetState()) is None
    assert talk.receive(message(ChaincodeMessage.RESPONSE, b"late", call_id.tx_id)) is None


async def test_a_call_without_event_carries_none(creator: bytes) -> None:
    """Without an event of the contract, the answer has no event field."""
    talk, call_id = await begun(creator)
    assert not talk.complete(call_id, Response(status=200), None).HasField("chaincode_event")


async def test_calls_that_cannot_be_read(creator: bytes) -> None:
    """A call of another transaction, with other arguments or without a proposal is refused alone; the stream continues."""
    talk = ready()
    honest = await transaction(creator, "Get", "{}")
    for change in ("id", "args", "proposal", "identity"):
        bad = ChaincodeMessage()
        bad.CopyFrom(honest if change != "identity" else await transaction(b"nobody", "Get", "{}"))
        if change == "id":
            bad.txid = "00"
        elif change == "args":
            bad.payload = encode(peer_pb2.ChaincodeInput(args=[b"Mint"]))
        elif change == "proposal":
            bad.proposal.proposal_bytes = b"\xff"
        reaction = talk.receive(bad)
        assert isinstance(reaction, Send), change
        assert reaction.message.type == ChaincodeMessage.ERROR
        assert (reaction.message.txid, reaction.message.channel_id) == (bad.txid, CHANNEL)
    assert not talk._waiting
    assert isinstance(talk.receive(honest), Begun)


async def test_a_call_begun_twice_breaks_the_stream(creator: bytes) -> None:
    """No peer begins a transaction that is running."""
    talk = ready()
    call = await transaction(creator, "Get")
    talk.receive(call)
    assert isinstance(talk.receive(call), Broken)


def test_initialisation_is_refused_with_a_remedy() -> None:
    """INIT is answered with what the operator has to change."""
    reaction = ready().receive(message(ChaincodeMessage.INIT, tx_id="1"))
    assert isinstance(reaction, Send)
    assert reaction.message.type == ChaincodeMessage.ERROR
    assert b"--init-required" in reaction.message.payload


async def test_a_failed_call_is_an_error_not_an_answer(creator: bytes) -> None:
    """An exception of the contract becomes ERROR, not status 500, which a client would take for a refusal."""
    talk, call_id = await begun(creator)
    failed = talk.fail(call_id, "no disk")
    assert (failed.type, failed.payload) == (ChaincodeMessage.ERROR, b"no disk")
    assert not talk._waiting
