"""`edgegw trade`: the station's trades from its journal, compared with the ledger."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.console import Ended, Exit, config_option, json_option, show
from edgegw.cli.reach import call_ledger
from edgegw.cli.table import show_table
from edgegw.common.trade_terms import IMPORT
from edgegw.config.schema import Config

if TYPE_CHECKING:
    from edgegw.ledger import LedgerClient

COLUMNS = ("interval", "evse", "what", "wh", "kind", "tokens", "status", "block", "trade_id")
OPEN_LINES = "lines/"  # rows of lines that are not settled yet
TRADE, EVIDENCE = "trade", "evidence"  # facts

# Fields of a journal fact and of the ledger's record that must be equal.
_SAME = {
    "direction": "direction",
    "interval": "interval",
    "start_wh": "startWh",
    "end_wh": "endWh",
    "evidence_hash": "evidenceHash",
    "amount_mtok": "amount",
}


@click.group()
def trade() -> None:
    """Show and verify the trades of this station."""


@trade.command("list")
@config_option
@json_option
def list_trades(*, config: Config, as_json: bool) -> None:
    """List all trades, oldest first, then the lines that wait for the ledger."""
    trades = list(_trades(config))
    if as_json:
        show(trades, as_json=True)
    else:
        show_table([_row(one) for one in trades], COLUMNS, empty="no trades yet")


def _row(one: Mapping[str, Any]) -> dict[str, object]:
    """Return the row of a trade: quarter hour, energy, amount and state."""
    amount = one.get("amount_mtok")
    return {
        "interval": f"{datetime.fromtimestamp(one['interval'], UTC):%Y-%m-%d %H:%M}Z",
        "evse": one["evse_id"],
        "what": "delivered" if one["direction"] == IMPORT else "discharged",
        "wh": one["end_wh"] - one["start_wh"],
        "kind": one["kind"],
        "tokens": None if amount is None else f"{amount // 1000}.{amount % 1000:03d}",
        "status": one["status"],
        "block": one.get("block"),
        "trade_id": one["trade_id"],
    }


@trade.command("show")
@click.argument("trade_id")
@config_option
@json_option
def show_trade(*, trade_id: str, config: Config, as_json: bool) -> None:
    """Show one trade: journal, evidence, ledger record and receipt (block, position, Prev_Hash)."""
    found = next((one for one in _trades(config) if one["trade_id"] == trade_id), None)
    if found is None:
        raise Ended(
            f"no trade {trade_id} in {config.journal_path}{_nearest(config, trade_id)}", Exit.PROBLEMS
        )
    evidence = next(
        (body["evidence"] for body in _facts(config, EVIDENCE) if body["trade_id"] == trade_id), None
    )
    record = receipt = None
    if found["status"] != "OPEN":
        record = call_ledger(config, lambda client: client.evaluate("GetTrade", {"tradeId": trade_id}))
        receipt = asdict(call_ledger(config, lambda client: client.receipt(record["txId"])))
    show({"journal": found, "evidence": evidence, "ledger": record, "receipt": receipt}, as_json=as_json)


@trade.command()
@config_option
@json_option
def verify(*, config: Config, as_json: bool) -> None:
    """Verify the journal's hash chain, each evidence hash, each trade against the ledger; exit status 1 if any differs."""
    from edgegw.common.canonical_json import canonical_json, sha256_hex
    from edgegw.store.hash_chain import verify_chain

    broken = verify_chain(config.journal_path)
    faults = [] if broken is None else [f"journal: fact {broken} was altered"]
    trades = _facts(config, TRADE)
    hashes = {
        str(body["trade_id"]): sha256_hex(canonical_json(body["evidence"]))
        for body in _facts(config, EVIDENCE)
    }
    faults += [
        f"{one['trade_id']}: evidence differs from its hash"
        for one in trades
        if hashes.get(one["trade_id"]) != one["evidence_hash"]
    ]
    faults += call_ledger(config, lambda client: _differences(client, trades))
    show({"verified": not faults, "trades": len(trades), "faults": faults}, as_json=as_json)
    if faults:
        raise click.exceptions.Exit(Exit.PROBLEMS)


def _nearest(config: Config, trade_id: str) -> str:
    near = difflib.get_close_matches(trade_id, [one["trade_id"] for one in _trades(config)], n=1, cutoff=0.3)
    return f"; the nearest id is {near[0]}" if near else "; edgegw trade list shows all trades"


async def _differences(client: "LedgerClient", trades: list[dict[str, Any]]) -> list[str]:
    from edgegw.ledger import BusinessRefusal

    faults = []
    for one in trades:
        trade_id = one["trade_id"]
        try:
            record = await client.evaluate("GetTrade", {"tradeId": trade_id})
        except BusinessRefusal as refusal:
            faults.append(f"{trade_id}: {refusal}")
            continue
        faults += [
            f"{trade_id}: {ours} is {one[ours]} here and {record.get(theirs)} on the ledger"
            for ours, theirs in _SAME.items()
            if one.get(ours) is not None and str(one[ours]) != str(record.get(theirs))
        ]
    return faults


def _trades(config: Config) -> Iterator[dict[str, Any]]:
    from edgegw.store.journal_reader import JournalReader

    yield from _facts(config, TRADE)
    for body in JournalReader(config.journal_path).rows(OPEN_LINES).values():
        yield {**json.loads(body), "status": "OPEN"}


def _facts(config: Config, kind: str) -> list[dict[str, Any]]:
    from edgegw.store.journal_reader import JournalReader

    facts: list[tuple[int, Mapping[str, Any]]] = JournalReader(config.journal_path).facts(kind)
    return [dict(body) for _, body in facts]
