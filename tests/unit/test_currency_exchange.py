"""The exchange counter: quotes that expire, refusals that cost nothing, and what is owed until it is given."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal, Unavailable
from edgegw.ports.representative import (
    Exchanged,
    ExchangeQuote,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
)
from edgegw.representative import currency_exchange as module
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.exchange_store import QUOTES_MOST, ExchangeStore
from edgegw.representative.payment_provider import BankBehaviour, SimulatedBank, Terms
from tests.support.exchange_world import GONE, MEMBER, ExchangeWorld, won_in, won_out
from tests.support.participants_host import MONDAY_S


@pytest.fixture
def world(tmp_path: Path) -> ExchangeWorld:
    return ExchangeWorld(tmp_path, fee_bp=100)


async def quoted(
    counter: CurrencyExchange, *, buys: bool = True, tokens: int = 10, who: str = MEMBER
) -> ExchangeQuote:
    quote = await counter.quote(who, buys=buys, tokens_mtok=tokens * 1000)
    assert isinstance(quote, ExchangeQuote)
    return quote


async def done(counter: CurrencyExchange, **wish: Any) -> Exchanged | RefusedRequest:
    quote = await quoted(counter, **wish)
    return await counter.exchange(quote.member_id, quote.quote_id)


async def test_won_become_tokens_and_tokens_won(world: ExchangeWorld) -> None:
    """Both ways exchange, with the fee added to a payment and taken off a payout; a member's own are listed newest first."""
    counter = world.open()
    bought = await done(counter, tokens=1000)
    sold = await done(counter, buys=False, tokens=400)
    assert isinstance(bought, Exchanged)
    assert isinstance(sold, Exchanged)
    assert (bought.won, bought.fee_won, sold.won, sold.fee_won) == (1010, 10, 396, 4)
    assert (won_in(world.bank), won_out(world.bank), world.tokens(MEMBER)) == (1010, 396, 600_000)
    assert bought.block == int(bought.tx_id, 16)
    assert await counter.made(MEMBER) == [sold, bought]
    assert await counter.made(GONE) == []
    assert await counter.unfinished(MEMBER) == 0
    assert counter.counts == {"done": 2}
    counter.close()
    world.assert_even(await world.at_rest())


async def test_a_quote_is_its_members_and_for_five_minutes(world: ExchangeWorld) -> None:
    """A quote of another member, an expired and an unknown one are refused, and nothing is paid."""
    counter = world.open()
    quote = await quoted(counter)
    assert quote.expires_ns == (MONDAY_S + 300) * 1_000_000_000
    assert await counter.exchange(GONE, quote.quote_id) == RefusedRequest(code=RefusalCode.NOT_YOURS)
    assert await counter.exchange(MEMBER, "never") == RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
    await world.clock.advance_to(MONDAY_S + 300)
    assert await counter.exchange(MEMBER, quote.quote_id) == RefusedRequest(code=RefusalCode.QUOTE_EXPIRED)
    assert world.bank.payments == {}
    counter.close()


async def test_an_exchange_that_began_does_not_expire(world: ExchangeWorld) -> None:
    """An exchange that the bank has not decided is pending, however long that takes; asking again returns the result."""
    counter = world.open()
    world.bank.moods = [BankBehaviour.PENDING, BankBehaviour.PENDING]
    quote = await quoted(counter)
    assert await counter.exchange(MEMBER, quote.quote_id) == RefusedRequest(code=RefusalCode.PENDING)
    await world.clock.advance_to(MONDAY_S + 86_400)
    await quoted(counter)  # which forgets expired quotes
    assert await counter.exchange(MEMBER, quote.quote_id) == RefusedRequest(code=RefusalCode.PENDING)
    assert await counter.unfinished(MEMBER) == 1
    assert isinstance(await counter.exchange(MEMBER, quote.quote_id), Exchanged)
    counter.close()


async def test_an_accelerated_day_leaves_five_real_minutes(world: ExchangeWorld) -> None:
    """Sixty times as fast, a quote lasts five hours of the station's time."""
    world.clock._speed = 60
    counter = world.open()
    assert (await quoted(counter)).expires_ns == (MONDAY_S + 300 * 60) * 1_000_000_000
    counter.close()


