"""What pages rely on of `ports.representative.Representative`, checked on the fake, in this process, and behind a network."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.common.units import SECOND_NS
from edgegw.ports.representative import (
    Card,
    Defaults,
    Login,
    Notice,
    Profile,
    RefusalCode,
    RefusedRequest,
)
from edgegw.representative.logins import CARDS_MAX, LOGIN_NS, LOGIN_NS_MAX, LOGINS_MAX
from edgegw.representative.service import SOURCE_FREE
from tests.support.representative_variants import Stage, logged_in, stage_of
from tests.support.representative_world import PASSWORD, SOURCE, code, form, joined

TERMS = MemberTerms(member_id="", sells=True, battery_wh=60_000)
DAY_S = 86_400


@pytest.fixture(params=["fake", "local", "remote"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_of(request.param, tmp_path) as found:
        yield found


# --- who -------------------------------------------------------------------------------------------------------------


async def test_who_signs_up_at_one_station_is_known_at_another(stage: Stage) -> None:
    """A stranger becomes a member; login and card work at every station of the organisation."""
    profile = await joined(stage.representative)
    assert (profile.name, profile.contact, profile.version) == ("김지민", "jimin@example.org", 1)
    opened = await stage.elsewhere.log_in(" JiMin ", PASSWORD, source=SOURCE)
    assert isinstance(opened, Login)
    assert await stage.representative.who(opened.token) == profile
    card = await stage.representative.link_card(profile.member_id, "04A2B3C4", label="my card", terms=TERMS)
    assert isinstance(card, Card)
    assert list(await stage.elsewhere.cards(profile.member_id)) == [card]
    await stage.elsewhere.log_out(opened.token)
    assert await stage.representative.who(opened.token) is None


async def test_one_person_is_one_member(stage: Stage) -> None:
    """The same contact in another spelling, or a login that is in use, makes no second member."""
    await joined(stage.representative, contact="010-1234-5678")
    assert code(await stage.elsewhere.sign_up(form("other", contact="+82 (0)10 1234 5678"))) == (
        RefusalCode.DUPLICATE_MEMBER
    )
    assert (
        code(await stage.representative.sign_up(form("JIMIN", contact="x@example.org")))
        == RefusalCode.LOGIN_TAKEN
    )
    assert (
        code(await stage.representative.log_in("other", PASSWORD, source=SOURCE)) == RefusalCode.WRONG_LOGIN
    )


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
    """A form with bad fields names each of them, and makes no member."""
    answer = await stage.representative.sign_up(form(**({"login": "jimin"} | change)))
    assert (code(answer), getattr(answer, "detail", "")) == (RefusalCode.BAD_FIELD, refused)
    await joined(stage.representative)


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "JIMIN-is-my-name", "x" * 300])
async def test_a_weak_password_is_refused(stage: Stage, password: str) -> None:
    """Too short, too few letters, the login itself, or longer than anybody types."""
    assert code(await stage.representative.sign_up(form(password=password))) == RefusalCode.WEAK_PASSWORD


async def test_a_wrong_login_says_not_what_was_wrong(stage: Stage) -> None:
    """Unknown name and wrong password get the same answer."""
    await joined(stage.representative)
    answers = [
        await stage.representative.log_in(login, "not the password", source=SOURCE)
        for login in ("jimin", "nobody")
    ]
    assert answers[0] == answers[1]
    assert code(answers[0]) == RefusalCode.WRONG_LOGIN


async def test_tries_are_limited_by_name(stage: Stage) -> None:
    """Five wrong tries, then a pause for the name wherever it comes from, longer with each further failure; then it works."""
    await joined(stage.representative)
    for n in range(5):
        assert (
            code(await stage.representative.log_in("jimin", "wrong", source=f"192.0.2.{n}"))
            == RefusalCode.WRONG_LOGIN
        )
    paused = await stage.elsewhere.log_in("JIMIN", PASSWORD, source="192.0.2.99")
    assert code(paused) == RefusalCode.TOO_MANY_TRIES
    stage.pause_s(16)
    assert code(await stage.representative.log_in("jimin", "wrong", source=SOURCE)) == RefusalCode.WRONG_LOGIN
    stage.pause_s(16)
    assert (
        code(await stage.representative.log_in("jimin", PASSWORD, source=SOURCE))
        == RefusalCode.TOO_MANY_TRIES
    )
    stage.pause_s(16)
    await logged_in(stage)
    await logged_in(stage)


async def test_tries_are_limited_by_source(stage: Stage) -> None:
    """Tries are limited by source: one that tries several names waits; from elsewhere the same names still work."""
    for n in range(SOURCE_FREE):
        assert (
            code(await stage.representative.log_in(f"name{n}", "wrong", source=SOURCE))
            == RefusalCode.WRONG_LOGIN
        )
    assert (
        code(await stage.representative.log_in("another", "wrong", source=SOURCE))
        == RefusalCode.TOO_MANY_TRIES
    )
    assert (
        code(await stage.representative.log_in("another", "wrong", source="192.0.2.99"))
        == RefusalCode.WRONG_LOGIN
    )


async def test_a_login_ends_by_itself(stage: Stage) -> None:
    """Thirty days after its last use, and ninety days after it was opened however much it is used."""
    await joined(stage.representative)
    unused, used = await logged_in(stage), await logged_in(stage)
    start_s = stage.now_s()
    for day in range(20, 90, 20):
        await stage.advance_to_s(start_s + day * DAY_S)
        assert await stage.representative.who(used.token) is not None
    assert await stage.representative.who(unused.token) is None
    await stage.advance_to_s(start_s + LOGIN_NS_MAX // SECOND_NS)
    assert await stage.representative.who(used.token) is None
    assert used.expires_ns == start_s * SECOND_NS + LOGIN_NS
    assert await stage.representative.who("no token of ours") is None


async def test_of_too_many_logins_the_oldest_gives_way(stage: Stage) -> None:
    """Twenty are open at a time."""
    await joined(stage.representative)
    opened = [await logged_in(stage) for _ in range(LOGINS_MAX + 1)]
    known = [await stage.representative.who(login.token) is not None for login in opened]
    assert known == [False] + [True] * LOGINS_MAX


# --- changes ---------------------------------------------------------------------------------------------------------


async def test_a_new_password_ends_all_logins(stage: Stage) -> None:
    """After a change only the new password opens a login, and open logins are closed."""
    profile = await joined(stage.representative)
    opened = [await logged_in(stage) for _ in range(2)]
    assert code(await stage.representative.change(profile, password="short")) == RefusalCode.WEAK_PASSWORD
    assert await stage.representative.change(profile, password="a new long password") == profile
    assert [await stage.representative.who(one.token) for one in opened] == [None, None]
    assert (
        code(await stage.representative.log_in("jimin", PASSWORD, source=SOURCE)) == RefusalCode.WRONG_LOGIN
    )
    assert isinstance(await stage.representative.log_in("jimin", "a new long password", source=SOURCE), Login)


async def test_another_identity_is_another_version(stage: Stage) -> None:
    """Name and contact are of the identity, a language is not; both contacts stay this person's."""
    profile = await joined(stage.representative)
    english = await stage.representative.change(replace(profile, language="en"))
    assert english == replace(profile, language="en")
    moved = await stage.elsewhere.change(replace(english, contact="010 9999 8888"))
    assert isinstance(moved, Profile)
    assert moved.version == 2
    assert (
        code(await stage.representative.change(replace(english, name="Other")))
        == RefusalCode.VERSION_MISMATCH
    )
    renamed = await stage.representative.change(replace(moved, name="Other"))
    assert renamed == replace(moved, name="Other", version=3)
    for contact in ("jimin@example.org", "+821099998888"):
        assert (
            code(await stage.representative.sign_up(form("other", contact=contact)))
            == RefusalCode.DUPLICATE_MEMBER
        )


