"""Set up a currency exchange that can be killed at any step, with the contract in memory, a bank and a store on disk.

Every outgoing call and every write of the store is two points at which the process can die: before its effect and after.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgegw.ledger import LedgerError, Unavailable, Undecided
from edgegw.ports.representative import RefusedRequest
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.exchange_store import (
    ExchangeRecord,
    ExchangeState,
    ExchangeStore,
)
from edgegw.representative.payment_provider import Decision, SimulatedBank, Terms
from edgegw.representative.token_issuance import ExchangeDesk
from tests.support.contract_world import digest
from tests.support.participants_host import MONDAY_S, MemoryPeer, MemoryPort, StepClock

MEMBER, GONE = "EVA", "EVB"


class KilledError(Exception):
    """The process is killed at this point."""


def won_in(bank: SimulatedBank) -> int:
    """Return the won that members paid in total."""
    return _won(bank, into=True)


def won_out(bank: SimulatedBank) -> int:
    """Return the won that members were paid in total."""
    return _won(bank, into=False)


def _won(bank: SimulatedBank, *, into: bool) -> int:
    done = (one for one in bank.payments.values() if one.decision == Decision.ACCEPTED)
    return sum(one.won for one in done if one.into is into)


@dataclass
class Points:
    """Counts points, and kills the process at some of them."""

    deadly: set[int] = field(default_factory=set)
    passed: int = 0

    def step(self) -> None:
        self.passed += 1
        if self.passed in self.deadly:
            raise KilledError


@dataclass
class BreakingPort:
    """A ledger port whose calls or answers may be lost."""

    port: MemoryPort
    points: Points
    faults: list[LedgerError] = field(default_factory=list)

    async def evaluate(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        return await self.port.evaluate(function, args)

    async def execute(self, function: str, args: dict[str, Any]) -> dict[str, Any]:
        self.points.step()
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Unavailable):
            raise fault
        answer = await self.port.execute(function, args)
        if fault is not None:
            raise fault
        self.points.step()
        return answer


@dataclass
class BreakingBank:
    """A bank; the process may die before or after each call."""

    bank: SimulatedBank
    points: Points

    async def terms(self, *, buys: bool, tokens_mtok: int) -> Terms | RefusedRequest:
        return await self.bank.terms(buys=buys, tokens_mtok=tokens_mtok)

    async def take_in(self, reference: str, member_id: str, won: int) -> Decision:
        self.points.step()
        decision = await self.bank.take_in(reference, member_id, won)
        self.points.step()
        return decision

    async def pay_out(self, reference: str, member_id: str, won: int) -> Decision:
        self.points.step()
        decision = await self.bank.pay_out(reference, member_id, won)
        self.points.step()
        return decision


class ExchangeWorld:
    """One bank, one ledger and one store, used by one process after the other as they are killed."""

    def __init__(self, folder: Path, **bank: Any) -> None:
        self.path = folder / "exchange.db"
        self.clock = StepClock(MONDAY_S)
        self.peer = MemoryPeer(self.clock)
        self.points = Points()
        self.bank = SimulatedBank(**bank)
        self.port = BreakingPort(self.peer.port("EVUserMSP", "exchange"), self.points)
        admin, self.representative = (
            self.peer.port("EVUserMSP", role) for role in ("admin", "representative")
        )
        self._now(admin, "Configure", channel="energych")
        for member_id in (MEMBER, GONE):
            names = {"commitment": digest(member_id), "dupTag": digest(f"tag {member_id}")}
            self._now(self.representative, "SignUp", memberId=member_id, kind="EV", **names)

    def _now(self, port: MemoryPort, function: str, **args: Any) -> None:
        self.peer.call(port.creator, function, args, commit=True)

    def suspend(self, member_id: str) -> None:
        """Let the contract refuse to mint for this member from now on."""
        self._now(self.representative, "Update", memberId=member_id, expectedVersion=1, status="SUSPENDED")

    def open(self) -> CurrencyExchange:
        """Open the exchange of a new process on the store."""
        points = self.points

        class BreakingBook(ExchangeStore):
            def put(self, deal: ExchangeRecord) -> None:
                points.step()
                super().put(deal)
                points.step()

        async def block_of(tx_id: str) -> int:
            points.step()
            return int(tx_id, 16)

        return CurrencyExchange(
            self.path,
            bank=BreakingBank(self.bank, self.points),
            desk=ExchangeDesk(ledger=self.port),
            block_of=block_of,
            clock=self.clock,
            book=BreakingBook,
        )

    async def at_rest(self) -> list[ExchangeRecord]:
        """Let a last, undisturbed process finish everything; return the deals that began."""
        self.points.deadly.clear()
        self.bank.moods.clear()
        self.port.faults.clear()
        last = self.open()
        assert await last.finish() == 0
        last.close()
        book = ExchangeStore(self.path)
        deals = [deal for member_id in (MEMBER, GONE) for deal in book.of(member_id)]
        book.close()
        return deals

    def tokens(self, member_id: str) -> int:
        """Return a member's available milli-tokens."""
        balance = self.peer.call(self.port.port.creator, "balanceOf", {"memberId": member_id}, commit=False)
        return int(balance["tokens"]["available"])

    def supply_mtok(self) -> int:
        """Return the milli-tokens minted less burned."""
        return int(self.peer.call(self.port.port.creator, "totalSupply", {}, commit=False)["supply"])

    def assert_even(self, deals: list[ExchangeRecord]) -> None:
        """Check that won in less won out less fees equals the supply at one won per token, and each deal has ended."""
        done = [deal for deal in deals if deal.state is ExchangeState.DONE]
        assert {deal.state for deal in deals} <= {ExchangeState.DONE, ExchangeState.REFUSED}
        fees = sum(deal.fee_won for deal in done)
        assert (won_in(self.bank) - won_out(self.bank) - fees) * 1000 == self.supply_mtok()
        for member_id in (MEMBER, GONE):
            own = [deal for deal in done if deal.member_id == member_id]
            assert self.tokens(member_id) == sum(
                deal.tokens_mtok if deal.buys else -deal.tokens_mtok for deal in own
            )


def lost_question() -> LedgerError:
    """Return the error of a call that did not reach the ledger."""
    return Unavailable("nobody answers")


def lost_answer() -> LedgerError:
    """Return the error of a call whose answer was lost after the ledger wrote."""
    return Undecided("tx")


FAULTS: tuple[Callable[[], LedgerError] | None, ...] = (None, lost_question, lost_answer)
