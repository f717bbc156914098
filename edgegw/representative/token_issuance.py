"""Mints tokens for deposits and burns tokens for payouts (the exchange desk).

A deposit reference mints once and a payout reference burns once, however often it is repeated.
Source: docs/contract.md, Functions (Mint, Burn); totalSupply = minted - burned.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal
from edgegw.representative.ledger_accounts import at_most, available_mtok
from edgegw.representative.ledger_port import LedgerPort

AT_ONCE = 8
LOOK_REAL_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """A deposit, for which tokens are minted; `ref` identifies it."""

    member_id: str
    amount_mtok: int
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The ledger's token totals, in milli-token."""

    supply_mtok: int
    minted_mtok: int
    burned_mtok: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeDesk:
    """A client of the ledger with the role `exchange`."""

    ledger: LedgerPort

    async def mint(self, member_id: str, amount_mtok: int, deposit_ref: str) -> str:
        """Mint tokens for a deposit; a repeat with the same reference changes nothing. Return the transaction id."""
        minted = await self.ledger.execute(
            "Mint", {"memberId": member_id, "amount": str(amount_mtok), "depositRef": deposit_ref}
        )
        return str(minted["txId"])

    async def pay_out(self, member_id: str, payout_ref: str) -> int:
        """Burn all tokens that a member can spend, for a payout; return the milli-tokens (0: nothing was burned)."""
        amount_mtok = await available_mtok(self.ledger, member_id)
        if amount_mtok:
            await self.burn(member_id, amount_mtok, payout_ref)
        return amount_mtok

    async def burn(self, member_id: str, amount_mtok: int, payout_ref: str) -> str:
        """Burn tokens for a payout; a repeat with the same reference changes nothing. Return the transaction id."""
        burned = await self.ledger.execute(
            "Burn", {"memberId": member_id, "amount": str(amount_mtok), "payoutRef": payout_ref}
        )
        return str(burned["txId"])

    async def supply(self) -> Supply:
        """Return the ledger's totals; raises AssertionError where they are inconsistent."""
        total = await self.ledger.evaluate("totalSupply", {})
        supply = Supply(
            supply_mtok=int(total["supply"]),
            minted_mtok=int(total["minted"]),
            burned_mtok=int(total["burned"]),
        )
        assert supply.supply_mtok == supply.minted_mtok - supply.burned_mtok
        return supply


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Mints every listed deposit once. `listed` returns the list where it has changed, else None."""

    desk: ExchangeDesk
    listed: Callable[[], Sequence[Deposit] | None]
    done: set[str] = field(default_factory=set)
    """References that are minted or finally refused."""
    counts: Counter[str] = field(default_factory=Counter)

    async def open(self, deposits: Iterable[Deposit]) -> None:
        """Mint the deposits, except those of members who have not signed up yet; raises BusinessRefusal (REF_USED, ...)."""
        await at_most(AT_ONCE, (self._mint(deposit, final=True) for deposit in deposits))

    async def run(self, deposits: Sequence[Deposit]) -> None:
        """Call `look` every `LOOK_REAL_S` until cancelled."""
        while True:
            await asyncio.sleep(LOOK_REAL_S)
            deposits = await self.look(deposits)

    async def look(self, deposits: Sequence[Deposit]) -> Sequence[Deposit]:
        """Mint the listed deposits that are not done; count refusals. Return the current list."""
        changed = self.listed()
        deposits = deposits if changed is None else changed
        waiting = [one for one in deposits if one.ref not in self.done]
        await at_most(AT_ONCE, (self._mint(one, final=False) for one in waiting))
        return deposits

    async def _mint(self, deposit: Deposit, *, final: bool) -> None:
        try:
            await self.desk.mint(deposit.member_id, deposit.amount_mtok, deposit.ref)
        except BusinessRefusal as refusal:
            self.counts[refusal.code] += 1
            if refusal.code == Code.UNKNOWN_MEMBER:
                return
            if final:
                raise
        else:
            self.counts["minted"] += 1
        self.done.add(deposit.ref)
