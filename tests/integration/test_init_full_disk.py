"""`edgegw init` on disks that are too small, for real: a tmpfs of each size, and nothing half made on any of them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.commissioning import authority
from edgegw.config.schema import load, read_secret
from tests.integration.test_full_disk import mounted

ENOUGH_KIB = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose size a test changes (`resized`)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    why_not = mounted(folder, f"{ENOUGH_KIB}k")
    if why_not:
        pytest.skip(why_not)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def resized(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(disk)], check=True)


def init(folder: Path) -> Result:
    return CliRunner().invoke(main, ["init", "--dir", str(folder), "--sandbox", "--yes", "--json"])


def test_a_full_disk_during_init_leaves_nothing_half_made(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk of any size init ends with a whole station, or says that the disk is full and leaves it as it was."""
    monkeypatch.setattr(authority, "AUTHORITY_RSA_BITS", 2048)  # only for speed
    whole = small_disk / "station"
    assert init(whole).exit_code == 0
    blocks = sum(file.stat().st_blocks for file in whole.rglob("*") if file.is_file()) // 8
    subprocess.run(["rm", "-r", str(whole)], check=True)
    (small_disk / "kept").write_text("of somebody else")
    refused = 0
    for pages in range(3, ENOUGH_KIB // 4, max(1, blocks // 12)):
        resized(small_disk, 4 * pages)
        answer = init(whole / "below")
        if answer.exit_code == 0:
            break
        refused += 1
        assert answer.exit_code == 1, answer.output
        assert "No space left on device" in answer.stderr
        assert "run edgegw init again" in answer.stderr
        assert [path.name for path in small_disk.iterdir()] == ["kept"], answer.stderr
    assert refused > 5
    assert read_secret(load(whole / "below" / "edgegw.toml").station.key_file)


def test_a_full_disk_during_a_reissue_keeps_the_old_pairs(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New server certificates replace the old ones all at once: on a full disk each key still fits its certificate."""
    monkeypatch.setattr(authority, "AUTHORITY_RSA_BITS", 2048)
    assert init(small_disk).exit_code == 0
    tls = {path.name: path.read_bytes() for path in (small_disk / "tls").iterdir()}
    room = os.statvfs(small_disk)
    with (small_disk / "filler").open("wb") as filler:
        # Two of the four files fit.
        os.posix_fallocate(filler.fileno(), 0, (room.f_bavail - 2) * room.f_frsize)
    answer = CliRunner().invoke(main, ["init", "--dir", str(small_disk), "--reissue"])
    assert answer.exit_code == 1, answer.output
    assert {path.name: path.read_bytes() for path in (small_disk / "tls").iterdir()} == tls
    (small_disk / "filler").unlink()
    assert CliRunner().invoke(main, ["init", "--dir", str(small_disk), "--reissue"]).exit_code == 0
    assert (small_disk / "tls" / "ecdsa.pem").read_bytes() != tls["ecdsa.pem"]
