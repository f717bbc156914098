"""What pages rely on of `office.Office`: one suite on the fake, on the representative in this process, and behind a network."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edgegw.core.events import MemberTerms
from edgegw.office import (
    Card,
    Defaults,
    Exchanged,
    ExchangeQuote,
    Kind,
    Login,
    NewOffer,
    No,
    Notice,
    Office,
    OfficeError,
    Profile,
    Refusal,
    StandingOffer,
)
from edgegw.participants.bank import SimulatedDesk
from edgegw.participants.desk import ExchangeDesk
from edgegw.participants.exchange import Exchange
from edgegw.participants.logins import CARDS_MAX, LOGIN_NS, LOGIN_NS_MAX, LOGINS_MAX
from edgegw.participants.offers import OfferBook
from edgegw.participants.tries import SOURCE_FREE
from edgegw.units import SECOND_NS
from tests.office_double import FakeOffice
from tests.office_world import PASSWORD, SOURCE, Desk, code, form, joined, local_desk, served_desk

TERMS = MemberTerms(member_id="", sells=True, battery_wh=60_000)
DAY_S = 86_400
ZONE = "KR-CB-1"


@dataclass(kw_only=True)
class Stage:
    """Two stations' offices over one representative, and the time they live in: wall clock and pauses."""

    office: Office
    elsewhere: Office
    now_s: Callable[[], int]
    advance_to_s: Callable[[int], Awaitable[None]]
    pause_s: Callable[[float], None]


@asynccontextmanager
async def real_stage(desk: Desk, folder: Path) -> AsyncIterator[Stage]:
    """The real thing with an exchange counter and an offer book of its own."""

    async def block_of(tx_id: str) -> int:
        return int(tx_id, 16)

    def pause_s(seconds: float) -> None:
        desk.monotonic_s += seconds

    counter = Exchange(
        folder / "exchange.db",
        bank=SimulatedDesk(),
        desk=ExchangeDesk(ledger=desk.peer.port("EVUserMSP", "exchange")),
        block_of=block_of,
        clock=desk.clock,
    )
    desk.local._counter = counter
    desk.local._book = OfferBook(ledger=desk.ledger.port, zone=ZONE)
    try:
        yield Stage(
            office=desk.office,
            elsewhere=desk.elsewhere,
            now_s=lambda: desk.clock.now_ns() // SECOND_NS,
            advance_to_s=desk.clock.advance_to,
            pause_s=pause_s,
        )
    finally:
        counter.close()


def fake_stage(*kinds: Kind) -> Stage:
    """The fake, at both stations."""
    fake = FakeOffice(kinds=kinds)

    def pause_s(seconds: float) -> None:
        fake.monotonic_s += seconds

    return Stage(
        office=fake,
        elsewhere=fake,
        now_s=lambda: fake.clock.now_ns() // SECOND_NS,
        advance_to_s=lambda at_s: fake.clock.sleep_until(at_s * SECOND_NS),
        pause_s=pause_s,
    )


