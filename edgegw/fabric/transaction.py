"""Build proposals, endorsements and envelopes, and parse untrusted ones.

Decides the transaction id, the proposal hash and the bytes signed in each stage. Never checks a signature or a policy.
Source: Fabric common, peer and gateway messages; field order determines the bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgegw.fabric.identity import sha256
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.wire import MalformedMessageError, decode, encode

NONCE_BYTES = 24
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A call to simulate, the first document a client signs; `header` and `payload` are the exact bytes."""

    tx_id: str
    channel: str
    chaincode: str
    args: tuple[bytes, ...]
    creator: bytes
    nonce: bytes
    timestamp_ns: int
    header: bytes
    payload: bytes
    message: bytes

    @property
    def hash(self) -> bytes:
        """The proposal hash that endorsers sign, over both headers and the payload without its transient part."""
        header = decode(common_pb2.Header, self.header)
        visible = without_transient(self.payload)
        return sha256(header.channel_header, header.signature_header, visible)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsedTransaction:
    """A transaction with its endorsements; `message` (the Payload bytes) is the second document a client signs."""

    message: bytes
    tx_id: str
    channel: str
    chaincode: str
    args: tuple[bytes, ...]
    creator: bytes
    nonce: bytes
    timestamp_ns: int
    header: bytes
    chaincode_payload: bytes
    response_payload: bytes
    proposal_hash: bytes
    rwset: bytes
    event: peer_pb2.ChaincodeEvent | None
    response: peer_pb2.Response
    endorsements: tuple[tuple[bytes, bytes], ...]

    @property
    def expected_hash(self) -> bytes:
        """The proposal hash recomputed from this transaction's own headers and arguments."""
        header = decode(common_pb2.Header, self.header)
        return sha256(header.channel_header, header.signature_header, self.chaincode_payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusQuery:
    """A signed query of a transaction's commit status."""

    tx_id: str
    channel: str
    creator: bytes

    @property
    def message(self) -> bytes:
        """CommitStatusRequest bytes."""
        request = gateway_pb2.CommitStatusRequest(
            transaction_id=self.tx_id, channel_id=self.channel, identity=self.creator
        )
        return encode(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsQuery:
    """A signed request for events from a block on, after `after_tx_id` if that block contains it."""

    channel: str
    chaincode: str
    creator: bytes
    start_block: int
    after_tx_id: str = ""

    @property
    def message(self) -> bytes:
        """ChaincodeEventsRequest bytes."""
        request = gateway_pb2.ChaincodeEventsRequest(
            channel_id=self.channel,
            chaincode_id=self.chaincode,
            identity=self.creator,
            after_transaction_id=self.after_tx_id,
        )
        request.start_position.specified.number = self.start_block
        return encode(request)


def is_call(message: bytes) -> bool:
    """Return whether Payload bytes are a chaincode call, not a configuration. Raises MalformedMessageError."""
    payload = decode(common_pb2.Payload, message)
    channel = decode(common_pb2.ChannelHeader, payload.header.channel_header)
    return channel.type == common_pb2.ENDORSER_TRANSACTION


def transaction_id_of(message: bytes) -> str:
    """Return the unchecked id of Payload bytes (empty for a configuration). Raises MalformedMessageError."""
    payload = decode(common_pb2.Payload, message)
    return decode(common_pb2.ChannelHeader, payload.header.channel_header).tx_id


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Return the transaction id: SHA-256 of nonce and creator, in hex."""
    return sha256(nonce, creator).hex()


def build_proposal(
    *, creator: bytes, nonce: bytes, timestamp_ns: int, channel: str, chaincode: str, args: Sequence[bytes]
) -> Proposal:
    """Return a proposal to call the function `args[0]` with the rest; `nonce` must be unique."""
    tx_id = transaction_id(nonce, creator)
    name = peer_pb2.ChaincodeID(name=chaincode)
    channel_header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        channel_id=channel,
        tx_id=tx_id,
        extension=encode(peer_pb2.ChaincodeHeaderExtension(chaincode_id=name)),
    )
    channel_header.timestamp.seconds, channel_header.timestamp.nanos = divmod(timestamp_ns, _NS)
    header = encode(
        common_pb2.Header(
            channel_header=encode(channel_header),
            signature_header=encode(common_pb2.SignatureHeader(creator=creator, nonce=nonce)),
        )
    )
    spec = peer_pb2.ChaincodeSpec(chaincode_id=name, input=peer_pb2.ChaincodeInput(args=args))
    invocation = peer_pb2.ChaincodeInvocationSpec(chaincode_spec=spec)
    payload = encode(peer_pb2.ChaincodeProposalPayload(input=encode(invocation)))
    return Proposal(
        tx_id=tx_id,
        channel=channel,
        chaincode=chaincode,
        args=tuple(args),
        creator=creator,
        nonce=nonce,
        timestamp_ns=timestamp_ns,
        header=header,
        payload=payload,
        message=encode(peer_pb2.Proposal(header=header, payload=payload)),
    )


def parse_proposal(message: bytes) -> Proposal:
    """Parse proposal bytes without checking the transaction id; raise MalformedMessageError."""
    outer = decode(peer_pb2.Proposal, message)
    channel, signature = _headers(decode(common_pb2.Header, outer.header))
    chaincode, args = _call(outer.payload)
    if _extension_name(channel) != chaincode:
        raise MalformedMessageError("header and invocation name different chaincodes")
    return Proposal(
        tx_id=channel.tx_id,
        channel=channel.channel_id,
        chaincode=chaincode,
        args=args,
        creator=signature.creator,
        nonce=signature.nonce,
        timestamp_ns=channel.timestamp.seconds * _NS + channel.timestamp.nanos,
        header=outer.header,
        payload=outer.payload,
        message=message,
    )


def without_transient(chaincode_payload: bytes) -> bytes:
    """Return ChaincodeProposalPayload bytes without the transient part, as on the ledger."""
    visible = decode(peer_pb2.ChaincodeProposalPayload, chaincode_payload)
    return encode(peer_pb2.ChaincodeProposalPayload(input=visible.input))


def build_response_payload(
    proposal: Proposal, *, rwset: bytes, event: peer_pb2.ChaincodeEvent | None, response: peer_pb2.Response
) -> bytes:
    """Return ProposalResponsePayload bytes, which every endorser signs followed by its own identity."""
    action = peer_pb2.ChaincodeAction(
        results=rwset,
        events=b"" if event is None else encode(event),
        response=response,
        chaincode_id=peer_pb2.ChaincodeID(name=proposal.chaincode),
    )
    return encode(peer_pb2.ProposalResponsePayload(proposal_hash=proposal.hash, extension=encode(action)))


def build_transaction(
    proposal: Proposal, response_payload: bytes, endorsements: Sequence[tuple[bytes, bytes]]
) -> bytes:
    """Return the transaction's unsigned Payload bytes; endorsements are (endorser, signature)."""
    header = decode(common_pb2.Header, proposal.header)
    action = peer_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=without_transient(proposal.payload),
        action=peer_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response_payload,
            endorsements=[
                peer_pb2.Endorsement(endorser=endorser, signature=signature)
                for endorser, signature in endorsements
            ],
        ),
    )
    transaction = peer_pb2.Transaction(
        actions=[peer_pb2.TransactionAction(header=header.signature_header, payload=encode(action))]
    )
    return encode(common_pb2.Payload(header=header, data=encode(transaction)))


