"""`edgegw db`: the station's stores, their backups, and the disk. All but `restore` work while the daemon runs."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.console import Ended, Exit, config_option, config_path, json_option, show
from edgegw.cli.table import show_table
from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.store.bundles import Stores


@click.group()
def db() -> None:
    """Inspect, back up and restore the station's stores."""


@db.command()
@config_option
@json_option
def status(*, config: Config, as_json: bool) -> None:
    """Show the contents, hash chain, backups and disk of the journal; exit status 1 if anything is wrong."""
    from edgegw.core.events import StorageLevel
    from edgegw.ops import storage
    from edgegw.store.backups import examine
    from edgegw.store.migrations import JOURNAL

    path = config.journal_path
    found = examine(path)
    room = storage.room_of(path.parent)
    missing_bytes = storage.Ballast(path.parent / storage.BALLAST).missing_bytes
    level = storage.level_of(room, missing_bytes=missing_bytes, before=StorageLevel.OK)
    promise = storage.worst_case(config)
    faults = storage.check_storage(config)
    if found.broken_seq is not None:
        faults.append(f"fact {found.broken_seq} was altered; run edgegw db list, then edgegw db restore FILE")
    answer = {
        "file": str(path),
        "size_bytes": found.size_bytes,
        "schema_version": found.schema_version,
        "program_schema_version": JOURNAL.version,
        "facts": found.facts,
        "last_fact_at": _instant(found.last_fact_ns),
        "chain_verified": found.broken_seq is None,
        "backups": _backups(path),
        "free_bytes": room.free,
        "free_percent": room.free * 100 // max(1, room.total),
        "storage_level": level.name,
        "offline_days": {
            "promise": str(promise),
            "needed_bytes": promise.bytes,
            "fits": not storage.check_storage(config),
        },
        "faults": faults,
    }
    show(answer, as_json=as_json)
    if faults:
        raise click.exceptions.Exit(Exit.PROBLEMS)


@db.command()
@click.option(
    "--journal-only", is_flag=True, help="Copy the journal alone, for example where a key is not at hand."
)
@config_option
@json_option
def backup(*, journal_only: bool, config: Config, as_json: bool) -> None:
    """Write a verified bundle of all stores to backups/ beside the journal; storage.backups_kept limits their number.

    No key is in it: the answer names the key files, and what else to keep apart.
    """
    from edgegw.store.backups import examine, make_backup
    from edgegw.store.bundles import make_bundle, read_manifest

    kept = config.storage.backups_kept
    if journal_only:
        made = make_backup(config.journal_path, kept=kept)
        found = examine(made)
        show({"backup": str(made), "size_bytes": found.size_bytes, "facts": found.facts}, as_json=as_json)
        return
    stores = _stores(config)
    made = make_bundle(stores, kept=kept)
    manifest = read_manifest(made)
    answer = {
        "backup": str(made),
        "size_bytes": _size_bytes(made),
        "facts": examine(made / stores.journal_name).facts,
        "stores": {name: length for name, (length, _) in manifest.files.items()},
        "absent": list(manifest.absent),
        "keys_apart": {name: str(key.path) for name, key in stores.keys.items()},
        "also_apart": [str(path) for path in stores.apart],
    }
    show(answer, as_json=as_json)


@db.command("list")
@config_option
@json_option
def list_backups(*, config: Config, as_json: bool) -> None:
    """List the backups, newest first; reads and verifies each, and opens it with the present keys."""
    from edgegw.common.errors import JournalError

    rows = _backups(config.journal_path)
    for row in rows:
        try:
            _require_sound(Path(row["file"]), config)
            row["verified"] = True
        except JournalError as fault:
            row |= {"verified": False, "fault": str(fault)}
    if as_json:
        show(rows, as_json=True)
    else:
        show_table(rows, list(rows[0]) if rows else (), empty="no backups yet; run edgegw db backup")
    if not all(row["verified"] for row in rows):
        raise click.exceptions.Exit(Exit.PROBLEMS)


@db.command()
@click.argument("backup", metavar="FILE", type=click.Path(path_type=Path, exists=True))
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@json_option
def restore(*, backup: Path, yes: bool, config: Config, as_json: bool) -> None:
    """Replace the stores with a bundle, or the journal with a copy of it alone; the daemon must not run.

    Before a file moves, the present keys must open the bundle. The replaced files are kept. At the next start every
    meter begins a new epoch, so that no energy reaches the ledger twice.
    """
    from edgegw.store import bundles
    from edgegw.store.backups import examine

    _require_sound(backup, config)
    stores = _stores(config)
    whole = bundles.is_bundle(backup)
    found = examine(backup / stores.journal_name if whole else backup)
    names = list(bundles.read_manifest(backup).files) if whole else [stores.journal_name]
    if not yes:
        at = _instant(found.last_fact_ns) or "its first day"
        what = "all stores" if whole else "the journal"
        question = (
            f"Restore {what} of {config.station.id} as of {at}? Later facts then exist on the ledger only"
        )
        if not click.confirm(question, err=True):
            raise Ended("nothing changed", Exit.PROBLEMS)
    aside = [str(folder) for folder in bundles.restore(backup, stores)]
    answer = {
        "restored": str(backup),
        "stores": names,
        "facts": found.facts,
        "replaced": aside[0] if aside else None,
        "replaced_elsewhere": aside[1:],
        "next": "systemctl start edgegw",
    }
    show(answer, as_json=as_json)


def _stores(config: Config) -> "Stores":
    from edgegw.daemon.backup_stores import stores_of

    return stores_of(config, config_path=config_path().absolute())


def _require_sound(backup: Path, config: Config) -> None:
    from edgegw.store.backups import require_sound
    from edgegw.store.bundles import is_bundle, require_sound_bundle

    if is_bundle(backup):
        require_sound_bundle(backup, _stores(config))
    else:
        require_sound(backup)


def _size_bytes(backup: Path) -> int:
    files = backup.iterdir() if backup.is_dir() else [backup]
    return sum(file.stat().st_size for file in files)


def _backups(path: Path) -> list[dict[str, Any]]:
    from edgegw.store.bundles import all_backups, is_bundle

    return [
        {
            "file": str(found),
            "holds": "all stores" if is_bundle(found) else "the journal",
            "size_bytes": _size_bytes(found),
            "schema_version": int(found.stem.rsplit("-", 2)[1].removeprefix("v")),
            "age_s": round(time.time() - found.stat().st_mtime),
        }
        for found in all_backups(path)
    ]


def _instant(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).isoformat().replace("+00:00", "Z")
