"""Check the file mode of key material, and read credentials that systemd passes to the service.

Never logs contents.
Source: systemd.exec(5), CREDENTIALS.
"""

import os
from pathlib import Path

from edgegw.common.errors import ConfigError

CREDENTIALS = "CREDENTIALS_DIRECTORY"


def check_private(path: Path) -> None:
    """Raise ConfigError if anyone but the file's owner has access to it, OSError if it does not exist."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError((f"{path}: mode {mode:04o}, expected 0600: chmod 600 {path}",))


def read_credential(name: str, place: Path) -> bytes:
    """Return a credential's content; `place`, the file that names it, appears in errors.

    The mode is not checked, because systemd protects credentials with access control lists.
    """
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
