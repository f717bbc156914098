"""Exchanges of won and tokens that are killed between any two steps, with answers lost on both sides, lose and create nothing."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.ports.representative import (
    Exchanged,
    ExchangeQuote,
    RefusedRequest,
    RepresentativeError,
)
from edgegw.representative.exchange_store import ExchangeState
from edgegw.representative.payment_provider import BankBehaviour
from tests.support.exchange_world import FAULTS, GONE, MEMBER, ExchangeWorld, KilledError

Wish = tuple[str, bool, int]  # member, buys, whole tokens
WISHES = st.tuples(st.sampled_from([MEMBER, MEMBER, GONE]), st.booleans(), st.integers(2, 60)).map(
    lambda wish: wish if wish[0] == MEMBER else (wish[0], True, wish[2])
)
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True)


async def live(world: ExchangeWorld, wishes: Sequence[Wish]) -> None:
    """Each wish is quoted and asked for, and after a kill asked for again in the next process."""
    counter = world.open()
    for member_id, buys, tokens in wishes:
        quote = await counter.quote(member_id, buys=buys, tokens_mtok=tokens * 1000)
        assert isinstance(quote, ExchangeQuote)
        for _ in range(3):
            try:
                first = await counter.exchange(member_id, quote.quote_id)
            except KilledError:
                counter.close()
                counter = world.open()
                with suppress(RepresentativeError, KilledError):
                    await counter.finish()
            except RepresentativeError:
                continue
            else:
                if first != RefusedRequest(code="PENDING"):
                    assert await counter.exchange(member_id, quote.quote_id) == first
    counter.close()


@SETTINGS
@given(
    wishes=st.lists(WISHES, min_size=1, max_size=5),
    deadly=st.sets(st.integers(1, 60), max_size=8),
    moods=st.lists(st.sampled_from(list(BankBehaviour)), max_size=12),
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
    fee_bp=st.sampled_from([0, 30, 250]),
)
def test_nothing_is_made_or_lost(
    *, wishes: list[Wish], deadly: set[int], moods: list[BankBehaviour], faults: list[object], fee_bp: int
) -> None:
    """Won in, less won out, less fees, are the tokens minted less those burned, whenever all is at rest."""
    with tempfile.TemporaryDirectory() as folder:
        world = ExchangeWorld(Path(folder), fee_bp=fee_bp)
        world.suspend(GONE)
        world.points.deadly = set(deadly)
        world.bank.moods = list(moods)
        world.port.faults = [None if fault is None else fault() for fault in faults]  # type: ignore[operator,misc]  # a list of makers

        async def run() -> None:
            await live(world, wishes)
            deals = await world.at_rest()
            world.assert_even(deals)
            assert all(deal.state is ExchangeState.REFUSED for deal in deals if deal.member_id == GONE)

        asyncio.run(run())


@pytest.mark.parametrize("buys", [True, False])
def test_a_kill_at_each_single_point(tmp_path: Path, *, buys: bool) -> None:
    """Killed before or after any single step, the exchange is done once, and a repeat returns the same result."""

    async def once(deadly: int) -> int:
        folder = tmp_path / str(deadly)
        folder.mkdir()
        world = ExchangeWorld(folder, fee_bp=100)
        if not buys:
            counter = world.open()
            bought = await counter.quote(MEMBER, buys=True, tokens_mtok=50_000)
            assert isinstance(bought, ExchangeQuote)
            assert isinstance(await counter.exchange(MEMBER, bought.quote_id), Exchanged)
            counter.close()
        world.points.passed, world.points.deadly = 0, {deadly}
        counter = world.open()
        quote = await counter.quote(MEMBER, buys=buys, tokens_mtok=20_000)
        assert isinstance(quote, ExchangeQuote)
        with suppress(KilledError):
            await counter.exchange(MEMBER, quote.quote_id)
        passed = world.points.passed
        counter.close()
        began = {deal.quote_id for deal in await world.at_rest()}
        counter = world.open()
        result = await counter.exchange(MEMBER, quote.quote_id)
        counter.close()
        assert isinstance(result, Exchanged)
        assert result == Exchanged(
            reference=f"{'dep' if buys else 'pay'}:{quote.quote_id}",
            buys=buys,
            tokens_mtok=20_000,
            won=quote.won,
            fee_won=quote.fee_won,
            tx_id=result.tx_id,
            block=int(result.tx_id, 16),
        )
        assert quote.quote_id in began or deadly == 1  # dead before anything of it was written
        world.assert_even(await world.at_rest())
        return passed

    async def all_points() -> int:
        deadly = 1
        while await once(deadly) >= deadly:
            deadly += 1
        return deadly - 1

    assert asyncio.run(all_points()) == 13  # before and after 6 effects, and before the block is looked up
