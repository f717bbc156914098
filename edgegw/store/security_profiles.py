"""Store the highest OCPP security profile with which each charger has authenticated, in a file beside the journal.

`chargers.admission` refuses a lower profile. Every call opens and closes the file, because calls are rare and a command
may read it while the daemon runs. Blocks; never call it on the event loop.
Source: OCPP 2.1 Part 2 A00.FR.002 and A05 (a profile is raised, and lowered by an operator only).
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from edgegw.common.errors import JournalError
from edgegw.common.sqlite import Schema, faults_of, one, open_writer

CHARGERS_FILE = "chargers.db"  # in the data folder
PROFILES = Schema(
    name="charger profiles",
    application_id=0x45474350,  # "EGCP"
    migrations=(
        """
        CREATE TABLE profiles (
          charger_id TEXT PRIMARY KEY,
          highest    INTEGER NOT NULL CHECK (highest BETWEEN 1 AND 3)
        ) STRICT, WITHOUT ROWID;
        """,
    ),
)


class ChargerProfiles:
    """A `ProfileStore` over one SQLite file. Every method raises JournalError if the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def highest(self, charger_id: str) -> int:
        """Return the highest profile of a charger; 0 if it has never authenticated.

        If the file cannot be opened (on a full disk, which lacks space for SQLite's own files), return the last value
        read.
        """
        try:
            with self._open() as db:
                row = one(db, "SELECT highest FROM profiles WHERE charger_id = ?", (charger_id,))
        except JournalError:
            if charger_id not in self._seen:
                raise
        else:
            self._seen[charger_id] = 0 if row is None else int(str(row[0]))
        return self._seen[charger_id]

    def raise_to(self, charger_id: str, profile: int) -> None:
        """Store a profile; a lower one changes nothing. This process applies it even if the file cannot be written."""
        self._seen[charger_id] = max(profile, self._seen.get(charger_id, 0))
        with self._open() as db:
            db.execute(
                "INSERT INTO profiles VALUES (?, ?) "
                "ON CONFLICT (charger_id) DO UPDATE SET highest = max(highest, excluded.highest)",
                (charger_id, profile),
            )

    def lower(self, charger_id: str) -> None:
        """Delete a charger's profile, so that its next one is accepted (`edgegw charger approve --lower-profile`)."""
        with self._open() as db:
            db.execute("DELETE FROM profiles WHERE charger_id = ?", (charger_id,))
        self._seen[charger_id] = 0

    @contextlib.contextmanager
    def _open(self) -> Iterator[Database]:
        with self._lock, faults_of(self._path):
            db = open_writer(self._path, PROFILES)
            try:
                yield db
            finally:
                db.close()
