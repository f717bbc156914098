"""Members' accounts, as the representative serves them: balance, history, exchange and standing offers.

Decides when pending credits are swept. What the exchange desk does and what a standing offer is are decided elsewhere
(`ExchangeCounter`, `OfferBook`); the ledger keeps the accounts.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.ports.representative import (
    Balance,
    Entry,
    Exchanged,
    ExchangeQuote,
    History,
    NewOffer,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from edgegw.representative import ledger_accounts
from edgegw.representative.ledger_port import LedgerPort

_PAGE_MAX = 200


class ExchangeCounter(Protocol):
    """Tokens for won and back."""

    async def quote(self, member_id: str, *, buys: bool, tokens_mtok: int) -> ExchangeQuote | RefusedRequest:
        """What the desk asks or gives."""

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """Do what was quoted to this member, once."""

    async def unfinished(self, member_id: str) -> int:
        """Exchanges of this member that are neither done nor refused yet."""

    async def made(self, member_id: str) -> Sequence[Exchanged]:
        """Exchanges of this member that were done."""


class OfferBook(Protocol):
    """Standing offers of producers and industrial members."""

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """The member's open offers."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make one."""

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Take back what no station has reserved."""


class MemberAccounts:
    """The accounts' half of `ports.representative.Representative`, over a client of the ledger with the role `representative`."""

    def __init__(
        self, ledger: LedgerPort, *, counter: ExchangeCounter | None, book: OfferBook | None
    ) -> None:
        self.counts: Counter[str] = Counter()  # of what happened in the background
        self._ledger = ledger
        self._counter, self._book = counter, book
        self._sweeps: dict[str, asyncio.Task[None]] = {}

    async def balance(self, member_id: str) -> Balance:
        """See Office: as it is now; pending credits are on their way to the account when this returns."""
        found = await self._evaluate("balanceOf", {"memberId": member_id})
        if found["credits"] and member_id not in self._sweeps:
            task = asyncio.create_task(self._sweep(member_id), name=f"sweep {member_id}")
            self._sweeps[member_id] = task
            task.add_done_callback(lambda _: self._sweeps.pop(member_id, None))
        return _balance(found)

    async def _sweep(self, member_id: str) -> None:
        try:
            self.counts["swept"] += await ledger_accounts.sweep(self._ledger, member_id)
        except LedgerError:  # the next look at the balance tries again
            self.counts["not swept"] += 1

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        """See Office."""
        question = {"memberId": member_id, "pageSize": max(1, min(size, _PAGE_MAX))}
        page = await self._evaluate("historyAPI", question | ({"bookmark": bookmark} if bookmark else {}))
        entries = tuple(
            Entry(
                type=entry["type"],
                id=entry["id"],
                tokens_mtok=int(entry["tokens"]),
                energy_wh=int(entry["energy"]),
                at_ns=int(entry["ledgerTimeMs"]) * 1_000_000,
                tx_id=entry["txId"],
            )
            for entry in page["entries"]
        )
        return History(entries=entries, bookmark=page["bookmark"])

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | RefusedRequest:
        """See Office."""
        if self._counter is None:
            return RefusedRequest(code=RefusalCode.NO_DESK)
        return await self._counter.quote(member_id, buys=buys, tokens_mtok=tokens_mtok)

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """See Office."""
        if self._counter is None:
            return RefusedRequest(code=RefusalCode.NO_DESK)
        return await self._counter.exchange(member_id, quote_id)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """See Office."""
        return () if self._book is None else await self._book.offers(member_id)

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """See Office."""
        return (
            RefusedRequest(code=RefusalCode.NO_DESK)
            if self._book is None
            else await self._book.offer(member_id, new)
        )

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """See Office."""
        if self._book is None:
            return RefusedRequest(code=RefusalCode.NOT_YOURS)
        return await self._book.close(member_id, offer_id)

    async def _still_busy(self, member_id: str) -> RefusedRequest | None:
        if self._counter is not None and await self._counter.unfinished(member_id):
            return RefusedRequest(code=RefusalCode.STILL_BUSY, detail="exchange")
        try:
            await ledger_accounts.sweep(self._ledger, member_id)
        except LedgerError as fault:
            raise away(fault) from fault
        balance = _balance(await self._evaluate("balanceOf", {"memberId": member_id}))
        if balance.held_mtok or balance.energy_held_wh:
            return RefusedRequest(code=RefusalCode.STILL_BUSY, detail="held")
        if balance.available_mtok or balance.pending_mtok:
            return RefusedRequest(code=RefusalCode.STILL_BUSY, detail="balance")
        return None

    async def _end_sweeps(self) -> None:
        for task in list(self._sweeps.values()):
            task.cancel()
        await asyncio.gather(*self._sweeps.values(), return_exceptions=True)

    async def _evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._ledger.evaluate(function, args)
        except LedgerError as fault:
            raise away(fault) from fault


def _balance(found: dict[str, Any]) -> Balance:
    tokens, energy = found["tokens"], found["energy"]
    return Balance(
        available_mtok=int(tokens["available"]),
        held_mtok=int(tokens["held"]),
        pending_mtok=int(tokens["pending"]),
        energy_available_wh=int(energy["available"]),
        energy_held_wh=int(energy["held"]),
        energy_pending_wh=int(energy["pending"]),
    )


def refused(refusal: BusinessRefusal) -> RefusedRequest:
    """The contract's refusal, as the office answers it."""
    return RefusedRequest(code=refusal.code, detail=refusal.detail)


def away(fault: LedgerError) -> RepresentativeError:
    """What the office raises where the ledger cannot be asked."""
    return RepresentativeError(f"the ledger's peer: {fault}")
