"""Examine, back up and restore the journal.

Decides what makes a copy sound, and what a restored journal records for the gateway. Never writes to a file in use;
`store.replacement` decides the order in which files are moved.
Source: docs/data.md, Backups and migrations, Restore.
"""

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edgegw.common.sqlite import (
    Backups,
    back_up,
    check,
    copy_durably,
    faults_of,
    give_to_owner_of,
    one,
    open_reader,
    pragma,
)
from edgegw.store.hash_chain import broken_seq, require_chain
from edgegw.store.migrations import JOURNAL
from edgegw.store.replacement import Replacement, files_of, fresh_path, replace_all, stopped

RESTORE_ROW = "restores/journal"  # `core.state.Restore`; the first step after the restore removes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The content of a journal or of a copy; `broken_seq` is the first altered fact, or None."""

    size_bytes: int
    schema_version: int
    facts: int
    last_fact_ns: int | None
    broken_seq: int | None


def examine(path: Path) -> Examined:
    """Read a whole journal of this or an older schema, even while it is in use; raise JournalError."""
    with closing(open_reader(path, JOURNAL, older=True)) as db, faults_of(path):
        version = pragma(db, "user_version")
        last = one(db, "SELECT seq, body FROM facts ORDER BY seq DESC LIMIT 1")
        broken = broken_seq(db)
    assert isinstance(version, int)
    seq, body = last or (0, "{}")
    assert isinstance(seq, int)
    assert isinstance(body, str)
    return Examined(
        size_bytes=sum(file.stat().st_size for file in files_of(path)),
        schema_version=version,
        facts=seq,
        last_fact_ns=json.loads(body).get("at_ns"),
        broken_seq=broken,
    )


def make_backup(path: Path, *, kept: int) -> Path:
    """Make a verified copy in `backups/` beside a running gateway, and keep the newest `kept`; raise JournalError."""
    return back_up(path, JOURNAL, Backups(kept=kept, verify=require_chain))


def require_sound(path: Path) -> None:
    """Raise JournalError if a copy has a newer schema, is damaged, or its hash chain is broken."""
    check(path, JOURNAL, require_chain)


def put_back(path: Path, source: Path) -> Path | None:
    """Replace the journal by a copy of `source`, and record in it that the gateway must reconcile first.

    Returns the folder with the replaced files, or None if there were none. Raises JournalError if the gateway runs
    (EGW-5003) or the source is not sound; the journal is then unchanged.
    """
    with stopped(path):
        require_sound(source)
        aside = replace_all(path, [Replacement(target=path, fresh=fresh_journal(path, source, source.name))])
    return aside[0] if aside else None


def fresh_journal(path: Path, source: Path, name: str) -> Path:
    """A verified copy of `source` beside the journal, with the note that asks the gateway to reconcile.

    `name`: of the backup, for the note.
    """
    fresh = fresh_path(path)
    copy_durably(source, fresh, schema=JOURNAL, verify=require_chain)
    with faults_of(fresh):
        give_to_owner_of(path.parent, fresh)
        _note_restore(fresh, name)
    return fresh


def _note_restore(fresh: Path, name: str) -> None:
    row = json.dumps({"source": name, "at_ns": time.time_ns()}, separators=(",", ":"))
    with closing(sqlite3.connect(fresh)) as db, db:
        db.execute(
            "INSERT INTO rows VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            (RESTORE_ROW, row),
        )
