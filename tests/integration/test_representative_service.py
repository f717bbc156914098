"""What the representative stores and commits, also after faults; what pages rely on is in tests/conformance."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.ports.representative import (
    Defaults,
    Login,
    NewOffer,
    Profile,
    RefusalCode,
    RefusedRequest,
    RepresentativeError,
)
from edgegw.representative.person_fields import Person
from tests.support.representative_desks import Desks
from tests.support.representative_world import (
    PASSWORD,
    SOURCE,
    Desk,
    code,
    form,
    joined,
    local_desk,
    served_desk,
)

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
    opened = await desk.representative.log_in(login, PASSWORD, source=SOURCE)
    assert isinstance(opened, Login), opened
    return opened


async def test_nothing_personal_reaches_the_ledger(desk: Desk) -> None:
    """The ledger has one record per member without name, contact or login, none of a refused one, and LEFT for one who left."""
    for refused in (form("jimin", contact="a@b"), form(kind="PRODUCER"), form(password="short")):
        assert code(await desk.representative.sign_up(refused))
    assert desk.peer.records("mem") == []
    profile = await joined(desk.representative)
    assert (
        code(await desk.representative.sign_up(form("other", contact=profile.contact)))
        == RefusalCode.DUPLICATE_MEMBER
    )
    (member,) = desk.peer.records("mem")
    assert (member["memberId"], member["kind"], member["status"]) == (profile.member_id, "EV", "ACTIVE")
    written = b"\n".join(desk.peer.state.values()).decode().casefold()
    assert not [word for word in ("jimin", "example.org", "김지민") if word in written]
    assert await desk.representative.leave(profile.member_id) is None
    assert desk.peer.records("mem")[0]["status"] == "LEFT"


async def test_a_sign_up_that_was_cut_short_goes_on(desk: Desk) -> None:
    """Whether the ledger had it or not: the same form again finishes it; the login stays reserved meanwhile."""
    for login, where in (("jimin", "away_before"), ("minsu", "away_after")):
        setattr(desk.ledger, where, True)
        with pytest.raises(RepresentativeError):
            await desk.representative.sign_up(form(login))
        assert (
            code(await desk.representative.sign_up(form(login, contact="y@example.org")))
            == RefusalCode.LOGIN_TAKEN
        )
        assert (
            code(await desk.representative.log_in(login, PASSWORD, source=SOURCE)) == RefusalCode.WRONG_LOGIN
        )
        setattr(desk.ledger, where, False)
        pending = form(login, password="another password")
        assert code(await desk.representative.sign_up(pending)) == RefusalCode.DUPLICATE_MEMBER
        await joined(desk.elsewhere, login)
        await logged_in(desk, login)
    assert len(desk.peer.records("mem")) == 2


async def test_a_sign_up_that_the_ledger_refuses_leaves_nothing(desk: Desk) -> None:
    """A sign-up whose tag the ledger already has is refused, and the login is free again."""
    await joined(desk.representative)
    other = desk.store.with_name("lost.db")
    desk.store.rename(other)
    for suffix in ("-wal", "-shm"):
        desk.store.with_name(desk.store.name + suffix).unlink(missing_ok=True)
    desk.local._opened = None
    assert code(await desk.representative.sign_up(form())) == RefusalCode.DUPLICATE_MEMBER
    assert code(await desk.representative.sign_up(form())) == RefusalCode.DUPLICATE_MEMBER
    assert isinstance(await desk.representative.sign_up(form(contact="z@example.org")), Profile)
    assert len(desk.peer.records("mem")) == 2


async def test_another_identity_is_committed_to_on_the_ledger(desk: Desk) -> None:
    """A new contact is an Update under the version expected; a language is the representative's own affair."""
    profile = await joined(desk.representative)
    before = desk.peer.records("mem")[0]
    english = await desk.representative.change(replace(profile, language="en"))
    assert english == replace(profile, language="en")
    assert desk.peer.records("mem")[0] == before
    moved = await desk.elsewhere.change(replace(english, contact="010 9999 8888"))
    assert isinstance(moved, Profile)
    after = desk.peer.records("mem")[0]
    assert (moved.version, after["version"]) == (2, 2)
    assert after["commitment"] != before["commitment"]


async def test_a_change_that_was_cut_short_goes_on(desk: Desk) -> None:
    """A change that was interrupted is finished by a repeat; another change gets the ledger's version and succeeds."""
    profile = await joined(desk.representative)
    wanted = replace(profile, name="김지민2")
    desk.ledger.away_after = True
    with pytest.raises(RepresentativeError):
        await desk.representative.change(wanted)
    desk.ledger.away_after = False
    assert await desk.representative.change(wanted) == replace(wanted, version=2)
    desk.ledger.away_after = True
    with pytest.raises(RepresentativeError):
        await desk.representative.change(replace(wanted, version=2, name="third"))
    desk.ledger.away_after = False
    other = replace(wanted, version=2, name="fourth")
    assert code(await desk.representative.change(other)) == RefusalCode.VERSION_MISMATCH
    back = await desk.representative.change(replace(wanted, version=3))
    assert back == replace(wanted, version=4), "what the ledger holds is the third name's commitment"


async def test_terms_are_the_members_own(desk: Desk) -> None:
    """A card's terms cannot name another member than the one who links it."""
    first, second = await joined(desk.representative), await joined(desk.representative, "minsu")
    foreign = replace(TERMS, member_id=second.member_id)
    await desk.representative.link_card(first.member_id, "04A2B3C4", label="", terms=foreign)
    _, links = await desk.local.card_links()
    assert [terms.member_id for terms in links.values()] == [first.member_id]


