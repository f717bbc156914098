"""The raw blocks of an export, as `edgegw ledger export` writes them."""

from collections.abc import Iterator


def split_delimited(data: bytes) -> Iterator[bytes]:
    """Blocks that follow each other, each after its length (varint)."""
    at = 0
    while at < len(data):
        length = shift = 0
        while True:
            byte = data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at + length <= len(data), "the export ends inside a block"
        yield data[at : at + length]
        at += length
