"""Backups of all stores: one bundle made beside the processes, opened by keys that lie apart, put back whole or not at all."""

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from edgegw.common.errors import JournalError
from edgegw.representative.encryption import derived
from edgegw.representative.exchange_store import ExchangeStore
from edgegw.representative.logins import LoginStore
from edgegw.store import backups, bundles
from edgegw.store.bundles import all_backups, make_bundle, put_back_bundle
from edgegw.store.journal import SqliteJournal
from edgegw.store.replacement import REPLACED
from edgegw.store.security_profiles import ChargerProfiles
from tests.support.station_stores import (
    ELSEWHERE,
    MEMBERS_KEY,
    STATION_KEY,
    Home,
    deal,
    enter,
)
from tests.unit.test_store_backups import numbers, write

CARD_KEY = "ab" * 32


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.fill(1)
    return home


def test_a_bundle_holds_every_store_and_no_key(home: Home) -> None:
    """All stores, and in no byte of them a key; the answer and the manifest name the key files that lie apart."""
    answer = home.run("backup", "--json")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert set(told["stores"]) == {
        "station.db", "exchange.db", "members.db", "chargers.db", "operator.password"
    }  # fmt: skip
    assert told["keys_apart"] == {
        "station": str(home.folder / "station.key"),
        "members": str(home.folder / "members.key"),
    }
    assert str(home.config) in told["also_apart"]
    assert str(home.folder / "crypto/EVUserMSP/gateway1") in told["also_apart"]
    bundle = Path(told["backup"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert [manifest["files"][name]["key"] for name in ("station.db", "members.db")] == ["station", "members"]
    content = b"".join(file.read_bytes() for file in bundle.iterdir())
    for key in (STATION_KEY, MEMBERS_KEY, derived(MEMBERS_KEY, "personal data 1")):
        assert key not in content
        assert key.hex().encode() not in content
    assert b"argon2id$of day" not in content, "the operator's file is sealed"
    assert {file.stat().st_mode & 0o777 for file in bundle.iterdir()} == {0o600}
    assert [row["holds"] for row in json.loads(home.run("list", "--json").stdout)] == ["all stores"]


def test_a_backup_beside_all_processes_writes_to_none_of_their_files(home: Home) -> None:
    """While gateway, representative and exchange hold their stores open, a bundle has what is only in their logs."""
    members, exchange = home.members(), ExchangeStore(home.folder / "money" / "exchange.db")
    journal = SqliteJournal(home.folder / "var" / "station.db")
    exchange.put(deal(enter(members, 9), 9))
    before = home.files()
    assert {name for name in before if name.endswith("-wal")} >= {
        "var/members.db-wal",
        "money/exchange.db-wal",
    }
    bundle = make_bundle(home.stores, kept=3)
    after = {name: content for name, content in home.files().items() if "backups" not in name}
    assert after == before
    for store in (members, exchange, journal):
        store.close()
    put_back_bundle(bundle, home.stores)
    assert home.state()["names"] == ["Ann 1", "Ann 9"]
    assert home.state()["deals"] == ["q1", "q9"]


def test_what_a_store_refers_to_is_in_the_same_bundle(home: Home) -> None:
    """While members join and exchange, every exchange of a bundle is of a member of that bundle."""
    stop, seen = threading.Event(), set()

    def join() -> None:
        members, exchange = home.members(), ExchangeStore(home.folder / "money" / "exchange.db")
        for number in itertools.count(10):
            if stop.is_set():
                break
            exchange.put(deal(enter(members, number), number))
        members.close()
        exchange.close()

    joining = threading.Thread(target=join)
    joining.start()
    try:
        for _ in range(12):
            bundle = make_bundle(home.stores, kept=2)
            with closing(sqlite3.connect(bundle / "exchange.db")) as db:
                db.execute("ATTACH ? AS m", (str(bundle / "members.db"),))
                query = "SELECT count(*) FROM deals WHERE member_id NOT IN (SELECT member_id FROM m.members)"
                assert db.execute(query).fetchone() == (0,)
                seen.add(db.execute("SELECT count(*) FROM deals").fetchone())
    finally:
        stop.set()
        joining.join()
    assert len(seen) > 1, "nobody joined meanwhile"
    assert len(all_backups(home.stores.journal)) == 2


def test_a_restore_brings_all_stores_back_together(home: Home) -> None:
    """Every store is what it was; what was replaced lies aside whole; the gateway is asked to reconcile."""
    before = home.state()
    bundle = json.loads(home.run("backup", "--json").stdout)["backup"]
    home.fill(2)
    newest = home.state()
    answer = home.run("restore", "--yes", "--json", bundle)
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert home.state() == before
    assert ChargerProfiles(home.folder / "var" / "chargers.db").highest("CP-1") == 2, "a profile only rises"
    stamp = Path(told["replaced"]).name
    assert set(told["replaced_elsewhere"]) == {
        str(home.folder / REPLACED / stamp), str(home.folder / "money" / REPLACED / stamp)
    }  # fmt: skip
    aside = home.folder / "var" / REPLACED / stamp
    assert len(numbers(aside / "station.db")) == newest["facts"]
    members = LoginStore(aside / "members.db", MEMBERS_KEY)
    assert len(members.members()) == 2
    members.close()
    assert (home.folder / REPLACED / stamp / "operator.password").read_text() == newest["password"]
    for name in ("var/station.db", "var/members.db", "money/exchange.db", "operator.password"):
        assert (home.folder / name).stat().st_mode & 0o777 == 0o600
    assert not [name for name in home.files() if name.endswith((".new", ".restoring", ".part"))]
    journal = SqliteJournal(home.folder / "var" / "station.db")
    assert json.loads(journal.rows("restores/")["restores/journal"])["source"] == Path(bundle).name
    journal.close()


@pytest.mark.parametrize("name", ["station.key", "members.key"])
def test_a_key_that_does_not_open_the_bundle_stops_before_anything_moves(home: Home, name: str) -> None:
    """EGW-5006 for another key and for none, at restore and in the list; every file is as it was. So for a backup."""
    bundle = json.loads(home.run("backup", "--json").stdout)["backup"]
    home.fill(2)
    right = (home.folder / name).read_text()
    for wrong in ("cd" * 32, None):
        if wrong is None:
            (home.folder / name).unlink()
        else:
            (home.folder / name).write_text(wrong)
        before = home.files()
        answer = home.run("restore", "--yes", bundle)
        assert (answer.exit_code, "EGW-5006" in answer.stderr) == (75, True), answer.output
        assert str(home.folder / name) in answer.stderr
        listed = json.loads(home.run("list", "--json").stdout)
        assert [row["verified"] for row in listed] == [False]
        assert "EGW-5006" in listed[0]["fault"]
        if wrong is None or name == "members.key":  # a first station.key has sealed nothing yet
            assert "EGW-5006" in home.run("backup").stderr
        assert home.files() == before
    assert home.run("backup", "--journal-only").exit_code == 0
    assert home.run("restore", "--yes", f"{bundle}/station.db").exit_code == 0, (
        "the journal alone needs no key"
    )
    (home.folder / name).write_text(right)
    (home.folder / name).chmod(0o600)
    assert home.run("restore", "--yes", bundle).exit_code == 0


def test_a_value_of_the_store_is_opened_whatever_the_manifest_says(home: Home) -> None:
    """With a fingerprint that fits and a store sealed under another key, the restore is refused."""
    bundle = make_bundle(home.stores, kept=3)
    (home.folder / "members.key").write_text("cd" * 32)
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["keys"]["members"]["fingerprint"] = home.stores.keys["members"].fingerprint
    path.write_text(json.dumps(manifest))
    with pytest.raises(JournalError, match=r"EGW-5006.*sealed under another key"):
        put_back_bundle(bundle, home.stores)


def test_an_altered_row_is_found(home: Home) -> None:
    """A value changed by SQLite's own means leaves a sound database: the manifest's hash finds it."""
    bundle = make_bundle(home.stores, kept=3)
    with closing(sqlite3.connect(bundle / "exchange.db")) as db, db:
        db.execute("UPDATE deals SET won = 1000000")
    with pytest.raises(JournalError, match=r"exchange.db: differs from manifest.json"):
        put_back_bundle(bundle, home.stores)
    assert [row["verified"] for row in json.loads(home.run("list", "--json").stdout)] == [False]


def test_a_damaged_bundle_is_not_put_back(home: Home) -> None:
    """A flipped byte, a cut or a lost file, anywhere in it: refused before anything moves."""
    good = make_bundle(home.stores, kept=3)
    files = [file.name for file in good.iterdir()]
    before = home.state()
    for name, damage in itertools.product(files, ("flip", "cut", "lose")):
        bundle = home.folder / "copy.bundle"
        shutil.copytree(good, bundle)
        content = (bundle / name).read_bytes()
        if damage == "flip":
            (bundle / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
        elif damage == "cut":
            (bundle / name).write_bytes(content[: len(content) // 2])
        else:
            (bundle / name).unlink()
        answer = home.run("restore", "--yes", str(bundle))
        assert answer.exit_code == 75, (name, damage, answer.output)
        assert not (home.folder / "var" / REPLACED).exists()
        shutil.rmtree(bundle)
    assert home.state() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"station_id": "S-2"}, "is of the station S-2"),
        ({"format": 2}, "EGW-5002"),
        ({"files": {"new.db": {"bytes": 1, "sha256": "", "key": None}}}, "no place for new.db"),
        ({"files": {}}, "no station.db"),
        ({"keys": {"new": {"file": "x", "fingerprint": ""}}}, "names no key 'new'"),
        ({"keys": 1}, "damaged"),
    ],
)
def test_a_bundle_that_is_not_of_this_configuration_is_refused(
    home: Home, change: dict[str, object], said: str
) -> None:
    """Another station's, a newer format's, one with a store or key that the configuration does not name."""
    bundle = make_bundle(home.stores, kept=3)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | change))
    answer = home.run("restore", "--yes", str(bundle))
    assert (answer.exit_code, said in answer.stderr) == (75, True), answer.output


