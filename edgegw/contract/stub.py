"""Define the interface between the contract and its host: the stub, the caller's identity, the response.

A `get` returns committed state only, never this transaction's own `put`.
Source: Fabric's ChaincodeStubInterface, reduced to what the contract needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Creator:
    """The submitting identity from its certificate. `gateway_id` is empty except for role `gateway`."""

    msp_id: str
    role: str
    gateway_id: str = ""
    certificate_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Status 200 with a payload of canonical JSON, or 500 with the message `CODE: detail`."""

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
        """The client's transaction time, UTC epoch milliseconds; the host limits its deviation."""

    @property
    def creator(self) -> Creator:
        """The submitting identity."""

    def get(self, key: str) -> bytes | None:
        """Return the committed value of `key`, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write `key` when the transaction commits."""

    def delete(self, key: str) -> None:
        """Remove `key` when the transaction commits."""

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield at most `limit` committed pairs with start <= key < end, ascending."""

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        """Require an endorsement of each of `msp_ids` for later writes of `key`."""

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's event; a second call replaces the first."""
