"""The Protocol by which representatives and participants call the contract: evaluate and execute.

`edgegw.ledger` implements it over the network; tests host the real contract in memory.
Source: docs/contract.md (arguments and payloads).
"""

from typing import Any, Protocol


class LedgerPort(Protocol):
    """The contract as one identity calls it. A refusal by the contract raises `BusinessRefusal`."""

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a query; nothing is written."""

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Submit a transaction; return its payload once it is committed."""
