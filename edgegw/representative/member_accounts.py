"""Serves members' accounts on the ledger: balance, history, exchange and standing offers.

Decides when pending credits are swept. Exchange and offers are delegated (`ExchangeCounter`, `OfferBook`).
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
    """Exchanges tokens for won and back; see `currency_exchange`."""

    async def quote(self, member_id: str, *, buys: bool, tokens_mtok: int) -> ExchangeQuote | RefusedRequest:
        """Return an offer for a number of tokens."""

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """Perform a quoted exchange of this member once."""

    async def unfinished(self, member_id: str) -> int:
        """Return how many exchanges of this member have begun and not ended."""

    async def made(self, member_id: str) -> Sequence[Exchanged]:
        """Return the completed exchanges of this member."""


class OfferBook(Protocol):
    """The standing offers of producers and industrial members; see `standing_offers`."""

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """Return the member's open offers."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer."""

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Close an offer and release the part that no station has reserved."""


class MemberAccounts:
    """The account methods of `ports.representative.Representative`; `ledger` has the role `representative`."""

    def __init__(
        self, ledger: LedgerPort, *, counter: ExchangeCounter | None, book: OfferBook | None
    ) -> None:
        self.counts: Counter[str] = Counter()  # of background sweeps
        self._ledger = ledger
        self._counter, self._book = counter, book
        self._sweeps: dict[str, asyncio.Task[None]] = {}

    async def balance(self, member_id: str) -> Balance:
        """See Representative. Returns the present balance; a sweep of pending credits runs in the background."""
        found = await self._evaluate("balanceOf", {"memberId": member_id})
        if found["credits"] and member_id not in self._sweeps:
            task = asyncio.create_task(self._sweep(member_id), name=f"sweep {member_id}")
            self._sweeps[member_id] = task
            task.add_done_callback(lambda _: self._sweeps.pop(member_id, None))
        return _balance(found)

    async def _sweep(self, member_id: str) -> None:
        try:
            self.counts["swept"] += await ledger_accounts.sweep(self._ledger, member_id)
        except LedgerError:  # the next request of the balance retries
            self.counts["not swept"] += 1

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        """See Representative."""
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
        """See Representative."""
        if self._counter is None:
            return RefusedRequest(code=RefusalCode.NO_DESK)
        return await self._counter.quote(member_id, buys=buys, tokens_mtok=tokens_mtok)

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """See Representative."""
        if self._counter is None:
            return RefusedRequest(code=RefusalCode.NO_DESK)
        return await self._counter.exchange(member_id, quote_id)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """See Representative."""
        return () if self._book is None else await self._book.offers(member_id)

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """See Representative."""
        return (
            RefusedRequest(code=RefusalCode.NO_DESK)
            if self._book is None
            else await self._book.offer(member_id, new)
        )

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """See Representative."""
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
    """Convert the contract's refusal to the representative's answer."""
    return RefusedRequest(code=refusal.code, detail=refusal.detail)


def away(fault: LedgerError) -> RepresentativeError:
    """Return the exception for an unavailable ledger."""
    return RepresentativeError(f"the ledger's peer: {fault}")
