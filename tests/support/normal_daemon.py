"""Run the daemon with synchronous=NORMAL, as the control of the power cut test: it must lose what it has answered.

`python -m tests.support.normal_daemon run …` is `edgegw run …` except for that pragma, set after the daemon's check of it.
"""

from pathlib import Path

from sqlite_utils import Database

from edgegw.cli import main
from edgegw.common import sqlite

_make_durable = sqlite._make_durable


def relaxed(db: Database, path: Path) -> None:
    """Prepare the database as the daemon does, then set synchronous=NORMAL."""
    _make_durable(db, path)
    db.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    sqlite._make_durable = relaxed
    main(prog_name="edgegw")
