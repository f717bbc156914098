"""Files that a station is made of: secrets that only their owner reads, files replaced whole, and whose they are.

Decides modes and owners, never contents. On an installed system the daemon has a user of its own; everything that root
makes for it must be readable to it, and nothing more than it must be writable.
"""

import contextlib
import os
import pwd
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

USER = "edgegw"
SECRET_FILES = ("station.key", "members.key")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.chmod(0o600)  # also one that was there before
    path.write_text(text, encoding="utf-8")


def write_secrets(folder: Path) -> None:
    """Fresh secrets of the station and of the representative; those that are there stay."""
    for name in SECRET_FILES:
        if not (folder / name).exists():
            write_private(folder / name, secrets.token_hex(32) + "\n")


@contextlib.contextmanager
def replaced(path: Path, text: str, *, owner: "Owner | None" = None) -> Iterator[Path]:
    """The text in a file beside `path` for as long as the block lasts; then it takes the place of `path`, or is gone.

    Mode 0640 where the daemon has a group of its own, else 0600.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write_private(partial, text)
        if owner is not None:
            os.chown(partial, 0, owner.gid)
            partial.chmod(0o640)
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def replace_keeping(path: Path, text: str) -> None:
    """Replace a file's text whole; it stays whose it is, with its mode."""
    before = path.stat()
    with replaced(path, text) as partial:
        partial.chmod(before.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(partial, before.st_uid, before.st_gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The daemon's user and group."""

    uid: int
    gid: int

    @classmethod
    def of_daemon(cls) -> "Owner | None":
        """The daemon's own user, where we are root and there is one; else files stay ours."""
        if os.geteuid() != 0:
            return None
        try:
            found = pwd.getpwnam(USER)
        except KeyError:
            return None
        return cls(uid=found.pw_uid, gid=found.pw_gid)

    def take(self, *places: Path) -> None:
        """Everything below these places becomes the daemon's; modes stay."""
        for place in places:
            for path in (place, *(place.rglob("*") if place.is_dir() else ())):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_read(self, *places: Path) -> None:
        """These become readable to the daemon's group, and stay root's."""
        for place in places:
            os.chown(place, 0, self.gid, follow_symlinks=False)
            place.chmod(0o750 if place.is_dir() else 0o640)
