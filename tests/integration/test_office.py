"""The office's laws: one suite for the representative in this process and for one behind a network."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.core.events import MemberTerms
from edgegw.office import (
    Card,
    Defaults,
    Login,
    NewOffer,
    No,
    Notice,
    OfficeError,
    Profile,
    Refusal,
)
from edgegw.participants.logins import LOGIN_NS, LOGIN_NS_MAX
from edgegw.participants.persons import Person
from edgegw.units import SECOND_NS
from tests.office_desks import Desks
from tests.office_world import PASSWORD, SOURCE, Desk, code, form, joined, local_desk, served_desk

TERMS = MemberTerms(member_id="", sells=True, battery_wh=60_000)
DAY_S = 86_400


@pytest.fixture(params=["local", "remote"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    if request.param == "local":
        async with local_desk(tmp_path) as found:
            yield found
    else:
        async with served_desk(tmp_path) as served:
            yield served.desk


async def logged_in(desk: Desk, login: str = "jimin") -> Login:
    opened = await desk.office.log_in(login, PASSWORD, source=SOURCE)
    assert isinstance(opened, Login), opened
    return opened


async def test_who_signs_up_at_one_station_is_known_at_another(desk: Desk) -> None:
    """A stranger becomes a member on the ledger; login and card work at every station of the organisation."""
    profile = await joined(desk.office)
    member = desk.peer.records("mem")[0]
    assert (member["memberId"], member["kind"], member["status"]) == (profile.member_id, "EV", "ACTIVE")
    assert (profile.name, profile.contact, profile.version) == ("김지민", "jimin@example.org", 1)
    opened = await desk.elsewhere.log_in(" JiMin ", PASSWORD, source=SOURCE)
    assert isinstance(opened, Login)
    assert await desk.office.who(opened.token) == profile
    card = await desk.office.link_card(profile.member_id, "04A2B3C4", label="my card", terms=TERMS)
    assert isinstance(card, Card)
    assert list(await desk.elsewhere.cards(profile.member_id)) == [card]
    await desk.elsewhere.log_out(opened.token)
    assert await desk.office.who(opened.token) is None


async def test_nothing_personal_reaches_the_ledger(desk: Desk) -> None:
    """No record on the ledger has name, contact or login in it."""
    await joined(desk.office)
    written = b"\n".join(desk.peer.state.values()).decode().casefold()
    assert not [word for word in ("jimin", "example.org", "김지민") if word in written]


async def test_one_person_is_one_member(desk: Desk) -> None:
    """The same contact in another spelling, or a login that is taken, makes no second member."""
    await joined(desk.office, contact="010-1234-5678")
    assert code(await desk.elsewhere.sign_up(form("other", contact="+82 (0)10 1234 5678"))) == (
        No.DUPLICATE_MEMBER
    )
    assert code(await desk.office.sign_up(form("JIMIN", contact="x@example.org"))) == No.LOGIN_TAKEN
    assert len(desk.peer.records("mem")) == 1


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
    desk: Desk, change: dict[str, str], refused: str
) -> None:
    """Each bad field is named, and nothing is kept of the form."""
    answer = await desk.office.sign_up(form(**({"login": "jimin"} | change)))
    assert (code(answer), getattr(answer, "detail", "")) == (No.BAD_FIELD, refused)
    assert desk.peer.records("mem") == []


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "JIMIN-is-my-name", "x" * 300])
async def test_a_weak_password_is_refused(desk: Desk, password: str) -> None:
    """Too short, too few letters, the login itself, or longer than anybody types."""
    assert code(await desk.office.sign_up(form(password=password))) == No.WEAK_PASSWORD


async def test_a_sign_up_that_was_cut_short_goes_on(desk: Desk) -> None:
    """Whether the ledger had it or not: the same form again finishes it; the login stays reserved meanwhile."""
    for login, where in (("jimin", "away_before"), ("minsu", "away_after")):
        setattr(desk.ledger, where, True)
        with pytest.raises(OfficeError):
            await desk.office.sign_up(form(login))
        assert code(await desk.office.sign_up(form(login, contact="y@example.org"))) == No.LOGIN_TAKEN
        assert code(await desk.office.log_in(login, PASSWORD, source=SOURCE)) == No.WRONG_LOGIN
        setattr(desk.ledger, where, False)
        stranger = form(login, password="another password")
        assert code(await desk.office.sign_up(stranger)) == No.DUPLICATE_MEMBER
        await joined(desk.elsewhere, login)
        await logged_in(desk, login)
    assert len(desk.peer.records("mem")) == 2


async def test_a_sign_up_that_the_ledger_refuses_leaves_nothing(desk: Desk) -> None:
    """Somebody whose tag the ledger knows already is refused, and the login is free again."""
    await joined(desk.office)
    other = desk.store.with_name("lost.db")
    desk.store.rename(other)
    for suffix in ("-wal", "-shm"):
        desk.store.with_name(desk.store.name + suffix).unlink(missing_ok=True)
    desk.local._opened = None
    assert code(await desk.office.sign_up(form())) == No.DUPLICATE_MEMBER
    assert code(await desk.office.sign_up(form())) == No.DUPLICATE_MEMBER
    assert isinstance(await desk.office.sign_up(form(contact="z@example.org")), Profile)
    assert len(desk.peer.records("mem")) == 2


async def test_a_wrong_login_says_not_what_was_wrong(desk: Desk) -> None:
    """Unknown name and wrong password get the same answer."""
    await joined(desk.office)
    answers = [
        await desk.office.log_in(login, "not the password", source=SOURCE) for login in ("jimin", "nobody")
    ]
    assert answers[0] == answers[1]
    assert code(answers[0]) == No.WRONG_LOGIN


async def test_tries_are_limited_by_name(desk: Desk) -> None:
    """Five wrong tries, then a pause for the name wherever it comes from, longer with each further failure; then it works."""
    await joined(desk.office)
    for n in range(5):
        assert code(await desk.office.log_in("jimin", "wrong", source=f"192.0.2.{n}")) == No.WRONG_LOGIN
    paused = await desk.elsewhere.log_in("JIMIN", PASSWORD, source="192.0.2.99")
    assert code(paused) == No.TOO_MANY_TRIES
    desk.monotonic_s += 16
    assert code(await desk.office.log_in("jimin", "wrong", source=SOURCE)) == No.WRONG_LOGIN
    desk.monotonic_s += 16
    assert code(await desk.office.log_in("jimin", PASSWORD, source=SOURCE)) == No.TOO_MANY_TRIES
    desk.monotonic_s += 16
    await logged_in(desk)
    await logged_in(desk)


async def test_a_login_ends_by_itself(desk: Desk) -> None:
    """Thirty days after its last use, and ninety days after it was opened however much it is used."""
    await joined(desk.office)
    unused, used = await logged_in(desk), await logged_in(desk)
    start_s = desk.clock.now_ns() // SECOND_NS
    for day in range(20, 90, 20):
        await desk.clock.advance_to(start_s + day * DAY_S)
        assert await desk.office.who(used.token) is not None
    assert await desk.office.who(unused.token) is None
    await desk.clock.advance_to(start_s + LOGIN_NS_MAX // SECOND_NS)
    assert await desk.office.who(used.token) is None
    assert used.expires_ns == start_s * SECOND_NS + LOGIN_NS
    assert await desk.office.who("no token of ours") is None


async def test_a_new_password_ends_all_logins(desk: Desk) -> None:
    """Only the new one opens a login then, and what was open is closed."""
    profile = await joined(desk.office)
    opened = [await logged_in(desk) for _ in range(2)]
    assert code(await desk.office.change(profile, password="short")) == No.WEAK_PASSWORD
    assert await desk.office.change(profile, password="a new long password") == profile
    assert [await desk.office.who(one.token) for one in opened] == [None, None]
    assert code(await desk.office.log_in("jimin", PASSWORD, source=SOURCE)) == No.WRONG_LOGIN
    assert isinstance(await desk.office.log_in("jimin", "a new long password", source=SOURCE), Login)


async def test_another_identity_is_committed_to_on_the_ledger(desk: Desk) -> None:
    """A new contact is an Update under the version expected; a language is the representative's own affair."""
    profile = await joined(desk.office)
    before = desk.peer.records("mem")[0]
    english = await desk.office.change(replace(profile, language="en"))
    assert english == replace(profile, language="en")
    assert desk.peer.records("mem")[0] == before
    moved = await desk.elsewhere.change(replace(english, contact="010 9999 8888"))
    assert isinstance(moved, Profile)
    after = desk.peer.records("mem")[0]
    assert (moved.version, after["version"]) == (2, 2)
    assert after["commitment"] != before["commitment"]
    assert code(await desk.office.change(replace(english, name="Other"))) == No.VERSION_MISMATCH
    # Both contacts are this person's now: the first one's tag stays on the ledger until the member leaves.
    for contact in ("jimin@example.org", "+821099998888"):
        assert code(await desk.office.sign_up(form("other", contact=contact))) == No.DUPLICATE_MEMBER


