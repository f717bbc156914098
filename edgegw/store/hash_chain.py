"""The hash chain over the journal's facts: whoever changes, drops or moves one breaks every hash after it.

Decides whether facts hang together. Never repairs. Facts cut off at the end leave a shorter, valid chain: that is
seen only against a hash kept elsewhere.
"""

import hashlib
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.errors import JournalError
from edgegw.common.sqlite import faults_of, one, open_reader
from edgegw.store.migrations import JOURNAL

GENESIS = bytes(32)


def link(prev: bytes, seq: int, *, kind: str, body: str) -> bytes:
    """SHA-256 over prev (32 bytes), seq (8 bytes, big-endian), kind, a zero byte, body."""
    return hashlib.sha256(prev + seq.to_bytes(8) + kind.encode() + b"\0" + body.encode()).digest()


def verify_chain(path: Path) -> int | None:
    """First seq that does not follow from the one before it, or None. Reads beside the running gateway.

    Raises JournalError when the file cannot be read at all.
    """
    db = open_reader(path, JOURNAL)
    try:
        with faults_of(path):
            return broken_seq(db)
    finally:
        db.close()


def require_chain(db: Database) -> None:
    """Raise JournalError where the facts do not hang together, from the first to the last."""
    broken = broken_seq(db)
    if broken is not None:
        raise JournalError(f"fact {broken} was altered")


def broken_seq(db: Database, *, after_seq: int = 0) -> int | None:
    """First broken seq above `after_seq`, whose own hash is trusted."""
    anchor = one(db, "SELECT sha FROM facts WHERE seq = ?", (after_seq,)) if after_seq else (GENESIS,)
    if anchor is None:
        return after_seq
    prev, expected = anchor[0], after_seq + 1
    assert isinstance(prev, bytes)
    for seq, kind, body, stored_prev, sha in db.execute(
        "SELECT seq, kind, body, prev, sha FROM facts WHERE seq > ? ORDER BY seq", (after_seq,)
    ):
        if (seq, stored_prev) != (expected, prev) or sha != link(prev, seq, kind=kind, body=body):
            return expected
        prev, expected = sha, expected + 1
    return None
