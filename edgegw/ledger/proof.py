"""A block recomputed from its bytes and its neighbours: hashes, signatures, and the five fields of each trade in it.

Decides whether what a peer hands out as a block holds together, on any peer. One block cannot show that its reads were
current or that a key's own policy asked for more than two organisations: the replay of all blocks can (`edgegw ledger
verify`, on an embedded peer), or a peer's own validation, whose codes are taken as they stand.
Source: LEDGER "Blocks as the paper draws them"; Fabric block header, metadata and endorsements.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgegw.contract.prices import Window, quote
from edgegw.fabric import block as blocks
from edgegw.fabric import transaction
from edgegw.fabric.identity import Identity, parse_identity
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError, decode
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.paper import TRADE, draw_block

ORGANISATIONS_LEAST = 2
REMARK = (
    "Hashes, signatures and figures of this one block; that its reads were current is the validation code's word, "
    "and a guarded key's third endorsement is not known from here."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What the chain says of a block: its predecessor's own hash, and the hash by which its successor names it."""

    previous_hash: bytes
    named_hash: bytes


async def prove_block(client: LedgerClient, number: int, roots: Roots) -> dict[str, Any]:
    """The block in five fields, with what was recomputed and every fault. Raises LedgerError's children."""
    tip = await client.chain_tip()
    raw = await client.block(number)
    previous = b""
    if number:
        previous = blocks.header_hash(blocks.parse_block(await client.block(number - 1)).header)
    named = tip.currentBlockHash
    if number + 1 < tip.height:
        named = blocks.parse_block(await client.block(number + 1)).header.previous_hash
    faults = list(block_faults(raw, Neighbours(previous_hash=previous, named_hash=named), roots))
    shown: dict[str, Any] = {"number": number}
    try:
        shown = await draw_block(client, number)
    except MalformedMessageError as fault:
        faults.append(str(fault))
    for one in shown.get("transactions", ()):
        for trade in one["trades"]:
            faults += [f"{trade['KEY']}: {name} differs" for name in trade_faults(trade)]
    orderers = [_name(creator) for creator, _, _ in blocks.orderer_signatures(blocks.parse_block(raw))]
    return {"verified": not faults, "faults": faults, "remark": REMARK, "orderers": orderers, **shown}


def block_faults(raw: bytes, neighbours: Neighbours, roots: Roots) -> Iterator[str]:
    """What of header, hashes and signatures does not hold."""
    block = blocks.parse_block(raw)
    envelopes, codes = list(block.data.data), blocks.codes_of(block)
    checks = {
        "previous hash": block.header.previous_hash == neighbours.previous_hash,
        "data hash": block.header.data_hash == blocks.data_hash(envelopes),
        "header hash": blocks.header_hash(block.header) == neighbours.named_hash,
        "number of validation codes": len(codes) == len(envelopes),
    }
    yield from (f"{name} differs" for name, holds in checks.items() if not holds)
    for creator, message, signature in blocks.orderer_signatures(block):
        if _identity(creator).msp_id in roots.msp_ids and not _signed(
            roots, creator, message=message, signature=signature
        ):
            yield f"the signature of {_name(creator)} on the block does not hold"
    for position, (raw_envelope, code) in enumerate(zip(envelopes, codes, strict=False)):
        if code == peer_pb2.VALID:
            yield from (
                f"transaction {position}: {fault}" for fault in _transaction_faults(raw_envelope, roots)
            )


def _transaction_faults(raw: bytes, roots: Roots) -> Iterator[str]:
    """What does not hold of a valid transaction; a configuration is signed by orderers, whose block it is."""
    try:
        envelope = decode(common_pb2.Envelope, raw)
        if not transaction.is_call(envelope.payload):
            return
        call = transaction.parse_transaction(envelope.payload)
    except MalformedMessageError as fault:
        yield str(fault)
        return
    checks = {
        "the id is not its nonce's and creator's": call.tx_id
        == transaction.transaction_id(call.nonce, call.creator),
        "the endorsed proposal is another": call.proposal_hash == call.expected_hash,
        "the creator's signature does not hold": _signed(
            roots, call.creator, message=envelope.payload, signature=envelope.signature
        ),
        f"fewer than {ORGANISATIONS_LEAST} organisations' endorsements hold": len(_endorsing(call, roots))
        >= ORGANISATIONS_LEAST,
    }
    yield from (name for name, holds in checks.items() if not holds)


def _endorsing(call: EndorsedTransaction, roots: Roots) -> set[str]:
    """Organisations of whose peers an endorsement holds."""
    return {
        _identity(endorser).msp_id
        for endorser, signature in call.endorsements
        if _signed(roots, endorser, message=call.response_payload + endorser, signature=signature)
        and "peer" in _identity(endorser).node_roles
    }


def trade_faults(trade: Mapping[str, Any]) -> Iterator[str]:
    """Fields of a drawn trade that differ from what they are made of."""
    record = trade["Value"]["trade"]
    place = ":".join(str(record[name]) for name in ("meterRef", "epoch", "direction", "startWh"))
    moved_wh = int(record["endWh"]) - int(record["startWh"])
    price = int(record["price"])
    checks = {
        "KEY": trade["KEY"] == TRADE + place and record["tradeId"] == place,
        "energy": int(record["wh"]) == moved_wh,
        "amount": int(record["amount"]) == (price * moved_wh + 500) // 1000,
        "Timestamp": trade["Timestamp"]["mapped"]
        or trade["Timestamp"]["real"] == trade["Timestamp"]["ledger"],
    }
    derivation = trade["Proof"]["price_derivation"]
    if "priceId" in record:
        checks["price"] = price == int(derivation["price"]) == _derived(derivation)
    yield from (name for name, holds in checks.items() if not holds)


def _derived(record: Mapping[str, Any]) -> int | None:
    """The price that the formula makes of a price record's inputs."""
    window = Window(
        floor=int(record["floor"]),
        ceiling=int(record["ceiling"]),
        net_fee=int(record["netFee"]),
        gain=int(record["gain"]),
        w_min_ppm=int(record["wMinPpm"]),
        w_max_ppm=int(record["wMaxPpm"]),
    )
    supply_wh, demand_wh = int(record["supplyWh"]), int(record["demandWh"])
    return quote(record["formula"], window, supply_wh=supply_wh, demand_wh=demand_wh).price


def _signed(roots: Roots, serialized: bytes, *, message: bytes, signature: bytes) -> bool:
    identity = _identity(serialized)
    return roots.issued(identity) and identity.verify(message, signature)


def _identity(serialized: bytes) -> Identity:
    """The identity; one that cannot be read is nobody's."""
    try:
        return parse_identity(serialized)
    except MalformedMessageError:
        return Identity(msp_id="", certificate_pem=b"")


def _name(serialized: bytes) -> str:
    return _identity(serialized).msp_id or "unreadable"
