"""Provide each implementation of `ports.representative.Representative` for the conformance suite: fake, local and remote."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import (
    Exchanged,
    ExchangeQuote,
    Kind,
    Login,
    Representative,
)
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.payment_provider import SimulatedBank
from edgegw.representative.standing_offers import OfferBook
from edgegw.representative.token_issuance import ExchangeDesk
from tests.support.representative_fake import FakeOffice
from tests.support.representative_world import (
    PASSWORD,
    SOURCE,
    Desk,
    local_desk,
    served_desk,
)

TERMS = MemberTerms(member_id="", sells=True, battery_wh=60_000)
DAY_S = 86_400
ZONE = "KR-CB-1"


@dataclass(kw_only=True)
class Stage:
    """One representative as two stations use it, with its clock and a way to let time pass."""

    representative: Representative
    elsewhere: Representative
    now_s: Callable[[], int]
    advance_to_s: Callable[[int], Awaitable[None]]
    pause_s: Callable[[float], None]


@asynccontextmanager
async def real_stage(desk: Desk, folder: Path) -> AsyncIterator[Stage]:
    """Return the real representative, with a currency exchange and an offer book."""

    async def block_of(tx_id: str) -> int:
        return int(tx_id, 16)

    def pause_s(seconds: float) -> None:
        desk.monotonic_s += seconds

    counter = CurrencyExchange(
        folder / "exchange.db",
        bank=SimulatedBank(),
        desk=ExchangeDesk(ledger=desk.peer.port("EVUserMSP", "exchange")),
        block_of=block_of,
        clock=desk.clock,
    )
    desk.local._counter = counter
    desk.local._book = OfferBook(ledger=desk.ledger.port, zone=ZONE)
    try:
        yield Stage(
            representative=desk.representative,
            elsewhere=desk.elsewhere,
            now_s=lambda: desk.clock.now_ns() // SECOND_NS,
            advance_to_s=desk.clock.advance_to,
            pause_s=pause_s,
        )
    finally:
        counter.close()


def fake_stage(*kinds: Kind) -> Stage:
    """Return the fake representative, at both stations."""
    fake = FakeOffice(kinds=kinds)

    def pause_s(seconds: float) -> None:
        fake.monotonic_s += seconds

    return Stage(
        representative=fake,
        elsewhere=fake,
        now_s=lambda: fake.clock.now_ns() // SECOND_NS,
        advance_to_s=lambda at_s: fake.clock.sleep_until(at_s * SECOND_NS),
        pause_s=pause_s,
    )


@asynccontextmanager
async def stage_of(name: str, folder: Path) -> AsyncIterator[Stage]:
    """Yield the representative of the drivers' organisation: `fake`, `local` or `remote`."""
    if name == "fake":
        yield fake_stage("EV")
    elif name == "local":
        async with local_desk(folder) as desk, real_stage(desk, folder) as found:
            yield found
    else:
        async with served_desk(folder) as served, real_stage(served.desk, folder) as found:
            yield found


async def logged_in(stage: Stage, login: str = "jimin") -> Login:
    opened = await stage.representative.log_in(login, PASSWORD, source=SOURCE)
    assert isinstance(opened, Login), opened
    return opened


async def bought(stage: Stage, member_id: str, tokens_mtok: int) -> Exchanged:
    quote = await stage.representative.exchange_quote(member_id, buys=True, tokens_mtok=tokens_mtok)
    assert isinstance(quote, ExchangeQuote)
    done = await stage.representative.exchange(member_id, quote.quote_id)
    assert isinstance(done, Exchanged)
    return done
