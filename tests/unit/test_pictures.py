"""README's pictures are those that the browser tests take, each of them small."""

from pathlib import Path

import pytest

from tests.support.chromium import PICTURED

ROOT = Path(__file__).resolve().parents[2]
BYTES_MAX = 80_000


@pytest.mark.parametrize("name", sorted(PICTURED))
def test_a_picture_is_there_shown_and_small(name: str) -> None:
    """Each picture that the tests take is in docs/pictures (`make pictures`), is shown in README, and has at most 80 kB."""
    place = ROOT / "docs" / "pictures" / f"{name}.webp"
    assert 1_000 < place.stat().st_size <= BYTES_MAX
    assert place.read_bytes()[8:12] == b"WEBP"
    assert f"docs/pictures/{name}.webp" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_other_picture_is_kept() -> None:
    """A picture that no test takes any more is gone."""
    assert {one.stem for one in (ROOT / "docs" / "pictures").iterdir()} == PICTURED
