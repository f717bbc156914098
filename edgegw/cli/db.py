"""`edgegw db`: the station's journal, its backups, and its disk. All but `restore` work while the daemon runs."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.cli.table import show_table
from edgegw.common.units import SECOND_NS
from edgegw.config.schema import Config


@click.group()
def db() -> None:
    """Inspect, back up and restore the journal."""


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
@config_option
@json_option
def backup(*, config: Config, as_json: bool) -> None:
    """Write a verified copy of the journal to backups/ beside it; storage.backups_kept limits their number."""
    from edgegw.store.backups import examine, make_backup

    made = make_backup(config.journal_path, kept=config.storage.backups_kept)
    found = examine(made)
    show({"backup": str(made), "size_bytes": found.size_bytes, "facts": found.facts}, as_json=as_json)


@db.command("list")
@config_option
@json_option
def list_backups(*, config: Config, as_json: bool) -> None:
    """List the backups of the journal, newest first; reads and verifies each."""
    from edgegw.common.errors import JournalError
    from edgegw.store.backups import require_sound

    rows = _backups(config.journal_path)
    for row in rows:
        try:
            require_sound(Path(row["file"]))
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
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@json_option
def restore(*, file: Path, yes: bool, config: Config, as_json: bool) -> None:
    """Replace the journal with a backup; the daemon must not run. The replaced files are kept.

    At the next start every meter begins a new epoch, so that no energy reaches the ledger twice.
    """
    from edgegw.store.backups import examine, put_back, require_sound

    require_sound(file)
    found = examine(file)
    if not yes:
        at = _instant(found.last_fact_ns) or "its first day"
        question = f"Restore the journal of {config.station.id} as of {at}? Later facts then exist on the ledger only"
        if not click.confirm(question, err=True):
            raise Ended("nothing changed", Exit.PROBLEMS)
    aside = put_back(config.journal_path, file)
    answer = {
        "restored": str(file),
        "facts": found.facts,
        "replaced": None if aside is None else str(aside),
        "next": "systemctl start edgegw",
    }
    show(answer, as_json=as_json)


def _backups(path: Path) -> list[dict[str, Any]]:
    from edgegw.common.sqlite import backups_of

    return [
        {
            "file": str(found),
            "size_bytes": found.stat().st_size,
            "schema_version": int(found.stem.rsplit("-", 2)[1].removeprefix("v")),
            "age_s": round(time.time() - found.stat().st_mtime),
        }
        for found in backups_of(path)
    ]


def _instant(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).isoformat().replace("+00:00", "Z")
