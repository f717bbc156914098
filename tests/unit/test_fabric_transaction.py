"""Proposals, transactions, read and write sets, blocks: built, parsed, hashed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.fabric import block as blocks
from edgegw.fabric import rwset, transaction
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.rwset import RangeRead, ReadWriteSet, Version
from edgegw.fabric.wire import MalformedMessageError, decode, encode
from firmware_sim.audit.blocks import split
from firmware_sim.audit.protobuf import MalformedError

KEYS = st.text(min_size=1, max_size=8)
VERSIONS = st.builds(Version, st.integers(0, 2**40), st.integers(0, 1000))


def _proposal(**changed: object) -> transaction.Proposal:
    given_: dict[str, object] = {
        "creator": b"creator",
        "nonce": b"n" * 24,
        "timestamp_ns": 1_560_150_000_123_456_789,
        "channel": "energych",
        "chaincode": "token",
        "args": (b"Get", b"{}"),
    }
    return transaction.build_proposal(**(given_ | changed))  # type: ignore[arg-type]  # changed by name


def _transaction() -> bytes:
    response = peer_pb2.Response(status=200, payload=b"{}")
    event = peer_pb2.ChaincodeEvent(chaincode_id="token", tx_id=_proposal().tx_id, event_name="e")
    payload = transaction.build_response_payload(_proposal(), rwset=b"", event=event, response=response)
    return transaction.build_transaction(_proposal(), payload, [(b"endorser", b"signature")])


def test_transaction_id_is_the_hash_of_nonce_and_creator() -> None:
    """Known value: SHA-256 of nonce then creator, in hex."""
    assert _proposal().tx_id == hashlib.sha256(b"n" * 24 + b"creator").hexdigest()


def test_a_proposal_is_parsed_back_to_itself() -> None:
    """Parsing the message gives every field again, to the nanosecond."""
    assert transaction.parse_proposal(_proposal().message) == _proposal()


def test_the_proposal_hash_leaves_the_transient_part_out() -> None:
    """The proposal hash is the same with and without transient data."""
    outer = decode(peer_pb2.ChaincodeProposalPayload, _proposal().payload)
    outer.TransientMap["secret"] = b"s"
    message = encode(peer_pb2.Proposal(header=_proposal().header, payload=encode(outer)))
    secret = transaction.parse_proposal(message)
    assert secret.payload != _proposal().payload
    assert secret.hash == _proposal().hash
    assert secret.hash != _proposal(args=(b"Put", b"{}")).hash


def test_a_transaction_is_parsed_down_to_its_response() -> None:
    """Every layer is read: ids, arguments, hashes, event, response, endorsements."""
    parsed = transaction.parse_transaction(_transaction())
    ours = _proposal()
    assert (parsed.tx_id, parsed.channel, parsed.chaincode) == (ours.tx_id, "energych", "token")
    assert (parsed.args, parsed.creator, parsed.nonce) == (ours.args, ours.creator, ours.nonce)
    assert parsed.header == ours.header
    assert parsed.proposal_hash == parsed.expected_hash == ours.hash
    assert parsed.event is not None
    assert parsed.event.event_name == "e"
    assert (parsed.response.status, parsed.endorsements) == (200, ((b"endorser", b"signature"),))


def _changed(kind: str) -> bytes:
    payload = decode(common_pb2.Payload, _transaction())
    inner = decode(peer_pb2.Transaction, payload.data)
    if kind == "no actions":
        del inner.actions[:]
    elif kind == "two actions":
        inner.actions.append(inner.actions[0])
    elif kind == "other header":
        inner.actions[0].header = b"x"
    elif kind == "other type":
        channel = decode(common_pb2.ChannelHeader, payload.header.channel_header)
        channel.type = common_pb2.CONFIG
        payload.header.channel_header = encode(channel)
    elif kind == "other chaincode":
        channel = decode(common_pb2.ChannelHeader, payload.header.channel_header)
        channel.extension = b""
        payload.header.channel_header = encode(channel)
    payload.data = encode(inner)
    return encode(payload)


@pytest.mark.parametrize(
    "kind", ["no actions", "two actions", "other header", "other type", "other chaincode"]
)
def test_a_transaction_with_a_wrong_layer_is_refused(kind: str) -> None:
    """One action, its own signature header, the right type and one chaincode throughout, or nothing."""
    with pytest.raises(MalformedMessageError):
        transaction.parse_transaction(_changed(kind))


@given(st.binary(max_size=60))
def test_noise_is_refused_with_one_error(noise: bytes) -> None:
    """No bytes make the parsers raise anything but MalformedMessageError."""
    for parse in (transaction.parse_proposal, transaction.parse_transaction, blocks.parse_block):
        try:
            parse(noise)
        except MalformedMessageError:
            continue


def test_queries_sign_what_fabric_reads() -> None:
    """The signed bytes are the inner requests of CommitStatus and ChaincodeEvents."""
    status = transaction.StatusQuery(tx_id="t", channel="c", creator=b"i").message
    assert decode(gateway_pb2.CommitStatusRequest, status).transaction_id == "t"
    events = transaction.EventsQuery(
        channel="c", chaincode="cc", creator=b"i", start_block=0, after_tx_id="t"
    ).message
    request = decode(gateway_pb2.ChaincodeEventsRequest, events)
    assert request.start_position.WhichOneof("Type") == "specified"
    assert (request.start_position.specified.number, request.after_transaction_id) == (0, "t")


READ_WRITE_SETS = st.builds(
    ReadWriteSet,
    reads=st.dictionaries(KEYS, st.none() | VERSIONS, max_size=4),
    ranges=st.lists(
        st.builds(RangeRead, KEYS, KEYS, st.lists(st.tuples(KEYS, VERSIONS), max_size=3), st.booleans()),
        max_size=2,
    ).map(tuple),
    writes=st.dictionaries(KEYS, st.none() | st.binary(max_size=8), max_size=4),
    policies=st.dictionaries(KEYS, st.binary(min_size=1, max_size=4), max_size=2),
)


@given(READ_WRITE_SETS)
def test_read_write_sets_survive_the_wire(recorded: ReadWriteSet) -> None:
    """Serialise and parse are inverses, absent versions and deletions included."""
    assert rwset.parse("token", rwset.serialize("token", recorded)) == recorded


def test_read_write_sets_have_one_serialisation() -> None:
    """The order in which a contract touched its keys does not show."""
    one = ReadWriteSet(reads={"a": None, "b": None}, ranges=(), writes={"x": b"1", "y": None}, policies={})
    two = ReadWriteSet(reads={"b": None, "a": None}, ranges=(), writes={"y": None, "x": b"1"}, policies={})
    assert rwset.serialize("token", one) == rwset.serialize("token", two)


def test_foreign_namespaces_are_refused() -> None:
    """A transaction may not write to another chaincode's state."""
    empty = ReadWriteSet(reads={}, ranges=(), writes={}, policies={})
    with pytest.raises(MalformedMessageError, match="namespace"):
        rwset.parse("token", rwset.serialize("other", empty))


