"""Compute and verify the hash chain over the journal's facts.

Changing, removing or moving a fact breaks the chain from there on. Facts removed at the end leave a shorter, valid
chain; only comparison with a hash stored elsewhere shows that. Never repairs.
"""

import hashlib
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.errors import JournalError
from edgegw.common.sqlite import faults_of, one, open_reader
from edgegw.store.migrations import JOURNAL

GENESIS = bytes(32)


def link(prev: bytes, seq: int, *, kind: str, body: str) -> bytes:
    """Return the SHA-256 over prev (32 bytes), seq (8 bytes, big-endian), kind, a zero byte, body."""
    return hashlib.sha256(prev + seq.to_bytes(8) + kind.encode() + b"\0" + body.encode()).digest()


def verify_chain(path: Path) -> int | None:
    """Return the first seq whose link is broken, or None; the gateway may be running.

    Raises JournalError if the file cannot be read.
    """
    db = open_reader(path, JOURNAL)
    try:
        with faults_of(path):
            return broken_seq(db)
    finally:
        db.close()


def require_chain(db: Database) -> None:
    """Raise JournalError if the chain is broken anywhere."""
    broken = broken_seq(db)
    if broken is not None:
        raise JournalError(f"fact {broken} was altered")


def broken_seq(db: Database, *, after_seq: int = 0) -> int | None:
    """Return the first broken seq after `after_seq`, whose own hash is trusted, or None."""
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
