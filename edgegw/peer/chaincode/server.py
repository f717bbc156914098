"""The chaincode service on the wire: gRPC around `protos.Chaincode/Connect`, TLS, and the process that keeps it up.

Decides nothing but transport and how the process ends: on SIGTERM no new call is taken, running ones may finish.
Source: Fabric peer/chaincode_shim.proto; keepalive as Fabric's own servers have it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from edgegw.common.stop_signals import on_stop
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.wire import encode
from edgegw.peer.chaincode.session import Log, Session, StreamContext
from edgegw.peer.invocation import Contract
from edgegw.peer.listen_address import StartRefusedError, bind

THREADS = 32
CALLS_MAX = 1000
REGISTRATION_S = 10.0
DRAIN_S = 10.0
FLUSH_S = 2.0
_STOP_GRACE_S = 2 * FLUSH_S
_MESSAGE_BYTES = 100 * 1024 * 1024
_SERVICE = "protos.Chaincode"
_SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files: our certificate and key; `client_ca` = who may connect (mutual TLS), None = anybody."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a chaincode service runs."""

    address: str
    package_id: str
    contract: Contract
    log: Log
    tls: Tls | None = None
    threads: int = THREADS
    calls_max: int = CALLS_MAX


async def run(options: Options, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then running calls have `DRAIN_S` to finish. Raises StartRefusedError."""
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with serving(options) as address:
        ready(address)
        await stopping.wait()


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[str]:
    """A service that answers at the address it gives; drained and closed at the end. Raises StartRefusedError."""
    with ThreadPoolExecutor(options.threads, thread_name_prefix="call") as threads:
        desk = StreamContext(
            contract=options.contract, threads=threads, calls_max=options.calls_max, log=options.log
        )
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        server.add_generic_rpc_handlers((_handlers(options, desk),))
        address = bind(server, options.address, _credentials(options.tls))
        await server.start()
        options.log(
            "chaincode.listening",
            {
                "address": address,
                "package_id": options.package_id,
                "tls": options.tls is not None,
                "mutual_tls": options.tls is not None and options.tls.client_ca is not None,
            },
        )
        try:
            yield address
        finally:
            await _drain(desk)
            lost = desk.calls
            desk.leaving.set()
            await server.stop(_STOP_GRACE_S)
            await desk.idle.wait()
            options.log("chaincode.stopped", {"calls_finished": desk.finished, "calls_lost": lost})


async def _drain(desk: StreamContext) -> None:
    """Take no new call; wait for those that run."""
    desk.draining = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(desk.idle.wait(), DRAIN_S)


def _credentials(tls: Tls | None) -> Any | None:
    if tls is None:
        return None
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        roots = None if tls.client_ca is None else tls.client_ca.read_bytes()
    except OSError as fault:
        raise StartRefusedError(f"{fault.filename}: {fault.strerror}") from fault
    return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=roots is not None)


def _handlers(options: Options, desk: StreamContext) -> Any:
    async def connect(_requests: object, context: Any) -> None:
        outgoing: asyncio.Queue[ChaincodeMessage] = asyncio.Queue()
        session = Session(desk, options.package_id, peer=context.peer(), send=outgoing.put_nowait)
        session.open()
        conversing = asyncio.ensure_future(_converse(session, context))
        writing = asyncio.ensure_future(_write(outgoing, context))
        leaving = asyncio.ensure_future(desk.leaving.wait())
        try:
            await asyncio.wait([conversing, writing, leaving], return_when=asyncio.FIRST_COMPLETED)
            reason = await conversing if conversing.done() else ""
            session.close()
            await _flush(outgoing, writing)
        finally:
            session.close()
            for task in (conversing, writing, leaving):
                task.cancel()
            await asyncio.gather(conversing, writing, leaving, return_exceptions=True)
        if reason:
            desk.log("chaincode.refused", {"peer": context.peer(), "reason": reason}, level="warning")
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, reason)

    return grpc.method_handlers_generic_handler(
        _SERVICE,
        {"Connect": grpc.stream_stream_rpc_method_handler(connect, ChaincodeMessage.FromString, encode)},
    )


async def _write(outgoing: asyncio.Queue[ChaincodeMessage], context: Any) -> None:
    while True:
        await context.write(await outgoing.get())
        outgoing.task_done()


async def _flush(outgoing: asyncio.Queue[ChaincodeMessage], writing: asyncio.Future[None]) -> None:
    """Let what is said already reach the peer: a stream cannot be ended in the middle of a write."""
    flushed = asyncio.ensure_future(outgoing.join())
    await asyncio.wait([flushed, writing], timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
    flushed.cancel()


async def _converse(session: Session, context: Any) -> str:
    """Read until the peer ends the stream, or until it is of no use: then with the reason."""
    try:
        async with asyncio.timeout(REGISTRATION_S):
            while not session.registered.is_set():
                message = await context.read()
                if message is grpc.aio.EOF:
                    return ""
                if reason := session.receive(message):
                    return reason
    except TimeoutError:
        return f"the peer did not accept the package id within {REGISTRATION_S:.0f} s"
    while (message := await context.read()) is not grpc.aio.EOF:
        if reason := session.receive(message):
            return reason
    return ""
