"""Blocks: header hash, data hash, validation codes; and blocks in a file, one after the other.

Decides how a block is bound to the one before it. Never decides whether a transaction is valid.
Source: Fabric protoutil (ASN.1 block header), block metadata index 2 = one validation code a transaction.
"""

from collections.abc import Iterable, Sequence

from edgegw.fabric.identity import sha256
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import decode

_METADATA_ENTRIES = 5


def data_hash(envelopes: Iterable[bytes]) -> bytes:
    """SHA-256 of all envelopes in order."""
    return sha256(*envelopes)


def header_bytes(header: common_pb2.BlockHeader) -> bytes:
    """The DER sequence (number, previous hash, data hash)."""
    body = _der_integer(header.number) + _der_octets(header.previous_hash) + _der_octets(header.data_hash)
    return b"\x30" + _der_length(len(body)) + body


def header_hash(header: common_pb2.BlockHeader) -> bytes:
    """SHA-256 of the header: what the next block names as its previous hash."""
    return sha256(header_bytes(header))


def orderer_signatures(block: common_pb2.Block) -> list[tuple[bytes, bytes, bytes]]:
    """(identity, signed bytes, signature) of each orderer; those that a BFT orderer identifies by number have none.

    Raises:
        MalformedMessageError: the metadata cannot be read.
    """
    entries = block.metadata.metadata
    if len(entries) <= common_pb2.SIGNATURES or not entries[common_pb2.SIGNATURES]:
        return []
    signed = decode(common_pb2.Metadata, entries[common_pb2.SIGNATURES])
    return [
        (
            decode(common_pb2.SignatureHeader, entry.signature_header).creator,
            signed.value + entry.signature_header + header_bytes(block.header),
            entry.signature,
        )
        for entry in signed.signatures
        if entry.signature_header
    ]


def build_block(number: int, previous_hash: bytes, envelopes: Sequence[bytes]) -> common_pb2.Block:
    """A block without validation codes yet."""
    header = common_pb2.BlockHeader(
        number=number, previous_hash=previous_hash, data_hash=data_hash(envelopes)
    )
    return common_pb2.Block(
        header=header,
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(metadata=[b""] * _METADATA_ENTRIES),
    )


def set_codes(block: common_pb2.Block, codes: Sequence[int]) -> None:
    """Write the validation codes, one byte a transaction."""
    block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes(codes)


def codes_of(block: common_pb2.Block) -> bytes:
    """The validation codes; empty where the block carries none."""
    entries = block.metadata.metadata
    return entries[common_pb2.TRANSACTIONS_FILTER] if len(entries) > common_pb2.TRANSACTIONS_FILTER else b""


def parse_block(raw: bytes) -> common_pb2.Block:
    """Parse common.Block bytes; raises MalformedMessageError."""
    return decode(common_pb2.Block, raw)


def delimited(raw: bytes) -> bytes:
    """The block with its length before it (varint), as blocks follow each other in an export."""
    return _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _der_integer(value: int) -> bytes:
    octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + _der_length(len(octets)) + octets


def _der_octets(octets: bytes) -> bytes:
    return b"\x04" + _der_length(len(octets)) + octets
