"""Define the journal's schema by version. Released scripts are never edited; a change is a new script at the end."""

from edgegw.common.sqlite import Schema

JOURNAL = Schema(
    name="station journal",
    application_id=0x45444757,  # "EDGW"
    migrations=(
        """
        CREATE TABLE facts (
          seq  INTEGER PRIMARY KEY CHECK (seq > 0),  -- 1, 2, 3, … without gaps
          kind TEXT NOT NULL,
          body TEXT NOT NULL,                        -- canonical JSON, integers only
          prev BLOB NOT NULL CHECK (length(prev) = 32),
          sha  BLOB NOT NULL CHECK (length(sha) = 32)
        ) STRICT;
        CREATE INDEX facts_by_kind ON facts (kind, seq);
        CREATE TABLE rows (
          key  TEXT PRIMARY KEY,
          body TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        """,
    ),
)
