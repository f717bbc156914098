"""Limits an HTTP server's connections, in total and per address, and the time that each takes to send its request.

Decides by number, address and real time, before a byte is parsed: drops a connection above a limit, and one that does not
send its whole request in time. Never limits the time of a response, nor the TLS handshake, which comes earlier.
Source: CWE-400, CWE-770 (slow and silent clients).
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgegw.common.throttle import client_network


@dataclass(slots=True, kw_only=True)
class Bounds:
    """The limits of one server, and its open connections.

    `most`: connections in total. `most_of_one`: connections of one `client_network`. `request_s`: real seconds from the
    connection, or from a later request's first byte, to the request's end.
    """

    most: int
    most_of_one: int
    request_s: float
    _held: Counter[str] = field(default_factory=Counter)

    def take(self, network: str) -> bool:
        """Count a new connection; return False, and do not count it, where a limit is reached."""
        if self._held.total() >= self.most or self._held[network] >= self.most_of_one:
            return False
        self._held[network] += 1
        return True

    def give_back(self, network: str) -> None:
        """Remove an ended connection from the count."""
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]


class _Bounded(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with limits."""

    bounds: ClassVar[Bounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._network: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count the connection, or drop it above a limit."""
        super().connection_made(transport)
        network = client_network(self.client[0] if self.client else "")
        if not self.bounds.take(network):
            transport.abort()
            return
        self._network = network
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the count."""
        super().connection_lost(exc)
        self._forget_deadline()
        if self._network is not None:
            self.bounds.give_back(self._network)
            self._network = None

    def data_received(self, data: bytes) -> None:
        """Cancel the deadline when the request is complete; start one when the next begins."""
        super().data_received(data)
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._await_request()
        else:
            self._forget_deadline()

    def _await_request(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.bounds.request_s, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded(bounds: Bounds) -> type[asyncio.Protocol]:
    """Return a protocol class for one uvicorn server, which applies `bounds` to its connections."""
    return type("Bounded", (_Bounded,), {"bounds": bounds})
