"""The daemon with synchronous=NORMAL: the control of the power cut test. It must lose what it has answered.

`python -m tests.support.normal_daemon run …` is `edgegw run …` but for that pragma, set after the daemon's own check of it.
"""

from pathlib import Path

from sqlite_utils import Database

from edgegw.cli import main
from edgegw.common import sqlite

_make_durable = sqlite._make_durable


def relaxed(db: Database, path: Path) -> None:
    """As the daemon does it, and then not."""
    _make_durable(db, path)
    db.execute("PRAGMA synchronous=NORMAL")


if __name__ == "__main__":
    sqlite._make_durable = relaxed
    main(prog_name="edgegw")