async def test_a_contact_of_somebody_else_cannot_be_taken(desk: Desk) -> None:
    """A change to another member's contact is refused before the ledger is asked; login and kind do not change."""
    await joined(desk.office, "minsu")
    profile = await joined(desk.office)
    for contact in ("MINSU@example.org", "jimin@example.org"):
        answer = await desk.office.change(replace(profile, contact=contact))
        assert (code(answer) == No.DUPLICATE_MEMBER) == (contact != profile.contact)
    for change in (replace(profile, login="other"), replace(profile, kind="PRODUCER")):
        assert code(await desk.office.change(change)) == No.BAD_FIELD
    assert code(await desk.office.change(replace(profile, member_id="nobody"))) == No.UNKNOWN_MEMBER


async def test_a_change_that_was_cut_short_goes_on(desk: Desk) -> None:
    """The same change again finishes it; another one is told the ledger's version, and succeeds under that."""
    profile = await joined(desk.office)
    wanted = replace(profile, name="김지민2")
    desk.ledger.away_after = True
    with pytest.raises(OfficeError):
        await desk.office.change(wanted)
    desk.ledger.away_after = False
    assert await desk.office.change(wanted) == replace(wanted, version=2)
    desk.ledger.away_after = True
    with pytest.raises(OfficeError):
        await desk.office.change(replace(wanted, version=2, name="third"))
    desk.ledger.away_after = False
    other = replace(wanted, version=2, name="fourth")
    assert code(await desk.office.change(other)) == No.VERSION_MISMATCH
    back = await desk.office.change(replace(wanted, version=3))
    assert back == replace(wanted, version=4), "what the ledger holds is the third name's commitment"


