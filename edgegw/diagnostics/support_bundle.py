"""Writes the support bundle: versions, status, findings, configuration and log, without secrets.

Decides what is left out: passwords and their hashes, and every file with keys, cards or members. Journal entries are
counted by kind, never copied.
"""

import io
import json
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from edgegw import __version__
from edgegw.common.errors import JournalError
from edgegw.config.files import part_folder
from edgegw.config.schema import Config
from edgegw.store.journal_reader import JournalReader

LOG_LINES = 500
_SECRET = re.compile(r"(?m)^(\s*(?:[A-Za-z0-9_]*(?:password|secret|token)[A-Za-z0-9_]*|username)\s*=\s*).*$")
_LONG = re.compile(r"\b[0-9a-fA-F]{32,}\b")


def redacted(text: str) -> str:
    """Return a text without the values of secrets, and with long hexadecimal strings (member ids, hashes) cut."""
    return _LONG.sub(lambda found: f"{found[0][:6]}…", _SECRET.sub(r'\1"…"', text))


def write_bundle(
    output: Path | None,
    config_file: Path,
    config: Config,
    *,
    status: Mapping[str, Any] | None,
    findings: Sequence[Mapping[str, object]],
) -> Path:
    """Write the bundle with mode 0600 and return its path."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = output or Path(f"edgegw-support-{at}.tar.gz")
    parts = {
        "version.txt": f"edgegw {__version__}\n" + "\n".join(_versions()) + "\n",
        "status.json": json.dumps(status, indent=1, sort_keys=True),
        "findings.json": json.dumps(findings, indent=1, sort_keys=True),
        "journal.json": json.dumps(_journal(config), indent=1, sort_keys=True),
        "log.txt": _log(),
        **{f"config/{file.name}": file.read_text() for file in _configuration(config_file)},
    }
    path.touch(mode=0o600)
    path.chmod(0o600)  # also an existing file
    with tarfile.open(path, "w:gz") as archive:
        for name, text in parts.items():
            body = redacted(text).encode()
            entry = tarfile.TarInfo(f"edgegw-support-{at}/{name}")
            entry.size, entry.mtime, entry.mode = len(body), int(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(body))
    return path


def _configuration(config_file: Path) -> list[Path]:
    return [config_file, *sorted(part_folder(config_file).glob("*.toml"))]


def _versions() -> list[str]:
    return sorted(f"{found.name} {found.version}" for found in distributions())


def _journal(config: Config) -> Mapping[str, object]:
    if not config.journal_path.exists():
        return {"present": False}
    reader = JournalReader(config.journal_path)
    try:
        return {"present": True, "bytes": config.journal_path.stat().st_size, "facts": reader.counts()}
    except JournalError as fault:
        return {"present": True, "fault": str(fault)}


def _log() -> str:
    """Return the service's newest log lines from journalctl, where it exists."""
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        return "journalctl is missing: add the log by hand\n"
    command = [journalctl, "-u", "edgegw", "-n", str(LOG_LINES), "-o", "cat", "--no-pager"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words only
    return done.stdout or done.stderr
