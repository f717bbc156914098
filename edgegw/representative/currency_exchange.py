"""Exchanges won for tokens and back; each exchange completes or is reversed, also after a crash at any step.

Decides the order. Buying: the won first, then Mint; where the contract finally refuses Mint, the won are refunded. Selling:
Burn first, then the won; where the bank declines the payout, the tokens are minted again. Every step has a reference and may
be repeated; the store records a step before it is tried and after it is done. Never exchanges one quote twice.
Source: docs/contract.md, Functions (Mint, Burn) and Repeats.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from edgegw.common.clock import Clock
from edgegw.common.errors import JournalError
from edgegw.common.units import SECOND_NS
from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.ports.representative import (
    Exchanged,
    ExchangeQuote,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
)
from edgegw.representative.exchange_store import (
    ENDED,
    ExchangeRecord,
    ExchangeState,
    ExchangeStore,
)
from edgegw.representative.payment_provider import Decision, PaymentProvider
from edgegw.representative.token_issuance import ExchangeDesk

T = TypeVar("T")
Step = Callable[[ExchangeRecord], Awaitable[ExchangeRecord]]
QUOTE_REAL_S = 300
AGAIN_REAL_S = 5.0
# Refusals that end an exchange. Any other one (an identity without its role, an unconfigured channel) needs a repair.
_NO_MINT = frozenset({Code.UNKNOWN_MEMBER, Code.MEMBER_INACTIVE})
_NO_BURN = frozenset({Code.UNKNOWN_MEMBER, Code.ZERO_TOKENS, Code.INSUFFICIENT_TOKENS})


class CurrencyExchange:
    """The currency exchange of one organisation.

    `counts`: ended exchanges by outcome, and attempts of `finish` that failed because bank or ledger was unreachable.
    """

    def __init__(
        self,
        path: Path,
        *,
        bank: PaymentProvider,
        desk: ExchangeDesk,
        block_of: Callable[[str], Awaitable[int]],
        clock: Clock,
        book: Callable[[Path], ExchangeStore] = ExchangeStore,
    ) -> None:
        """Open the store; raises JournalError. `block_of` returns the block of a committed transaction; raises LedgerError."""
        self.counts: Counter[str] = Counter()
        self._bank = bank
        self._desk = desk
        self._block_of = block_of
        self._clock = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="exchange")
        try:
            self._book = self._disk.submit(book, path).result()
        except BaseException:
            self._disk.shutdown()
            raise
        self._steps: Mapping[ExchangeState, Step] = {
            ExchangeState.PAYING: self._take_in,
            ExchangeState.PAID: self._mint,
            ExchangeState.REFUNDING: self._refund,
            ExchangeState.BURNING: self._burn,
            ExchangeState.BURNED: self._pay_out,
            ExchangeState.RETURNING: self._give_back,
            ExchangeState.MINTED: self._find_block,
            ExchangeState.PAID_OUT: self._find_block,
        }

    def close(self) -> None:
        """Close the store; the next process that opens it finishes what is unfinished."""
        self._disk.submit(self._book.close)
        self._disk.shutdown()

    async def quote(self, member_id: str, *, buys: bool, tokens_mtok: int) -> ExchangeQuote | RefusedRequest:
        """Return the bank's current terms, valid for five real minutes. Raises RepresentativeError."""
        terms = await self._bank.terms(buys=buys, tokens_mtok=tokens_mtok)
        if isinstance(terms, RefusedRequest):
            return terms
        now_ns = self._clock.now_ns()
        deal = ExchangeRecord(
            quote_id=secrets.token_hex(16),
            member_id=member_id,
            buys=buys,
            tokens_mtok=tokens_mtok,
            won=terms.won,
            fee_won=terms.fee_won,
            won_per_token_milli=terms.won_per_token_milli,
            # With an accelerated clock people have as much real time to read.
            expires_ns=now_ns + round(QUOTE_REAL_S * SECOND_NS / self._clock.real_seconds(SECOND_NS)),
        )
        await self._on_disk(lambda: self._book.add(deal, now_ns=now_ns))
        return ExchangeQuote(
            quote_id=deal.quote_id,
            member_id=member_id,
            buys=buys,
            tokens_mtok=tokens_mtok,
            won=deal.won,
            fee_won=deal.fee_won,
            won_per_token_milli=deal.won_per_token_milli,
            expires_ns=deal.expires_ns,
        )

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """Perform a quoted exchange once; a repeat resumes where it stopped and returns the same result.

        Raises RepresentativeError where bank or ledger is unreachable; `run` then finishes the exchange later.
        """
        async with self._turns.setdefault(quote_id, asyncio.Lock()):
            deal = await self._on_disk(lambda: self._book.get(quote_id))
            if deal is None:
                return RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
            if deal.member_id != member_id:
                return RefusedRequest(code=RefusalCode.NOT_YOURS)
            if deal.state is ExchangeState.QUOTED:
                if self._clock.now_ns() >= deal.expires_ns:
                    return RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
                deal = await self._keep(
                    replace(deal, state=ExchangeState.PAYING if deal.buys else ExchangeState.BURNING)
                )
            return _result(await self._advance(deal))

    async def unfinished(self, member_id: str) -> int:
        """Return how many exchanges of a member have begun and not ended."""
        return sum(deal.state not in ENDED for deal in await self._on_disk(lambda: self._book.of(member_id)))

    async def made(self, member_id: str) -> Sequence[Exchanged]:
        """Return a member's completed exchanges, newest first."""
        deals = await self._on_disk(lambda: self._book.of(member_id))
        results = [_result(deal) for deal in reversed(deals) if deal.state is ExchangeState.DONE]
        return [one for one in results if isinstance(one, Exchanged)]

    async def finish(self) -> int:
        """Resume every unfinished exchange; return how many remain unfinished. Counts those that cannot be resumed now."""
        left = 0
        for begun in await self._on_disk(self._book.unfinished):
            async with self._turns.setdefault(begun.quote_id, asyncio.Lock()):
                deal = await self._on_disk(partial(self._book.get, begun.quote_id))
                assert deal is not None
                try:
                    deal = await self._advance(deal)
                except RepresentativeError:
                    self.counts["unreachable"] += 1
                left += deal.state not in ENDED
        return left

    async def run(self) -> None:
        """Finish what has begun, now and every few seconds, until cancelled."""
        while True:
            await self.finish()
            await asyncio.sleep(AGAIN_REAL_S)

    async def _advance(self, deal: ExchangeRecord) -> ExchangeRecord:
        """Perform step after step until the exchange ends, or the bank has not decided yet."""
        while deal.state not in ENDED:
            try:
                after = await self._steps[deal.state](deal)
            except LedgerError as fault:
                raise RepresentativeError(f"exchange {deal.reference}: {fault}") from fault
            if after == deal:
                return deal
            moved = after.state is not deal.state
            deal = await self._keep(after)
            if not moved:
                return deal
            if deal.state in ENDED:
                self.counts[deal.code or "done"] += 1
        return deal

    async def _keep(self, deal: ExchangeRecord) -> ExchangeRecord:
        await self._on_disk(lambda: self._book.put(deal))
        return deal

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Run `work` on the store's own thread, so that no fsync blocks the event loop. Raises RepresentativeError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, work)
        except JournalError as fault:
            raise RepresentativeError(f"the exchange's store: {fault}") from fault

    # --- buying ---------------------------------------------------------------------------------------------------

    async def _take_in(self, deal: ExchangeRecord) -> ExchangeRecord:
        decision = await self._bank.take_in(deal.reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, state=ExchangeState.REFUSED, code=RefusalCode.DECLINED.value)
        return replace(deal, state=ExchangeState.PAID) if decision is Decision.ACCEPTED else deal

    async def _mint(self, deal: ExchangeRecord) -> ExchangeRecord:
        try:
            tx_id = await self._desk.mint(deal.member_id, deal.tokens_mtok, deal.reference)
        except BusinessRefusal as refusal:
            if refusal.code not in _NO_MINT:
                raise
            return replace(deal, state=ExchangeState.REFUNDING, code=str(refusal.code))
        return replace(deal, state=ExchangeState.MINTED, tx_id=tx_id)

    async def _refund(self, deal: ExchangeRecord) -> ExchangeRecord:
        """Have the bank refund the won, with its fee; they are owed until it has.

        After a declined refund the next attempt is a payment with a new reference.
        """
        reference = f"refund:{deal.quote_id}:{deal.refund}"
        decision = await self._bank.pay_out(reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, refund=deal.refund + 1)
        return replace(deal, state=ExchangeState.REFUSED) if decision is Decision.ACCEPTED else deal

    # --- selling --------------------------------------------------------------------------------------------------

    async def _burn(self, deal: ExchangeRecord) -> ExchangeRecord:
        try:
            tx_id = await self._desk.burn(deal.member_id, deal.tokens_mtok, deal.reference)
        except BusinessRefusal as refusal:
            if refusal.code not in _NO_BURN:
                raise
            return replace(deal, state=ExchangeState.REFUSED, code=str(refusal.code))
        return replace(deal, state=ExchangeState.BURNED, tx_id=tx_id)

    async def _pay_out(self, deal: ExchangeRecord) -> ExchangeRecord:
        decision = await self._bank.pay_out(deal.reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, state=ExchangeState.RETURNING, code=RefusalCode.DECLINED.value)
        return replace(deal, state=ExchangeState.PAID_OUT) if decision is Decision.ACCEPTED else deal

    async def _give_back(self, deal: ExchangeRecord) -> ExchangeRecord:
        """Mint the burned tokens again after a declined payout; they remain owed where the contract refuses."""
        await self._desk.mint(deal.member_id, deal.tokens_mtok, f"back:{deal.quote_id}")
        return replace(deal, state=ExchangeState.REFUSED)

    async def _find_block(self, deal: ExchangeRecord) -> ExchangeRecord:
        return replace(deal, state=ExchangeState.DONE, block=await self._block_of(deal.tx_id))


def _result(deal: ExchangeRecord) -> Exchanged | RefusedRequest:
    if deal.state is not ExchangeState.DONE:
        return RefusedRequest(code=deal.code if deal.state is ExchangeState.REFUSED else RefusalCode.PENDING)
    return Exchanged(
        reference=deal.reference,
        buys=deal.buys,
        tokens_mtok=deal.tokens_mtok,
        won=deal.won,
        fee_won=deal.fee_won,
        tx_id=deal.tx_id,
        block=deal.block,
    )