@pytest.fixture(params=["fake", "local", "remote"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "fake":
        yield fake_stage("EV")
    elif request.param == "local":
        async with local_desk(tmp_path) as desk, real_stage(desk, tmp_path) as found:
            yield found
    else:
        async with served_desk(tmp_path) as served, real_stage(served.desk, tmp_path) as found:
            yield found


async def logged_in(stage: Stage, login: str = "jimin") -> Login:
    opened = await stage.office.log_in(login, PASSWORD, source=SOURCE)
    assert isinstance(opened, Login), opened
    return opened


# --- who -------------------------------------------------------------------------------------------------------------


async def test_who_signs_up_at_one_station_is_known_at_another(stage: Stage) -> None:
    """A stranger becomes a member; login and card work at every station of the organisation."""
    profile = await joined(stage.office)
    assert (profile.name, profile.contact, profile.version) == ("김지민", "jimin@example.org", 1)
    opened = await stage.elsewhere.log_in(" JiMin ", PASSWORD, source=SOURCE)
    assert isinstance(opened, Login)
    assert await stage.office.who(opened.token) == profile
    card = await stage.office.link_card(profile.member_id, "04A2B3C4", label="my card", terms=TERMS)
    assert isinstance(card, Card)
    assert list(await stage.elsewhere.cards(profile.member_id)) == [card]
    await stage.elsewhere.log_out(opened.token)
    assert await stage.office.who(opened.token) is None


async def test_one_person_is_one_member(stage: Stage) -> None:
    """The same contact in another spelling, or a login that is taken, makes no second member."""
    await joined(stage.office, contact="010-1234-5678")
    assert code(await stage.elsewhere.sign_up(form("other", contact="+82 (0)10 1234 5678"))) == (
        No.DUPLICATE_MEMBER
    )
    assert code(await stage.office.sign_up(form("JIMIN", contact="x@example.org"))) == No.LOGIN_TAKEN
    assert code(await stage.office.log_in("other", PASSWORD, source=SOURCE)) == No.WRONG_LOGIN


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"login": "a b c"}, "login"),
        ({"login": "ab"}, "login"),
        ({"login": "x" * 65}, "login"),
        ({"name": " "}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"contact": "nobody"}, "contact"),
        ({"contact": "a@b"}, "contact"),
        ({"contact": "+82 12"}, "contact"),
        ({"contact": "٠١٠١٢٣٤٥٦٧٨"}, "contact"),
        ({"kind": "PRODUCER"}, "kind"),
    ],
)
async def test_a_form_that_cannot_be_taken_names_its_field(
    stage: Stage, change: dict[str, str], refused: str
) -> None:
    """Each bad field is named, and nobody is a member by it."""
    answer = await stage.office.sign_up(form(**({"login": "jimin"} | change)))
    assert (code(answer), getattr(answer, "detail", "")) == (No.BAD_FIELD, refused)
    await joined(stage.office)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "JIMIN-is-my-name", "x" * 300])
async def test_a_weak_password_is_refused(stage: Stage, password: str) -> None:
    """Too short, too few letters, the login itself, or longer than anybody types."""
    assert code(await stage.office.sign_up(form(password=password))) == No.WEAK_PASSWORD


async def test_a_wrong_login_says_not_what_was_wrong(stage: Stage) -> None:
    """Unknown name and wrong password get the same answer."""
    await joined(stage.office)
    answers = [
        await stage.office.log_in(login, "not the password", source=SOURCE) for login in ("jimin", "nobody")
    ]
    assert answers[0] == answers[1]
    assert code(answers[0]) == No.WRONG_LOGIN


async def test_tries_are_limited_by_name(stage: Stage) -> None:
    """Five wrong tries, then a pause for the name wherever it comes from, longer with each further failure; then it works."""
    await joined(stage.office)
    for n in range(5):
        assert code(await stage.office.log_in("jimin", "wrong", source=f"192.0.2.{n}")) == No.WRONG_LOGIN
    paused = await stage.elsewhere.log_in("JIMIN", PASSWORD, source="192.0.2.99")
    assert code(paused) == No.TOO_MANY_TRIES
    stage.pause_s(16)
    assert code(await stage.office.log_in("jimin", "wrong", source=SOURCE)) == No.WRONG_LOGIN
    stage.pause_s(16)
    assert code(await stage.office.log_in("jimin", PASSWORD, source=SOURCE)) == No.TOO_MANY_TRIES
    stage.pause_s(16)
    await logged_in(stage)
    await logged_in(stage)


async def test_tries_are_limited_by_source(stage: Stage) -> None:
    """Whoever tries one name after another waits too; from elsewhere the same names go on."""
    for n in range(SOURCE_FREE):
        assert code(await stage.office.log_in(f"name{n}", "wrong", source=SOURCE)) == No.WRONG_LOGIN
    assert code(await stage.office.log_in("another", "wrong", source=SOURCE)) == No.TOO_MANY_TRIES
    assert code(await stage.office.log_in("another", "wrong", source="192.0.2.99")) == No.WRONG_LOGIN


