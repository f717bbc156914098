"""Connect to one gateway peer over gRPC: its five calls, with failures as `CallFailure`.

Decides the connection's timing: quick reconnects and slow keepalive, because peers close connections that ping more
than once a minute. The only module of the client that imports grpc. Source: Fabric's sampleconfig/core.yaml
(peer.keepalive).
"""

from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio

from edgegw.fabric.proto import gateway_pb2, status_pb2
from edgegw.fabric.wire import MalformedMessageError, decode, encode
from edgegw.ledger.errors import CallFailure

_DETAILS = "grpc-status-details-bin"
_NAME_OVERRIDE = "grpc.ssl_target_name_override"
_MESSAGE_BYTES = 16 * 1024 * 1024
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # the time limit of an attempt; a refused one ends at once
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 90_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),  # no limit, so that an idle event stream detects a lost peer
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
)


class Connection:
    """A connection that the first call opens, on the running loop. Every call may raise CallFailure."""

    def __init__(self, endpoint: str, *, tls: bytes | None, tls_name: str | None = None) -> None:
        """Set the endpoint; `tls`: PEM roots, None for plain text on loopback; `tls_name`: the certificate's name."""
        self._endpoint = endpoint
        self._tls = tls
        self._options = _OPTIONS if tls_name is None else (*_OPTIONS, (_NAME_OVERRIDE, tls_name))
        self._channel: Any = None

    async def endorse(
        self, request: gateway_pb2.EndorseRequest, *, timeout_s: float
    ) -> gateway_pb2.EndorseResponse:
        """Simulate the call and collect endorsements."""
        answer: gateway_pb2.EndorseResponse = await self._call(
            "Endorse", request, gateway_pb2.EndorseResponse, timeout_s=timeout_s
        )
        return answer

    async def evaluate(
        self, request: gateway_pb2.EvaluateRequest, *, timeout_s: float
    ) -> gateway_pb2.EvaluateResponse:
        """Simulate the call only."""
        answer: gateway_pb2.EvaluateResponse = await self._call(
            "Evaluate", request, gateway_pb2.EvaluateResponse, timeout_s=timeout_s
        )
        return answer

    async def submit(self, request: gateway_pb2.SubmitRequest, *, timeout_s: float) -> None:
        """Send an endorsed transaction to the orderer."""
        await self._call("Submit", request, gateway_pb2.SubmitResponse, timeout_s=timeout_s)

    async def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest, *, timeout_s: float
    ) -> gateway_pb2.CommitStatusResponse:
        """Wait for a transaction's outcome."""
        answer: gateway_pb2.CommitStatusResponse = await self._call(
            "CommitStatus", request, gateway_pb2.CommitStatusResponse, timeout_s=timeout_s
        )
        return answer

    async def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        """Yield the events of blocks until the stream breaks."""
        method = self._open().unary_stream(
            "/gateway.Gateway/ChaincodeEvents",
            request_serializer=encode,
            response_deserializer=gateway_pb2.ChaincodeEventsResponse.FromString,
        )
        call = method(request)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as fault:
            raise _failure(fault) from fault
        finally:
            call.cancel()

    async def close(self) -> None:
        """End all calls."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, name: str, request: Any, kind: Any, *, timeout_s: float) -> Any:
        method = self._open().unary_unary(
            f"/gateway.Gateway/{name}", request_serializer=encode, response_deserializer=kind.FromString
        )
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as fault:
            raise _failure(fault) from fault

    def _open(self) -> Any:
        if self._channel is None:
            if self._tls is None:
                self._channel = grpc.aio.insecure_channel(self._endpoint, options=self._options)
            else:
                credentials = grpc.ssl_channel_credentials(self._tls)
                self._channel = grpc.aio.secure_channel(self._endpoint, credentials, options=self._options)
        return self._channel


def _failure(fault: Any) -> CallFailure:
    details: list[str] = []
    for name, value in fault.trailing_metadata() or ():
        if name == _DETAILS:
            details += _messages(value)
    return CallFailure(code=fault.code().name, message=fault.details() or "", details=tuple(details))


def _messages(packed: bytes) -> list[str]:
    """Return the messages of the gateway.ErrorDetail entries; none if they cannot be parsed."""
    try:
        status = decode(status_pb2.Status, packed)
        return [decode(gateway_pb2.ErrorDetail, entry.value).message for entry in status.details]
    except MalformedMessageError:
        return []
