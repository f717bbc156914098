"""The seam to protobuf: encode and decode, with one error of ours and types mypy can see.

Decides nothing. Source: Protocol Buffers (field numbers fix the bytes we sign; we never re-encode a
message that someone else signed).
"""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # it ships no stubs

M = TypeVar("M", bound=Message)


class MalformedMessageError(ValueError):
    """The bytes are not what the protocol has in this place."""


def encode(message: Message) -> bytes:
    """The message's bytes, fields in the order of their numbers."""
    return bytes(message.SerializeToString(deterministic=True))


def decode(kind: type[M], data: bytes) -> M:
    """The message in `data`; raises MalformedMessageError."""
    try:
        message: M = kind.FromString(data)
    except DecodeError as fault:
        raise MalformedMessageError(f"no {kind.__name__}") from fault
    return message
