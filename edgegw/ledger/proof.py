"""Recompute a block from its bytes and its neighbours: hashes, signatures, and the five fields of each trade in it.

Decides whether a block from any peer is consistent, in named checks (`ports.representative.CHECKS`). One block cannot
show that its reads were current or that a key's policy required more than two organisations: the replay of all blocks
can (`edgegw ledger verify`, on an embedded peer), or a peer's own validation, whose codes are trusted here.
Source: docs/ledger.md, Blocks; Fabric block header, metadata and endorsements.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgegw.common.trade_terms import RETAIL
from edgegw.contract.codec import MalformedError, unpack
from edgegw.contract.keys import CONFIG
from edgegw.contract.records import Config
from edgegw.fabric import block as blocks
from edgegw.fabric import rwset, transaction
from edgegw.fabric.identity import Identity, parse_identity
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError, decode
from edgegw.ledger.block_view import derive, five_fields, verdict_of
from edgegw.ledger.client import LedgerClient
from edgegw.ledger.errors import BusinessRefusal
from edgegw.ledger.trade_recompute import trade_checks
from edgegw.ports.representative import Check

ORGANISATIONS_LEAST = 2
REMARK = (
    "Hashes, signatures and figures of this one block; that its reads were current is the validation code's word, "
    "and a guarded key's third endorsement is not known from here."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """A block's context in the chain: the hash of its predecessor, and its own hash as its successor records it."""

    previous_hash: bytes
    named_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A block with the results of all checks: `transactions` by position, `trades` by KEY."""

    number: int
    block: tuple[Check, ...]
    transactions: Sequence[tuple[Check, ...]]
    trades: Mapping[str, tuple[Check, ...]]
    shown: dict[str, Any]
    unreadable: str = ""  # why the block cannot be shown
    orderers: Sequence[str] = ()
    creators: Mapping[str, bytes] = field(default_factory=dict)  # by transaction id

    @property
    def faults(self) -> list[str]:
        """The failed checks as text. An invalid transaction is not a fault of its block."""
        found = [_words(one) for one in self.block if not one.holds]
        found += [self.unreadable] if self.unreadable else []
        for place, checks in enumerate(self.transactions):
            if checks and checks[0].holds:
                found += [f"transaction {place}: {_words(one)}" for one in checks if not one.holds]
        for key, checks in self.trades.items():
            found += [f"{key}: {_words(one)}" for one in checks if not one.holds]
        return found


def _words(check: Check) -> str:
    return f"{check.name} does not hold: {check.detail}" if check.detail else f"{check.name} does not hold"


async def prove_block(client: LedgerClient, number: int, roots: Roots) -> dict[str, Any]:
    """Return the block in five fields with every fault found. Raises subclasses of LedgerError."""
    examined = await examine_block(client, number, roots)
    return {
        "verified": not examined.faults,
        "faults": examined.faults,
        "remark": REMARK,
        "orderers": list(examined.orderers),
        **examined.shown,
    }


async def examine_block(
    client: LedgerClient, number: int, roots: Roots, *, constants: Config | None = None
) -> Examined:
    """Fetch a block and its neighbours and recompute it; without the channel's `constants`, find them first.

    Raises:
        MalformedMessageError: the bytes are not a block. Also raises subclasses of LedgerError.
    """
    tip = await client.chain_tip()
    raw = await client.block(number)
    block = blocks.parse_block(raw)
    previous = b""
    if number:
        previous = blocks.header_hash(blocks.parse_block(await client.block(number - 1)).header)
    named = tip.currentBlockHash
    if number + 1 < tip.height:
        named = blocks.parse_block(await client.block(number + 1)).header.previous_hash
    checks = list(block_checks(raw, Neighbours(previous_hash=previous, named_hash=named), roots))
    if block.header.number != number:
        checks[0] = Check(name="block_hash", holds=False, detail=f"it is block {block.header.number}")
    shown: dict[str, Any] = {"number": number}
    unreadable = ""
    try:
        shown = five_fields(raw)
    except MalformedMessageError as fault:
        unreadable = str(fault)
    drawn = [trade for one in shown.get("transactions", ()) for trade in one["trades"]]
    if drawn and constants is None:
        constants = await find_constants(client, roots, before=number)
    return Examined(
        number=number,
        block=tuple(checks),
        transactions=transaction_checks(raw, roots),
        trades=await _trades(client, drawn, constants=constants),
        shown=shown,
        unreadable=unreadable,
        orderers=[_name(creator) for creator, _, _ in blocks.orderer_signatures(block)],
        creators=_creators(block),
    )


async def find_constants(client: LedgerClient, roots: Roots, *, before: int) -> Config | None:
    """Return the channel's constants from the transaction that configured it, one of the channel's first.

    None if no block up to `before` contains one with valid endorsements.
    """
    for number in range(before + 1):
        block = blocks.parse_block(await client.block(number))
        for raw, code in zip(block.data.data, blocks.codes_of(block), strict=False):
            call = _call(raw) if code == peer_pb2.VALID else None
            written = None if call is None else rwset.writes_of(call.chaincode, call.rwset).get(CONFIG)
            if written and all(one.holds for one in _checks_of(raw, code, roots)):
                try:
                    return unpack(Config, written)
                except MalformedError:
                    return None
    return None


def _call(raw: bytes) -> EndorsedTransaction | None:
    """Return the chaincode call in an envelope, or None for anything else."""
    try:
        payload = decode(common_pb2.Envelope, raw).payload
        return transaction.parse_transaction(payload) if transaction.is_call(payload) else None
    except MalformedMessageError:
        return None


def _creators(block: common_pb2.Block) -> Mapping[str, bytes]:
    calls = [_call(raw) for raw in block.data.data]
    return {call.tx_id: call.creator for call in calls if call is not None}


async def _trades(
    client: LedgerClient, drawn: Sequence[dict[str, Any]], *, constants: Config | None
) -> Mapping[str, tuple[Check, ...]]:
    found: dict[str, tuple[Check, ...]] = {}
    prices: dict[str, dict[str, Any]] = {}
    for trade in drawn:
        try:
            await derive(client, trade, prices)
        except BusinessRefusal as refusal:
            found[trade["KEY"]] = (Check(name="price", holds=False, detail=str(refusal)),)
            continue
        rate = await _rate(client, trade["Value"]["trade"])
        found[trade["KEY"]] = tuple(trade_checks(trade, constants=constants, rate=rate))
    return found


async def _rate(client: LedgerClient, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a price record of a retail trade's interval, which holds the ceiling; None if the contract has none."""
    if record.get("kind") != RETAIL:
        return None
    place = {name: record.get(name) for name in ("zone", "product", "interval")}
    for function in ("GetPrice", "DetermineCost"):
        try:
            return await client.evaluate(function, place)
        except BusinessRefusal:
            continue
    return None


