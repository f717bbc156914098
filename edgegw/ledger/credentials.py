"""Key material as files and as credentials of the service manager: who may read a file, where a credential is.

Decides nothing about keys; contents are never logged.
Source: systemd.exec(5), CREDENTIALS.
"""

import os
from pathlib import Path

from edgegw.common.errors import ConfigError

CREDENTIALS = "CREDENTIALS_DIRECTORY"


def check_private(path: Path) -> None:
    """Raises ConfigError where others than the file's owner may read it, OSError where it is not there."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError((f"{path}: mode {mode:04o}, expected 0600: chmod 600 {path}",))


def read_credential(name: str, place: Path) -> bytes:
    """A credential's content; `place` named it. Who may read it is the service manager's affair (it uses access lists)."""
    folder = os.environ.get(CREDENTIALS)
    if folder is None:
        raise ConfigError(
            (
                f"{place}: names a credential, and {CREDENTIALS} is not set: LoadCredential={name}:... in the unit",
            )
        )
    if "/" in name or name in {"", ".", ".."}:
        raise ConfigError((f"{place}: {name!r} is not a credential name",))
    return (Path(folder) / name).read_bytes()
