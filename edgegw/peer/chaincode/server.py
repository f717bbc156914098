"""Serve `protos.Chaincode/Connect` over gRPC with TLS, and stop in order: running calls may finish.

Decides transport and shutdown only. Source: Fabric peer/chaincode_shim.proto; keepalive values of Fabric's own servers.
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
    """Files of the server certificate and key; `client_ca` enables mutual TLS, None accepts any client."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a chaincode service."""

    address: str
    package_id: str
    contract: Contract
    log: Log
    tls: Tls | None = None
    threads: int = THREADS
    calls_max: int = CALLS_MAX


async def run(options: Options, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then give running calls `DRAIN_S` to finish. Raises StartRefusedError."""
    stopping = asyncio.Event()
    on_stop(stopping.set)
    async with serving(options) as address:
        ready(address)
        await stopping.wait()


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[str]:
    """Start the service and yield its address; drain and close it on exit. Raises StartRefusedError."""
    with ThreadPoolExecutor(options.threads, thread_name_prefix="call") as threads:
        shared = StreamContext(
            contract=options.contract, threads=threads, calls_max=options.calls_max, log=options.log
        )
        server = grpc.aio.server(options=_SERVER_OPTIONS)
        server.add_generic_rpc_handlers((_handlers(options, shared),))
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
            await _drain(shared)
            lost = shared.calls
            shared.leaving.set()
            await server.stop(_STOP_GRACE_S)
            await shared.idle.wait()
            options.log("chaincode.stopped", {"calls_finished": shared.finished, "calls_lost": lost})


async def _drain(shared: StreamContext) -> None:
    """Refuse new calls and wait for running ones, at most `DRAIN_S`."""
    shared.draining = True
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(shared.idle.wait(), DRAIN_S)


def _credentials(tls: Tls | None) -> Any | None:
    if tls is None:
        return None
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        roots = None if tls.client_ca is None else tls.client_ca.read_bytes()
    except OSError as fault:
        raise StartRefusedError(f"{fault.filename}: {fault.strerror}") from fault
    return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=roots is not None)


def _handlers(options: Options, shared: StreamContext) -> Any:
    async def connect(_requests: object, context: Any) -> None:
        outgoing: asyncio.Queue[ChaincodeMessage] = asyncio.Queue()
        session = Session(shared, options.package_id, peer=context.peer(), send=outgoing.put_nowait)
        session.open()
        conversing = asyncio.ensure_future(_converse(session, context))
        writing = asyncio.ensure_future(_write(outgoing, context))
        leaving = asyncio.ensure_future(shared.leaving.wait())
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
            shared.log("chaincode.refused", {"peer": context.peer(), "reason": reason}, level="warning")
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
    """Wait until queued messages are written, because a stream cannot end during a write."""
    flushed = asyncio.ensure_future(outgoing.join())
    await asyncio.wait([flushed, writing], timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
    flushed.cancel()


async def _converse(session: Session, context: Any) -> str:
    """Process messages until the peer ends the stream, or return the reason to close it."""
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
