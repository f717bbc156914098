"""A block as the paper draws it: KEY, Value, Timestamp, Prev_Hash and Proof of every trade in it.

Decides how a block is shown, on either peer. Never decides whether it holds: that is the audit's.
Source: LEDGER "Blocks as the paper draws them".
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from edgegw.fabric import block as blocks
from edgegw.fabric import rwset
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction, parse_transaction
from edgegw.fabric.wire import MalformedMessageError, decode

delimited = blocks.delimited
TRADE = "trade~"
_NS = 1_000_000_000


def five_fields(raw: bytes) -> dict[str, Any]:
    """The block's number and hashes, and its transactions; each trade in the five fields.

    Raises:
        MalformedMessageError: these bytes are no block of calls.
    """
    block = blocks.parse_block(raw)
    codes = blocks.codes_of(block)
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
    call = parse_transaction(decode(common_pb2.Envelope, envelope).payload)
    verdict = peer_pb2.TxValidationCode.Name(code)
    shown = {"tx_id": call.tx_id, "function": call.args[0].decode(errors="replace"), "validation": verdict}
    if verdict != "VALID":
        return shown | {"trades": []}
    return shown | {"trades": list(_trades(call, verdict, previous))}


def _trades(call: EndorsedTransaction, verdict: str, previous: str) -> Iterator[dict[str, Any]]:
    for key, value in sorted(rwset.parse(call.chaincode, call.rwset).writes.items()):
        if value is None or not key.startswith(TRADE):
            continue
        trade = json.loads(value)
        yield {
            "KEY": key,
            "Value": {"trade": trade, "price_mtok_per_kwh": trade["price"]},
            "Timestamp": datetime.fromtimestamp(call.timestamp_ns // _NS, UTC).isoformat(),
            "Prev_Hash": previous,
            "Proof": {
                "endorsements": [
                    {"endorser": _name(endorser), "signature": signature.hex()}
                    for endorser, signature in call.endorsements
                ],
                "validation": verdict,
                "evidence_hash": trade["evidenceHash"],
                "price_derivation": trade.get("priceId") or trade.get("reason"),
            },
        }


def _name(serialized: bytes) -> str:
    """Organisation and common name of an endorser."""
    try:
        identity = parse_identity(serialized)
    except MalformedMessageError:
        return "unreadable"
    return f"{identity.msp_id}/{identity.certificate.subject.rfc4514_string()}"
