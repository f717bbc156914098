"""What a host gives the contract, and what it gets back. The only door between rules and peer.

Decides nothing. A `get` returns committed state only, never this transaction's own `put`.
Source: Fabric's ChaincodeStubInterface, cut to what the rules need.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Creator:
    """The submitting identity as its certificate says. `gateway_id` is empty but for role `gateway`."""

    msp_id: str
    role: str
    gateway_id: str = ""
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """200 with a canonical-JSON payload, or 500 with `CODE: detail`."""

    status: int
    message: str = ""
    payload: bytes = b""


class Stub(Protocol):
    """One transaction's view of the ledger."""

    @property
    def tx_id(self) -> str:
        """The transaction's id."""

    @property
    def timestamp_ms(self) -> int:
        """The client's transaction time, UTC epoch milliseconds; the host bounds it."""

    @property
    def creator(self) -> Creator:
        """Who submitted."""

    def get(self, key: str) -> bytes | None:
        """Committed value of `key`, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write `key` when the transaction commits."""

    def delete(self, key: str) -> None:
        """Remove `key` when the transaction commits."""

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """At most `limit` committed pairs with start <= key < end, ascending."""

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        """Later writes of `key` need an endorsement of each of `msp_ids`."""

    def set_event(self, name: str, payload: bytes) -> None:
        """The transaction's event; a second call replaces the first."""
