"""Implement the Gateway service of one channel, as coroutines over messages without transport.

Source: Fabric gateway (endorse, evaluate, submit, commit status, events), and the system chaincode qscc for blocks.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgegw.fabric import block as blocks
from edgegw.fabric import transaction
from edgegw.fabric.identity import Identity, KeySigner, parse_identity
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.transaction import Proposal
from edgegw.fabric.wire import MalformedMessageError, decode, encode
from edgegw.peer import status_errors
from edgegw.peer.chain import Chain
from edgegw.peer.endorse import (
    READERS,
    ProposalRefusedError,
    check_proposal,
    choose_organisations,
    sign,
    simulate,
)
from edgegw.peer.faults import Faults
from edgegw.peer.invocation import Contract
from edgegw.peer.status_errors import CallRefusedError, Detail
from edgegw.peer.validate import is_writer_signature

ENDORSEMENTS_LEAST = 2
SYSTEM_CHAINCODE = "qscc"
_OK = 200
_ERROR_STATUS = 400
_BLOCK_ARGS = 2

Query = TypeVar("Query", gateway_pb2.CommitStatusRequest, gateway_pb2.ChaincodeEventsRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A gateway peer's network: its address and organisation, the endorsing peers, the contract."""

    address: str
    home_msp_id: str
    peers: Mapping[str, Sequence[KeySigner]]
    contract: Contract


