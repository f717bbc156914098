"""Writes the files of a station: secrets of mode 0600, atomic replacement, and ownership by the daemon's user.

Decides modes and owners, never contents. On an installed system the daemon has a user of its own; what root creates is
readable to it, and writable only where the daemon writes.
"""

import contextlib
import os
import pwd
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgegw.common.whole_files import WholeFile, write_whole

USER = "edgegw"
SECRET_FILES = ("station.key", "members.key")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all; raises OSError."""
    write_whole(WholeFile(path=path, content=text.encode()))


def write_secrets(folder: Path) -> None:
    """Create the secrets of the station and of the representative; keep existing ones."""
    for name in SECRET_FILES:
        place = folder / name
        if not place.exists() or not place.stat().st_size:  # an empty file is no secret
            write_private(place, secrets.token_hex(32) + "\n")


@contextlib.contextmanager
def replaced(path: Path, text: str, *, owner: "Owner | None" = None) -> Iterator[Path]:
    """Write a temporary file beside `path`; replace `path` with it when the block succeeds, else delete it.

    Its mode is 0640 with the group of `owner`, or 0600 without one.
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
    """Replace a file's text atomically; keep its owner and mode."""
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
        """Return the daemon's user where this process is root and the user exists; else None: files keep their owner."""
        if os.geteuid() != 0:
            return None
        try:
            found = pwd.getpwnam(USER)
        except KeyError:
            return None
        return cls(uid=found.pw_uid, gid=found.pw_gid)

    def take(self, *places: Path) -> None:
        """Make the daemon the owner of these paths and everything below them; modes do not change."""
        for place in places:
            for path in (place, *(place.rglob("*") if place.is_dir() else ())):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may_read(self, *places: Path) -> None:
        """Make these paths readable to the daemon's group; root remains their owner."""
        for place in places:
            os.chown(place, 0, self.gid, follow_symlinks=False)
            place.chmod(0o750 if place.is_dir() else 0o640)
