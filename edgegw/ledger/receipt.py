"""Read a transaction's receipt from a block: its position in the chain, validation code and hashes.

Trusts the block that a peer returned; `proof` checks it.
"""

from dataclasses import dataclass

from edgegw.fabric import block as blocks
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.transaction import transaction_id_of
from edgegw.fabric.wire import MalformedMessageError, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A transaction's position: `tx_number` counts from 0, `prev_hash` is the hash of the previous block."""

    tx_id: str
    block: int
    tx_number: int
    validation: str
    prev_hash: str
    block_hash: str


def receipt_of(raw: bytes, tx_id: str) -> Receipt:
    """Return the receipt of the first transaction with this id in a block.

    Raises:
        MalformedMessageError: the block cannot be parsed, or does not contain the transaction.
    """
    block = blocks.parse_block(raw)
    for number, (envelope, code) in enumerate(zip(block.data.data, blocks.codes_of(block), strict=False)):
        if transaction_id_of(decode(common_pb2.Envelope, envelope).payload) == tx_id:
            known = code in peer_pb2.TxValidationCode.values()
            return Receipt(
                tx_id=tx_id,
                block=block.header.number,
                tx_number=number,
                validation=peer_pb2.TxValidationCode.Name(code) if known else str(code),
                prev_hash=block.header.previous_hash.hex(),
                block_hash=blocks.header_hash(block.header).hex(),
            )
    raise MalformedMessageError(f"block {block.header.number} does not have it")