async def test_a_card_leads_to_one_member(desk: Desk) -> None:
    """Another member's card is refused, one's own takes new terms; only its owner unlinks it."""
    first, second = await joined(desk.office), await joined(desk.office, "minsu")
    card = await desk.office.link_card(first.member_id, "04A2B3C4", label="blue", terms=TERMS)
    assert isinstance(card, Card)
    taken = await desk.elsewhere.link_card(second.member_id, "04a2b3c4", label="", terms=TERMS)
    assert code(taken) == No.CARD_TAKEN
    again = await desk.office.link_card(first.member_id, "04A2B3C4", label="red", terms=TERMS)
    assert again == replace(card, label="red")
    assert code(await desk.office.unlink_card(second.member_id, card.card_id)) == No.UNKNOWN_CARD
    assert await desk.office.unlink_card(first.member_id, card.card_id) is None
    assert list(await desk.office.cards(first.member_id)) == []
    for bad in ({"id_token": ""}, {"id_token": "x" * 37}, {"label": "x" * 41}):
        told = {"id_token": "1", "label": ""} | bad
        answer = await desk.office.link_card(
            first.member_id, told["id_token"], label=told["label"], terms=TERMS
        )
        assert code(answer) == No.BAD_FIELD
    assert code(await desk.office.link_card("nobody", "1", label="", terms=TERMS)) == No.UNKNOWN_MEMBER