@pytest.mark.parametrize(
    ("number", "der"),
    [(0, "020100"), (127, "02017f"), (128, "02020080"), (65536, "0203010000")],
)
def test_header_hash_is_fabrics_asn1(number: int, der: str) -> None:
    """SHA-256 over SEQUENCE{INTEGER, OCTET STRING, OCTET STRING}, integers minimal and non-negative."""
    header = common_pb2.BlockHeader(number=number, previous_hash=b"p" * 32, data_hash=b"d" * 32)
    body = bytes.fromhex(der) + b"\x04\x20" + b"p" * 32 + b"\x04\x20" + b"d" * 32
    assert blocks.header_hash(header) == hashlib.sha256(b"\x30" + bytes([len(body)]) + body).digest()


def test_blocks_bind_their_data_and_carry_codes() -> None:
    """The data hash is over the concatenated envelopes; one code byte a transaction in metadata 2."""
    block = blocks.build_block(3, b"p", [b"one", b"two"])
    assert block.header.data_hash == hashlib.sha256(b"onetwo").digest()
    blocks.set_codes(block, [0, 11])
    again = blocks.parse_block(encode(block))
    assert blocks.codes_of(again) == b"\x00\x0b"
    assert blocks.codes_of(common_pb2.Block()) == b""


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_exports_are_split_again(raw: list[bytes]) -> None:
    """The auditor splits length-delimited blocks as they went in, and refuses an export that ends inside one."""
    data = b"".join(blocks.delimited(entry) for entry in raw)
    assert list(split(data)) == raw
    if raw and raw[-1]:
        with pytest.raises(MalformedError):
            list(split(data[:-1]))
