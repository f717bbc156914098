"""Decode the blocks and transactions of an exported file.

Decides what the bytes mean, not whether they are valid. A file is a sequence of raw blocks, each after its length (varint).
Source: Hyperledger Fabric's common, peer, rwset and kvrwset messages; docstrings give their field numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from firmware_sim.audit.protobuf import MalformedError, Message, varint

ENDORSER_TRANSACTION = 3
TRANSACTIONS_FILTER = 2
POLICY_NAME = "VALIDATION_PARAMETER"
NS_PER_S = 1_000_000_000

Version = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block; `codes` holds one validation code per envelope."""

    number: int
    previous_hash: bytes
    data_hash: bytes
    envelopes: list[bytes]
    codes: bytes

    def header_hash(self) -> bytes:
        """Return the SHA-256 of the header as an ASN.1 sequence (DER): number, previous hash, data hash."""
        number = self.number.to_bytes(self.number.bit_length() // 8 + 1, "big")
        body = _der(2, number) + _der(4, self.previous_hash) + _der(4, self.data_hash)
        return hashlib.sha256(_der(0x30, body)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRead:
    """A range query's keys in [start, end); unless `exhausted`, `end` is the last key that was read."""

    start: str
    end: str
    exhausted: bool
    reads: list[tuple[str, Version | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One envelope, decoded down to its read-write set. A written value of None is a deletion."""

    tx_id: str
    channel: str
    chaincodes: frozenset[str]
    function: str
    argument: str
    creator: bytes
    nonce: bytes
    timestamp_ms: int
    payload: bytes
    signature: bytes
    proposed: bytes
    proposal_hash: bytes
    response_payload: bytes
    endorsements: list[tuple[bytes, bytes]]
    status: int
    event_tx_id: str | None
    reads: list[tuple[str, Version | None]]
    ranges: list[RangeRead]
    writes: dict[str, bytes | None]
    policies: dict[str, bytes]


def split(raw: bytes) -> Iterator[bytes]:
    """Yield the raw blocks of a file. Raise MalformedError if it ends inside one."""
    at = 0
    while at < len(raw):
        length, at = varint(raw, at)
        if at + length > len(raw):
            raise MalformedError("the file ends inside a block")
        yield raw[at : at + length]
        at += length


def read_block(raw: bytes) -> Block:
    """Decode a common.Block: header 1, data 2, metadata 3."""
    block = Message(raw)
    header = block.message(1)
    metadata = block.message(3).blobs(1)
    return Block(
        number=header.whole(1),
        previous_hash=header.blob(2),
        data_hash=header.blob(3),
        envelopes=block.message(2).blobs(1),
        codes=metadata[TRANSACTIONS_FILTER] if len(metadata) > TRANSACTIONS_FILTER else b"",
    )


def read_transaction(raw: bytes) -> Transaction:
    """Decode an Envelope (payload 1, signature 2) that holds an endorser transaction with one action."""
    envelope = Message(raw)
    payload = Message(envelope.blob(1))
    header = payload.message(1)
    channel, signer = header.message(1), header.message(2)
    actions = Message(payload.blob(2)).messages(1)
    if channel.whole(1) != ENDORSER_TRANSACTION or len(actions) != 1:
        raise MalformedError("no endorser transaction of one call")
    if actions[0].blob(1) != header.blob(2):
        raise MalformedError("the action carries another signature header")
    action = Message(actions[0].blob(2))
    endorsed = action.message(2)
    response = Message(endorsed.blob(1))
    result = Message(response.blob(2))
    call = Message(Message(action.blob(1)).blob(1)).message(1)
    arguments = [argument.decode("utf-8", "replace") for argument in call.message(3).blobs(1)]
    chaincode = call.message(2).text(2)
    reads, ranges, writes, policies = _read_rwset(result.blob(1), chaincode)
    timestamp = channel.message(3)
    event = Message(result.blob(2)) if result.blob(2) else None
    return Transaction(
        tx_id=channel.text(5),
        channel=channel.text(4),
        chaincodes=frozenset(
            {Message(channel.blob(7)).message(2).text(2), chaincode, result.message(4).text(2)}
            | (set() if event is None else {event.text(1)})
        ),
        function=arguments[0] if arguments else "",
        argument=arguments[1] if len(arguments) > 1 else "{}",
        creator=signer.blob(1),
        nonce=signer.blob(2),
        timestamp_ms=(timestamp.whole(1) * NS_PER_S + timestamp.whole(2)) // 1_000_000,
        payload=envelope.blob(1),
        signature=envelope.blob(2),
        proposed=header.blob(1) + header.blob(2) + action.blob(1),
        proposal_hash=response.blob(1),
        response_payload=endorsed.blob(1),
        endorsements=[(entry.blob(1), entry.blob(2)) for entry in endorsed.messages(2)],
        status=result.message(3).whole(1),
        event_tx_id=None if event is None else event.text(2),
        reads=reads,
        ranges=ranges,
        writes=writes,
        policies=policies,
    )


def _read_rwset(
    raw: bytes, chaincode: str
) -> tuple[list[tuple[str, Version | None]], list[RangeRead], dict[str, bytes | None], dict[str, bytes]]:
    """Decode a TxReadWriteSet of one namespace into reads, ranges, writes and key policies."""
    entries = Message(raw).messages(2)
    if len(entries) > 1 or any(entry.text(1) != chaincode for entry in entries):
        raise MalformedError("touches another chaincode's keys")
    inner = Message(entries[0].blob(2) if entries else b"")
    ranges = [
        RangeRead(
            start=seen.text(1),
            end=seen.text(2),
            exhausted=bool(seen.whole(3)),
            reads=[_read(read) for read in seen.message(4).messages(1)],
        )
        for seen in inner.messages(2)
    ]
    written = [(write.text(1), None if write.whole(2) else write.blob(3)) for write in inner.messages(3)]
    policies = {
        write.text(1): entry.blob(2)
        for write in inner.messages(4)
        for entry in write.messages(2)
        if entry.text(1) == POLICY_NAME
    }
    if len(dict(written)) != len(written):
        raise MalformedError("a key is written twice")
    return [_read(read) for read in inner.messages(1)], ranges, dict(written), policies


def _read(read: Message) -> tuple[str, Version | None]:
    if not read.has(2):
        return read.text(1), None
    version = read.message(2)
    return read.text(1), (version.whole(1), version.whole(2))


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
