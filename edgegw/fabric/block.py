"""Build and read blocks: header hash, data hash, validation codes, orderers' signatures.

Decides how a block is linked to the previous one. Never decides whether a transaction is valid.
Source: Fabric protoutil (ASN.1 block header); block metadata index 2 holds one validation code per transaction.
"""

from collections.abc import Iterable, Sequence

from edgegw.fabric.identity import sha256
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.wire import decode

_METADATA_ENTRIES = 5


def data_hash(envelopes: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of all envelopes in order."""
    return sha256(*envelopes)


def header_bytes(header: common_pb2.BlockHeader) -> bytes:
    """Return the header as a DER sequence (number, previous hash, data hash)."""
    body = _der_integer(header.number) + _der_octets(header.previous_hash) + _der_octets(header.data_hash)
    return b"\x30" + _der_length(len(body)) + body


def header_hash(header: common_pb2.BlockHeader) -> bytes:
    """Return the SHA-256 of the header, which the next block holds as its previous hash."""
    return sha256(header_bytes(header))


def orderer_signatures(block: common_pb2.Block) -> list[tuple[bytes, bytes, bytes]]:
    """Return (identity, signed bytes, signature) of each orderer.

    Signatures without a signature header, which BFT orderers identify by number, are left out.

    Raises:
        MalformedMessageError: the metadata cannot be parsed.
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
    """Return a block without validation codes."""
    header = common_pb2.BlockHeader(
        number=number, previous_hash=previous_hash, data_hash=data_hash(envelopes)
    )
    return common_pb2.Block(
        header=header,
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(metadata=[b""] * _METADATA_ENTRIES),
    )


def set_codes(block: common_pb2.Block, codes: Sequence[int]) -> None:
    """Set the block's validation codes, one byte per transaction."""
    block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = bytes(codes)


def codes_of(block: common_pb2.Block) -> bytes:
    """Return the validation codes; empty if the block has none."""
    entries = block.metadata.metadata
    return entries[common_pb2.TRANSACTIONS_FILTER] if len(entries) > common_pb2.TRANSACTIONS_FILTER else b""


def parse_block(raw: bytes) -> common_pb2.Block:
    """Parse common.Block bytes; raises MalformedMessageError."""
    return decode(common_pb2.Block, raw)


def delimited(raw: bytes) -> bytes:
    """Return the block with its length as a varint prefix, the format of an export file."""
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