async def test_quotes_do_not_pile_up(world: ExchangeWorld) -> None:
    """A member's newest few are kept; others' are not touched, nor what began."""
    counter = world.open()
    other = await quoted(counter, who=GONE)
    assert isinstance(await done(counter), Exchanged)
    quotes = [await quoted(counter) for _ in range(QUOTES_MOST + 2)]
    counter.close()
    book = ExchangeStore(world.path)
    assert [book.get(one.quote_id) is None for one in quotes] == [True, True] + [False] * QUOTES_MOST
    assert book.get(other.quote_id) is not None
    assert len(book.of(MEMBER)) == 1
    book.close()


async def test_a_declined_payment_mints_nothing(world: ExchangeWorld) -> None:
    """A declined payment mints nothing, and stays declined."""
    counter = world.open()
    world.bank.moods = [BankBehaviour.DECLINE]
    quote = await quoted(counter)
    for _ in range(2):
        assert await counter.exchange(MEMBER, quote.quote_id) == RefusedRequest(code=RefusalCode.DECLINED)
    assert (world.supply_mtok(), won_in(world.bank)) == (0, 0)
    counter.close()


@pytest.mark.parametrize(
    ("has", "code"), [(0, RefusalCode.ZERO_TOKENS), (5, RefusalCode.INSUFFICIENT_TOKENS)]
)
async def test_a_refused_burn_pays_nothing(world: ExchangeWorld, has: int, code: RefusalCode) -> None:
    """A member with too few tokens gets no won."""
    counter = world.open()
    if has:
        await done(counter, tokens=has)
    assert await done(counter, buys=False, tokens=6) == RefusedRequest(code=code)
    assert won_out(world.bank) == 0
    counter.close()
    world.assert_even(await world.at_rest())


async def test_a_refused_mint_is_paid_back(world: ExchangeWorld) -> None:
    """Fee and all, and not before the bank says so; until then it is pending."""
    world.suspend(GONE)
    counter = world.open()
    world.bank.moods = [BankBehaviour.WELL, BankBehaviour.DECLINE, BankBehaviour.WELL]
    quote = await quoted(counter, who=GONE)
    assert await counter.exchange(GONE, quote.quote_id) == RefusedRequest(code=RefusalCode.PENDING)
    assert await counter.unfinished(GONE) == 1
    assert await counter.finish() == 0  # by a payment of its own: the declined one stays declined
    assert await counter.exchange(GONE, quote.quote_id) == RefusedRequest(code=Code.MEMBER_INACTIVE)
    assert (won_in(world.bank), won_out(world.bank), world.supply_mtok()) == (quote.won, quote.won, 0)
    counter.close()


async def test_a_declined_payout_is_minted_back(world: ExchangeWorld) -> None:
    """Tokens of a declined payout are minted back, and the member gets the refusal."""
    counter = world.open()
    await done(counter, tokens=20)
    world.bank.moods = [BankBehaviour.DECLINE]
    assert await done(counter, buys=False, tokens=6) == RefusedRequest(code=RefusalCode.DECLINED)
    assert (won_out(world.bank), world.tokens(MEMBER)) == (0, 20_000)
    counter.close()
    world.assert_even(await world.at_rest())


async def test_won_that_are_in_are_never_forgotten(world: ExchangeWorld) -> None:
    """While the ledger cannot be reached, or refuses for a temporary reason, Mint is repeated."""
    counter = world.open()
    quote = await quoted(counter)
    world.port.faults = [Unavailable("away"), BusinessRefusal("NOT_AUTHORISED", "")]
    original = world.port.execute

    async def refusing(function: str, args: dict[str, Any]) -> dict[str, Any]:
        if world.port.faults:
            raise world.port.faults.pop(0)
        return await original(function, args)

    world.port.execute = refusing  # type: ignore[method-assign]  # a ledger of this test
    for _ in range(2):
        with pytest.raises(RepresentativeError, match="dep:"):
            await counter.exchange(MEMBER, quote.quote_id)
        assert won_in(world.bank) == quote.won
    assert await counter.finish() == 0
    assert world.tokens(MEMBER) == 10_000
    counter.close()


