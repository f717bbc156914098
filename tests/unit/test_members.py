"""The representative's members: one person one member, cards by keyed hash, nothing left after leaving."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.common.pseudonyms import commitment, duplicate_tag, hash_token, new_member_id
from edgegw.representative.members import MemberReader, MemberStatus, MemberStore

KEY = b"k" * 32
SOMEBODY = "passport M1234567"


@pytest.fixture
def store(tmp_path: Path) -> MemberStore:
    return MemberStore(tmp_path / "members.db", KEY)


def join(store: MemberStore, identity: str = SOMEBODY) -> str:
    enrolment = store.add(identity)
    assert enrolment is not None
    assert store.set_status(enrolment.member_id, MemberStatus.ACTIVE)
    return enrolment.member_id


def test_a_person_becomes_one_member(store: MemberStore) -> None:
    """Adding again gives the same enrolment until it is active, then nothing; spelling makes no second person."""
    first = store.add(SOMEBODY)
    assert first is not None
    assert first.kind == "EV"
    assert store.add("  PASSPORT   m1234567\n") == first
    assert store.set_status(first.member_id, MemberStatus.ACTIVE)
    assert store.add(SOMEBODY) is None
    other = store.add("passport M7654321")
    assert other is not None
    assert other.member_id != first.member_id
    assert [(member.status, member.cards) for member in store.members()].count((MemberStatus.ACTIVE, 0)) == 1


def test_a_card_leads_to_its_members_terms_whatever_its_case(store: MemberStore) -> None:
    """A link is found by the card's hash in any case, replaced by the next one, and gone when unlinked."""
    member_id = join(store)
    terms = MemberTerms(
        member_id=member_id, accept_retail=False, sells=True, battery_wh=60_000, soc_bp_min=4_000
    )
    assert store.link("04a2B3", terms)
    assert store.links().get(hash_token(KEY, "04A2b3")) == terms
    assert store.links().get(hash_token(KEY, "04A2b4")) is None
    assert store.links().get(hash_token(b"another key of 32 bytes.........", "04A2b3")) is None
    changed = MemberTerms(member_id=member_id)
    assert store.link("04A2B3", changed)
    assert store.links() == {hash_token(KEY, "04a2b3"): changed}
    assert store.unlink("04a2b3")
    assert not store.unlink("04a2b3")
    assert store.links() == {}


def test_only_active_members_have_cards(store: MemberStore) -> None:
    """No card for a member that is unknown or new; a suspended member's cards are kept and lead nowhere."""
    assert not store.link("card", MemberTerms(member_id="nobody"))
    enrolment = store.add(SOMEBODY)
    assert enrolment is not None
    assert not store.link("card", MemberTerms(member_id=enrolment.member_id))
    store.set_status(enrolment.member_id, MemberStatus.ACTIVE)
    assert store.link("card", MemberTerms(member_id=enrolment.member_id))
    store.set_status(enrolment.member_id, MemberStatus.SUSPENDED)
    assert store.links().get(store.token_hash("card")) is None
    assert store.links() == {}
    store.set_status(enrolment.member_id, MemberStatus.ACTIVE)
    assert store.links().get(store.token_hash("card")) is not None


def test_leaving_deletes_salt_tag_and_cards_for_good(store: MemberStore, tmp_path: Path) -> None:
    """After LEFT nothing links a person to the member id; the person may join again as a new member."""
    member_id = join(store)
    store.link("card", MemberTerms(member_id=member_id))
    assert store.set_status(member_id, MemberStatus.LEFT)
    assert not store.set_status(member_id, MemberStatus.ACTIVE)
    with sqlite3.connect(tmp_path / "members.db") as db:
        assert db.execute("SELECT salt, dup_tag, status FROM members").fetchall() == [(None, None, "LEFT")]
        assert db.execute("SELECT count(*) FROM links").fetchone() == (0,)
    db.close()
    assert join(store) != member_id


def test_nothing_that_names_a_person_is_stored(store: MemberStore, tmp_path: Path) -> None:
    """Neither identity nor card number is in the file in any searchable form."""
    member_id = join(store)
    store.link("CARD-0815", MemberTerms(member_id=member_id))
    store.close()
    stored = (tmp_path / "members.db").read_bytes().lower()
    for secret in (b"m1234567", b"passport", b"card-0815"):
        assert secret not in stored


def test_members_survive_reopening(store: MemberStore, tmp_path: Path) -> None:
    """The store is durable: links and status are there after reopening."""
    member_id = join(store)
    store.link("card", MemberTerms(member_id=member_id))
    store.close()
    again = MemberStore(tmp_path / "members.db", KEY)
    assert again.links()[hash_token(KEY, "card")].member_id == member_id
    again.close()


def test_hashes_of_one_key_are_kept_apart() -> None:
    """The same text as card, identity and commitment gives three different hashes, each of 32 bytes in hex."""
    hashes = {hash_token(KEY, "x"), duplicate_tag(KEY, "x"), commitment(KEY, "x")}
    assert len(hashes) == 3
    assert {len(one) for one in hashes} == {64}
    assert hash_token(KEY, "\ud800") != hash_token(KEY, "?")


def test_member_ids_are_128_random_bits() -> None:
    """A member id has 26 letters and digits and never repeats."""
    ids = {new_member_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 26 and one.isalnum() and one == one.lower() for one in ids)


def test_a_reader_sees_every_write_and_makes_none(tmp_path: Path) -> None:
    """A reader's version changes with every write of another connection and only then; it creates no file."""
    path = tmp_path / "members.db"
    reader = MemberReader(path)
    assert (reader.version(), reader.links()) == (0, {})
    assert not path.exists()
    store = MemberStore(path, KEY)
    terms = MemberTerms(member_id=join(store))
    unlinked = reader.version()
    assert (unlinked, reader.links()) == (reader.version(), {})
    assert store.link("04A2", terms)
    linked = reader.version()
    assert linked not in {0, unlinked}
    assert reader.links() == {hash_token(KEY, "04a2"): terms}
    store.close()
    again = MemberStore(path, KEY)
    assert again.set_status(terms.member_id, MemberStatus.LEFT)
    assert reader.version() not in {0, unlinked, linked}
    assert reader.links() == {}
    assert again.status(terms.member_id) is MemberStatus.LEFT
    again.close()
    reader.close()


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    """Ten writers enter one person at once: none fails, and one member is there."""
    path = tmp_path / "members.db"
    MemberStore(path, KEY).close()

    def enter(_: int) -> str:
        store = MemberStore(path, KEY)
        try:
            enrolment = store.add(SOMEBODY)
        finally:
            store.close()
        assert enrolment is not None
        return enrolment.member_id

    with ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(enter, range(20)))) == 1
