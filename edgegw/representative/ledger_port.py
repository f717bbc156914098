"""What a participant needs of the ledger: to ask and to submit. Decides nothing.

`edgegw.ledger` fulfils it over the network; tests bring the real contract, hosted in memory.
Source: docs/contract.md (arguments and payloads).
"""

from typing import Any, Protocol


class LedgerPort(Protocol):
    """One identity's way to the contract. Refusals by the contract raise `BusinessRefusal`."""

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Ask the contract; nothing is written."""

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        """Submit, and return the payload once it is committed."""