class Gateway:
    """The five calls of the service; each may raise CallRefusedError."""

    def __init__(self, chain: Chain, network: Network, faults: Faults) -> None:
        self._chain = chain
        self._rules = chain.rules
        self._network = network
        self._faults = faults

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        """Simulate, sign with enough organisations, and return the transaction for the client to sign."""
        self._check_target(request.channel_id, request.proposed_transaction)
        try:
            proposal, creator = self._checked(request.proposed_transaction)
        except ProposalRefusedError as refusal:
            raise self._endorse_refused(str(refusal)) from refusal
        done = simulate(self._network.contract, self._chain.world, proposal, creator=creator)
        if done.response.status >= _ERROR_STATUS:
            raise self._endorse_refused(_chaincode_refusal(done.response))
        if self._faults.take("mismatch"):
            details = [self._detail(msp_id, status_errors.MISMATCH) for msp_id in sorted(self._network.peers)]
            raise CallRefusedError("ABORTED", status_errors.COLLECT_FAILED, *details)
        msp_ids: Sequence[str] = list(request.endorsing_organizations)
        if not msp_ids:
            others = sorted({creator.msp_id, *self._network.peers} - {self._network.home_msp_id})
            preferred = (self._network.home_msp_id, *others)
            msp_ids = choose_organisations(
                self._chain.world, done.recorded, preferred, least=ENDORSEMENTS_LEAST
            )
        missing = [msp_id for msp_id in msp_ids if msp_id not in self._network.peers]
        if missing:
            raise CallRefusedError(
                "UNAVAILABLE", f"failed to find any endorsing peers for org(s): {', '.join(missing)}"
            )
        endorsements = sign(done.payload, self._network.peers, msp_ids)
        message = transaction.build_transaction(proposal, done.payload, endorsements)
        return gateway_pb2.EndorseResponse(prepared_transaction=common_pb2.Envelope(payload=message))

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        """Simulate and return the response; nothing is signed or ordered."""
        try:
            proposal, creator = self._checked(request.proposed_transaction)
        except ProposalRefusedError as refusal:
            raise CallRefusedError(
                "FAILED_PRECONDITION", f"{status_errors.EVALUATE_FAILED}{refusal}"
            ) from refusal
        if proposal.chaincode == SYSTEM_CHAINCODE and proposal.channel == self._rules.channel:
            return gateway_pb2.EvaluateResponse(result=await self._query_blocks(proposal))
        if (proposal.channel, proposal.chaincode) != (self._rules.channel, self._rules.chaincode):
            raise CallRefusedError(
                "FAILED_PRECONDITION",
                f"no peers available to evaluate chaincode {proposal.chaincode} in channel {proposal.channel}",
            )
        response = simulate(self._network.contract, self._chain.world, proposal, creator=creator).response
        if response.status >= _ERROR_STATUS:
            text = _chaincode_refusal(response)
            raise CallRefusedError("UNKNOWN", status_errors.EVALUATE_FAILED + text, self._home_detail(text))
        return gateway_pb2.EvaluateResponse(result=response)

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """Order the signed transaction. OK means "accepted", not "committed"."""
        envelope = request.prepared_transaction
        if not envelope.signature:
            raise CallRefusedError("INVALID_ARGUMENT", status_errors.NOT_SIGNED)
        try:
            parsed = transaction.parse_transaction(envelope.payload)
        except MalformedMessageError as fault:
            raise CallRefusedError("INVALID_ARGUMENT", f"prepared transaction: {fault}") from fault
        roots = self._rules.roots
        if not (
            is_writer_signature(roots, envelope.payload, envelope.signature, creator=parsed.creator)
            and roots.valid_at(parse_identity(parsed.creator), time.time_ns())
        ):
            raise CallRefusedError("ABORTED", status_errors.FORBIDDEN)
        if not self._faults.take("forget"):
            self._chain.order(encode(envelope))
        if self._faults.take("unavailable_after"):
            raise CallRefusedError("UNAVAILABLE", status_errors.NO_ORDERER)
        return gateway_pb2.SubmitResponse()

    async def commit_status(
        self, signed: gateway_pb2.SignedCommitStatusRequest
    ) -> gateway_pb2.CommitStatusResponse:
        """Return the first outcome of a transaction id; wait for it until the caller cancels."""
        request = _query(gateway_pb2.CommitStatusRequest, signed.request)
        self._check_reader(request.identity, signed.request, signed.signature)
        number, code = await self._chain.wait_outcome(request.transaction_id)
        return gateway_pb2.CommitStatusResponse(
            result=peer_pb2.TxValidationCode.Name(code), block_number=number
        )

    async def chaincode_events(
        self, signed: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncIterator[gateway_pb2.ChaincodeEventsResponse]:
        """Yield events of valid transactions, block by block, from the start position on, without end."""
        request = _query(gateway_pb2.ChaincodeEventsRequest, signed.request)
        self._check_reader(request.identity, signed.request, signed.signature)
        start = request.start_position
        kind = start.WhichOneof("Type")
        number = self._chain.height
        if kind == "specified":
            number = start.specified.number
        elif kind == "oldest":
            number = 0
        elif kind == "newest":
            number = max(0, number - 1)
        after = request.after_transaction_id
        while True:
            found = events_of(await self._chain.wait_block(number), request.chaincode_id, after)
            if found:
                yield gateway_pb2.ChaincodeEventsResponse(events=found, block_number=number)
            number, after = number + 1, ""

    def _check_target(self, channel: str, signed: peer_pb2.SignedProposal) -> None:
        try:
            chaincode = transaction.parse_proposal(signed.proposal_bytes).chaincode
        except MalformedMessageError as fault:
            raise CallRefusedError(
                "INVALID_ARGUMENT", f"failed to unpack transaction proposal: {fault}"
            ) from fault
        if (channel, chaincode) != (self._rules.channel, self._rules.chaincode):
            raise CallRefusedError(
                "FAILED_PRECONDITION",
                "no combination of peers can be derived which satisfy the endorsement policy: "
                f"No metadata was found for chaincode {chaincode} in channel {channel}",
            )

    def _checked(self, signed: peer_pb2.SignedProposal) -> tuple[Proposal, Identity]:
        return check_proposal(signed, self._rules.roots, now_ns=time.time_ns(), known=self._chain.known)

    def _check_reader(self, identity: bytes, message: bytes, signature: bytes) -> None:
        try:
            reader = parse_identity(identity)
        except MalformedMessageError as fault:
            raise CallRefusedError("PERMISSION_DENIED", status_errors.NOT_A_READER) from fault
        if not (
            self._rules.roots.valid_at(reader, time.time_ns())
            and reader.node_roles & READERS
            and reader.verify(message, signature)
        ):
            raise CallRefusedError("PERMISSION_DENIED", status_errors.NOT_A_READER)

    async def _query_blocks(self, proposal: Proposal) -> peer_pb2.Response:
        """Answer qscc's GetChainInfo(channel), GetBlockByNumber(channel, number), GetBlockByTxID(channel, id)."""
        name, *args = [arg.decode("utf-8", "replace") for arg in proposal.args] or [""]
        if name == "GetChainInfo":
            info = common_pb2.BlockchainInfo(
                height=self._chain.height, currentBlockHash=self._chain.last_hash
            )
            return peer_pb2.Response(status=_OK, payload=encode(info))
        number = -1
        if name == "GetBlockByNumber" and len(args) == _BLOCK_ARGS and args[1].isdecimal():
            number = int(args[1])
        elif name == "GetBlockByTxID" and len(args) == _BLOCK_ARGS:
            number, _ = self._chain.outcome(args[1]) or (-1, 0)
        raw = await self._chain.block(number)
        if raw is None:
            text = f"chaincode response 500, Failed to get block: {name} {' '.join(args[1:])}: no such block"
            raise CallRefusedError("UNKNOWN", status_errors.EVALUATE_FAILED + text, self._home_detail(text))
        return peer_pb2.Response(status=_OK, payload=raw)

    def _endorse_refused(self, text: str) -> CallRefusedError:
        return CallRefusedError("ABORTED", status_errors.ENDORSE_FAILED, self._home_detail(text))

    def _home_detail(self, text: str) -> Detail:
        return self._detail(self._network.home_msp_id, text)

    def _detail(self, msp_id: str, text: str) -> Detail:
        return Detail(address=self._network.address, msp_id=msp_id, message=text)


def events_of(raw: bytes, chaincode: str, after_tx_id: str) -> list[peer_pb2.ChaincodeEvent]:
    """Return the events of a block's valid transactions; only those after `after_tx_id` if the block contains it."""
    block = blocks.parse_block(raw)
    found: list[peer_pb2.ChaincodeEvent] = []
    for envelope, code in zip(block.data.data, blocks.codes_of(block), strict=True):
        if code == peer_pb2.BAD_PAYLOAD:
            continue
        parsed = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload)
        if parsed.tx_id == after_tx_id:
            found.clear()
        elif code == peer_pb2.VALID and parsed.event is not None and parsed.chaincode == chaincode:
            found.append(parsed.event)
    return found


def _query(kind: type[Query], data: bytes) -> Query:
    try:
        return decode(kind, data)
    except MalformedMessageError as fault:
        raise CallRefusedError("INVALID_ARGUMENT", f"invalid request: {fault}") from fault


def _chaincode_refusal(response: peer_pb2.Response) -> str:
    return f"chaincode response {response.status}, {response.message}"