async def test_two_taps_are_one_exchange(world: ExchangeWorld) -> None:
    """Two requests at once are one exchange, also while the exchange finishes by itself."""
    world.bank.delay_s = 0.01
    counter = world.open()
    quote = await quoted(counter)
    first, second, left = await asyncio.gather(
        counter.exchange(MEMBER, quote.quote_id), counter.exchange(MEMBER, quote.quote_id), counter.finish()
    )
    assert isinstance(first, Exchanged)
    assert (first, left) == (second, 0)
    assert world.supply_mtok() == 10_000
    counter.close()


async def test_it_finishes_by_itself(world: ExchangeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange finishes without another request; a bank that cannot be reached is counted and asked again."""
    monkeypatch.setattr(module, "AGAIN_REAL_S", 0.001)
    counter = world.open()
    world.bank.moods = [BankBehaviour.LOSE_QUESTION, BankBehaviour.LOSE_QUESTION, BankBehaviour.LOSE_ANSWER]
    quote = await quoted(counter)
    with pytest.raises(RepresentativeError):
        await counter.exchange(MEMBER, quote.quote_id)
    running = asyncio.create_task(counter.run())
    while await counter.unfinished(MEMBER):  # noqa: ASYNC110 - a file is no event
        await asyncio.sleep(0.001)
    running.cancel()
    assert counter.counts == {"unreachable": 2, "done": 1}
    assert world.tokens(MEMBER) == 10_000
    counter.close()


async def test_a_book_that_cannot_be_written_is_a_fault(world: ExchangeWorld) -> None:
    """No step is taken that the store has not recorded; a store that cannot be written is a fault."""
    counter = world.open()
    quote = await quoted(counter)
    counter._disk.submit(counter._book.close).result()
    for ask in (counter.exchange(MEMBER, quote.quote_id), counter.quote(MEMBER, buys=True, tokens_mtok=5000)):
        with pytest.raises(RepresentativeError, match="book"):
            await ask
    assert world.bank.payments == {}
    counter._disk.shutdown()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Before anything is opened beside it; no thread is left behind."""
    from edgegw.common.errors import JournalError
    from edgegw.store.journal import SqliteJournal

    world = ExchangeWorld(tmp_path)
    SqliteJournal(world.path).close()
    with pytest.raises(JournalError, match="not a book of exchanges"):
        world.open()


@pytest.mark.parametrize(
    ("buys", "tokens_mtok", "terms"),
    [
        (True, 1_000, (2, 1)),
        (True, 1_306_496, (1255, 13)),
        (False, 1_306_496, (1228, 13)),
        (True, 10_000_000, (9595, 95)),
        (False, 1_050, None),
        (True, 999, None),
        (False, -5, None),
        (True, 10_000_001, None),
    ],
)
async def test_a_simulated_bank_rounds_for_itself(
    *, buys: bool, tokens_mtok: int, terms: tuple[int, int] | None
) -> None:
    """At 0.95 won per token and 1 %, payments round up and payouts round down; beyond its limits the bank makes no terms."""
    bank = SimulatedBank(won_per_token_milli=950, fee_bp=100, tokens_mtok_max=10_000_000)
    found = await bank.terms(buys=buys, tokens_mtok=tokens_mtok)
    if terms is None:
        assert found == RefusedRequest(code=RefusalCode.OUT_OF_LIMITS, detail="1000..10000000")
    else:
        assert found == Terms(won=terms[0], fee_won=terms[1], won_per_token_milli=950)


async def test_a_refused_quote_is_told(world: ExchangeWorld) -> None:
    """Outside the bank's limits there is nothing to accept."""
    counter = world.open()
    refused = await counter.quote(MEMBER, buys=True, tokens_mtok=0)
    assert isinstance(refused, RefusedRequest)
    assert refused.code == RefusalCode.OUT_OF_LIMITS
    counter.close()
