"""Implement the chaincode's side of the shim protocol on one stream, without socket, thread or clock.

Decides what each message of a peer means in each phase, which calls are open, and that a call has at most one request
pending. A message that is not allowed in the phase breaks the stream; a late response is dropped.
Source: Fabric peer/chaincode_shim.proto.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, NamedTuple

from google.protobuf.message import Message  # type: ignore[import-untyped]  # it ships no stubs

from edgegw.contract.stub import Creator, Response
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import chaincode_pb2, peer_pb2
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.transaction import parse_proposal
from edgegw.fabric.wire import MalformedMessageError, decode, encode
from edgegw.peer.invocation import caller, words

_NS_PER_MS = 1_000_000


class CallId(NamedTuple):
    """Identifies a call on a stream."""

    channel: str
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the contract, parsed from a TRANSACTION message."""

    call_id: CallId
    creator: Creator
    timestamp_ms: int
    function: str
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message to the peer."""

    message: ChaincodeMessage


@dataclass(frozen=True, slots=True)
class Registered:
    """The peer has accepted the package and may call. It takes writes in batches of `batch_max`; 0 means singly."""

    batch_max: int


@dataclass(frozen=True, slots=True)
class Begun:
    """Run this call."""

    call: Call


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer's response to a call's pending request; `fault` is its reason if the request failed."""

    call_id: CallId
    payload: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream must be closed."""

    reason: str


Reaction = Send | Registered | Begun | Answered | Broken


class Phase(Enum):
    """The state of a stream's registration."""

    OPENED = auto()
    ACCEPTED = auto()
    READY = auto()


