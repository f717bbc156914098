"""The organisation's gateway peers: which one is asked, and which one instead when it fails.

Decides by outcomes, never by pings: a peer that failed a call rests, longer each time, and the next one is asked within
the same call and its deadline; when the rest of a preferred one is over it is asked first again. A call is never spread
over two peers at once. Source: Fabric documentation, Fabric Gateway (a gateway peer hides the loss of any peer but itself).
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
    """One peer. `height`: blocks it is known to have; `rests_until`: not asked before that, if another can be."""

    endpoint: str
    connection: Connection
    height: int = 0
    failures: int = 0
    rests_until: float = 0.0


Ask = Callable[[PeerEndpoint, float], Awaitable[Answer]]
"""A call at one peer, within so many seconds."""


class Peers:
    """Peers in order of preference; one is enough."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: bytes | None,
        tls_name: str | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seats = [
            PeerEndpoint(endpoint, Connection(endpoint, tls=tls, tls_name=tls_name)) for endpoint in endpoints
        ]
        self._now_s = now_s

    async def call(self, ask: Ask[Answer], *, timeout_s: float, waits: bool = False) -> Answer:
        """The first answer; each peer is asked once at most. `waits`: running out of time is no fault of the peer.

        Raises:
            CallFailure: the last one; an answer that another peer would only repeat is the first and last.
        """
        until = self._now_s() + timeout_s
        order = self._order()
        for number, peer_endpoint in enumerate(order, start=1):
            left_s = max(0.0, until - self._now_s())
            # One that hangs must leave time for another.
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
        """The stream of the peer that is asked first, until it breaks. Raises CallFailure."""
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
        for peer_endpoint in self._seats:
            await peer_endpoint.connection.close()

    def _order(self) -> list[PeerEndpoint]:
        """Those that do not rest, by preference; then the others, the one that may be back soonest first."""
        now_s = self._now_s()
        return sorted(self._seats, key=lambda peer_endpoint: max(0.0, peer_endpoint.rests_until - now_s))

    def _served(self, peer_endpoint: PeerEndpoint) -> None:
        peer_endpoint.failures, peer_endpoint.rests_until = 0, 0.0

    def _failed(self, peer_endpoint: PeerEndpoint) -> None:
        now_s = self._now_s()
        if now_s < peer_endpoint.rests_until:
            return  # many calls break at once when a peer dies: that is one failure
        peer_endpoint.rests_until = now_s + min(
            REST_MOST_S, REST_FIRST_S * 2 ** min(peer_endpoint.failures, 16)
        )
        peer_endpoint.failures += 1
