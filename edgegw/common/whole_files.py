"""Writes files whole: each has all of its new content on the disk, or is as it was before.

Decides the order: everything is written and synced under hidden names first, and only then do the names change, in the
given order. So a full disk changes none of the files, and a power cut leaves each of them old or new.
Source: POSIX.1-2017, rename(), fsync().
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from edgegw.common.sqlite import sync_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """A file to write; `content` may be a secret."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = 0o600


def write_whole(*files: WholeFile) -> None:
    """Write the files, or none of them. Raises OSError; no hidden file is left then."""
    parts = {file.path.with_name(f".{file.path.name}.part"): file for file in files}
    try:
        for part, file in parts.items():
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "wb") as stream:
                stream.write(file.content)
                stream.flush()
                os.fsync(stream.fileno())
        for part, file in parts.items():
            part.replace(file.path)
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise
    for folder in dict.fromkeys(file.path.parent for file in files):
        sync_folder(folder)
