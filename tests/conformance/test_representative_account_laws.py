"""What pages rely on of `ports.representative.Representative` about tokens and energy; test_representative_laws.py has the rest."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import (
    Card,
    Defaults,
    Exchanged,
    ExchangeQuote,
    NewOffer,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from tests.support.representative_variants import (
    Stage,
    bought,
    fake_stage,
    logged_in,
    real_stage,
    stage_of,
)
from tests.support.representative_world import PASSWORD, SOURCE, code, joined, local_desk

TERMS = MemberTerms(member_id="", sells=True, battery_wh=60_000)
DAY_S = 86_400


@pytest.fixture(params=["fake", "local", "remote"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_of(request.param, tmp_path) as found:
        yield found


# --- the account, and leaving it -------------------------------------------------------------------------------------


async def test_balance_and_history_follow_what_happens(stage: Stage) -> None:
    """The history is newest first, page by page from the sign-up on, without empty pages; an unknown member has none."""
    profile = await joined(stage.representative)
    done = []
    for n in range(3):
        await stage.advance_to_s(stage.now_s() + 1)
        done.append(await bought(stage, profile.member_id, 5_000 + n))
    balance = await stage.elsewhere.balance(profile.member_id)
    assert (balance.available_mtok, balance.held_mtok, balance.pending_mtok) == (15_003, 0, 0)
    first = await stage.representative.history(profile.member_id, size=2)
    assert [entry.id for entry in first.entries] == [one.reference for one in reversed(done[1:])]
    assert [(entry.tokens_mtok, entry.tx_id) for entry in first.entries] == [
        (one.tokens_mtok, one.tx_id) for one in reversed(done[1:])
    ]
    assert first.entries[0].at_ns == stage.now_s() * SECOND_NS
    rest = await stage.representative.history(profile.member_id, bookmark=first.bookmark, size=2)
    assert [entry.type for entry in rest.entries] == ["token.mint", "member.signed"]
    assert rest.bookmark == ""
    assert len((await stage.representative.history(profile.member_id, size=0)).entries) == 1
    for question in (stage.representative.balance, stage.representative.history):
        with pytest.raises(RepresentativeError, match="UNKNOWN_MEMBER"):
            await question("nobody")


async def test_what_is_left_keeps_a_member(stage: Stage) -> None:
    """A member with tokens cannot leave; leaving is final and can be repeated, and the person may sign up again."""
    profile = await joined(stage.representative)
    opened = await logged_in(stage)
    await stage.representative.link_card(profile.member_id, "04A2B3C4", label="", terms=TERMS)
    await bought(stage, profile.member_id, 5_000)
    assert await stage.representative.leave(profile.member_id) == RefusedRequest(
        code=RefusalCode.STILL_BUSY, detail="balance"
    )
    quote = await stage.representative.exchange_quote(profile.member_id, buys=False, tokens_mtok=5_000)
    assert isinstance(quote, ExchangeQuote)
    assert isinstance(await stage.representative.exchange(profile.member_id, quote.quote_id), Exchanged)
    assert await stage.representative.leave(profile.member_id) is None
    assert await stage.representative.leave(profile.member_id) is None
    assert await stage.representative.who(opened.token) is None
    assert (
        code(await stage.representative.log_in("jimin", PASSWORD, source=SOURCE)) == RefusalCode.WRONG_LOGIN
    )
    assert await stage.representative.export(profile.member_id) == {}
    assert list(await stage.representative.cards(profile.member_id)) == []
    assert (await stage.representative.balance(profile.member_id)).available_mtok == 0
    again = await joined(stage.representative)
    assert again.member_id != profile.member_id
    assert isinstance(
        await stage.representative.link_card(again.member_id, "04A2B3C4", label="", terms=TERMS), Card
    )
    assert code(await stage.representative.leave("nobody")) == RefusalCode.UNKNOWN_MEMBER


async def test_a_member_can_have_all_that_is_kept(stage: Stage) -> None:
    """The export holds profile, defaults, cards with terms, logins and exchanges, and never the password."""
    profile = await joined(stage.representative)
    chosen = Defaults(battery_wh=77_000, accept_retail=False)
    await stage.representative.remember(profile.member_id, chosen)
    await stage.representative.link_card(profile.member_id, "04A2B3C4", label="blue", terms=TERMS)
    opened = await logged_in(stage)
    done = await bought(stage, profile.member_id, 5_000)
    kept = await stage.elsewhere.export(profile.member_id)
    assert {"member_id", "name", "contact", "logins", "cards", "defaults", "exchanges"} <= set(kept)
    assert (kept["contact"], kept["version"]) == ("jimin@example.org", 1)
    cards, exchanges, logins, defaults = (kept[name] for name in ("cards", "exchanges", "logins", "defaults"))
    assert isinstance(cards, list)
    assert isinstance(exchanges, list)
    assert isinstance(logins, list)
    assert isinstance(defaults, dict)
    assert (cards[0]["label"], cards[0]["terms"]["battery_wh"]) == ("blue", 60_000)
    assert [one["reference"] for one in exchanges] == [done.reference]
    assert [one["expires_ns"] for one in logins] == [opened.expires_ns]
    assert defaults["battery_wh"] == 77_000
    assert PASSWORD not in str(kept)
    assert opened.token not in str(kept)


# --- exchange --------------------------------------------------------------------------------------------------------


async def test_a_quote_is_exchanged_once(stage: Stage) -> None:
    """A quote is exchanged once, by its own member; a repeat returns the same result, also after the quote's end."""
    profile, other = await joined(stage.representative), await joined(stage.representative, "minsu")
    member_id = profile.member_id
    quote = await stage.representative.exchange_quote(member_id, buys=True, tokens_mtok=5_500)
    assert isinstance(quote, ExchangeQuote)
    assert (quote.member_id, quote.buys, quote.won, quote.fee_won) == (member_id, True, 6, 0)
    assert (await stage.representative.balance(member_id)).available_mtok == 0
    assert code(await stage.representative.exchange(other.member_id, quote.quote_id)) == RefusalCode.NOT_YOURS
    done = await stage.representative.exchange(member_id, quote.quote_id)
    assert isinstance(done, Exchanged)
    assert (done.reference, done.won) == (f"dep:{quote.quote_id}", 6)
    await stage.advance_to_s(stage.now_s() + 301)
    assert await stage.elsewhere.exchange(member_id, quote.quote_id) == done
    assert code(await stage.representative.exchange(other.member_id, quote.quote_id)) == RefusalCode.NOT_YOURS
    assert (await stage.representative.balance(member_id)).available_mtok == 5_500
    back = await stage.representative.exchange_quote(member_id, buys=False, tokens_mtok=5_500)
    assert isinstance(back, ExchangeQuote)
    assert back.won == 5
    paid = await stage.representative.exchange(member_id, back.quote_id)
    assert isinstance(paid, Exchanged)
    assert paid.reference == f"pay:{back.quote_id}"


