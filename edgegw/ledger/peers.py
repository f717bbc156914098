"""Select a gateway peer of the organisation for each call, and fail over to the next one.

Decides by the outcome of calls, never by pings. A peer that failed rests, longer each time, and the next one is tried
within the same call and deadline; after its rest a preferred peer is tried first again. A call never goes to two peers
at once. Source: Fabric documentation, Fabric Gateway (a gateway peer hides the loss of any peer but itself).
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from edgegw.fabric.proto import gateway_pb2
from edgegw.ledger.errors import CallFailure, peer_at_fault
from edgegw.ledger.grpc_wire import Connection

REST_FIRST_S = 1.0
REST_MOST_S = 30.0

Answer = TypeVar("Answer")


@dataclass(slots=True)
class PeerEndpoint:
    """One peer: `height` is the number of blocks it is known to have; until `rests_until` others are preferred."""

    endpoint: str
    connection: Connection
    height: int = 0
    failures: int = 0
    rests_until: float = 0.0


Ask = Callable[[PeerEndpoint, float], Awaitable[Answer]]
"""A call at one peer, with a timeout in seconds."""


class Peers:
    """Peers in order of preference; there must be at least one."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: bytes | None,
        tls_name: str | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = [
            PeerEndpoint(endpoint, Connection(endpoint, tls=tls, tls_name=tls_name)) for endpoint in endpoints
        ]
        self._now_s = now_s

    async def call(self, ask: Ask[Answer], *, timeout_s: float, waits: bool = False) -> Answer:
        """Return the first successful response; each peer is tried at most once.

        `waits` marks a call that waits for something, whose timeout is not the peer's fault.

        Raises:
            CallFailure: the last peer's, or the first that another peer would only repeat.
        """
        until = self._now_s() + timeout_s
        order = self._order()
        for number, peer_endpoint in enumerate(order, start=1):
            left_s = max(0.0, until - self._now_s())
            # Reserve half of the time for the next peer, in case this one does not answer.
            share_s = left_s if waits or number == len(order) else left_s / 2
            try:
                answer = await ask(peer_endpoint, share_s)
            except CallFailure as failure:
                in_time = waits and failure.code == "DEADLINE_EXCEEDED"
                if in_time or not peer_at_fault(failure):
                    self._served(peer_endpoint)
                    raise
                self._failed(peer_endpoint)
                if number == len(order) or self._now_s() >= until:
                    raise
            else:
                self._served(peer_endpoint)
                return answer
        raise AssertionError("no peer at all")

    async def events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        """Yield events from the preferred peer until the stream breaks. Raises CallFailure."""
        peer_endpoint = self._order()[0]
        try:
            async with aclosing(peer_endpoint.connection.chaincode_events(request)) as answers:
                async for answer in answers:
                    self._served(peer_endpoint)
                    peer_endpoint.height = max(peer_endpoint.height, answer.block_number + 1)
                    yield answer
        except CallFailure as failure:
            if peer_at_fault(failure):
                self._failed(peer_endpoint)
            raise

    async def close(self) -> None:
        """End all calls."""
        for peer_endpoint in self._endpoints:
            await peer_endpoint.connection.close()

    def _order(self) -> list[PeerEndpoint]:
        """Return the peers that do not rest, by preference, then the others by the end of their rest."""
        now_s = self._now_s()
        return sorted(self._endpoints, key=lambda peer_endpoint: max(0.0, peer_endpoint.rests_until - now_s))

    def _served(self, peer_endpoint: PeerEndpoint) -> None:
        peer_endpoint.failures, peer_endpoint.rests_until = 0, 0.0

    def _failed(self, peer_endpoint: PeerEndpoint) -> None:
        now_s = self._now_s()
        if now_s < peer_endpoint.rests_until:
            return  # many calls fail at once when a peer is lost: count them as one failure
        peer_endpoint.rests_until = now_s + min(
            REST_MOST_S, REST_FIRST_S * 2 ** min(peer_endpoint.failures, 16)
        )
        peer_endpoint.failures += 1