async def test_a_login_ends_by_itself(stage: Stage) -> None:
    """Thirty days after its last use, and ninety days after it was opened however much it is used."""
    await joined(stage.office)
    unused, used = await logged_in(stage), await logged_in(stage)
    start_s = stage.now_s()
    for day in range(20, 90, 20):
        await stage.advance_to_s(start_s + day * DAY_S)
        assert await stage.office.who(used.token) is not None
    assert await stage.office.who(unused.token) is None
    await stage.advance_to_s(start_s + LOGIN_NS_MAX // SECOND_NS)
    assert await stage.office.who(used.token) is None
    assert used.expires_ns == start_s * SECOND_NS + LOGIN_NS
    assert await stage.office.who("no token of ours") is None


async def test_of_too_many_logins_the_oldest_gives_way(stage: Stage) -> None:
    """Twenty are open at a time."""
    await joined(stage.office)
    opened = [await logged_in(stage) for _ in range(LOGINS_MAX + 1)]
    known = [await stage.office.who(login.token) is not None for login in opened]
    assert known == [False] + [True] * LOGINS_MAX


# --- changes ---------------------------------------------------------------------------------------------------------


async def test_a_new_password_ends_all_logins(stage: Stage) -> None:
    """Only the new one opens a login then, and what was open is closed."""
    profile = await joined(stage.office)
    opened = [await logged_in(stage) for _ in range(2)]
    assert code(await stage.office.change(profile, password="short")) == No.WEAK_PASSWORD
    assert await stage.office.change(profile, password="a new long password") == profile
    assert [await stage.office.who(one.token) for one in opened] == [None, None]
    assert code(await stage.office.log_in("jimin", PASSWORD, source=SOURCE)) == No.WRONG_LOGIN
    assert isinstance(await stage.office.log_in("jimin", "a new long password", source=SOURCE), Login)


async def test_another_identity_is_another_version(stage: Stage) -> None:
    """Name and contact are of the identity, a language is not; both contacts stay this person's."""
    profile = await joined(stage.office)
    english = await stage.office.change(replace(profile, language="en"))
    assert english == replace(profile, language="en")
    moved = await stage.elsewhere.change(replace(english, contact="010 9999 8888"))
    assert isinstance(moved, Profile)
    assert moved.version == 2
    assert code(await stage.office.change(replace(english, name="Other"))) == No.VERSION_MISMATCH
    renamed = await stage.office.change(replace(moved, name="Other"))
    assert renamed == replace(moved, name="Other", version=3)
    for contact in ("jimin@example.org", "+821099998888"):
        assert code(await stage.office.sign_up(form("other", contact=contact))) == No.DUPLICATE_MEMBER


async def test_a_contact_of_somebody_else_cannot_be_taken(stage: Stage) -> None:
    """A change to another member's contact is refused; login and kind do not change; of a stranger nothing does."""
    await joined(stage.office, "minsu")
    profile = await joined(stage.office)
    for contact in ("MINSU@example.org", "jimin@example.org"):
        answer = await stage.office.change(replace(profile, contact=contact))
        assert (code(answer) == No.DUPLICATE_MEMBER) == (contact != profile.contact)
    for change in (replace(profile, login="other"), replace(profile, kind="PRODUCER")):
        assert code(await stage.office.change(change)) == No.BAD_FIELD
    assert code(await stage.office.change(replace(profile, member_id="nobody"))) == No.UNKNOWN_MEMBER


async def test_what_was_chosen_last_is_kept(stage: Stage) -> None:
    """Through changes of the profile too; what is chosen for nobody is kept for nobody."""
    profile = await joined(stage.office)
    chosen = Defaults(battery_wh=77_000, accept_retail=False)
    await stage.office.remember(profile.member_id, chosen)
    changed = await stage.elsewhere.change(replace(profile, language="en"))
    assert changed == replace(profile, language="en", defaults=chosen)
    await stage.office.remember("nobody", chosen)
    assert await stage.office.export("nobody") == {}


# --- cards -----------------------------------------------------------------------------------------------------------


async def test_a_card_leads_to_one_member(stage: Stage) -> None:
    """Another member's card is refused, one's own takes new terms; only its owner unlinks it."""
    first, second = await joined(stage.office), await joined(stage.office, "minsu")
    foreign = replace(TERMS, member_id=second.member_id)
    card = await stage.office.link_card(first.member_id, "04A2B3C4", label="blue", terms=foreign)
    assert isinstance(card, Card)
    assert list(await stage.office.cards(second.member_id)) == [], "the terms' member is who links"
    taken = await stage.elsewhere.link_card(second.member_id, "04a2b3c4", label="", terms=TERMS)
    assert code(taken) == No.CARD_TAKEN
    again = await stage.office.link_card(first.member_id, "04A2B3C4", label="red", terms=TERMS)
    assert again == replace(card, label="red")
    assert code(await stage.office.unlink_card(second.member_id, card.card_id)) == No.UNKNOWN_CARD
    assert await stage.office.unlink_card(first.member_id, card.card_id) is None
    assert list(await stage.office.cards(first.member_id)) == []
    for bad in ({"id_token": ""}, {"id_token": "x" * 37}, {"label": "x" * 41}):
        told = {"id_token": "1", "label": ""} | bad
        answer = await stage.office.link_card(
            first.member_id, told["id_token"], label=told["label"], terms=TERMS
        )
        assert answer == Refusal(code=No.BAD_FIELD, detail=next(iter(bad)))
    assert code(await stage.office.link_card("nobody", "1", label="", terms=TERMS)) == No.UNKNOWN_MEMBER


async def test_a_member_has_a_bounded_number_of_cards(stage: Stage) -> None:
    """Twenty; they are told in the order of their ids."""
    profile = await joined(stage.office)
    answers = [
        await stage.office.link_card(profile.member_id, f"card {n}", label="", terms=TERMS)
        for n in range(CARDS_MAX + 1)
    ]
    assert [code(answer) for answer in answers] == [""] * CARDS_MAX + [No.BAD_FIELD]
    cards = list(await stage.office.cards(profile.member_id))
    assert (len(cards), cards) == (CARDS_MAX, sorted(cards, key=lambda card: card.card_id))


# --- the account, and leaving it -------------------------------------------------------------------------------------


async def bought(stage: Stage, member_id: str, tokens_mtok: int) -> Exchanged:
    quote = await stage.office.exchange_quote(member_id, buys=True, tokens_mtok=tokens_mtok)
    assert isinstance(quote, ExchangeQuote)
    done = await stage.office.exchange(member_id, quote.quote_id)
    assert isinstance(done, Exchanged)
    return done


async def test_balance_and_history_follow_what_happens(stage: Stage) -> None:
    """Newest first, page by page from the sign-up on, no page empty; of a stranger nothing can be told."""
    profile = await joined(stage.office)
    done = []
    for n in range(3):
        await stage.advance_to_s(stage.now_s() + 1)
        done.append(await bought(stage, profile.member_id, 5_000 + n))
    balance = await stage.elsewhere.balance(profile.member_id)
    assert (balance.available_mtok, balance.held_mtok, balance.pending_mtok) == (15_003, 0, 0)
    first = await stage.office.history(profile.member_id, size=2)
    assert [entry.id for entry in first.entries] == [one.reference for one in reversed(done[1:])]
    assert [(entry.tokens_mtok, entry.tx_id) for entry in first.entries] == [
        (one.tokens_mtok, one.tx_id) for one in reversed(done[1:])
    ]
    assert first.entries[0].at_ns == stage.now_s() * SECOND_NS
    rest = await stage.office.history(profile.member_id, bookmark=first.bookmark, size=2)
    assert [entry.type for entry in rest.entries] == ["token.mint", "member.signed"]
    assert rest.bookmark == ""
    assert len((await stage.office.history(profile.member_id, size=0)).entries) == 1
    for question in (stage.office.balance, stage.office.history):
        with pytest.raises(OfficeError, match="UNKNOWN_MEMBER"):
            await question("nobody")


async def test_what_is_left_keeps_a_member(stage: Stage) -> None:
    """Whoever still has tokens is not let go; afterwards leaving is final and can be repeated, and the person may come again."""
    profile = await joined(stage.office)
    opened = await logged_in(stage)
    await stage.office.link_card(profile.member_id, "04A2B3C4", label="", terms=TERMS)
    await bought(stage, profile.member_id, 5_000)
    assert await stage.office.leave(profile.member_id) == Refusal(code=No.STILL_BUSY, detail="balance")
    quote = await stage.office.exchange_quote(profile.member_id, buys=False, tokens_mtok=5_000)
    assert isinstance(quote, ExchangeQuote)
    assert isinstance(await stage.office.exchange(profile.member_id, quote.quote_id), Exchanged)
    assert await stage.office.leave(profile.member_id) is None
    assert await stage.office.leave(profile.member_id) is None
    assert await stage.office.who(opened.token) is None
    assert code(await stage.office.log_in("jimin", PASSWORD, source=SOURCE)) == No.WRONG_LOGIN
    assert await stage.office.export(profile.member_id) == {}
    assert list(await stage.office.cards(profile.member_id)) == []
    assert (await stage.office.balance(profile.member_id)).available_mtok == 0
    again = await joined(stage.office)
    assert again.member_id != profile.member_id
    assert isinstance(await stage.office.link_card(again.member_id, "04A2B3C4", label="", terms=TERMS), Card)
    assert code(await stage.office.leave("nobody")) == No.UNKNOWN_MEMBER


async def test_a_member_can_have_all_that_is_kept(stage: Stage) -> None:
    """The export holds profile, defaults, cards with terms, logins and exchanges, and never the password."""
    profile = await joined(stage.office)
    chosen = Defaults(battery_wh=77_000, accept_retail=False)
    await stage.office.remember(profile.member_id, chosen)
    await stage.office.link_card(profile.member_id, "04A2B3C4", label="blue", terms=TERMS)
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
    """By its own member; a repeat gives the same result, also after the quote's end; won never fall short of the tokens."""
    profile, other = await joined(stage.office), await joined(stage.office, "minsu")
    member_id = profile.member_id
    quote = await stage.office.exchange_quote(member_id, buys=True, tokens_mtok=5_500)
    assert isinstance(quote, ExchangeQuote)
    assert (quote.member_id, quote.buys, quote.won, quote.fee_won) == (member_id, True, 6, 0)
    assert (await stage.office.balance(member_id)).available_mtok == 0
    assert code(await stage.office.exchange(other.member_id, quote.quote_id)) == No.NOT_YOURS
    done = await stage.office.exchange(member_id, quote.quote_id)
    assert isinstance(done, Exchanged)
    assert (done.reference, done.won) == (f"dep:{quote.quote_id}", 6)
    await stage.advance_to_s(stage.now_s() + 301)
    assert await stage.elsewhere.exchange(member_id, quote.quote_id) == done
    assert code(await stage.office.exchange(other.member_id, quote.quote_id)) == No.NOT_YOURS
    assert (await stage.office.balance(member_id)).available_mtok == 5_500
    back = await stage.office.exchange_quote(member_id, buys=False, tokens_mtok=5_500)
    assert isinstance(back, ExchangeQuote)
    assert back.won == 5
    paid = await stage.office.exchange(member_id, back.quote_id)
    assert isinstance(paid, Exchanged)
    assert paid.reference == f"pay:{back.quote_id}"


async def test_a_quote_ends(stage: Stage) -> None:
    """At its end, not after it; one that never was has ended too."""
    profile = await joined(stage.office)
    quote = await stage.office.exchange_quote(profile.member_id, buys=True, tokens_mtok=5_000)
    assert isinstance(quote, ExchangeQuote)
    assert quote.expires_ns == (stage.now_s() + 300) * SECOND_NS
    await stage.advance_to_s(stage.now_s() + 300)
    for quote_id in (quote.quote_id, "never"):
        assert code(await stage.office.exchange(profile.member_id, quote_id)) == No.QUOTE_EXPIRED
    assert (await stage.office.balance(profile.member_id)).available_mtok == 0


@pytest.mark.parametrize("tokens_mtok", [-1, 0, 999, 1_000_000_001])
async def test_an_exchange_has_limits(stage: Stage, tokens_mtok: int) -> None:
    """From one token to a million."""
    answer = await stage.office.exchange_quote("member", buys=True, tokens_mtok=tokens_mtok)
    assert code(answer) == No.OUT_OF_LIMITS


async def test_more_than_there_is_cannot_be_sold(stage: Stage) -> None:
    """It is quoted, and refused when it is to be done; asked again it stays refused."""
    profile = await joined(stage.office)
    for refused in (No.ZERO_TOKENS, No.INSUFFICIENT_TOKENS):
        quote = await stage.office.exchange_quote(profile.member_id, buys=False, tokens_mtok=5_001)
        assert isinstance(quote, ExchangeQuote)
        assert code(await stage.office.exchange(profile.member_id, quote.quote_id)) == refused
        await bought(stage, profile.member_id, 5_000)
        assert code(await stage.office.exchange(profile.member_id, quote.quote_id)) == refused
    assert (await stage.office.balance(profile.member_id)).available_mtok == 10_000


# --- notices ---------------------------------------------------------------------------------------------------------


async def test_notices_are_the_same_everywhere(stage: Stage) -> None:
    """Newest first; the same id replaces; one that has ended, or is withdrawn, is not shown."""
    now_ns = stage.now_s() * SECOND_NS
    old = Notice(
        notice_id="a", at_ns=now_ns - 10, title_ko="알림", title_en="Notice", text_ko="글", text_en="Text"
    )
    ended = replace(old, notice_id="b", at_ns=now_ns - 5, until_ns=now_ns)
    new = replace(old, notice_id="c", at_ns=now_ns, until_ns=now_ns + 1)
    for notice in (old, ended, new, replace(old, text_en="Other")):
        await stage.office.publish(notice)
    assert list(await stage.elsewhere.notices()) == [new, replace(old, text_en="Other")]
    await stage.elsewhere.withdraw("c")
    await stage.elsewhere.withdraw("never")
    assert [notice.notice_id for notice in await stage.office.notices()] == ["a"]


# --- offers ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "local"])
async def industry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """The office of an organisation whose members buy."""
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
    """The office of an organisation whose members generate."""
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
    """They are held, newest offer first, and come back when it is closed; closing again changes nothing."""
    office, profile = industry.office, await joined(industry.office, kind="INDUSTRY")
    other = await joined(office, "minsu", kind="INDUSTRY")
    member_id = profile.member_id
    assert code(await office.offer(member_id, bid(industry))) == No.ZERO_TOKENS
    await bought(industry, member_id, 1_000_000)
    offer = await office.offer(member_id, bid(industry))
    assert isinstance(offer, StandingOffer)
    assert (offer.member_id, offer.product, offer.amount, offer.left, offer.status, offer.lot_id) == (
        *(member_id, "DISCHARGE", 800_000, 800_000, "OPEN", ""),
    )
    assert code(await office.offer(member_id, bid(industry))) == No.INSUFFICIENT_TOKENS
    balance = await office.balance(member_id)
    assert (balance.available_mtok, balance.held_mtok) == (200_000, 800_000)
    await industry.advance_to_s(industry.now_s() + 1)
    second = await office.offer(member_id, bid(industry, tokens_mtok=1))
    assert list(await office.offers(member_id)) == [second, offer]
    assert list(await office.offers(other.member_id)) == []
    assert code(await office.leave(member_id)) == No.STILL_BUSY
    assert code(await office.close_offer(other.member_id, offer.offer_id)) == No.NOT_YOURS
    assert code(await office.close_offer(member_id, "never")) == "OFFER_UNKNOWN"
    for _ in range(2):
        assert await office.close_offer(member_id, offer.offer_id) is None
    assert list(await office.offers(member_id)) == [second]
    assert (await office.balance(member_id)).available_mtok == 999_999


async def test_who_buys_names_tokens_only(industry: Stage) -> None:
    """No lot and no energy, and some tokens."""
    profile = await joined(industry.office, kind="INDUSTRY")
    for change in ({"tokens_mtok": 0}, {"lot_id": "L1"}, {"energy_wh": 1}):
        answer = await industry.office.offer(profile.member_id, bid(industry, **change))
        assert answer == Refusal(code=No.BAD_FIELD, detail="tokens_mtok")


async def test_who_sells_names_energy_of_a_lot(producers: Stage) -> None:
    """No tokens, and some energy, of a lot that there is."""
    profile = await joined(producers.office, kind="PRODUCER")
    for change in ({"energy_wh": 0}, {"energy_wh": 1, "tokens_mtok": 1}):
        answer = await producers.office.offer(
            profile.member_id, bid(producers, **({"tokens_mtok": 0, "lot_id": "L1"} | change))
        )
        assert answer == Refusal(code=No.BAD_FIELD, detail="energy_wh")
    unknown = bid(producers, tokens_mtok=0, lot_id="L1", energy_wh=1)
    assert code(await producers.office.offer(profile.member_id, unknown)) == "LOT_UNKNOWN"


async def test_drivers_make_no_offers(stage: Stage) -> None:
    """Energy out of a car is sold by the station."""
    profile = await joined(stage.office)
    assert code(await stage.office.offer(profile.member_id, bid(stage))) == "WRONG_KIND"
    assert list(await stage.office.offers(profile.member_id)) == []
