"""Serve the Gateway service over gRPC, and set up and close the embedded peer.

Decides transport only: plain text on loopback unless certificate files are given. The only module of the embedded peer
that imports grpc. Source: Fabric gateway service names and trailers.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from edgegw.fabric import policy
from edgegw.fabric.proto import gateway_pb2
from edgegw.fabric.wire import MalformedMessageError, encode
from edgegw.peer import membership
from edgegw.peer.chain import Chain, Cutting
from edgegw.peer.faults import Faults
from edgegw.peer.gateway import ENDORSEMENTS_LEAST, Gateway, Network
from edgegw.peer.invocation import Contract
from edgegw.peer.listen_address import StartRefusedError, bind
from edgegw.peer.status_errors import CallRefusedError
from edgegw.peer.store import FILE_NAME, Store
from edgegw.peer.validate import Rules

CHANNEL = "energych"
CHAINCODE = "token"
HOME_MSP = "EVUserMSP"
DETAILS_TRAILER = "grpc-status-details-bin"

_SERVICE = "gateway.Gateway"
_ADMIN_SERVICE = "edgegw.Peer"
_MESSAGE_BYTES = 16 * 1024 * 1024
_STOP_GRACE_S = 0.5
_SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a peer; `faults` None disables fault injection, `tls` is the (certificate, key) files."""

    data: Path
    contract: Contract
    listen: str = "127.0.0.1:0"
    channel: str = CHANNEL
    chaincode: str = CHAINCODE
    cutting: Cutting = field(default_factory=Cutting)
    enrolments: tuple[membership.Enrolment, ...] = ()
    faults: Faults | None = None
    tls: tuple[Path, Path] | None = None


def rules_for(data: Path, *, channel: str = CHANNEL, chaincode: str = CHAINCODE) -> Rules:
    """Return the validation rules of the network in this folder: its roots, and a policy of two organisations."""
    return Rules(
        channel=channel,
        chaincode=chaincode,
        roots=membership.load_roots(data / "crypto"),
        policy=policy.out_of(ENDORSEMENTS_LEAST, membership.ORGANISATIONS),
    )


async def serve(options: Options, ready: Callable[[str], None]) -> None:
    """Run a peer until cancelled; call `ready` with "host:port" once it answers calls.

    Raises:
        StartRefusedError: the folder or the address is in use, or the address needs TLS.
        StoreError: the file has another schema version.
        sqlite3.Error: the disk failed; every published block is stored, and the peer can start again.
    """
    async with _opened(options) as chain:
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        address = bind(server, options.listen, _credentials(options))
        network = Network(
            address=address,
            home_msp_id=HOME_MSP,
            peers=membership.load_peers(options.data / "crypto"),
            contract=options.contract,
        )
        faults = options.faults or Faults()
        server.add_generic_rpc_handlers((_handlers(Gateway(chain, network, faults), faults),))
        if options.faults is not None:
            server.add_generic_rpc_handlers((_admin_handlers(faults),))
        await server.start()
        ready(address)
        try:
            await chain.run()
        finally:
            await server.stop(_STOP_GRACE_S)


@asynccontextmanager
async def _opened(options: Options) -> AsyncIterator[Chain]:
    """Lock the folder, create the network if needed, load the chain; close them in reverse order on exit."""
    options.data.mkdir(parents=True, exist_ok=True)
    with (options.data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise StartRefusedError(f"{options.data}: another peer uses this folder") from fault
        membership.found(options.data / "crypto")
        for enrolment in options.enrolments:
            membership.enrol(options.data / "crypto", enrolment)
        rules = rules_for(options.data, channel=options.channel, chaincode=options.chaincode)
        store = Store(options.data / FILE_NAME)
        try:
            chain = Chain(store, rules, options.cutting)
        except MalformedMessageError as fault:
            store.close()
            raise StartRefusedError(f"{options.data}: the last block is damaged: {fault}") from fault
        try:
            yield chain
        finally:
            await chain.close()


def _credentials(options: Options) -> Any | None:
    if options.tls is None:
        return None
    certificate, key = options.tls
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


def _handlers(gateway: Gateway, faults: Faults) -> Any:
    def unary(method: Callable[[Any], Awaitable[Any]], kind: Any) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            try:
                await _misbehave(faults)
                return await method(request)
            except CallRefusedError as refusal:
                await _abort(context, refusal)

        return grpc.unary_unary_rpc_method_handler(answer, kind.FromString, encode)

    async def events(request: gateway_pb2.SignedChaincodeEventsRequest, context: Any) -> AsyncIterator[Any]:
        try:
            await _misbehave(faults)
            async for answer in gateway.chaincode_events(request):
                yield answer
        except CallRefusedError as refusal:
            await _abort(context, refusal)

    return grpc.method_handlers_generic_handler(
        _SERVICE,
        {
            "Endorse": unary(gateway.endorse, gateway_pb2.EndorseRequest),
            "Evaluate": unary(gateway.evaluate, gateway_pb2.EvaluateRequest),
            "Submit": unary(gateway.submit, gateway_pb2.SubmitRequest),
            "CommitStatus": unary(gateway.commit_status, gateway_pb2.SignedCommitStatusRequest),
            "ChaincodeEvents": grpc.unary_stream_rpc_method_handler(
                events, gateway_pb2.SignedChaincodeEventsRequest.FromString, encode
            ),
        },
    )


def _admin_handlers(faults: Faults) -> Any:
    async def set_faults(request: bytes, context: Any) -> bytes:
        try:
            faults.replace(Faults.parse(request))
        except ValueError as fault:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(fault))
        return faults.as_json().encode()

    return grpc.method_handlers_generic_handler(
        _ADMIN_SERVICE, {"SetFaults": grpc.unary_unary_rpc_method_handler(set_faults)}
    )


async def _misbehave(faults: Faults) -> None:
    if faults.take("delay"):
        await asyncio.sleep(faults.delay_ms / 1000)
    if faults.take("unavailable"):
        raise CallRefusedError("UNAVAILABLE", "peer is made unavailable by a fault switch")


async def _abort(context: Any, refusal: CallRefusedError) -> None:
    code = grpc.StatusCode[refusal.code]
    trailers = ((DETAILS_TRAILER, refusal.trailer(code.value[0])),) if refusal.details else ()
    await context.abort(code, refusal.message, trailers)