async def test_a_quote_ends(stage: Stage) -> None:
    """A quote ends at its time, not before; an unknown one counts as ended."""
    profile = await joined(stage.representative)
    quote = await stage.representative.exchange_quote(profile.member_id, buys=True, tokens_mtok=5_000)
    assert isinstance(quote, ExchangeQuote)
    assert quote.expires_ns == (stage.now_s() + 300) * SECOND_NS
    await stage.advance_to_s(stage.now_s() + 300)
    for quote_id in (quote.quote_id, "never"):
        assert (
            code(await stage.representative.exchange(profile.member_id, quote_id))
            == RefusalCode.QUOTE_EXPIRED
        )
    assert (await stage.representative.balance(profile.member_id)).available_mtok == 0


@pytest.mark.parametrize("tokens_mtok", [-1, 0, 999, 1_000_000_001])
async def test_an_exchange_has_limits(stage: Stage, tokens_mtok: int) -> None:
    """An exchange is of one token to a million."""
    answer = await stage.representative.exchange_quote("member", buys=True, tokens_mtok=tokens_mtok)
    assert code(answer) == RefusalCode.OUT_OF_LIMITS


async def test_more_than_there_is_cannot_be_sold(stage: Stage) -> None:
    """A sale of more tokens than the member has is quoted, refused when it is executed, and stays refused."""
    profile = await joined(stage.representative)
    for refused in (RefusalCode.ZERO_TOKENS, RefusalCode.INSUFFICIENT_TOKENS):
        quote = await stage.representative.exchange_quote(profile.member_id, buys=False, tokens_mtok=5_001)
        assert isinstance(quote, ExchangeQuote)
        assert code(await stage.representative.exchange(profile.member_id, quote.quote_id)) == refused
        await bought(stage, profile.member_id, 5_000)
        assert code(await stage.representative.exchange(profile.member_id, quote.quote_id)) == refused
    assert (await stage.representative.balance(profile.member_id)).available_mtok == 10_000