async def test_a_contact_of_somebody_else_cannot_be_taken(stage: Stage) -> None:
    """A change to another member's contact is refused; login and kind do not change; of a stranger nothing does."""
    await joined(stage.representative, "minsu")
    profile = await joined(stage.representative)
    for contact in ("MINSU@example.org", "jimin@example.org"):
        answer = await stage.representative.change(replace(profile, contact=contact))
        assert (code(answer) == RefusalCode.DUPLICATE_MEMBER) == (contact != profile.contact)
    for change in (replace(profile, login="other"), replace(profile, kind="PRODUCER")):
        assert code(await stage.representative.change(change)) == RefusalCode.BAD_FIELD
    assert (
        code(await stage.representative.change(replace(profile, member_id="nobody")))
        == RefusalCode.UNKNOWN_MEMBER
    )


async def test_what_was_chosen_last_is_kept(stage: Stage) -> None:
    """The choices are kept, also through changes of the profile; for an unknown member nothing is kept."""
    profile = await joined(stage.representative)
    chosen = Defaults(battery_wh=77_000, accept_retail=False)
    await stage.representative.remember(profile.member_id, chosen)
    changed = await stage.elsewhere.change(replace(profile, language="en"))
    assert changed == replace(profile, language="en", defaults=chosen)
    await stage.representative.remember("nobody", chosen)
    assert await stage.representative.export("nobody") == {}


