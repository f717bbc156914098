"""Encodes state rows as JSON text and decodes them: frozen dataclasses, by their type hints. Numbers are integers.

A field missing in the text takes its default; a field that the class lacks is ignored. A submission is stored in the flat
form of `SubmissionRow`, whatever its state.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from edgegw.core.submission import Open, Payload
from edgegw.core.submission_rows import SubmissionRow, row_of, submission_of

T = TypeVar("T")
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_PLAIN = frozenset({str, int, bool})


def encode_row(row: object) -> str:
    """Return a row as ASCII JSON text, so that the journal can store any string from a device."""
    return _ENCODER.encode(_plain(row))


def decode_row(cls: type[T], text: str) -> T:
    """Return the row of class `cls` from the text of `encode_row`."""
    hint: Any = cls
    return cast("T", _decoder(hint)(json.loads(text)))


def _plain(value: object) -> object:
    kind: type = type(value)
    if value is None or kind in _PLAIN:
        return value
    if isinstance(value, Payload):
        value = row_of(cast("Open", value))
        kind = SubmissionRow
    names = _names(kind)
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    assert isinstance(value, int | str), f"not a row value: {kind.__name__}"
    return value


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Return the field names of a dataclass; None for any other class."""
    return tuple(item.name for item in fields(kind)) if is_dataclass(kind) else None


@cache
def _decoder(hint: Any) -> Callable[[Any], Any]:
    if hint is Payload:
        row = _dataclass_decoder(SubmissionRow)
        return lambda value: submission_of(row(value))
    if is_dataclass(hint):
        return _dataclass_decoder(cast("type", hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        inner = _decoder(next(item for item in arguments if item is not NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item_of = _decoder(arguments[0])
        return lambda value: tuple(item_of(item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return lambda value: value


def _dataclass_decoder(cls: type) -> Callable[[Any], Any]:
    hints = get_type_hints(cls)
    decoders = {name: _decoder(hints[name]) for name in _names(cls) or ()}

    def decode(value: Any) -> Any:
        known = {name: decoders[name](value[name]) for name in decoders if name in value}
        return cls(**known)

    return decode
