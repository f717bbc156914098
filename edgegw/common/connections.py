"""How many connections a server holds, of all and of one address, and how long each may take to ask.

Decides by number, address and real time, before a byte is understood: a connection beyond its bound is dropped, and so is one
that has not told its whole request in time. An answer may take as long as it takes. Handshakes of TLS come before all this.
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
    """One server's bounds, and what it holds.

    `request_s`: from the connection, or from a later request's first byte, to the request's end.
    """

    most: int
    most_of_one: int
    request_s: float
    _held: Counter[str] = field(default_factory=Counter)

    def take(self, network: str) -> bool:
        """Count one more connection; False where there is no room for it."""
        if self._held.total() >= self.most or self._held[network] >= self.most_of_one:
            return False
        self._held[network] += 1
        return True

    def give_back(self, network: str) -> None:
        """One has ended."""
        self._held[network] -= 1
        if not self._held[network]:
            del self._held[network]


class _Bounded(H11Protocol):
    """HTTP/1.1 with bounds."""

    bounds: ClassVar[Bounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._network: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Count it, or drop it."""
        super().connection_made(transport)
        network = client_network(self.client[0] if self.client else "")
        if not self.bounds.take(network):
            transport.abort()
            return
        self._network = network
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        super().connection_lost(exc)
        self._forget_deadline()
        if self._network is not None:
            self.bounds.give_back(self._network)
            self._network = None

    def data_received(self, data: bytes) -> None:
        """A request that is whole has no deadline any more; one that has begun has."""
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
    """The protocol of one server, which counts its own connections."""
    return type("Bounded", (_Bounded,), {"bounds": bounds})