async def test_terms_are_the_members_own(desk: Desk) -> None:
    """A card's terms cannot name another member than the one who links it."""
    first, second = await joined(desk.office), await joined(desk.office, "minsu")
    foreign = replace(TERMS, member_id=second.member_id)
    await desk.office.link_card(first.member_id, "04A2B3C4", label="", terms=foreign)
    _, links = await desk.local.card_links()
    assert [terms.member_id for terms in links.values()] == [first.member_id]


async def test_balance_and_history_are_the_ledgers(desk: Desk) -> None:
    """What was minted shows in both; the history is paged; pending credits are swept once somebody looks."""
    profile = await joined(desk.office)
    exchange = desk.peer.port("EVUserMSP", "exchange")
    for n in range(3):
        desk.clock._now_ns += SECOND_NS
        await exchange.execute(
            "Mint", {"memberId": profile.member_id, "amount": "5000", "depositRef": f"deposit:{n}"}
        )
    balance = await desk.office.balance(profile.member_id)
    assert (balance.available_mtok, balance.held_mtok, balance.pending_mtok) == (15_000, 0, 0)
    first = await desk.office.history(profile.member_id, size=2)
    assert [entry.id for entry in first.entries] == ["deposit:2", "deposit:1"]
    rest = await desk.office.history(profile.member_id, bookmark=first.bookmark, size=2)
    assert [entry.type for entry in rest.entries] == ["token.mint", "member.signed"]
    assert (rest.bookmark, rest.entries[0].tokens_mtok) == ("", 5000)
    desk.peer.state[f"cr~{profile.member_id}~ab~0"] = b'{"energy":"0","tokens":"700"}'
    assert (await desk.office.balance(profile.member_id)).pending_mtok == 700
    await asyncio.gather(*desk.local._sweeps.values())
    assert (await desk.office.balance(profile.member_id)).available_mtok == 15_700
    assert desk.local.counts == {"swept": 1}


async def test_a_ledger_that_is_away_is_a_fault(desk: Desk) -> None:
    """What needs the ledger raises OfficeError and says so; what does not goes on."""
    profile = await joined(desk.office)
    desk.ledger.away_before = True
    for question in (desk.office.balance, desk.office.history, desk.office.leave):
        with pytest.raises(OfficeError, match="no peer"):
            await question(profile.member_id)
    await logged_in(desk)


async def test_what_is_left_keeps_a_member(desk: Desk) -> None:
    """Whoever still has tokens is not let go; afterwards leaving is final and can be repeated, and the person may come again."""
    profile = await joined(desk.office)
    opened = await logged_in(desk)
    exchange, args = desk.peer.port("EVUserMSP", "exchange"), {"memberId": profile.member_id, "amount": "5"}
    await exchange.execute("Mint", args | {"depositRef": "deposit:1"})
    assert code(await desk.office.leave(profile.member_id)) == No.STILL_BUSY
    await exchange.execute("Burn", args | {"payoutRef": "payout:1"})
    assert await desk.office.leave(profile.member_id) is None
    assert await desk.office.leave(profile.member_id) is None
    assert desk.peer.records("mem")[0]["status"] == "LEFT"
    assert await desk.office.who(opened.token) is None
    assert await desk.office.export(profile.member_id) == {}
    assert (await joined(desk.office)).member_id != profile.member_id
    assert code(await desk.office.leave("nobody")) == No.UNKNOWN_MEMBER


