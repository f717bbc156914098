"""Convert arguments, records and results between strict canonical JSON and frozen dataclasses.

Decides what a well-formed value is (a strict decimal string, an id, a digest, a whole number), never whether the
market allows it. Field `start_wh` is `startWh` in JSON; a field that is None is absent. Quantities are decimal strings,
because many JSON parsers lose integers beyond 2^53. Source: docs/contract.md, Calling; RFC 8259 §6.
"""

import json
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")
DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
INTERVAL_S = 900


class MalformedError(ValueError):
    """A value is not of the required type or form; the message names the field, never the value."""


@dataclass(frozen=True, slots=True)
class Decimal:
    """An integer written as a decimal string: no plus sign, no leading zero, no exponent."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer written as a JSON number."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string that fully matches `pattern`."""

    pattern: str


SAFE = 2**53 - 1
Quantity = Annotated[int, Decimal(0, 10**18 - 1)]
Delta = Annotated[int, Decimal(-(10**18) + 1, 10**18 - 1)]
RegisterWh = Annotated[int, Decimal(0, 10**15)]
EnergyWh = Annotated[int, Decimal(0, 10**11)]
TradedWh = Annotated[int, Decimal(1, 10**11)]
Tokens = Annotated[int, Decimal(1, 10**15)]
Price = Annotated[int, Decimal(0, 10**7)]
Ppm = Annotated[int, Decimal(0, 10**6)]
Epoch = Annotated[int, Whole(0, SAFE)]
Seconds = Annotated[int, Whole(0, 10**12 - 1)]
Span = Annotated[int, Whole(0, 10**9)]
Millis = Annotated[int, Whole(0, SAFE)]
Count = Annotated[int, Whole(0, 10**9)]
PageSize = Annotated[int, Whole(1, 200)]
BasisPoints = Annotated[int, Whole(0, 10_000)]
LossBp = Annotated[int, Whole(0, 9_999)]
Minute = Annotated[int, Whole(0, 1440)]
Month = Annotated[int, Whole(1, 12)]
Ident = Annotated[str, Text(r"[A-Za-z0-9._-]{1,96}")]
Reference = Annotated[str, Text(r"[A-Za-z0-9._:-]{1,160}")]
CreditId = Annotated[str, Text(r"[A-Za-z0-9._:-]{1,160}~[0-9]{1,9}")]
Bookmark = Annotated[str, Text(r"[A-Za-z0-9._:~-]{0,400}")]
Digest = Annotated[str, Text(r"[0-9a-f]{64}")]
Geohash = Annotated[str, Text(r"[0-9b-hjkmnp-z]{1,12}")]
LocalDate = Annotated[str, Text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")]
Product = Literal["CHARGE", "DISCHARGE"]
Direction = Literal["import", "export"]
Kind = Literal["PRODUCER", "EV", "SUPPLIER", "INDUSTRY"]
Period = Literal["light", "mid", "peak"]


def dumps(value: Any) -> bytes:
    """Return canonical JSON: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def loads(raw: bytes | str) -> Any:
    """Parse JSON; raise `MalformedError` on floats, `NaN` and `Infinity`, repeated names or a syntax error."""
    try:
        return json.loads(raw, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not canonical JSON") from error


def _refuse(_: str) -> None:
    raise ValueError


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def encode(value: Any) -> Any:
    """Return the JSON form of a dataclass instance."""
    return _encode(type(value), value)


def pack(value: Any) -> bytes:
    """Return the canonical JSON of a dataclass instance."""
    return dumps(encode(value))


def decode(cls: type[T], value: Any) -> T:
    """Return an instance of the dataclass `cls` from its JSON form; raise `MalformedError`."""
    return cast("T", _decode(cls, value, cls.__name__))


def unpack(cls: type[T], raw: bytes) -> T:
    """Return an instance of the dataclass `cls` from its canonical JSON; raise `MalformedError`."""
    return decode(cls, loads(raw))


def values(instance: Any) -> dict[str, Any]:
    """Return a dataclass instance's fields by name, one level deep, to build a record from its arguments."""
    return {member.name: getattr(instance, member.name) for member in _members(cast("type", type(instance)))}


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    json_name: str
    hint: Any
    required: bool


@cache
def _members(cls: type) -> tuple[_Member, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Member(
            field.name,
            re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), field.name),
            _without_none(hints[field.name]),
            field.default is MISSING,
        )
        for field in fields(cls)
    )


def _without_none(hint: Any) -> Any:
    if type(None) in get_args(hint):
        return next(arm for arm in get_args(hint) if arm is not type(None))
    return hint


def _encode(hint: Any, value: Any) -> Any:
    if is_dataclass(hint):
        members = ((member, getattr(value, member.name)) for member in _members(cast("type", hint)))
        return {member.json_name: _encode(member.hint, item) for member, item in members if item is not None}
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return str(value) if isinstance(args[1], Decimal) else value
    if origin is tuple:
        return [_encode(args[0], item) for item in value]
    if origin is dict:
        return {key: _encode(args[1], item) for key, item in value.items()}
    return value


def _decode(hint: Any, value: Any, path: str) -> Any:
    if is_dataclass(hint):
        return _decode_object(cast("type", hint), value, path)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _decode_scalar(args[1], value, path)
    if origin is Literal:
        _require(isinstance(value, str) and value in args, path)
        return value
    if origin is tuple:
        _require(isinstance(value, list), path)
        return tuple(_decode(args[0], item, path) for item in value)
    if origin is dict:
        _require(isinstance(value, dict), path)
        return {_decode(args[0], key, path): _decode(args[1], item, path) for key, item in value.items()}
    _require(type(value) is hint, path)
    return value


def _decode_object(cls: type, value: Any, path: str) -> Any:
    _require(isinstance(value, dict), path)
    members = _members(cls)
    for name in sorted(value.keys() - {member.json_name for member in members}):
        raise MalformedError(f"{path}: unknown {name[:40]!a}")
    for member in members:
        if member.required and member.json_name not in value:
            raise MalformedError(f"{path}: {member.json_name} is missing")
    return cls(
        **{
            member.name: _decode(member.hint, value[member.json_name], f"{path}.{member.json_name}")
            for member in members
            if member.json_name in value
        }
    )


def _decode_scalar(shape: Decimal | Whole | Text, value: Any, path: str) -> Any:
    if isinstance(shape, Text):
        _require(isinstance(value, str) and re.fullmatch(shape.pattern, value, re.ASCII) is not None, path)
        return value
    if isinstance(shape, Decimal):
        _require(isinstance(value, str) and DECIMAL.fullmatch(value) is not None and value != "-0", path)
        value = int(value)
    _require(type(value) is int and shape.minimum <= value <= shape.maximum, path)
    return value


def _require(condition: bool, path: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise MalformedError(f"{path} is malformed")
