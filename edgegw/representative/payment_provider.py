"""The Protocol of a bank that the currency exchange uses (`PaymentProvider`), and a simulated bank for the demo.

Decides the rate and the fee of the simulated bank. Never calls the ledger. Won are whole: a payment by the member is
rounded up and a payout down, so that tokens are always covered.
"""

import asyncio
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from edgegw.ports.representative import RefusalCode, RefusedRequest, RepresentativeError

_MTOK = 1000
_MILLI = 1000


class Decision(StrEnum):
    """A bank's answer to a payment."""

    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    PENDING = "PENDING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The current price of a number of tokens; `won` includes the fee."""

    won: int
    fee_won: int
    won_per_token_milli: int


class PaymentProvider(Protocol):
    """A bank. Methods raise RepresentativeError where it does not answer; the payment may have been made nevertheless.

    The reference identifies a payment: a repeat returns the first decision, or a later one where that was PENDING.
    """

    async def terms(self, *, buys: bool, tokens_mtok: int) -> Terms | RefusedRequest:
        """Return rate and fee; refused outside the bank's limits (OUT_OF_LIMITS)."""

    async def take_in(self, reference: str, member_id: str, won: int) -> Decision:
        """Collect a payment from the member."""

    async def pay_out(self, reference: str, member_id: str, won: int) -> Decision:
        """Pay the member."""


class BankBehaviour(StrEnum):
    """The behaviour of a simulated bank at one payment."""

    WELL = "well"
    DECLINE = "decline"
    PENDING = "pending"
    LOSE_QUESTION = "lose question"
    LOSE_ANSWER = "lose answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """The payment of one reference; `into`: paid by the member."""

    into: bool
    member_id: str
    won: int
    decision: Decision


@dataclass(slots=True, kw_only=True)
class SimulatedBank:
    """A bank that accepts every payment at once. Its payments are in memory only, since the money is not real."""

    won_per_token_milli: int = _MILLI
    fee_bp: int = 0
    tokens_mtok_min: int = 1_000
    tokens_mtok_max: int = 1_000_000_000
    delay_s: float = 0
    moods: MutableSequence[BankBehaviour] = field(default_factory=list)  # for the next payments, in order
    payments: dict[str, Payment] = field(default_factory=dict)

    async def terms(self, *, buys: bool, tokens_mtok: int) -> Terms | RefusedRequest:
        """See PaymentProvider."""
        limits = f"{self.tokens_mtok_min}..{self.tokens_mtok_max}"
        if not self.tokens_mtok_min <= tokens_mtok <= self.tokens_mtok_max:
            return RefusedRequest(code=RefusalCode.OUT_OF_LIMITS, detail=limits)
        worth = tokens_mtok * self.won_per_token_milli  # in millionths of a won
        value_won = -(-worth // (_MTOK * _MILLI)) if buys else worth // (_MTOK * _MILLI)
        fee_won = -(-value_won * self.fee_bp // 10_000)
        won = value_won + fee_won if buys else value_won - fee_won
        if won <= 0:
            return RefusedRequest(code=RefusalCode.OUT_OF_LIMITS, detail=limits)
        return Terms(won=won, fee_won=fee_won, won_per_token_milli=self.won_per_token_milli)

    async def take_in(self, reference: str, member_id: str, won: int) -> Decision:
        """See PaymentProvider."""
        return await self._pay(reference, Payment(into=True, member_id=member_id, won=won, decision=_YES))

    async def pay_out(self, reference: str, member_id: str, won: int) -> Decision:
        """See PaymentProvider."""
        return await self._pay(reference, Payment(into=False, member_id=member_id, won=won, decision=_YES))

    async def _pay(self, reference: str, payment: Payment) -> Decision:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        mood = self.moods.pop(0) if self.moods else BankBehaviour.WELL
        if mood is BankBehaviour.LOSE_QUESTION:
            raise RepresentativeError("the bank does not answer")
        known = self.payments.get(reference)
        if known is not None:
            same = (known.into, known.member_id, known.won) == (payment.into, payment.member_id, payment.won)
            assert same, f"{reference} is the reference of another payment"
        if known is None or known.decision is Decision.PENDING:
            decision = {
                BankBehaviour.DECLINE: Decision.DECLINED,
                BankBehaviour.PENDING: Decision.PENDING,
            }.get(mood, _YES)
            known = Payment(
                into=payment.into, member_id=payment.member_id, won=payment.won, decision=decision
            )
            self.payments[reference] = known
        if mood is BankBehaviour.LOSE_ANSWER:
            raise RepresentativeError("the bank's answer was lost")
        return known.decision


_YES = Decision.ACCEPTED
