"""Present a block in five fields: KEY, Value, Timestamp, Prev_Hash and Proof of every trade in it.

Decides how a block is shown, from either peer. Never checks whether it is valid; `proof` does. Shows two times, the
transaction's own and the ledger's, which a sandbox maps onto a simulated day.
Source: docs/ledger.md, Blocks.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from edgegw.fabric import block as blocks
from edgegw.fabric import rwset
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction, is_call, parse_transaction, transaction_id_of
from edgegw.fabric.wire import MalformedMessageError, decode
from edgegw.ledger.client import LedgerClient

delimited = blocks.delimited
TRADE = "trade~"
CONFIGURATION = "(configuration)"  # a configuration of the channel, which calls no chaincode
DERIVATION = ("priceId", "tariffId", "period", "reason")  # fields of a trade; the price record holds the rest
_NS_PER_MS = 1_000_000


async def draw_block(client: LedgerClient, number: int) -> dict[str, Any]:
    """Return the block in five fields, with the price record of each market trade. Raises subclasses of LedgerError."""
    shown = five_fields(await client.block(number))
    prices: dict[str, dict[str, Any]] = {}
    for transaction in shown["transactions"]:
        for trade in transaction["trades"]:
            await derive(client, trade, prices)
    return shown


async def derive(client: LedgerClient, trade: dict[str, Any], prices: dict[str, dict[str, Any]]) -> None:
    """Add the stored price record to a market trade; `prices` is a cache by id. Raises subclasses of LedgerError."""
    record = trade["Value"]["trade"]
    price_id = record.get("priceId")
    if price_id is None:
        return
    if price_id not in prices:
        key = {name: record.get(name) for name in ("zone", "product", "interval")}
        prices[price_id] = await client.evaluate("GetPrice", key)
    trade["Proof"]["price_derivation"] = prices[price_id]


def five_fields(raw: bytes) -> dict[str, Any]:
    """Return the block's number, hashes and transactions, with each trade in the five fields.

    Raises:
        MalformedMessageError: the bytes are not a block.
    """
    block = blocks.parse_block(raw)
    codes = blocks.codes_of(block)
    if len(codes) != len(block.data.data):
        raise MalformedMessageError(f"block {block.header.number} has a wrong number of validation codes")
    previous = block.header.previous_hash.hex()
    transactions = [
        _transaction(envelope, code, previous) for envelope, code in zip(block.data.data, codes, strict=True)
    ]
    return {
        "number": block.header.number,
        "hash": blocks.header_hash(block.header).hex(),
        "prev_hash": previous,
        "data_hash": block.header.data_hash.hex(),
        "transactions": transactions,
    }


def _transaction(envelope: bytes, code: int, previous: str) -> dict[str, Any]:
    payload = decode(common_pb2.Envelope, envelope).payload
    verdict = verdict_of(code)
    if not is_call(payload):
        shown = {"tx_id": transaction_id_of(payload), "function": CONFIGURATION, "validation": verdict}
        return shown | {"trades": []}
    call = parse_transaction(payload)
    shown = {"tx_id": call.tx_id, "function": call.args[0].decode(errors="replace"), "validation": verdict}
    if verdict != "VALID":
        return shown | {"trades": []}
    return shown | {"trades": list(_trades(call, previous))}


def verdict_of(code: int) -> str:
    """Return the name of a validation code, or its number if it has no name."""
    return peer_pb2.TxValidationCode.Name(code) if code in peer_pb2.TxValidationCode.values() else str(code)


def _trades(call: EndorsedTransaction, previous: str) -> Iterator[dict[str, Any]]:
    for key, value in sorted(rwset.writes_of(call.chaincode, call.rwset).items()):
        if value is None or not key.startswith(TRADE):
            continue
        try:
            trade = json.loads(value)
            yield _trade(call, key, trade, previous=previous)
        except (ValueError, KeyError, TypeError, OverflowError) as fault:
            raise MalformedMessageError(f"{key}: not a trade record") from fault


def _trade(call: EndorsedTransaction, key: str, trade: Mapping[str, Any], *, previous: str) -> dict[str, Any]:
    return {
        "KEY": key,
        "Value": {"trade": trade, "price_mtok_per_kwh": trade["price"]},
        "Timestamp": _times(call.timestamp_ns // _NS_PER_MS, trade["ledgerTimeMs"]),
        "Prev_Hash": previous,
        "Proof": {
            "endorsements": [
                {"endorser": _name(endorser), "signature": signature.hex()}
                for endorser, signature in call.endorsements
            ],
            "validation": "VALID",
            "evidence_hash": trade["evidenceHash"],
            "price_derivation": {name: trade[name] for name in DERIVATION if name in trade},
        },
    }


def _times(real_ms: int, ledger_ms: int) -> dict[str, Any]:
    """Return the transaction's own time and the ledger's; `mapped` states whether a time mapping makes them differ."""
    real, ledger = (_iso(at_ms) for at_ms in (real_ms, ledger_ms))
    return {"real": real, "ledger": ledger, "mapped": real_ms != ledger_ms}


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000).isoformat()


def _name(serialized: bytes) -> str:
    """Return the organisation and the certificate's subject of an endorser."""
    try:
        identity = parse_identity(serialized)
    except MalformedMessageError:
        return "unreadable"
    return f"{identity.msp_id}/{identity.certificate.subject.rfc4514_string()}"
