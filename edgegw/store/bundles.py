"""Backups of all stores of a station in one folder: made whole beside the running processes, verified, put back together.

Decides the form of a bundle, and when it counts: each database copied as last committed and read completely, each small
file sealed, a manifest with lengths and hashes, and only then the folder's name. No key is part of a bundle; the manifest
names each key file with a fingerprint, and everything that a key opens is opened before a bundle counts and before a
restore moves a file. Stores are copied in the given order: one that refers to another comes first, so that what it
refers to is in the copy.
Source: docs/data.md, Backups; NIST SP 800-38D (AES-256-GCM), RFC 2104 (HMAC).
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlite_utils import Database

from edgegw.common.error_codes import explained
from edgegw.common.errors import JournalError
from edgegw.common.sqlite import (
    BACKUPS,
    Schema,
    backups_of,
    check,
    copy_durably,
    faults_of,
    give_to_owner_of,
    is_full,
    open_reader,
    pragma,
    require_room,
    sync_folder,
)
from edgegw.common.whole_files import WholeFile, write_whole
from edgegw.store.backups import fresh_journal, put_back
from edgegw.store.journal import UNFINISHED
from edgegw.store.replacement import Replacement, fresh_path, replace_all, stopped

MANIFEST = "manifest.json"
SUFFIX = ".bundle"
FORMAT = 1
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A key that lies apart. `secret` None: the file cannot be read, as `fault` says."""

    path: Path
    secret: bytes | None = field(repr=False)
    fault: str = ""

    @property
    def fingerprint(self) -> str | None:
        """Names the key and says nothing about it."""
        if self.secret is None:
            return None
        return hmac.digest(self.secret, b"edgegw backup key 1", "sha256").hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStore:
    """A SQLite store. `verify` reads a copy; with a key it opens a value, and raises JournalError where that fails."""

    path: Path
    schema: Schema
    verify: Callable[[Database], None]
    key: str | None = None
    keeps_present: bool = False  # a sound file in place is never older than a backup


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A small file with secrets, replaced whole by its writer; sealed in a bundle. `verify` raises JournalError."""

    path: Path
    verify: Callable[[bytes], None]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What a station keeps: the journal first, by the name of each store in a bundle; its keys; what else lies apart."""

    station_id: str
    databases: Mapping[str, DatabaseStore]
    sealed: Mapping[str, SealedFile]
    keys: Mapping[str, KeyFile]
    apart: Sequence[Path] = ()

    @property
    def journal_name(self) -> str:
        """The journal in a bundle."""
        return next(iter(self.databases))

    @property
    def journal(self) -> Path:
        """The journal's file; bundles lie beside it."""
        return self.databases[self.journal_name].path


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says about itself: length and SHA-256 of each file, fingerprint of each key."""

    station_id: str
    files: Mapping[str, tuple[int, str]]
    absent: Sequence[str]
    keys: Mapping[str, tuple[str, str]]  # name: path, fingerprint


def is_bundle(path: Path) -> bool:
    """Whether a backup holds all stores; else it is a journal alone."""
    return path.is_dir()


def all_backups(journal: Path) -> list[Path]:
    """Bundles and copies of the journal alone, newest first."""
    bundles = (journal.parent / BACKUPS).glob(f"{journal.stem}-v*-*Z{SUFFIX}")
    return sorted(
        [*backups_of(journal), *bundles], key=lambda found: found.stem.rsplit("-", 1)[1], reverse=True
    )


def make_bundle(stores: Stores, *, kept: int) -> Path:
    """A verified bundle in `backups/`; the oldest backups beyond `kept` give way.

    Raises JournalError: a store or a key cannot be used (EGW-5006), there is no room (EGW-5004), or a restore runs or
    was interrupted (EGW-5005). Nothing is left of the bundle then, and no other was deleted.
    """
    before = _restored(stores.journal)
    with closing(open_reader(stores.journal, stores.databases[stores.journal_name].schema, older=True)) as db:
        version = pragma(db, "user_version")
    folder = stores.journal.parent / BACKUPS
    with faults_of(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        give_to_owner_of(stores.journal, folder)
        sync_folder(folder.parent)
    for name, key in stores.keys.items():
        _require_key(name, key, key.fingerprint)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    bundle = folder / f"{stores.journal.stem}-v{version}-{stamp}{SUFFIX}"
    with _alone(folder):
        for left in folder.glob(f".*{SUFFIX}.part"):  # of a process that was killed
            shutil.rmtree(left)
        require_room([store.path for store in stores.databases.values()], folder)
        part = folder / f".{bundle.name}.part"
        try:
            with faults_of(part):
                _fill(part, stores)
                if _restored(stores.journal) != before:
                    raise JournalError(
                        f"{stores.journal}: was restored meanwhile; run edgegw db backup again"
                    )
                part.rename(bundle)
                sync_folder(folder)
        except BaseException as fault:
            shutil.rmtree(part, ignore_errors=True)
            cause = fault.__cause__
            if isinstance(fault, JournalError) and is_full(cause):
                raise JournalError(explained("EGW-5004", str(folder))) from cause
            raise
        _forget(all_backups(stores.journal)[kept:], folder)
    return bundle


def read_manifest(bundle: Path) -> Manifest:
    """Raises JournalError where it is absent, damaged, or of a newer edgegw."""
    place = bundle / MANIFEST
    with faults_of(place):
        text = place.read_bytes()
    try:
        tree = json.loads(text)
        if tree["format"] != FORMAT:
            raise JournalError(explained("EGW-5002", f"{place}: format {tree['format']}"))
        return Manifest(
            station_id=str(tree["station_id"]),
            files={name: (int(row["bytes"]), str(row["sha256"])) for name, row in tree["files"].items()},
            absent=[str(name) for name in tree["absent"]],
            keys={name: (str(row["file"]), str(row["fingerprint"])) for name, row in tree["keys"].items()},
        )
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise JournalError(f"{place}: damaged: {fault!r}") from fault


def require_sound_bundle(bundle: Path, stores: Stores) -> Manifest:
    """Read all of a bundle and open it with the present keys; raises JournalError (EGW-5006: a key does not open it)."""
    manifest = read_manifest(bundle)
    if manifest.station_id != stores.station_id:
        raise JournalError(f"{bundle}: is of the station {manifest.station_id}")
    unknown = set(manifest.files) - set(stores.databases) - set(stores.sealed)
    if unknown or stores.journal_name not in manifest.files:
        detail = "no place for " + ", ".join(sorted(unknown)) if unknown else f"no {stores.journal_name}"
        raise JournalError(f"{bundle}: {detail}; configure the store, or restore {stores.journal_name} of it")
    for name, (length, sha256) in manifest.files.items():
        with faults_of(bundle / name):
            found = ((bundle / name).stat().st_size, _sha256(bundle / name))
        if found != (length, sha256):
            raise JournalError(f"{bundle / name}: differs from {MANIFEST}")
    for name, (_, fingerprint) in manifest.keys.items():
        if name not in stores.keys:
            raise JournalError(explained("EGW-5006", f"{bundle}: the configuration names no key {name!r}"))
        _require_key(name, stores.keys[name], fingerprint)
    for name in manifest.files:
        if name in stores.databases:
            check(bundle / name, stores.databases[name].schema, stores.databases[name].verify)
        else:
            _opened(bundle / name, stores.sealed[name], stores)
    return manifest


def put_back_bundle(bundle: Path, stores: Stores) -> list[Path]:
    """Make the stores what they are in the bundle; gives the folders with what was replaced.

    Stores that the bundle does not hold stay. Raises JournalError, also where a process uses a store (EGW-5003);
    everything is then as it was, or the gateway refuses to start until a repetition succeeds (EGW-5005).
    """
    manifest = require_sound_bundle(bundle, stores)
    due = [name for name in manifest.files if _is_due(name, stores)]
    others = [stores.databases[name].path for name in due if name in stores.databases]
    with stopped(stores.journal, [path for path in others if path != stores.journal]):
        return replace_all(stores.journal, _all_fresh(due, bundle, stores))


def restore(backup: Path, stores: Stores) -> list[Path]:
    """Put back a bundle, or a journal alone; see `put_back_bundle`, `backups.put_back`."""
    if is_bundle(backup):
        return put_back_bundle(backup, stores)
    aside = put_back(stores.journal, backup)
    return [] if aside is None else [aside]


def _restored(journal: Path) -> int | None:
    """Which file the journal is; raises JournalError (EGW-5005) while some stores may be restored and others not."""
    if journal.with_name(journal.name + UNFINISHED).exists():
        raise JournalError(explained("EGW-5005", str(journal)))
    return journal.stat().st_ino if journal.exists() else None


def _fill(part: Path, stores: Stores) -> None:
    part.mkdir(mode=0o700)
    for name, store in stores.databases.items():
        if store.path == stores.journal or store.path.exists():
            copy_durably(store.path, part / name, schema=store.schema, verify=store.verify)
    for name, file in stores.sealed.items():
        if file.path.exists():
            content = file.path.read_bytes()
            file.verify(content)
            write_whole(WholeFile(path=part / name, content=_sealed(name, content, _cipher(file, stores))))
            _opened(part / name, file, stores)
    opens: dict[str, str | None] = {name: store.key for name, store in stores.databases.items()}
    opens |= {name: file.key for name, file in stores.sealed.items()}
    present = [name for name in opens if (part / name).exists()]
    tree: dict[str, Any] = {
        "format": FORMAT,
        "station_id": stores.station_id,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {
            name: {
                "bytes": (part / name).stat().st_size,
                "sha256": _sha256(part / name),
                "key": opens[name],
            }
            for name in present
        },
        "absent": [name for name in opens if name not in present],
        "keys": {
            name: {"file": str(key.path), "fingerprint": key.fingerprint} for name, key in stores.keys.items()
        },
        "apart": [str(path) for path in stores.apart],
    }
    text = json.dumps(tree, indent=1, ensure_ascii=False) + "\n"
    write_whole(WholeFile(path=part / MANIFEST, content=text.encode()))
    for path in (part, *part.iterdir()):
        give_to_owner_of(stores.journal, path)
    sync_folder(part)


def _is_due(name: str, stores: Stores) -> bool:
    """Whether a restore replaces this store."""
    store = stores.databases.get(name)
    if store is None or not store.keeps_present or not store.path.exists():
        return True
    try:
        check(store.path, store.schema, store.verify)
    except JournalError:
        return True
    return False


def _all_fresh(due: Sequence[str], bundle: Path, stores: Stores) -> list[Replacement]:
    """The new files beside their places; none of them is left where one cannot be written."""
    try:
        return [_fresh(name, bundle, stores) for name in due]
    except BaseException:
        for name in due:
            fresh_path(_place(name, stores)).unlink(missing_ok=True)
        raise


def _place(name: str, stores: Stores) -> Path:
    return stores.databases[name].path if name in stores.databases else stores.sealed[name].path


def _fresh(name: str, bundle: Path, stores: Stores) -> Replacement:
    """The new file beside its place."""
    if name in stores.sealed:
        file = stores.sealed[name]
        fresh = fresh_path(file.path)
        content = _opened(bundle / name, file, stores)
        with faults_of(fresh):
            fresh.parent.mkdir(parents=True, exist_ok=True)
            write_whole(WholeFile(path=fresh, content=content))
        return Replacement(target=file.path, fresh=fresh)
    store = stores.databases[name]
    if store.path == stores.journal:
        return Replacement(target=store.path, fresh=fresh_journal(store.path, bundle / name, bundle.name))
    fresh = fresh_path(store.path)
    with faults_of(fresh):
        fresh.parent.mkdir(parents=True, exist_ok=True)
    copy_durably(bundle / name, fresh, schema=store.schema, verify=store.verify)
    return Replacement(target=store.path, fresh=fresh)


def _require_key(name: str, key: KeyFile, fingerprint: str | None) -> None:
    if key.fingerprint is None:
        raise JournalError(explained("EGW-5006", f"key {name!r}: {key.fault}"))
    if key.fingerprint != fingerprint:
        raise JournalError(explained("EGW-5006", f"key {name!r}: {key.path} holds another key"))


def _cipher(file: SealedFile, stores: Stores) -> AESGCM:
    secret = stores.keys[file.key].secret
    assert secret is not None
    return AESGCM(hmac.digest(secret, b"edgegw backup seal 1", "sha256"))


def _sealed(name: str, content: bytes, cipher: AESGCM) -> bytes:
    """Nonce and ciphertext, bound to the name."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, name.encode())


def _opened(path: Path, file: SealedFile, stores: Stores) -> bytes:
    with faults_of(path):
        sealed = path.read_bytes()
    try:
        content = _cipher(file, stores).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], path.name.encode()
        )
    except (InvalidTag, ValueError) as fault:
        raise JournalError(explained("EGW-5006", f"{path}: sealed under another key, or damaged")) from fault
    file.verify(content)
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget(old: Sequence[Path], folder: Path) -> None:
    """A bundle is whole, or not there by its name."""
    with faults_of(folder):
        for path in old:
            if is_bundle(path):
                path = path.rename(folder / f".{path.name}.part")  # noqa: PLW2901 - the same bundle
                shutil.rmtree(path)
            else:
                path.unlink()
        sync_folder(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No two processes make a bundle at once; raises JournalError (EGW-5003)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(explained("EGW-5003", str(folder))) from error
        yield
    finally:
        os.close(descriptor)