def test_a_store_that_a_process_has_open_is_not_replaced(home: Home) -> None:
    """EGW-5003 while a representative of its own has the members' store open, though the gateway does not run."""
    bundle = make_bundle(home.stores, kept=3)
    script = """
import sys
from pathlib import Path
from edgegw.representative.members import MemberStore
store = MemberStore(Path(sys.argv[1]), bytes(32))
print(store.members()[0].status, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.folder / "var" / "members.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as user:  # fmt: skip
        assert user.stdout is not None
        assert user.stdout.readline() == "NEW\n"
        answer = home.run("restore", "--yes", str(bundle))
        assert user.stdin is not None
        user.stdin.close()
    assert (answer.exit_code, "EGW-5003" in answer.stderr) == (75, True), answer.output
    assert "members.db" in answer.stderr
    assert not (home.folder / "var" / REPLACED).exists()
    assert home.run("restore", "--yes", str(bundle)).exit_code == 0


def test_a_full_disk_is_said_to_be_full(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """EGW-5004 where the room is short before the copy, and where it ends during the copy."""
    room = os.statvfs(home.folder)

    class Short:
        f_bavail, f_frsize = 10, room.f_frsize

    calls = itertools.count(1)

    def sync(_descriptor: int) -> None:
        if next(calls) == 6:
            raise OSError(28, "No space left on device")

    for name, instead in (("statvfs", lambda _path: Short), ("fsync", sync)):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, instead)
            with pytest.raises(JournalError, match="EGW-5004"):
                make_bundle(home.stores, kept=1)
    assert list((home.folder / "var" / "backups").iterdir()) == []


def test_no_bundle_is_made_of_stores_that_are_half_restored(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EGW-5005 after an interrupted restore; a bundle during which a restore came and went does not count."""
    bundle, stores = make_bundle(home.stores, kept=3), home.stores
    marker = home.folder / "var" / "station.db.restoring"
    marker.touch()
    with pytest.raises(JournalError, match="EGW-5005"):
        make_bundle(stores, kept=3)
    marker.unlink()
    fill = bundles._fill

    def restoring(part: Path, stores: bundles.Stores) -> None:
        put_back_bundle(bundle, stores)
        fill(part, stores)

    monkeypatch.setattr(bundles, "_fill", restoring)
    with pytest.raises(JournalError, match="was restored meanwhile"):
        make_bundle(stores, kept=3)
    assert all_backups(stores.journal) == [bundle]


