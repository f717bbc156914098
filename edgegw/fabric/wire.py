"""Encode and decode protobuf messages, with one exception class and static types.

A message that another party signed must never be re-encoded: field numbers determine the signed bytes.
Source: Protocol Buffers, Encoding.
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # it ships no stubs

M = TypeVar("M", bound=Message)


class MalformedMessageError(ValueError):
    """The bytes are not the message the protocol requires."""


def encode(message: Message) -> bytes:
    """Return the message's bytes, with fields in the order of their numbers."""
    return bytes(message.SerializeToString(deterministic=True))


def decode(kind: type[M], data: bytes) -> M:
    """Return the message in `data`; raise MalformedMessageError."""
    try:
        message: M = kind.FromString(data)
    except DecodeError as fault:
        raise MalformedMessageError(f"no {kind.__name__}") from fault
    return message