def block_checks(raw: bytes, neighbours: Neighbours, roots: Roots) -> Iterator[Check]:
    """Check header, hashes, and the signatures of orderers whose organisations `roots` contains."""
    block = blocks.parse_block(raw)
    envelopes, codes = list(block.data.data), blocks.codes_of(block)
    header = block.header
    yield _same("block_hash", found=blocks.header_hash(header), wanted=neighbours.named_hash)
    yield _same("prev_hash", found=header.previous_hash, wanted=neighbours.previous_hash)
    yield _same("data_hash", found=blocks.data_hash(envelopes), wanted=header.data_hash)
    yield Check(
        name="validation_codes",
        holds=len(codes) == len(envelopes),
        detail=f"{len(codes)} codes, {len(envelopes)} transactions",
    )
    for creator, message, signature in blocks.orderer_signatures(block):
        if _identity(creator).msp_id in roots.msp_ids:
            holds = _signed(roots, creator, message=message, signature=signature)
            yield Check(name="orderer_signature", holds=holds, detail=_name(creator))


def _same(name: str, *, found: bytes, wanted: bytes) -> Check:
    holds = found == wanted
    return Check(
        name=name, holds=holds, detail=found.hex() if holds else f"{found.hex()}, not {wanted.hex()}"
    )


def transaction_checks(raw: bytes, roots: Roots) -> Sequence[tuple[Check, ...]]:
    """Return the checks of each transaction; an invalid one has the check of its validation code only."""
    block = blocks.parse_block(raw)
    return [
        tuple(_checks_of(envelope, code, roots))
        for envelope, code in zip(block.data.data, blocks.codes_of(block), strict=False)
    ]


def _checks_of(raw: bytes, code: int, roots: Roots) -> Iterator[Check]:
    """Check one transaction; of a configuration, which orderers sign, only the validation code."""
    yield Check(name="validation_code", holds=code == peer_pb2.VALID, detail=verdict_of(code))
    if code != peer_pb2.VALID:
        return
    try:
        envelope = decode(common_pb2.Envelope, raw)
        if not transaction.is_call(envelope.payload):
            return
        call = transaction.parse_transaction(envelope.payload)
    except MalformedMessageError as fault:
        yield Check(name="proposal", holds=False, detail=str(fault))
        return
    made_id = transaction.transaction_id(call.nonce, call.creator)
    yield Check(name="tx_id", holds=call.tx_id == made_id, detail=made_id)
    yield _same("proposal", found=call.expected_hash, wanted=call.proposal_hash)
    signed = _signed(roots, call.creator, message=envelope.payload, signature=envelope.signature)
    yield Check(name="creator_signature", holds=signed, detail=_name(call.creator))
    endorsing = sorted(_endorsing(call, roots))
    yield Check(
        name="endorsements",
        holds=len(endorsing) >= ORGANISATIONS_LEAST,
        detail=", ".join(endorsing) or "of no organisation",
    )


def _endorsing(call: EndorsedTransaction, roots: Roots) -> set[str]:
    """Return the organisations whose peers gave a valid endorsement."""
    return {
        _identity(endorser).msp_id
        for endorser, signature in call.endorsements
        if _signed(roots, endorser, message=call.response_payload + endorser, signature=signature)
        and "peer" in _identity(endorser).node_roles
    }


def _signed(roots: Roots, serialized: bytes, *, message: bytes, signature: bytes) -> bool:
    identity = _identity(serialized)
    return roots.issued(identity) and identity.verify(message, signature)


def _identity(serialized: bytes) -> Identity:
    """Return the identity, or one of no organisation if it cannot be parsed."""
    try:
        return parse_identity(serialized)
    except MalformedMessageError:
        return Identity(msp_id="", certificate_pem=b"")


def _name(serialized: bytes) -> str:
    return _identity(serialized).msp_id or "unreadable"
