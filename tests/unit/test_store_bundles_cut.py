"""Backups of all stores that are cut short at each of their file system calls: whole, or not there, or said to be unfinished."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.errors import JournalError
from edgegw.store import bundles
from edgegw.store.bundles import make_bundle, put_back_bundle
from edgegw.store.journal import SqliteJournal
from tests.support.station_stores import Home, enter, names
from tests.unit.test_store_backups import PowerCutError, numbers


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.fill(1)
    return home


def cut_at(cut: int, monkeypatch: pytest.MonkeyPatch, run: Any, fault: BaseException) -> bool:
    """Run, but for the `cut`-th call that changes or syncs something, which fails; False where it got through."""
    calls = itertools.count(1)

    def cut_in(wrapped: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            if next(calls) == cut:
                raise fault
            return wrapped(*arguments, **more)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut_in(os.fsync))
        for name in ("rename", "replace", "unlink", "mkdir"):
            patched.setattr(Path, name, cut_in(getattr(Path, name)))
        try:
            run()
        except (PowerCutError, JournalError, OSError):
            return True
    return False


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is a file system in memory: for many copies of a station."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else tmp_path) as folder:
        yield Path(folder)


def test_a_restore_that_is_cut_short_is_never_half(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut at each of its file system calls: all stores old, or all new, or EGW-5005 until it is done again."""
    (memory / "model").mkdir()
    model = Home(memory / "model")
    model.fill(1)
    old_state = model.state()
    bundle = make_bundle(model.stores, kept=3)
    model.fill(2)
    new_state = model.state() | {"names": ["Ann 1", "Ann 2", "Ann 3"]}
    model.leave_log(3)
    outcomes = {"old": 0, "restored": 0, "refused": 0}
    for cut in itertools.count(1):
        folder = memory / f"cut{cut}"
        shutil.copytree(model.folder, folder)
        home, copy = Home(folder), folder / bundle.relative_to(model.folder)
        stores = home.stores
        if not cut_at(cut, monkeypatch, lambda: put_back_bundle(copy, stores), PowerCutError()):  # noqa: B023 - run at once
            break
        entered: list[str] = []
        if (folder / "var" / "station.db.restoring").exists():
            outcomes["refused"] += 1
            with pytest.raises(JournalError, match="EGW-5005"):
                SqliteJournal(folder / "var" / "station.db")
            members = home.members()  # as `edgegw member add` may, though the gateway waits
            enter(members, 4)
            members.close()
            entered = ["Ann 4"]
        else:
            state = home.state()
            assert state in (old_state, new_state), cut
            outcomes["restored" if state == old_state else "old"] += 1
        put_back_bundle(copy, stores)
        assert home.state() == old_state, cut
        aside = [len(numbers(found)) for found in folder.glob("var/replaced/*/station.db")]
        assert new_state["facts"] in aside, "what was replaced is kept"
        kept = set().union(*map(names, folder.glob("var/replaced/*/members.db")))
        assert kept >= {"Ann 1", "Ann 2", "Ann 3", *entered}, cut
    assert cut > 30
    assert all(outcomes.values()), outcomes
    assert outcomes["refused"] > 8


def test_a_restore_that_fails_before_names_change_leaves_nothing(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at any call up to the marker: every file is as it was, and no new one lies beside it."""
    (memory / "model").mkdir()
    model = Home(memory / "model")
    model.fill(1)
    bundle = make_bundle(model.stores, kept=3)
    model.fill(2)
    for cut in itertools.count(1):
        home = Home(shutil.copytree(model.folder, memory / f"cut{cut}"))
        before, full = home.files(), OSError(28, "No space left on device")
        copy, stores = home.folder / bundle.relative_to(model.folder), home.stores
        assert cut_at(cut, monkeypatch, lambda: put_back_bundle(copy, stores), full)  # noqa: B023 - run at once
        if (home.folder / "var" / "station.db.restoring").exists():
            break
        left = {name for name in home.files().keys() - before.keys() if not name.endswith(".restoring.part")}
        assert {name for name in left if "new" in name} == set(), cut
        assert before.items() <= home.files().items(), cut
    assert cut > 10


def test_a_backup_that_fails_leaves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk at each of its file system calls: no bundle, nothing of it, and the older ones stay."""
    stores = home.stores
    first = make_bundle(stores, kept=1)
    backups_folder = first.parent
    for cut in itertools.count(1):
        full = OSError(28, "No space left on device")
        if not cut_at(cut, monkeypatch, lambda: make_bundle(stores, kept=1), full):
            break
        left = list(backups_folder.iterdir())
        whole = [path for path in left if not path.name.startswith(".")]
        assert whole, cut
        for path in whole:
            bundles.require_sound_bundle(path, stores)
    assert cut > 15
    assert [path.name for path in backups_folder.iterdir() if path.name.startswith(".")] == []
