"""The store of security profiles is durable, only raises a profile, and is lowered only by an operator."""

from pathlib import Path

import pytest

from edgegw.chargers.admission import RememberedProfiles
from edgegw.chargers.settings import ProfileStore
from edgegw.common.errors import JournalError
from edgegw.store.security_profiles import ChargerProfiles


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_profile_only_rises(kind: str, tmp_path: Path) -> None:
    """A profile is 0 at first, and then the highest that was stored, for each charger separately."""
    store: ProfileStore = ChargerProfiles(tmp_path / "c.db") if kind == "file" else RememberedProfiles()
    assert store.highest("A") == 0
    for profile, highest in ((1, 1), (2, 2), (1, 2)):
        store.raise_to("A", profile)
        assert store.highest("A") == highest
    assert store.highest("B") == 0


def test_profiles_outlive_the_process_until_lowered(tmp_path: Path) -> None:
    """Another process reads what was written, and a lowered profile holds for the daemon at once."""
    daemon = ChargerProfiles(tmp_path / "c.db")
    daemon.raise_to("A", 2)
    command = ChargerProfiles(tmp_path / "c.db")
    assert command.highest("A") == 2
    command.lower("A")
    command.lower("A")
    assert daemon.highest("A") == 0
    assert (tmp_path / "c.db").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_forgets_nobody(tmp_path: Path) -> None:
    """If the file cannot be opened, profiles known in this process hold, and an unknown charger is a fault."""
    store = ChargerProfiles(tmp_path / "c.db")
    store.raise_to("TLS", 2)
    assert store.highest("PLAIN") == 0
    (tmp_path / "c.db").unlink()
    (tmp_path / "c.db").mkdir()  # as unusable as on a full disk
    assert (store.highest("TLS"), store.highest("PLAIN")) == (2, 0)
    with pytest.raises(JournalError):
        store.raise_to("PLAIN", 1)
    assert store.highest("PLAIN") == 1
    with pytest.raises(JournalError):
        store.highest("NEW")


def test_a_file_that_is_another_is_refused(tmp_path: Path) -> None:
    """A file of another kind, or with impossible contents, is a fault that names it."""
    (tmp_path / "c.db").write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match=r"c\.db"):
        ChargerProfiles(tmp_path / "c.db").highest("A")
    with pytest.raises(JournalError):
        ChargerProfiles(tmp_path / "d.db").raise_to("A", 9)
