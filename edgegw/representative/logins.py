"""The part of the member store with persons: logins, personal data, cards as their owner sees them, notices.

Decides what is stored and for how long. Personal data is encrypted (`encryption`); login names are found by keyed hashes;
of a login's token only its hash is stored. Never calls the ledger, never sees a plaintext password.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.canonical_json import canonical_json
from edgegw.common.member_terms import MemberTerms
from edgegw.common.pseudonyms import (
    commitment,
    duplicate_tag,
    hash_token,
    new_member_id,
    new_salt,
)
from edgegw.common.sqlite import faults_of, one, pragma
from edgegw.ports.representative import Card, Defaults, Login, Notice, Profile, RefusalCode
from edgegw.representative.encryption import FieldEncryption, new_login_token, token_digest
from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.members import TERMS, MemberStatus, MemberStore, terms_of
from edgegw.representative.person_fields import Person, folded_login

CARDS_MAX = 20
LOGINS_MAX = 20  # of one member; the oldest is ended
NOTICES_MAX = 200
_DAY_NS = 86_400 * 10**9
LOGIN_NS = 30 * _DAY_NS  # from its last use
LOGIN_NS_MAX = 90 * _DAY_NS
_SLIDES_NS = 3_600 * 10**9  # extending a login writes at most once an hour
_PERSON, _DEFAULTS = "person", "defaults"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """A registered person, its status, and the password hash of the registration.

    `same_login`: whether the stored login name is the one given now.
    """

    enrolment: Enrolment
    status: MemberStatus
    password_hash: str
    same_login: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The member with a login name."""

    member_id: str
    status: MemberStatus
    password_hash: str