def test_a_killed_backup_is_swept_and_two_at_once_are_refused(home: Home) -> None:
    """What a killed process left goes with the next bundle, and never while another makes it."""
    make_bundle(home.stores, kept=3)
    folder = home.folder / "var" / "backups"
    (folder / ".station-v1-20260101T000000000000Z.bundle.part").mkdir()
    with bundles._alone(folder), pytest.raises(JournalError, match="EGW-5003"):
        make_bundle(home.stores, kept=3)
    assert len(list(folder.glob(".*"))) == 1
    make_bundle(home.stores, kept=3)
    assert list(folder.glob(".*")) == []


def test_bundles_and_copies_of_the_journal_share_one_count(home: Home) -> None:
    """The oldest give way, of whichever kind; an old copy of the journal alone is listed and restored as before."""
    alone = backups.make_backup(home.stores.journal, kept=5)
    home.fill(2)
    made = [make_bundle(home.stores, kept=2) for _ in range(2)]
    assert all_backups(home.stores.journal) == made[::-1]
    assert not alone.exists()
    alone = backups.make_backup(home.stores.journal, kept=5)
    home.fill(3)
    before = home.state()
    answer = home.run("restore", "--yes", "--json", str(alone))
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["stores"] == ["station.db"]
    assert home.state() == before | {"facts": 2}