# --- cards -----------------------------------------------------------------------------------------------------------


async def test_a_card_leads_to_one_member(stage: Stage) -> None:
    """Another member's card is refused, one's own gets new terms; only its owner unlinks it."""
    first, second = await joined(stage.representative), await joined(stage.representative, "minsu")
    foreign = replace(TERMS, member_id=second.member_id)
    card = await stage.representative.link_card(first.member_id, "04A2B3C4", label="blue", terms=foreign)
    assert isinstance(card, Card)
    assert list(await stage.representative.cards(second.member_id)) == [], "the terms' member is who links"
    taken = await stage.elsewhere.link_card(second.member_id, "04a2b3c4", label="", terms=TERMS)
    assert code(taken) == RefusalCode.CARD_TAKEN
    again = await stage.representative.link_card(first.member_id, "04A2B3C4", label="red", terms=TERMS)
    assert again == replace(card, label="red")
    assert (
        code(await stage.representative.unlink_card(second.member_id, card.card_id))
        == RefusalCode.UNKNOWN_CARD
    )
    assert await stage.representative.unlink_card(first.member_id, card.card_id) is None
    assert list(await stage.representative.cards(first.member_id)) == []
    for bad in ({"id_token": ""}, {"id_token": "x" * 37}, {"label": "x" * 41}):
        told = {"id_token": "1", "label": ""} | bad
        answer = await stage.representative.link_card(
            first.member_id, told["id_token"], label=told["label"], terms=TERMS
        )
        assert answer == RefusedRequest(code=RefusalCode.BAD_FIELD, detail=next(iter(bad)))
    assert (
        code(await stage.representative.link_card("nobody", "1", label="", terms=TERMS))
        == RefusalCode.UNKNOWN_MEMBER
    )


async def test_a_member_has_a_bounded_number_of_cards(stage: Stage) -> None:
    """A member has at most twenty cards, listed in the order of their ids."""
    profile = await joined(stage.representative)
    answers = [
        await stage.representative.link_card(profile.member_id, f"card {n}", label="", terms=TERMS)
        for n in range(CARDS_MAX + 1)
    ]
    assert [code(answer) for answer in answers] == [""] * CARDS_MAX + [RefusalCode.BAD_FIELD]
    cards = list(await stage.representative.cards(profile.member_id))
    assert (len(cards), cards) == (CARDS_MAX, sorted(cards, key=lambda card: card.card_id))


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
        await stage.representative.publish(notice)
    assert list(await stage.elsewhere.notices()) == [new, replace(old, text_en="Other")]
    await stage.elsewhere.withdraw("c")
    await stage.elsewhere.withdraw("never")
    assert [notice.notice_id for notice in await stage.representative.notices()] == ["a"]