async def test_leaving_leaves_nothing_in_the_file(desk: Desk) -> None:
    """No byte of what was kept about a person is in the file or its log afterwards; it never was there in clear."""
    profile = await joined(desk.office)
    await desk.office.link_card(profile.member_id, "04A2B3C4", label="my card", terms=TERMS)
    await desk.office.remember(profile.member_id, Defaults())
    await logged_in(desk)
    kept = await desk.local._ask(
        lambda store: [
            cell.encode() if isinstance(cell, str) else cell
            for table in ("persons", "logins", "links", "members")
            for row in store._db.execute(f"SELECT * FROM {table} WHERE member_id = ?", (profile.member_id,))
            for cell in row
            if isinstance(cell, str | bytes) and cell not in {profile.member_id, profile.kind, "ACTIVE"}
        ]
    )
    assert len(kept) >= 12

    def written() -> bytes:
        places = (desk.store, desk.store.with_name(desk.store.name + "-wal"))
        return b"".join(place.read_bytes() for place in places if place.exists())

    before = written()
    assert [cell for cell in kept if cell not in before] == []
    clear = [word.encode() for word in ("jimin", "example.org", "김지민", "04A2B3C4", "my card", PASSWORD)]
    assert [word for word in clear if word in before] == []
    assert await desk.office.leave(profile.member_id) is None
    after = written()
    assert [cell for cell in (*kept, *clear) if cell in after] == []
    assert profile.member_id.encode() in after, "the id stays, so that a repeat finds it gone"


async def test_a_member_can_have_all_that_is_kept(desk: Desk) -> None:
    """The export holds profile, defaults, salt, commitment, cards with terms and logins, and never the password's hash."""
    profile = await joined(desk.office)
    chosen = Defaults(battery_wh=77_000, accept_retail=False)
    await desk.office.remember(profile.member_id, chosen)
    await desk.office.link_card(profile.member_id, "04A2B3C4", label="blue", terms=TERMS)
    await logged_in(desk)
    kept = await desk.elsewhere.export(profile.member_id)
    assert {"member_id", "name", "contact", "salt", "commitment", "logins", "cards", "defaults"} <= set(kept)
    assert kept["contact"] == "jimin@example.org"
    assert isinstance(kept["cards"], list)
    assert kept["cards"][0]["label"] == "blue"
    assert kept["cards"][0]["terms"]["battery_wh"] == 60_000
    assert "argon2" not in str(kept)
    opened = await logged_in(desk)
    profile_now = await desk.office.who(opened.token)
    assert profile_now is not None
    assert profile_now.defaults == chosen


async def test_notices_are_the_same_everywhere(desk: Desk) -> None:
    """Newest first; the same id replaces; one that has ended, or is withdrawn, is not shown."""
    now_ns = desk.clock.now_ns()
    old = Notice(
        notice_id="a", at_ns=now_ns - 10, title_ko="알림", title_en="Notice", text_ko="글", text_en="Text"
    )
    ended = replace(old, notice_id="b", at_ns=now_ns - 5, until_ns=now_ns)
    new = replace(old, notice_id="c", at_ns=now_ns, until_ns=now_ns + 1)
    for notice in (old, ended, new, replace(old, text_en="Other")):
        await desk.office.publish(notice)
    assert list(await desk.elsewhere.notices()) == [new, replace(old, text_en="Other")]
    await desk.elsewhere.withdraw("c")
    assert [notice.notice_id for notice in await desk.office.notices()] == ["a"]


async def test_a_sign_up_that_was_given_up_can_be_ended(desk: Desk) -> None:
    """A member that never reached the ledger leaves without it, and the login is free again."""
    desk.ledger.away_before = True
    with pytest.raises(OfficeError):
        await desk.office.sign_up(form())
    desk.ledger.away_before = False
    (new,) = await desk.local._ask(lambda store: store.members())
    assert await desk.office.leave(new.member_id) is None
    await joined(desk.office)


