"""The exchange desk: turns deposits into tokens and tokens into payouts.

Decides nothing: one deposit reference mints once, one payout reference burns once, whatever is repeated.
Source: LEDGER, around the seven functions (Mint, Burn); totalSupply = minted - burned.
"""

from dataclasses import dataclass

from edgegw.participants.accounts import available_mtok
from edgegw.participants.port import LedgerPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Tokens issued, in milli-token."""

    supply_mtok: int
    minted_mtok: int
    burned_mtok: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDesk:
    """A client of the ledger with the role `exchange`."""

    ledger: LedgerPort

    async def mint(self, member_id: str, amount_mtok: int, deposit_ref: str) -> None:
        """Tokens for a deposit; the same reference and content again changes nothing."""
        await self.ledger.execute(
            "Mint", {"memberId": member_id, "amount": str(amount_mtok), "depositRef": deposit_ref}
        )

    async def pay_out(self, member_id: str, payout_ref: str) -> int:
        """Burn all that a member can spend, for a payout; returns the milli-tokens (0: nothing to pay, no burn)."""
        amount_mtok = await available_mtok(self.ledger, member_id)
        if amount_mtok:
            await self._burn(member_id, amount_mtok, payout_ref)
        return amount_mtok

    async def _burn(self, member_id: str, amount_mtok: int, payout_ref: str) -> None:
        await self.ledger.execute(
            "Burn", {"memberId": member_id, "amount": str(amount_mtok), "payoutRef": payout_ref}
        )

    async def supply(self) -> Supply:
        """The ledger's totals; an AssertionError where they contradict each other."""
        total = await self.ledger.evaluate("totalSupply", {})
        supply = Supply(
            supply_mtok=int(total["supply"]),
            minted_mtok=int(total["minted"]),
            burned_mtok=int(total["burned"]),
        )
        assert supply.supply_mtok == supply.minted_mtok - supply.burned_mtok
        return supply