class LoginStore(MemberStore):
    """The member store with persons, in the same file; belongs to the thread that opened it."""

    def __init__(self, path: Path, key: bytes) -> None:
        super().__init__(path, key)
        self._vault = FieldEncryption(key)

    # --- persons ----------------------------------------------------------------------------------------------------

    def enter(self, person: Person, password_hash: str) -> Entered | RefusalCode:
        """Register a person as NEW and reserve the login name; return the existing registration for a known contact.

        LOGIN_TAKEN: another person has the login name. DUPLICATE_MEMBER: the contact belongs to a member without a form.
        """
        tag, login_tag = self._tag(person), self._login_tag(person.login)
        with self._writing():
            known = one(
                self._db,
                "SELECT member_id FROM persons WHERE contact_tag = ?1 UNION SELECT member_id FROM members WHERE dup_tag = ?1",
                (tag,),
            )
            if known is not None:
                return self._entered(str(known[0]), login_tag) or RefusalCode.DUPLICATE_MEMBER
            if one(self._db, "SELECT 1 FROM persons WHERE login_tag = ?", (login_tag,)) is not None:
                return RefusalCode.LOGIN_TAKEN
            member_id, salt = new_member_id(), new_salt()
            self._db.execute(
                "INSERT INTO members (member_id, salt, status, dup_tag) VALUES (?, ?, ?, ?)",
                (member_id, salt, MemberStatus.NEW, tag),
            )
            row = {
                "member_id": member_id,
                "login_tag": login_tag,
                "contact_tag": tag,
                "password_hash": password_hash,
                _PERSON: self._sealed(member_id, person),
                _DEFAULTS: self._vault.seal(member_id, _DEFAULTS, canonical_json(asdict(Defaults()))),
                "commitment": commitment(salt, person.committed),
                "version": 1,
            }
            self._db.table("persons").insert(row)
            entered = self._entered(member_id, login_tag)
        assert entered is not None
        return entered

    def forget_new(self, member_id: str) -> None:
        """Delete a NEW person, whose sign-up the ledger refused."""
        with self._writing():
            new = one(self._db, "SELECT 1 FROM members WHERE member_id = ? AND status = 'NEW'", (member_id,))
            if new is not None:
                self._db.execute("DELETE FROM persons WHERE member_id = ?", (member_id,))
                self._db.execute("DELETE FROM members WHERE member_id = ?", (member_id,))
        self._empty_log()

    def profile(self, member_id: str) -> Profile | None:
        """Return the profile of a member, or None where no person has this id."""
        with faults_of(self._path):
            row = one(
                self._db, "SELECT person, defaults, version FROM persons WHERE member_id = ?", (member_id,)
            )
        if row is None:
            return None
        person, defaults, version = row
        assert isinstance(person, bytes)
        assert isinstance(defaults, bytes)
        assert isinstance(version, int)
        personal = json.loads(self._vault.open(member_id, _PERSON, person))
        chosen = Defaults(**json.loads(self._vault.open(member_id, _DEFAULTS, defaults)))
        return Profile(member_id=member_id, version=version, defaults=chosen, **personal)

    def commitment(self, member_id: str, person: Person) -> tuple[str, str]:
        """Return the member's commitment on the ledger, and the commitment to `person`; in hex."""
        with faults_of(self._path):
            row = one(
                self._db,
                "SELECT commitment, salt FROM persons JOIN members USING (member_id) WHERE member_id = ?",
                (member_id,),
            )
        assert row is not None
        now, salt = row
        assert isinstance(salt, bytes)
        return str(now), commitment(salt, person.committed)

    def is_taken(self, person: Person, member_id: str) -> bool:
        """Return whether the contact is another member's, now or at its sign-up, whose tag remains on the ledger."""
        with faults_of(self._path):
            other = one(
                self._db,
                "SELECT 1 FROM members LEFT JOIN persons USING (member_id)"
                " WHERE (contact_tag = ?1 OR dup_tag = ?1) AND member_id != ?2",
                (self._tag(person), member_id),
            )
        return other is not None

    def change(self, member_id: str, person: Person, *, version: int) -> Profile | None:
        """Store a changed person with the ledger's version of the membership; None: the contact was taken meanwhile."""
        _, new = self.commitment(member_id, person)
        with self._writing():
            if self.is_taken(person, member_id):
                return None
            self._db.execute(
                "UPDATE persons SET person = ?, contact_tag = ?, commitment = ?, version = ? WHERE member_id = ?",
                (self._sealed(member_id, person), self._tag(person), new, version, member_id),
            )
        return self.profile(member_id)

    def follow(self, member_id: str, version: int, commitment: str) -> None:
        """Take over version and commitment from the ledger, where it is newer than the store."""
        with self._writing():
            self._db.execute(
                "UPDATE persons SET version = ?, commitment = ? WHERE member_id = ?",
                (version, commitment, member_id),
            )

    def set_password(self, member_id: str, password_hash: str) -> bool:
        """Store a new password hash and end every login; return False where there is no such person."""
        with self._writing():
            changed = self._db.execute(
                "UPDATE persons SET password_hash = ? WHERE member_id = ?", (password_hash, member_id)
            ).rowcount
            self._db.execute("DELETE FROM logins WHERE member_id = ?", (member_id,))
        return changed == 1

    def remember(self, member_id: str, defaults: Defaults) -> None:
        """Store a driver's last choices; does nothing where there is no such person."""
        sealed = self._vault.seal(member_id, _DEFAULTS, canonical_json(asdict(defaults)))
        with self._writing():
            self._db.execute("UPDATE persons SET defaults = ? WHERE member_id = ?", (sealed, member_id))

    def kept(self, member_id: str) -> dict[str, object] | None:
        """Return everything that is stored about a member except the password hash; None: no such person."""
        profile = self.profile(member_id)
        if profile is None:
            return None
        with faults_of(self._path):
            row = one(
                self._db,
                "SELECT status, lower(hex(salt)), dup_tag, contact_tag, commitment"
                " FROM members JOIN persons USING (member_id) WHERE member_id = ?",
                (member_id,),
            )
            logins = self._db.execute(
                "SELECT opened_ns, expires_ns FROM logins WHERE member_id = ? ORDER BY opened_ns",
                (member_id,),
            ).fetchall()
        assert row is not None
        names = ("status", "salt", "dup_tag", "contact_tag", "commitment")
        return {
            **asdict(profile),
            **dict(zip(names, row, strict=True)),
            "logins": [{"opened_ns": opened, "expires_ns": expires} for opened, expires in logins],
            "cards": [
                {"card_id": card.card_id, "label": card.label, "terms": asdict(terms)}
                for card, terms in self._cards(member_id)
            ],
        }

    # --- logins -----------------------------------------------------------------------------------------------------

    def known(self, login: str) -> Known | None:
        """Return the member with this login name, or None."""
        with faults_of(self._path):
            row = one(
                self._db,
                "SELECT member_id, status, password_hash FROM persons JOIN members USING (member_id) WHERE login_tag = ?",
                (self._login_tag(login),),
            )
        if row is None:
            return None
        return Known(member_id=str(row[0]), status=MemberStatus(str(row[1])), password_hash=str(row[2]))

    def open_login(self, member_id: str, now_ns: int) -> Login:
        """Open a login with a new token; delete expired logins and the member's oldest above `LOGINS_MAX`."""
        token, expires_ns = new_login_token(), now_ns + LOGIN_NS
        with self._writing():
            self._db.execute("DELETE FROM logins WHERE expires_ns <= ?", (now_ns,))
            self._db.execute(
                "INSERT INTO logins (token_hash, member_id, opened_ns, expires_ns) VALUES (?, ?, ?, ?)",
                (token_digest(token), member_id, now_ns, expires_ns),
            )
            self._db.execute(
                "DELETE FROM logins WHERE member_id = ?1 AND token_hash NOT IN (SELECT token_hash FROM logins"
                " WHERE member_id = ?1 ORDER BY opened_ns DESC, rowid DESC LIMIT ?2)",
                (member_id, LOGINS_MAX),
            )
        return Login(token=token, member_id=member_id, expires_ns=expires_ns)

    def whose(self, token: str, now_ns: int) -> Profile | None:
        """Return the member of an open login, or None; extend the login."""
        token_hash = token_digest(token)
        with faults_of(self._path):
            row = one(
                self._db,
                "SELECT member_id, opened_ns, expires_ns FROM logins JOIN members USING (member_id)"
                " WHERE token_hash = ? AND status IN ('ACTIVE', 'SUSPENDED')",
                (token_hash,),
            )
        if row is None:
            return None
        member_id, opened_ns, expires_ns = row
        assert isinstance(opened_ns, int)
        assert isinstance(expires_ns, int)
        if now_ns >= expires_ns:
            self.end_login(token)
            return None
        until_ns = min(now_ns + LOGIN_NS, opened_ns + LOGIN_NS_MAX)
        if until_ns - expires_ns >= _SLIDES_NS:
            with self._writing():
                self._db.execute(
                    "UPDATE logins SET expires_ns = ? WHERE token_hash = ?", (until_ns, token_hash)
                )
        return self.profile(str(member_id))

    def end_login(self, token: str) -> None:
        """End the login of a token."""
        with self._writing():
            self._db.execute("DELETE FROM logins WHERE token_hash = ?", (token_digest(token),))

    # --- cards ------------------------------------------------------------------------------------------------------

    def cards(self, member_id: str) -> Sequence[Card]:
        """Return a member's cards, ordered by id."""
        return [card for card, _ in self._cards(member_id)]

    def add_card(self, id_token: str, label: str, terms: MemberTerms) -> Card | RefusalCode:
        """Link an idToken to the member of `terms`.

        CARD_TAKEN: it is linked to another member. UNKNOWN_MEMBER: the member is not active. BAD_FIELD: too many cards.
        """
        member_id, token_hash = terms.member_id, self.token_hash(id_token)
        row = {
            "id_token_hash": token_hash,
            "shared_hash": hash_token(self.card_key, id_token),
            "label": self._vault.seal(member_id, f"card {token_hash}", label),
            **asdict(terms),
        }
        with self._writing():
            owner = one(self._db, "SELECT member_id FROM links WHERE id_token_hash = ?", (token_hash,))
            count = one(self._db, "SELECT count(*) FROM links WHERE member_id = ?", (member_id,))
            active = one(
                self._db, "SELECT 1 FROM members WHERE member_id = ? AND status = 'ACTIVE'", (member_id,)
            )
            if active is None:
                return RefusalCode.UNKNOWN_MEMBER
            if owner not in {None, (member_id,)}:
                return RefusalCode.CARD_TAKEN
            if owner is None and count is not None and int(str(count[0])) >= CARDS_MAX:
                return RefusalCode.BAD_FIELD
            self._db.table("links").upsert(row, pk="id_token_hash")
        return Card(card_id=_card_id(token_hash), label=label)

    def remove_card(self, member_id: str, card_id: str) -> bool:
        """Remove a card of this member; return False where it has no such card."""
        with self._writing():
            rows = self._db.execute(
                "SELECT id_token_hash FROM links WHERE member_id = ?", (member_id,)
            ).fetchall()
            found = [token_hash for (token_hash,) in rows if _card_id(token_hash) == card_id]
            for token_hash in found:
                self._db.execute("DELETE FROM links WHERE id_token_hash = ?", (token_hash,))
        return bool(found)

    def _cards(self, member_id: str) -> list[tuple[Card, MemberTerms]]:
        with faults_of(self._path):
            rows = self._db.execute(
                f"SELECT id_token_hash, label, {TERMS} FROM links WHERE member_id = ?",  # noqa: S608 - our own names
                (member_id,),
            ).fetchall()
        return sorted(
            (
                (Card(card_id=_card_id(row[0]), label=self._label(member_id, *row[:2])), terms_of(row[2:]))
                for row in rows
            ),
            key=lambda pair: pair[0].card_id,
        )

    def _label(self, member_id: str, token_hash: str, sealed: bytes | None) -> str:
        return "" if sealed is None else self._vault.open(member_id, f"card {token_hash}", sealed)

    def state(self) -> tuple[int, int]:
        """Return a value that changes with every write, also by another process; cheap enough to poll."""
        with faults_of(self._path):
            version = pragma(self._db, "data_version")
            changes = one(self._db, "SELECT total_changes()")
        assert isinstance(version, int)
        assert changes is not None
        return version, int(str(changes[0]))

    # --- notices ----------------------------------------------------------------------------------------------------

    def notices(self, now_ns: int) -> Sequence[Notice]:
        """Return the notices that are valid now, newest first."""
        with faults_of(self._path):
            rows = self._db.execute(
                "SELECT notice_id, at_ns, title_ko, title_en, text_ko, text_en, until_ns FROM notices"
                " WHERE until_ns IS NULL OR until_ns > ? ORDER BY at_ns DESC, notice_id",
                (now_ns,),
            ).fetchall()
        names = ("notice_id", "at_ns", "title_ko", "title_en", "text_ko", "text_en", "until_ns")
        return [Notice(**dict(zip(names, row, strict=True))) for row in rows]

    def publish(self, notice: Notice) -> None:
        """Store a notice, or replace the one with its id; delete the oldest above `NOTICES_MAX`."""
        with self._writing():
            self._db.table("notices").upsert(asdict(notice), pk="notice_id")
            self._db.execute(
                "DELETE FROM notices WHERE notice_id NOT IN (SELECT notice_id FROM notices ORDER BY at_ns DESC LIMIT ?)",
                (NOTICES_MAX,),
            )

    def withdraw(self, notice_id: str) -> None:
        """Delete a notice."""
        with self._writing():
            self._db.execute("DELETE FROM notices WHERE notice_id = ?", (notice_id,))

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _entered(self, member_id: str, login_tag: str) -> Entered | None:
        row = one(
            self._db,
            "SELECT status, password_hash, commitment, dup_tag, login_tag FROM persons JOIN members USING (member_id)"
            " WHERE member_id = ?",
            (member_id,),
        )
        if row is None:
            return None
        profile = self.profile(member_id)
        assert profile is not None
        enrolment = Enrolment(
            member_id=member_id, kind=profile.kind, commitment=str(row[2]), dup_tag=str(row[3])
        )
        return Entered(
            enrolment=enrolment,
            status=MemberStatus(str(row[0])),
            password_hash=str(row[1]),
            same_login=row[4] == login_tag,
        )

    def _sealed(self, member_id: str, person: Person) -> bytes:
        personal: Mapping[str, object] = asdict(replace(person, login=person.login.strip()))
        return self._vault.seal(member_id, _PERSON, canonical_json(personal))

    def _tag(self, person: Person) -> str:
        return duplicate_tag(self._key, person.identity)

    def _login_tag(self, login: str) -> str:
        return duplicate_tag(self._key, f"login {folded_login(login)}")


def require_opens(db: Database, *, key: bytes) -> None:
    """Open the newest person and a card's label in a copy of the store; raises JournalError where the key does not.

    A store in which nothing is sealed, as the first version of its schema, says nothing about the key.
    """
    if "persons" not in db.table_names():
        return
    vault = FieldEncryption(key)
    person = one(db, "SELECT member_id, person FROM persons ORDER BY rowid DESC LIMIT 1")
    label = one(db, "SELECT member_id, id_token_hash, label FROM links WHERE label IS NOT NULL LIMIT 1")
    if person is not None:
        member_id, sealed = person
        assert isinstance(sealed, bytes)
        vault.open(str(member_id), _PERSON, sealed)
    if label is not None:
        member_id, token_hash, sealed = label
        assert isinstance(sealed, bytes)
        vault.open(str(member_id), f"card {token_hash}", sealed)


def _card_id(token_hash: str) -> str:
    """Return the id by which the owner names a card; it does not reveal the hash that stations use."""
    return hashlib.sha256(f"card {token_hash}".encode()).hexdigest()[:16]