# --- offers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "local"])
async def industry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """The representative of an organisation whose members buy."""
    if request.param == "fake":
        yield fake_stage("INDUSTRY")
    else:
        async with (
            local_desk(tmp_path, msp_id="IndustryMSP", kind="INDUSTRY") as desk,
            real_stage(desk, tmp_path) as found,
        ):
            yield found


@pytest.fixture(params=["fake", "local"])
async def producers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """The representative of an organisation whose members generate."""
    if request.param == "fake":
        yield fake_stage("PRODUCER")
    else:
        async with (
            local_desk(tmp_path, msp_id="ProducerMSP", kind="PRODUCER") as desk,
            real_stage(desk, tmp_path) as found,
        ):
            yield found


def bid(stage: Stage, **changes: object) -> NewOffer:
    start_s = stage.now_s() // 900 * 900
    told = {"tokens_mtok": 800_000, "lot_id": "", "energy_wh": 0} | changes
    return NewOffer(
        limit_mtok_per_kwh=160_000,
        valid_from_s=start_s,
        valid_to_s=start_s + DAY_S,
        **told,  # type: ignore[arg-type]  # what a law changes
    )


async def test_tokens_stand_behind_an_offer_to_buy(industry: Stage) -> None:
    """Tokens of an offer to buy are held, newest offer first, and returned when it closes; closing again changes nothing."""
    representative, profile = industry.representative, await joined(industry.representative, kind="INDUSTRY")
    other = await joined(representative, "minsu", kind="INDUSTRY")
    member_id = profile.member_id
    assert code(await representative.offer(member_id, bid(industry))) == RefusalCode.ZERO_TOKENS
    await bought(industry, member_id, 1_000_000)
    offer = await representative.offer(member_id, bid(industry))
    assert isinstance(offer, StandingOffer)
    assert (offer.member_id, offer.product, offer.amount, offer.left, offer.status, offer.lot_id) == (
        *(member_id, "DISCHARGE", 800_000, 800_000, "OPEN", ""),
    )
    assert code(await representative.offer(member_id, bid(industry))) == RefusalCode.INSUFFICIENT_TOKENS
    balance = await representative.balance(member_id)
    assert (balance.available_mtok, balance.held_mtok) == (200_000, 800_000)
    await industry.advance_to_s(industry.now_s() + 1)
    second = await representative.offer(member_id, bid(industry, tokens_mtok=1))
    assert list(await representative.offers(member_id)) == [second, offer]
    assert list(await representative.offers(other.member_id)) == []
    assert code(await representative.leave(member_id)) == RefusalCode.STILL_BUSY
    assert code(await representative.close_offer(other.member_id, offer.offer_id)) == RefusalCode.NOT_YOURS
    assert code(await representative.close_offer(member_id, "never")) == "OFFER_UNKNOWN"
    for _ in range(2):
        assert await representative.close_offer(member_id, offer.offer_id) is None
    assert list(await representative.offers(member_id)) == [second]
    assert (await representative.balance(member_id)).available_mtok == 999_999


async def test_who_buys_names_tokens_only(industry: Stage) -> None:
    """No lot and no energy, and some tokens."""
    profile = await joined(industry.representative, kind="INDUSTRY")
    for change in ({"tokens_mtok": 0}, {"lot_id": "L1"}, {"energy_wh": 1}):
        answer = await industry.representative.offer(profile.member_id, bid(industry, **change))
        assert answer == RefusedRequest(code=RefusalCode.BAD_FIELD, detail="tokens_mtok")


async def test_who_sells_names_energy_of_a_lot(producers: Stage) -> None:
    """No tokens, and some energy, of a lot that there is."""
    profile = await joined(producers.representative, kind="PRODUCER")
    for change in ({"energy_wh": 0}, {"energy_wh": 1, "tokens_mtok": 1}):
        answer = await producers.representative.offer(
            profile.member_id, bid(producers, **({"tokens_mtok": 0, "lot_id": "L1"} | change))
        )
        assert answer == RefusedRequest(code=RefusalCode.BAD_FIELD, detail="energy_wh")
    unknown = bid(producers, tokens_mtok=0, lot_id="L1", energy_wh=1)
    assert code(await producers.representative.offer(profile.member_id, unknown)) == "LOT_UNKNOWN"


async def test_drivers_make_no_offers(stage: Stage) -> None:
    """Energy out of a car is sold by the station."""
    profile = await joined(stage.representative)
    assert code(await stage.representative.offer(profile.member_id, bid(stage))) == "WRONG_KIND"
    assert list(await stage.representative.offers(profile.member_id)) == []
