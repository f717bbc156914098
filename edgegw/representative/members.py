"""The representative's member store: members, and the card links with the terms agreed with each member.

Decides nothing about trades. Stores no plaintext name: of an identity only the salt of its commitment and its duplicate
tag; personal data of a sign-up form is encrypted (`logins`). Leaving deletes all of that with every card, also from the
file's free pages and its WAL. Nothing of it is on the ledger or in the gateway's journal.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.member_terms import MemberTerms
from edgegw.common.pseudonyms import (
    commitment,
    duplicate_tag,
    hash_token,
    new_member_id,
    new_salt,
)
from edgegw.common.sqlite import Schema, faults_of, one, open_reader, open_writer, pragma
from edgegw.representative.encryption import derived
from edgegw.representative.ledger_accounts import Enrolment, Kind

MEMBERS = Schema(
    name="member store",
    application_id=0x4544474D,  # "EDGM"
    migrations=(
        """
        CREATE TABLE members (
          member_id TEXT PRIMARY KEY,
          salt      BLOB,            -- NULL once the member left
          dup_tag   TEXT UNIQUE,     -- NULL once the member left
          status    TEXT NOT NULL CHECK (status IN ('NEW', 'ACTIVE', 'SUSPENDED', 'LEFT'))
        ) STRICT;
        CREATE TABLE links (
          id_token_hash             TEXT PRIMARY KEY,
          member_id                 TEXT NOT NULL REFERENCES members,
          accept_retail             INTEGER NOT NULL CHECK (accept_retail IN (0, 1)),
          price_mtok_per_kwh_max    INTEGER NOT NULL CHECK (price_mtok_per_kwh_max >= 0),
          sells                     INTEGER NOT NULL CHECK (sells IN (0, 1)),
          price_mtok_per_kwh_min    INTEGER NOT NULL CHECK (price_mtok_per_kwh_min >= 0),
          soc_bp_min                INTEGER NOT NULL CHECK (soc_bp_min BETWEEN 0 AND 10000),
          battery_wh                INTEGER NOT NULL CHECK (battery_wh >= 0),
          discharge_efficiency_bp   INTEGER NOT NULL CHECK (discharge_efficiency_bp BETWEEN 1 AND 10000)
        ) STRICT;
        CREATE INDEX links_by_member ON links (member_id);
        """,
        """
        ALTER TABLE links ADD COLUMN shared_hash TEXT;  -- under the key that stations elsewhere know
        ALTER TABLE links ADD COLUMN label BLOB;        -- sealed
        CREATE UNIQUE INDEX links_by_shared_hash ON links (shared_hash);
        CREATE TABLE persons (
          member_id     TEXT PRIMARY KEY REFERENCES members,
          login_tag     TEXT NOT NULL UNIQUE,
          contact_tag   TEXT NOT NULL UNIQUE,
          password_hash TEXT NOT NULL,
          person        BLOB NOT NULL,  -- sealed
          defaults      BLOB NOT NULL,  -- sealed
          commitment    TEXT NOT NULL,
          version       INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE logins (
          token_hash TEXT PRIMARY KEY,
          member_id  TEXT NOT NULL REFERENCES persons ON DELETE CASCADE,
          opened_ns  INTEGER NOT NULL,
          expires_ns INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX logins_by_member ON logins (member_id);
        CREATE TABLE notices (
          notice_id TEXT PRIMARY KEY,
          at_ns     INTEGER NOT NULL,
          until_ns  INTEGER,
          title_ko  TEXT NOT NULL,
          title_en  TEXT NOT NULL,
          text_ko   TEXT NOT NULL,
          text_en   TEXT NOT NULL
        ) STRICT;
        """,
    ),
)

_COLUMNS = tuple(field.name for field in fields(MemberTerms))
TERMS = ", ".join(_COLUMNS)


class MemberStatus(StrEnum):
    """NEW until the ledger has committed the sign-up; then the status on the ledger."""

    NEW = "NEW"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member in the representative's list; `cards` is the number of its linked idTokens."""

    member_id: str
    status: MemberStatus
    cards: int


class MemberReader:
    """Reads the store for the daemon while other processes write it; never changes, creates or migrates the file.

    Every method raises JournalError where the file cannot be read, which may also occur while it is created: retry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: Database | None = None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    def version(self) -> int:
        """Return a number that changes with every write; cheap enough to poll. 0: there is no store yet."""
        if self._db is None and not self._path.exists():
            return 0
        with faults_of(self._path):
            version = pragma(self._opened(), "data_version")
        assert isinstance(version, int)
        return version

    def links(self) -> Mapping[str, MemberTerms]:
        """Return the terms of active members by card hash, for the event MembersChanged."""
        return {} if self._db is None and not self._path.exists() else _links(self._opened(), self._path)

    def _opened(self) -> Database:
        if self._db is None:
            # The columns it reads exist since the first version: it need not wait for a migration.
            self._db = open_reader(self._path, MEMBERS, older=True)
        return self._db


class MemberStore:
    """The SQLite file of members and card links; `key` is the organisation's secret for card hashes and duplicate tags.

    Several processes may write it, one transaction at a time. Every method raises JournalError where the file cannot be
    read or written.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._db = open_writer(path, MEMBERS)
        self.card_key = derived(key, "cards of stations 1")
        """The key with which remote stations hash cards; it reveals no other secret of the organisation."""
        with faults_of(path):
            self._db.execute("PRAGMA secure_delete=ON")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, identity: str, *, kind: Kind = "EV") -> Enrolment | None:
        """Register a person as NEW with a new id; return the same enrolment until it is activated, None after that.

        A repeat with the same identity after a crash therefore creates no second member.
        """
        tag = duplicate_tag(self._key, identity)
        with self._writing():
            known = one(self._db, "SELECT member_id, salt, status FROM members WHERE dup_tag = ?", (tag,))
            if known is None:
                known = (new_member_id(), new_salt(), MemberStatus.NEW)
                self._db.execute(
                    "INSERT INTO members (member_id, salt, status, dup_tag) VALUES (?, ?, ?, ?)",
                    (*known, tag),
                )
        member_id, salt, status = known
        if status != MemberStatus.NEW:
            return None
        assert isinstance(salt, bytes)
        return Enrolment(
            member_id=str(member_id), kind=kind, commitment=commitment(salt, identity), dup_tag=tag
        )

    def set_status(self, member_id: str, status: MemberStatus) -> bool:
        """Set the status of the ledger; LEFT deletes salt, tag, cards and personal data. False: no such member."""
        with self._writing():
            changed = self._db.execute(
                "UPDATE members SET status = ? WHERE member_id = ? AND status != 'LEFT'", (status, member_id)
            ).rowcount
            if changed and status is MemberStatus.LEFT:
                self._db.execute(
                    "UPDATE members SET salt = NULL, dup_tag = NULL WHERE member_id = ?", (member_id,)
                )
                self._db.execute("DELETE FROM links WHERE member_id = ?", (member_id,))
                self._db.execute("DELETE FROM persons WHERE member_id = ?", (member_id,))
        if changed and status is MemberStatus.LEFT:
            self._empty_log()
        return changed == 1

    def link(self, id_token: str, terms: MemberTerms) -> bool:
        """Link a card to a member on these terms, replacing an existing link. False: the member is not active."""
        row = {
            "id_token_hash": self.token_hash(id_token),
            "shared_hash": hash_token(self.card_key, id_token),
            "label": None,
            **asdict(terms),
        }
        with self._writing():
            active = one(
                self._db,
                "SELECT 1 FROM members WHERE member_id = ? AND status = 'ACTIVE'",
                (terms.member_id,),
            )
            if active is not None:
                self._db.table("links").upsert(row, pk="id_token_hash")
        return active is not None

    def unlink(self, id_token: str) -> bool:
        """Remove a card; return False where it is unknown."""
        with self._writing():
            gone = self._db.execute(
                "DELETE FROM links WHERE id_token_hash = ?", (self.token_hash(id_token),)
            ).rowcount
        return gone == 1

    def status(self, member_id: str) -> MemberStatus | None:
        """Return the member's status; None: no such member."""
        with faults_of(self._path):
            row = one(self._db, "SELECT status FROM members WHERE member_id = ?", (member_id,))
        return None if row is None else MemberStatus(str(row[0]))

    def members(self) -> Sequence[Member]:
        """Return all members ordered by id, including those that left."""
        with faults_of(self._path):
            rows = self._db.execute(
                "SELECT member_id, status, count(id_token_hash) FROM members LEFT JOIN links USING (member_id)"
                " GROUP BY member_id ORDER BY member_id"
            ).fetchall()
        return [Member(member_id=row[0], status=MemberStatus(row[1]), cards=row[2]) for row in rows]

    def links(self) -> Mapping[str, MemberTerms]:
        """Return the terms of active members by card hash."""
        return _links(self._db, self._path)

    def shared_links(self) -> Mapping[str, MemberTerms]:
        """Return the terms of active members by the card hash of remote stations, under `card_key`."""
        return _links(self._db, self._path, name="shared_hash")

    def token_hash(self, id_token: str) -> str:
        """Return the keyed hash under which an idToken is stored."""
        return hash_token(self._key, id_token)

    def _empty_log(self) -> None:
        """Truncate the WAL, so that it keeps no deleted data; while a reader prevents it, the next call does."""
        with faults_of(self._path):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Run the block in one transaction that holds the write lock from its first read; roll back on an exception."""
        with faults_of(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()
                raise


def _links(db: Database, path: Path, *, name: str = "id_token_hash") -> dict[str, MemberTerms]:
    with faults_of(path):
        rows = db.execute(
            f"SELECT {name}, {TERMS} FROM links JOIN members USING (member_id)"  # noqa: S608 - our own names
            f" WHERE status = 'ACTIVE' AND {name} IS NOT NULL ORDER BY {name}"
        ).fetchall()
    return {row[0]: terms_of(row[1:]) for row in rows}


def terms_of(row: Sequence[object]) -> MemberTerms:
    """Return the terms in a row of the columns `TERMS`."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["accept_retail"], values["sells"] = bool(values["accept_retail"]), bool(values["sells"])
    return MemberTerms(**values)  # type: ignore[arg-type]  # the schema is STRICT