def parse_transaction(message: bytes) -> EndorsedTransaction:
    """Parse Payload bytes of an endorser transaction, including the response of its call.

    Raises:
        MalformedMessageError: a layer cannot be parsed, or it is not a transaction of one call.
    """
    payload = decode(common_pb2.Payload, message)
    channel, signature = _headers(payload.header)
    actions = decode(peer_pb2.Transaction, payload.data).actions
    if len(actions) != 1:
        raise MalformedMessageError(f"transaction has {len(actions)} actions, expected 1")
    if actions[0].header != payload.header.signature_header:
        raise MalformedMessageError("action carries another signature header")
    action = decode(peer_pb2.ChaincodeActionPayload, actions[0].payload)
    response_payload = action.action.proposal_response_payload
    response = decode(peer_pb2.ProposalResponsePayload, response_payload)
    result = decode(peer_pb2.ChaincodeAction, response.extension)
    chaincode, args = _call(action.chaincode_proposal_payload)
    if {_extension_name(channel), result.chaincode_id.name} != {chaincode}:
        raise MalformedMessageError("header, invocation and action name different chaincodes")
    return EndorsedTransaction(
        message=message,
        tx_id=channel.tx_id,
        channel=channel.channel_id,
        chaincode=chaincode,
        args=args,
        creator=signature.creator,
        nonce=signature.nonce,
        timestamp_ns=channel.timestamp.seconds * _NS + channel.timestamp.nanos,
        header=encode(payload.header),
        chaincode_payload=action.chaincode_proposal_payload,
        response_payload=response_payload,
        proposal_hash=response.proposal_hash,
        rwset=result.results,
        event=decode(peer_pb2.ChaincodeEvent, result.events) if result.events else None,
        response=result.response,
        endorsements=tuple((entry.endorser, entry.signature) for entry in action.action.endorsements),
    )


def build_envelope(message: bytes, signature: bytes) -> bytes:
    """Return the signed envelope bytes, which are stored, submitted and included in a block."""
    return encode(common_pb2.Envelope(payload=message, signature=signature))


def _headers(header: common_pb2.Header) -> tuple[common_pb2.ChannelHeader, common_pb2.SignatureHeader]:
    channel = decode(common_pb2.ChannelHeader, header.channel_header)
    if channel.type != common_pb2.ENDORSER_TRANSACTION:
        raise MalformedMessageError(f"header type {channel.type}, expected 3")
    return channel, decode(common_pb2.SignatureHeader, header.signature_header)


def _extension_name(channel: common_pb2.ChannelHeader) -> str:
    return decode(peer_pb2.ChaincodeHeaderExtension, channel.extension).chaincode_id.name


def _call(chaincode_payload: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Return chaincode name and arguments of a ChaincodeProposalPayload."""
    outer = decode(peer_pb2.ChaincodeProposalPayload, chaincode_payload)
    spec = decode(peer_pb2.ChaincodeInvocationSpec, outer.input).chaincode_spec
    return spec.chaincode_id.name, tuple(spec.input.args)
