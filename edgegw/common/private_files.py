"""Creates a database file with mode 0600 and never opens an existing one.

POSIX: closing *any* descriptor of a file drops all fcntl locks that the process holds on it. SQLite uses such locks, so
a program that opens and closes the file of an open database loses them: another process then believes to be the last
user and deletes the write-ahead log with its committed transactions.
Sources: SQLite, "How To Corrupt An SQLite Database File" 2.2; POSIX.1-2017, fcntl().
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

_one_at_a_time = threading.Lock()


def create_private(path: Path) -> None:
    """Create an empty file with mode 0600; an existing file is not opened. Raises OSError.

    Call it before each connection that may create the file: a second thread waits here until the first has closed its
    descriptor, and so holds no lock yet that the close would drop.
    """
    with _one_at_a_time, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
