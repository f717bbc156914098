"""The representative's parts: normal forms, encrypted texts, and the store's migration."""

import sqlite3
from pathlib import Path

import pytest

from edgegw.common.errors import JournalError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.passwords import password_fits
from edgegw.common.pseudonyms import hash_token
from edgegw.ports.representative import RepresentativeError
from edgegw.representative import encryption
from edgegw.representative.encryption import FieldEncryption, Passwords, derived
from edgegw.representative.logins import LoginStore
from edgegw.representative.members import MEMBERS, MemberReader, MemberStatus
from edgegw.representative.person_fields import normal_contact

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("contact", "normal"),
    [
        ("Jimin@Example.ORG ", "jimin@example.org"),
        ("010-1234-5678", "+821012345678"),
        ("+82 (0)10 1234 5678", "+821012345678"),
        ("0082 10 1234 5678", "+821012345678"),
        ("82 10 1234 5678", "+821012345678"),
        ("\uff10\uff11\uff10 1234 5678", "+821012345678"),  # full-width digits
        ("+49 89 636 48018", "+498963648018"),
        ("1234", ""),
        ("+1234567890123456", ""),
        ("a@b@c.de", ""),
        ("<x>@example.org", ""),
        ("", ""),
        ("a" * 65 + "@example.org", ""),
        ("a@" + "b" * 260 + ".org", ""),
    ],
)
def test_a_contact_has_one_spelling(contact: str, normal: str) -> None:
    """E-mail addresses without case, telephone numbers in international form; anything else is none."""
    assert normal_contact(contact) == normal


def test_a_sealed_text_opens_for_its_member_only() -> None:
    """An encrypted text does not open for another member, field or key, or with a changed bit; each encryption differs."""
    box = FieldEncryption(KEY)
    sealed = box.seal("m1", "person", "Kim")
    assert box.open("m1", "person", sealed) == "Kim"
    assert sealed != box.seal("m1", "person", "Kim")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    attempts = [(box, "m2", "person", sealed), (box, "m1", "other", sealed), (box, "m1", "person", changed)]
    for with_box, member_id, field, text in [*attempts, (FieldEncryption(b"x" * 32), "m1", "person", sealed)]:
        with pytest.raises(JournalError, match="sealed under another key"):
            with_box.open(member_id, field, text)


async def test_an_unknown_name_costs_a_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password for an unknown name is verified as for a known one, and never fits."""
    seen: list[str] = []

    def counted(password_hash: str, password: str) -> bool:
        seen.append(password_hash)
        return password_fits(password_hash, password)

    monkeypatch.setattr(encryption, "password_fits", counted)
    passwords = Passwords()
    kept = await passwords.hash("a long password")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.fits(kept, "a long password")
    assert not await passwords.fits(None, "a long password")
    assert len(seen) == 2
    passwords.close()


async def test_no_queue_of_passwords_grows_without_end() -> None:
    """Beyond the limit of waiting verifications the next is refused at once, and each answer frees a place."""
    passwords = Passwords()
    passwords._waiting = encryption._WAITING_MAX
    with pytest.raises(RepresentativeError, match="busy"):
        await passwords.fits(None, "x")
    passwords._waiting = encryption._WAITING_MAX - 1
    for _ in range(2):
        assert not await passwords.fits(None, "x")
    passwords.close()


def test_a_store_of_the_first_version_is_carried_on(tmp_path: Path) -> None:
    """Members and cards of an older store stay; a reader reads it before anybody has migrated it."""
    path = tmp_path / "members.db"
    db = sqlite3.connect(path)
    db.executescript(MEMBERS.migrations[0])
    db.execute("INSERT INTO members VALUES ('m1', x'00', 'tag', 'ACTIVE')")
    db.execute("INSERT INTO links VALUES ('hash', 'm1', 1, 400000, 0, 140000, 3000, 0, 9400)")
    db.execute(f"PRAGMA application_id={MEMBERS.application_id}")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    reader = MemberReader(path)
    assert reader.links() == {"hash": MemberTerms(member_id="m1")}
    store = LoginStore(path, KEY)
    assert reader.links() == store.links() == {"hash": MemberTerms(member_id="m1")}
    assert store.shared_links() == {}, "nobody can make the second hash of a card that is not there"
    assert [card.label for card in store.cards("m1")] == [""]
    assert store.profile("m1") is None
    assert store.kept("m1") is None
    store.close()
    reader.close()


def test_stations_elsewhere_learn_no_secret_of_the_organisation(tmp_path: Path) -> None:
    """Stations hash cards with a derived key, from which neither the store's hashes nor its tags can be computed."""
    store = LoginStore(tmp_path / "members.db", KEY)
    enrolment = store.add("somebody")
    assert enrolment is not None
    store.set_status(enrolment.member_id, MemberStatus.ACTIVE)
    store.link("04A2", MemberTerms(member_id=enrolment.member_id))
    assert list(store.shared_links()) == [hash_token(store.card_key, "04a2")]
    assert list(store.links()) == [hash_token(KEY, "04a2")]
    assert store.card_key == derived(KEY, "cards of stations 1") != KEY
    store.close()
