"""Decode the protobuf wire format, as far as Fabric's messages use it.

Decides where fields begin and end, not what they mean. Source: Protocol Buffers encoding.
"""

from __future__ import annotations

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BYTES = 10


class MalformedError(ValueError):
    """The bytes do not have the expected format."""


class Message:
    """One message's fields by number. A single field that occurs twice raises MalformedError when read."""

    __slots__ = ("_fields",)

    def __init__(self, raw: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        at = 0
        while at < len(raw):
            tag, at = varint(raw, at)
            number, kind = tag >> 3, tag & 7
            value: int | bytes
            if kind == VARINT:
                value, at = varint(raw, at)
            else:
                length, at = _length(raw, at, kind)
                if at + length > len(raw):
                    raise MalformedError("a field ends beyond its message")
                value = raw[at : at + length]
                at += length
            self._fields.setdefault(number, []).append(value)

    def has(self, number: int) -> bool:
        """Return whether the field is present, even if empty."""
        return number in self._fields

    def blobs(self, number: int) -> list[bytes]:
        """Return a repeated field of bytes, strings or messages."""
        values = self._fields.get(number, [])
        blobs = [value for value in values if isinstance(value, bytes)]
        if len(blobs) != len(values):
            raise MalformedError(f"field {number} has another type")
        return blobs

    def blob(self, number: int) -> bytes:
        """Return a single field of bytes; empty if it is absent."""
        blobs = self.blobs(number)
        if len(blobs) > 1:
            raise MalformedError(f"field {number} occurs {len(blobs)} times")
        return blobs[0] if blobs else b""

    def text(self, number: int) -> str:
        """Return a single string; empty if it is absent."""
        try:
            return self.blob(number).decode()
        except UnicodeDecodeError as fault:
            raise MalformedError(f"field {number} is no text") from fault

    def message(self, number: int) -> Message:
        """Return a single message; an empty one if it is absent."""
        return Message(self.blob(number))

    def messages(self, number: int) -> list[Message]:
        """Return a repeated message."""
        return [Message(blob) for blob in self.blobs(number)]

    def whole(self, number: int) -> int:
        """Return a single unsigned number; 0 if it is absent."""
        values = self._fields.get(number, [0])
        if len(values) != 1 or not isinstance(values[0], int):
            raise MalformedError(f"field {number} is no single number")
        return values[0]


def varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the varint (seven bits per byte) at position `at`, and the position after it."""
    if at < len(raw) and raw[at] < 0x80:  # the common case
        return raw[at], at + 1
    value = 0
    for index in range(VARINT_BYTES):
        if at + index >= len(raw):
            raise MalformedError("the bytes end inside a number")
        byte = raw[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise MalformedError("a number is too long")


def _length(raw: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == BYTES:
        return varint(raw, at)
    if kind in {FIXED64, FIXED32}:
        return (8 if kind == FIXED64 else 4), at
    raise MalformedError(f"wire type {kind}")
