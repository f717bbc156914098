"""The exchange counter: tokens for won and back, each exchange whole or not at all, whatever is killed in between.

Decides the order. Buying: the won first, then Mint; a Mint that the contract refuses for good is paid back. Selling: Burn
first, then the won; a payout that the bank declines is minted back. Every step is known by a reference and may be
repeated; the book says before it that it may have been taken, and after it that it was. Never two exchanges of one quote.
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

from edgegw.contract.codes import Code
from edgegw.errors import JournalError
from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.office import Exchanged, ExchangeQuote, No, OfficeError, Refusal
from edgegw.participants.bank import Decision, PaymentDesk
from edgegw.participants.desk import ExchangeDesk
from edgegw.participants.exchange_book import ENDED, Deal, ExchangeBook, State
from edgegw.ports import Clock
from edgegw.units import SECOND_NS

T = TypeVar("T")
Step = Callable[[Deal], Awaitable[Deal]]
QUOTE_REAL_S = 300
AGAIN_REAL_S = 5.0
# What ends an exchange. Any other refusal (an identity without its role, a channel not configured) is somebody's to mend.
_NO_MINT = frozenset({Code.UNKNOWN_MEMBER, Code.MEMBER_INACTIVE})
_NO_BURN = frozenset({Code.UNKNOWN_MEMBER, Code.ZERO_TOKENS, Code.INSUFFICIENT_TOKENS})


class Exchange:
    """The counter of one organisation's offices. `counts`: exchanges by their end, and faults met while finishing."""

    def __init__(
        self,
        path: Path,
        *,
        bank: PaymentDesk,
        desk: ExchangeDesk,
        block_of: Callable[[str], Awaitable[int]],
        clock: Clock,
        book: Callable[[Path], ExchangeBook] = ExchangeBook,
    ) -> None:
        """`block_of`: the block of a committed transaction; raises LedgerError. Raises JournalError."""
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
        self._steps: Mapping[State, Step] = {
            State.PAYING: self._take_in,
            State.PAID: self._mint,
            State.REFUNDING: self._refund,
            State.BURNING: self._burn,
            State.BURNED: self._pay_out,
            State.RETURNING: self._give_back,
            State.MINTED: self._find_block,
            State.PAID_OUT: self._find_block,
        }

    def close(self) -> None:
        """Close the book; what is unfinished is finished by the next one that opens it."""
        self._disk.submit(self._book.close)
        self._disk.shutdown()

    async def quote(self, member_id: str, *, buys: bool, tokens_mtok: int) -> ExchangeQuote | Refusal:
        """What the bank asks or gives now, kept for five real minutes. Raises OfficeError."""
        terms = await self._bank.terms(buys=buys, tokens_mtok=tokens_mtok)
        if isinstance(terms, Refusal):
            return terms
        now_ns = self._clock.now_ns()
        deal = Deal(
            quote_id=secrets.token_hex(16),
            member_id=member_id,
            buys=buys,
            tokens_mtok=tokens_mtok,
            won=terms.won,
            fee_won=terms.fee_won,
            won_per_token_milli=terms.won_per_token_milli,
            # An accelerated day leaves people as much time to read.
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

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | Refusal:
        """Do what was quoted, once; a repeat goes on where it stopped and gives the same result.

        Raises OfficeError: bank or ledger cannot be asked; it has begun, and is finished later.
        """
        async with self._turns.setdefault(quote_id, asyncio.Lock()):
            deal = await self._on_disk(lambda: self._book.get(quote_id))
            if deal is None:
                return Refusal(code=No.QUOTE_EXPIRED)
            if deal.member_id != member_id:
                return Refusal(code=No.NOT_YOURS)
            if deal.state is State.QUOTED:
                if self._clock.now_ns() >= deal.expires_ns:
                    return Refusal(code=No.QUOTE_EXPIRED)
                deal = await self._keep(replace(deal, state=State.PAYING if deal.buys else State.BURNING))
            return _result(await self._advance(deal))

    async def unfinished(self, member_id: str) -> int:
        """How many exchanges of a member have begun and not ended."""
        return sum(deal.state not in ENDED for deal in await self._on_disk(lambda: self._book.of(member_id)))

    async def made(self, member_id: str) -> Sequence[Exchanged]:
        """A member's exchanges that are done, newest first."""
        deals = await self._on_disk(lambda: self._book.of(member_id))
        results = [_result(deal) for deal in reversed(deals) if deal.state is State.DONE]
        return [one for one in results if isinstance(one, Exchanged)]

    async def finish(self) -> int:
        """Go on with every exchange that has begun; how many are still unfinished. What cannot be asked is counted."""
        left = 0
        for begun in await self._on_disk(self._book.unfinished):
            async with self._turns.setdefault(begun.quote_id, asyncio.Lock()):
                deal = await self._on_disk(partial(self._book.get, begun.quote_id))
                assert deal is not None
                try:
                    deal = await self._advance(deal)
                except OfficeError:
                    self.counts["unreachable"] += 1
                left += deal.state not in ENDED
        return left

    async def run(self) -> None:
        """Finish what was begun, now and every few seconds, until cancelled."""
        while True:
            await self.finish()
            await asyncio.sleep(AGAIN_REAL_S)

    async def _advance(self, deal: Deal) -> Deal:
        """Step by step to the end, or to where the bank has not decided yet."""
        while deal.state not in ENDED:
            try:
                after = await self._steps[deal.state](deal)
            except LedgerError as fault:
                raise OfficeError(f"exchange {deal.reference}: {fault}") from fault
            if after == deal:
                return deal
            moved = after.state is not deal.state
            deal = await self._keep(after)
            if not moved:
                return deal
            if deal.state in ENDED:
                self.counts[deal.code or "done"] += 1
        return deal

    async def _keep(self, deal: Deal) -> Deal:
        await self._on_disk(lambda: self._book.put(deal))
        return deal

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """On the book's own thread: no fsync keeps the station's loop waiting. Raises OfficeError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, work)
        except JournalError as fault:
            raise OfficeError(f"the exchange's book: {fault}") from fault

    # --- buying ---------------------------------------------------------------------------------------------------

    async def _take_in(self, deal: Deal) -> Deal:
        decision = await self._bank.take_in(deal.reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, state=State.REFUSED, code=No.DECLINED.value)
        return replace(deal, state=State.PAID) if decision is Decision.ACCEPTED else deal

    async def _mint(self, deal: Deal) -> Deal:
        try:
            tx_id = await self._desk.mint(deal.member_id, deal.tokens_mtok, deal.reference)
        except BusinessRefusal as refusal:
            if refusal.code not in _NO_MINT:
                raise
            return replace(deal, state=State.REFUNDING, code=str(refusal.code))
        return replace(deal, state=State.MINTED, tx_id=tx_id)

    async def _refund(self, deal: Deal) -> Deal:
        """The bank that took the won gives them back, its fee too; until it has, they are owed.

        A refund that it declines never was: the next one is another payment.
        """
        reference = f"refund:{deal.quote_id}:{deal.refund}"
        decision = await self._bank.pay_out(reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, refund=deal.refund + 1)
        return replace(deal, state=State.REFUSED) if decision is Decision.ACCEPTED else deal

    # --- selling --------------------------------------------------------------------------------------------------

    async def _burn(self, deal: Deal) -> Deal:
        try:
            tx_id = await self._desk.burn(deal.member_id, deal.tokens_mtok, deal.reference)
        except BusinessRefusal as refusal:
            if refusal.code not in _NO_BURN:
                raise
            return replace(deal, state=State.REFUSED, code=str(refusal.code))
        return replace(deal, state=State.BURNED, tx_id=tx_id)

    async def _pay_out(self, deal: Deal) -> Deal:
        decision = await self._bank.pay_out(deal.reference, deal.member_id, deal.won)
        if decision is Decision.DECLINED:
            return replace(deal, state=State.RETURNING, code=No.DECLINED.value)
        return replace(deal, state=State.PAID_OUT) if decision is Decision.ACCEPTED else deal

    async def _give_back(self, deal: Deal) -> Deal:
        """The tokens that were burned for a payout that is not to be; any refusal leaves them owed."""
        await self._desk.mint(deal.member_id, deal.tokens_mtok, f"back:{deal.quote_id}")
        return replace(deal, state=State.REFUSED)

    async def _find_block(self, deal: Deal) -> Deal:
        return replace(deal, state=State.DONE, block=await self._block_of(deal.tx_id))


def _result(deal: Deal) -> Exchanged | Refusal:
    if deal.state is not State.DONE:
        return Refusal(code=deal.code if deal.state is State.REFUSED else No.PENDING)
    return Exchanged(
        reference=deal.reference,
        buys=deal.buys,
        tokens_mtok=deal.tokens_mtok,
        won=deal.won,
        fee_won=deal.fee_won,
        tx_id=deal.tx_id,
        block=deal.block,
    )