async def test_pending_credits_are_swept_once_somebody_looks(desk: Desk) -> None:
    """The balance shows credits as pending, and a later one has them swept."""
    profile = await joined(desk.representative)
    desk.peer.state[f"cr~{profile.member_id}~ab~0"] = b'{"energy":"0","tokens":"700"}'
    assert (await desk.representative.balance(profile.member_id)).pending_mtok == 700
    await asyncio.gather(*desk.local._sweeps.values())
    assert (await desk.representative.balance(profile.member_id)).available_mtok == 700
    assert desk.local.counts == {"swept": 1}


async def test_a_ledger_that_is_away_is_a_fault(desk: Desk) -> None:
    """What needs the ledger raises a fault while it is away; everything else works."""
    profile = await joined(desk.representative)
    desk.ledger.away_before = True
    for question in (desk.representative.balance, desk.representative.history, desk.representative.leave):
        with pytest.raises(RepresentativeError, match="no peer"):
            await question(profile.member_id)
    await logged_in(desk)


async def test_leaving_leaves_nothing_in_the_file(desk: Desk) -> None:
    """No byte of what was kept about a person is in the file or its log afterwards; it never was there in clear."""
    profile = await joined(desk.representative)
    await desk.representative.link_card(profile.member_id, "04A2B3C4", label="my card", terms=TERMS)
    await desk.representative.remember(profile.member_id, Defaults())
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
    assert await desk.representative.leave(profile.member_id) is None
    after = written()
    assert [cell for cell in (*kept, *clear) if cell in after] == []
    assert profile.member_id.encode() in after, "the id stays, so that a repeat finds it gone"


async def test_a_member_can_have_all_that_is_kept(desk: Desk) -> None:
    """The export has also salt and commitment behind the pseudonym, and never the password's hash."""
    profile = await joined(desk.representative)
    kept = await desk.elsewhere.export(profile.member_id)
    assert {"salt", "commitment", "dup_tag"} <= set(kept)
    assert kept["commitment"] == desk.peer.records("mem")[0]["commitment"]
    assert "argon2" not in str(kept)


async def test_a_sign_up_that_was_given_up_can_be_ended(desk: Desk) -> None:
    """A member that never reached the ledger leaves without it, and the login is free again."""
    desk.ledger.away_before = True
    with pytest.raises(RepresentativeError):
        await desk.representative.sign_up(form())
    desk.ledger.away_before = False
    (new,) = await desk.local._ask(lambda store: store.members())
    assert await desk.representative.leave(new.member_id) is None
    await joined(desk.representative)


async def test_a_contact_that_was_taken_meanwhile_changes_nothing(desk: Desk) -> None:
    """The store itself lets no two members have one contact."""
    await joined(desk.representative, "minsu")
    profile = await joined(desk.representative)
    taken = Person.of(replace(profile, contact="minsu@example.org"))
    assert await desk.local._ask(lambda store: store.change(profile.member_id, taken, version=2)) is None
    assert await desk.local._known(profile.member_id) == profile


async def test_a_store_that_cannot_be_used_is_a_fault(desk: Desk) -> None:
    """If the store cannot be used, pages and stations get a fault and continue."""
    desk.store.write_bytes(b"no database of ours, and long enough to be looked at as one" * 20)
    with pytest.raises(RepresentativeError, match="members' store"):
        await desk.representative.who("token")


async def test_desk_and_offers_are_those_given(desk: Desk) -> None:
    """The organisation's exchange and offer book are used, and their answers are passed on unchanged."""
    representative, desks = desk.representative, Desks()
    desk.local._counter, desk.local._book = desks, desks
    quote = await representative.exchange_quote("m", buys=False, tokens_mtok=5)
    assert quote == await desks.quote("m", buys=False, tokens_mtok=5)
    assert await representative.exchange("m", "q1") == await desks.exchange("m", "q1")
    new = NewOffer(limit_mtok_per_kwh=77, valid_from_s=0, valid_to_s=900)
    assert await representative.offer("m", new) == await desks.offer("m", new)
    assert list(await representative.offers("m")) == list(await desks.offers("m"))
    assert await representative.close_offer("m", "o1") is None
    assert await representative.close_offer("m", "o2") == RefusedRequest(
        code=RefusalCode.NOT_YOURS, detail="m"
    )


async def test_without_a_desk_nothing_is_exchanged_or_offered(desk: Desk) -> None:
    """Without an exchange and an offer book these requests are refused with that reason, and the rest works."""
    asked = NewOffer(limit_mtok_per_kwh=1, valid_from_s=0, valid_to_s=900)
    representative = desk.representative
    assert code(await representative.exchange_quote("m", buys=True, tokens_mtok=1)) == RefusalCode.NO_DESK
    assert code(await representative.exchange("m", "q")) == RefusalCode.NO_DESK
    assert list(await representative.offers("m")) == []
    assert code(await representative.offer("m", asked)) == RefusalCode.NO_DESK
    assert code(await representative.close_offer("m", "o")) == RefusalCode.NOT_YOURS


async def test_nobody_leaves_amid_an_exchange(desk: Desk) -> None:
    """A member cannot leave while an exchange is open; afterwards the export has it."""
    profile, desks = await joined(desk.representative), Desks()
    desk.local._counter = desks
    desks.under_way.add(profile.member_id)
    assert await desk.representative.leave(profile.member_id) == RefusedRequest(
        code=RefusalCode.STILL_BUSY, detail="exchange"
    )
    kept = await desk.representative.export(profile.member_id)
    assert [one["reference"] for one in kept["exchanges"]] == [f"{profile.member_id}:q1"]  # type: ignore[attr-defined]  # JSON
    desks.under_way.clear()
    assert await desk.representative.leave(profile.member_id) is None