async def test_a_member_has_a_bounded_number_of_cards_and_logins(desk: Desk) -> None:
    """Twenty cards; of more than twenty logins the oldest gives way."""
    profile = await joined(desk.office)
    answers = [
        await desk.local.link_card(profile.member_id, f"card {n}", label="", terms=TERMS) for n in range(21)
    ]
    assert [code(answer) for answer in answers] == [""] * 20 + [No.BAD_FIELD]
    now_ns = desk.clock.now_ns()
    opened = [
        await desk.local._ask(lambda store: store.open_login(profile.member_id, now_ns)) for _ in range(21)
    ]
    known = [await desk.office.who(login.token) is not None for login in opened]
    assert known == [False] + [True] * 20


async def test_a_contact_that_was_taken_meanwhile_changes_nothing(desk: Desk) -> None:
    """The store itself lets no two members have one contact."""
    await joined(desk.office, "minsu")
    profile = await joined(desk.office)
    taken = Person.of(replace(profile, contact="minsu@example.org"))
    assert await desk.local._ask(lambda store: store.change(profile.member_id, taken, version=2)) is None
    assert await desk.local._known(profile.member_id) == profile


async def test_a_store_that_cannot_be_used_is_a_fault(desk: Desk) -> None:
    """Pages and stations are told that the office cannot be asked, and go on."""
    desk.store.write_bytes(b"no database of ours, and long enough to be looked at as one" * 20)
    with pytest.raises(OfficeError, match="members' store"):
        await desk.office.who("token")


async def test_desk_and_offers_are_those_given(desk: Desk) -> None:
    """Where the organisation has an exchange counter and an offer book, what they say arrives whole."""
    office, desks = desk.office, Desks()
    desk.local._counter, desk.local._book = desks, desks
    quote = await office.exchange_quote("m", buys=False, tokens_mtok=5)
    assert quote == await desks.quote("m", buys=False, tokens_mtok=5)
    assert await office.exchange("m", "q1") == await desks.exchange("m", "q1")
    new = NewOffer(limit_mtok_per_kwh=77, valid_from_s=0, valid_to_s=900)
    assert await office.offer("m", new) == await desks.offer("m", new)
    assert list(await office.offers("m")) == list(await desks.offers("m"))
    assert await office.close_offer("m", "o1") is None
    assert await office.close_offer("m", "o2") == Refusal(code=No.NOT_YOURS, detail="m")


async def test_without_a_desk_nothing_is_exchanged_or_offered(desk: Desk) -> None:
    """An organisation that has neither says so, and goes on."""
    asked = NewOffer(limit_mtok_per_kwh=1, valid_from_s=0, valid_to_s=900)
    office = desk.office
    assert code(await office.exchange_quote("m", buys=True, tokens_mtok=1)) == No.NO_DESK
    assert code(await office.exchange("m", "q")) == No.NO_DESK
    assert list(await office.offers("m")) == []
    assert code(await office.offer("m", asked)) == No.NO_DESK
    assert code(await office.close_offer("m", "o")) == No.NOT_YOURS


async def test_nobody_leaves_amid_an_exchange(desk: Desk) -> None:
    """While won or tokens are on their way nobody is let go; what was exchanged is in the member's export."""
    profile, desks = await joined(desk.office), Desks()
    desk.local._counter = desks
    desks.under_way.add(profile.member_id)
    assert await desk.office.leave(profile.member_id) == Refusal(code=No.STILL_BUSY, detail="exchange")
    kept = await desk.office.export(profile.member_id)
    assert [one["reference"] for one in kept["exchanges"]] == [f"{profile.member_id}:q1"]  # type: ignore[attr-defined]  # JSON
    desks.under_way.clear()
    assert await desk.office.leave(profile.member_id) is None