class Conversation:
    """The protocol state of one stream with one peer."""

    def __init__(self, package_id: str) -> None:
        self._package_id = package_id
        self._waiting: dict[CallId, bool] = {}
        self.phase = Phase.OPENED

    def opening(self) -> ChaincodeMessage:
        """Return the first message of the stream, which names the package."""
        name = peer_pb2.ChaincodeID(name=self._package_id)
        return ChaincodeMessage(type=ChaincodeMessage.REGISTER, payload=encode(name))

    def receive(self, message: ChaincodeMessage) -> Reaction | None:
        """Process a message of the peer; return the reaction it requires, or None."""
        step = self._STEPS.get((self.phase, message.type))
        if step is None:
            kind = _type_name(message.type)
            return Broken(f"the peer sent {kind} in phase {self.phase.name}")
        return step(self, message)

    def request(self, call_id: CallId, kind: ChaincodeMessage.Type, body: Message) -> ChaincodeMessage | None:
        """Return the message of a request to the peer within an open call, or None if the call has ended."""
        if call_id not in self._waiting:
            return None
        assert not self._waiting[call_id], "one request of a call at a time"
        self._waiting[call_id] = True
        return _of(call_id, kind, encode(body))

    def complete(
        self, call_id: CallId, response: Response, event: tuple[str, bytes] | None
    ) -> ChaincodeMessage:
        """End an open call and return the message with the contract's response, which may be a refusal."""
        del self._waiting[call_id]
        said = peer_pb2.Response(status=response.status, message=response.message, payload=response.payload)
        message = _of(call_id, ChaincodeMessage.COMPLETED, encode(said))
        if event is not None:
            name, payload = event
            message.chaincode_event.CopyFrom(peer_pb2.ChaincodeEvent(event_name=name, payload=payload))
        return message

    def fail(self, call_id: CallId, reason: str) -> ChaincodeMessage:
        """End an open call that could not run and return an ERROR message, so that the client retries."""
        del self._waiting[call_id]
        return _of(call_id, ChaincodeMessage.ERROR, reason.encode())

    def _accepted(self, _: ChaincodeMessage) -> Reaction | None:
        self.phase = Phase.ACCEPTED
        return None

    def _ready(self, message: ChaincodeMessage) -> Reaction | None:
        try:
            abilities = decode(chaincode_pb2.ChaincodeAdditionalParams, message.payload)
        except MalformedMessageError as fault:
            return Broken(f"the peer's READY cannot be read: {fault}")
        self.phase = Phase.READY
        return Registered(abilities.max_size_write_batch if abilities.use_write_batch else 0)

    def _not_accepted(self, message: ChaincodeMessage) -> Reaction | None:
        return Broken(f"the peer does not accept the package: {_text(message)}")

    def _begin(self, message: ChaincodeMessage) -> Reaction | None:
        call_id = CallId(message.channel_id, message.txid)
        if call_id in self._waiting:
            return Broken(f"the peer began {call_id.tx_id} twice")
        try:
            call = _parse_call(call_id, message)
        except MalformedMessageError as fault:
            return Send(_of(call_id, ChaincodeMessage.ERROR, f"the call cannot be read: {fault}".encode()))
        self._waiting[call_id] = False
        return Begun(call)

    def _initialise(self, message: ChaincodeMessage) -> Reaction | None:
        call_id = CallId(message.channel_id, message.txid)
        said = b"this chaincode has no initialisation: define it without --init-required"
        return Send(_of(call_id, ChaincodeMessage.ERROR, said))

    def _answer(self, message: ChaincodeMessage) -> Reaction | None:
        call_id = CallId(message.channel_id, message.txid)
        if not self._waiting.get(call_id, False):
            return None
        self._waiting[call_id] = False
        if message.type == ChaincodeMessage.ERROR:
            return Answered(call_id, b"", _text(message) or "the peer gave no reason")
        return Answered(call_id, message.payload)

    def _echo(self, message: ChaincodeMessage) -> Reaction | None:
        return Send(message)

    _STEPS: ClassVar[
        dict[tuple[Phase, int], Callable[["Conversation", ChaincodeMessage], Reaction | None]]
    ] = {
        (Phase.OPENED, ChaincodeMessage.REGISTERED): _accepted,
        (Phase.OPENED, ChaincodeMessage.ERROR): _not_accepted,
        (Phase.OPENED, ChaincodeMessage.KEEPALIVE): _echo,
        (Phase.ACCEPTED, ChaincodeMessage.READY): _ready,
        (Phase.ACCEPTED, ChaincodeMessage.ERROR): _not_accepted,
        (Phase.ACCEPTED, ChaincodeMessage.KEEPALIVE): _echo,
        (Phase.READY, ChaincodeMessage.TRANSACTION): _begin,
        (Phase.READY, ChaincodeMessage.INIT): _initialise,
        (Phase.READY, ChaincodeMessage.RESPONSE): _answer,
        (Phase.READY, ChaincodeMessage.ERROR): _answer,
        (Phase.READY, ChaincodeMessage.KEEPALIVE): _echo,
    }


def _parse_call(call_id: CallId, message: ChaincodeMessage) -> Call:
    """Return the call in a TRANSACTION message; raise MalformedMessageError.

    A call from another chaincode has its own arguments and the proposal of the outer call. The submitter did not sign
    these arguments, so it is refused.
    """
    given = decode(peer_pb2.ChaincodeInput, message.payload)
    proposal = parse_proposal(message.proposal.proposal_bytes)
    if CallId(proposal.channel, proposal.tx_id) != call_id:
        raise MalformedMessageError("its proposal is another transaction's")
    if proposal.args != tuple(given.args):
        raise MalformedMessageError("its arguments are not what the submitter signed")
    function, args = words(given.args)
    return Call(
        call_id=call_id,
        creator=caller(parse_identity(proposal.creator)),
        timestamp_ms=proposal.timestamp_ns // _NS_PER_MS,
        function=function,
        args=args,
    )


def _of(call_id: CallId, kind: ChaincodeMessage.Type, payload: bytes) -> ChaincodeMessage:
    return ChaincodeMessage(type=kind, payload=payload, txid=call_id.tx_id, channel_id=call_id.channel)


def _text(message: ChaincodeMessage) -> str:
    return message.payload.decode("utf-8", "replace")


def _type_name(kind: int) -> str:
    known = ChaincodeMessage.Type.values()
    return ChaincodeMessage.Type.Name(kind) if kind in known else f"type {kind}"