def test_a_damaged_profile_store_is_replaced_and_an_absent_store_stays_absent(home: Home) -> None:
    """A sound file of security profiles stays; a damaged one gives way. A store that the bundle lacks is not touched."""
    shutil.rmtree(home.folder / "money")
    bundle = make_bundle(home.stores, kept=3)
    assert bundles.read_manifest(bundle).absent == ["exchange.db"]
    home.fill(2)
    chargers = home.folder / "var" / "chargers.db"
    for name in ("chargers.db-wal", "chargers.db-shm"):
        chargers.with_name(name).unlink(missing_ok=True)
    chargers.write_text("no database, but long enough to be taken for one" * 20)
    put_back_bundle(bundle, home.stores)
    assert ChargerProfiles(chargers).highest("CP-1") == 1
    assert home.state()["deals"] == ["q2"]


def test_a_station_without_its_own_representative_keeps_its_cards(tmp_path: Path) -> None:
    """The links that the representative gave are sealed in a bundle, with their key, and come back byte for byte."""
    home = Home(tmp_path, ELSEWHERE)
    (tmp_path / "var").mkdir()
    write(tmp_path / "var" / "station.db", 1)
    cards = tmp_path / "var" / "cards.json"
    text = json.dumps({"$": "CardLinks", "version": "1", "key": CARD_KEY, "links": {}})
    cards.write_text(text)
    bundle = make_bundle(home.stores, kept=3)
    assert set(home.stores.keys) == {"station"}
    assert CARD_KEY.encode() not in (bundle / "cards.json").read_bytes()
    cards.unlink()
    put_back_bundle(bundle, home.stores)
    assert cards.read_text() == text
    cards.write_text("{}")
    with pytest.raises(JournalError, match="links of cards"):
        make_bundle(home.stores, kept=3)


def test_on_a_new_machine_all_stores_come_from_the_bundle(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With the configuration, the keys and a bundle, an empty data folder becomes the station."""
    bundle = make_bundle(home.stores, kept=3)
    machine = Home(tmp_path_factory.mktemp("machine"))
    (machine.folder / "var").mkdir()
    assert put_back_bundle(bundle, machine.stores) == []
    assert machine.state() == home.state()
    assert ChargerProfiles(machine.folder / "var" / "chargers.db").highest("CP-1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own files for another user")
def test_what_root_makes_belongs_to_the_service(home: Home) -> None:
    """`sudo edgegw db backup` and `restore` leave nothing that the service's own user could not read or write."""
    for file in (home.folder, *home.folder.rglob("*")):
        os.chown(file, 12_345, 12_345)
    bundle = make_bundle(home.stores, kept=3)
    put_back_bundle(bundle, home.stores)
    strange = [file for file in home.folder.rglob("*") if file.stat().st_uid != 12_345]
    assert strange == []


def test_a_journal_is_needed(home: Home) -> None:
    """Without a journal there is nothing to back up, and the message says so."""
    (home.folder / "var" / "station.db").unlink()
    assert "there is no station journal here" in home.run("backup").stderr
