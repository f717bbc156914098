"""Two processes and a kill: what is committed in a live database stays, however often its own process opens it again."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.fabric.rwset import Version
from edgegw.peer.store import FILE_NAME, StateRow, Store, snapshot
from edgegw.representative.logins import LoginStore
from edgegw.representative.members import MemberStore

KEY = bytes(32)

DAEMON = f"""
import sys
from pathlib import Path
from edgegw.representative.logins import LoginStore
from edgegw.representative.members import MemberReader
path = Path(sys.argv[1])
store = LoginStore(path, {KEY!r})
store.add("first", kind="EV")
links = MemberReader(path)
links.version()
LoginStore(path, {KEY!r})  # a second opening, as a page's sign-up makes one
print("open", flush=True)
sys.stdin.readline()
store.add("last", kind="EV")
print("committed", flush=True)
sys.stdin.readline()
"""

PEER = """
import sys
from pathlib import Path
from edgegw.fabric.rwset import Version
from edgegw.peer.store import StateRow, Store
path = Path(sys.argv[1])
store = Store(path)
def append(number):
    row = StateRow(key=f"key{number}", value=b"value", policy=None, version=Version(number, 0))
    store.append(number, b"raw", outcomes=[(f"tx{number}", 0)], state=[row])
append(0)
Store(path)
print("open", flush=True)
sys.stdin.readline()
append(1)
print("committed", flush=True)
sys.stdin.readline()
"""


class Running:
    """A process that holds a database open, step by step, until it is killed."""

    def __init__(self, script: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.expect("open")

    def expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "members.db"


def test_an_account_survives_a_command_line_and_a_kill(database: Path) -> None:
    """A commit of the daemon survives its kill, although a command opened and closed members.db before."""
    daemon = Running(DAEMON, database)
    try:
        command = MemberStore(database, KEY)
        command.add("by command")
        command.close()
        log = database.with_name(database.name + "-wal")
        assert log.exists(), (
            "the command took itself for the last user and deleted the log of the running daemon"
        )
        daemon.go_on()
        daemon.expect("committed")
    finally:
        daemon.kill()
    with closing(LoginStore(database, KEY)) as store:
        identities = [store.add(identity) for identity in ("first", "by command", "last")]
        assert all(identities)
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("SELECT count(*) FROM members").fetchone() == (3,), (
            "an account had to be entered again"
        )


def test_a_block_survives_a_foreign_reader_and_a_kill(tmp_path: Path) -> None:
    """A block survives the peer's kill, although another program opened and closed its file before."""
    path = tmp_path / FILE_NAME
    peer = Running(PEER, path)
    try:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM block").fetchone() == (1,)
        peer.go_on()
        peer.expect("committed")
    finally:
        peer.kill()
    with snapshot(path) as stored:
        assert stored.height() == 2
        assert [row.key for row in stored.state()] == ["key0", "key1"]
        assert [row.version for row in stored.state()] == [Version(0, 0), Version(1, 0)]
    store = Store(path)
    store.append(
        2, b"raw", outcomes=[], state=[StateRow(key="k", value=b"", policy=None, version=Version(2, 0))]
    )
    store.close()


def test_a_live_database_file_is_never_opened_beside_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither store opens an existing database file except through SQLite."""
    members, chain = tmp_path / "members.db", tmp_path / FILE_NAME
    MemberStore(members, KEY).close()
    Store(chain).close()
    opened: list[str] = []
    real_open = os.open

    def noted(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        descriptor = real_open(path, flags, mode, **more)
        opened.append(os.fspath(path))
        return descriptor

    monkeypatch.setattr(os, "open", noted)
    MemberStore(members, KEY).close()
    Store(chain).close()
    assert opened == []
