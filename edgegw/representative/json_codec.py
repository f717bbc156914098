"""Encodes and decodes the representative's requests and answers as JSON, strictly by the types of the port.

Decides the form: a dataclass is an object with its name under "$", with every field and no other; numbers are integers.
Knows no network. The methods are derived from `ports.representative.Representative`, so that the two cannot differ.
Source: docs/representative.md.
"""

import inspect
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, NoReturn, Protocol, Union, get_args, get_origin, get_type_hints

from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Product
from edgegw.ports.representative import Representative

TEXT_LENGTH_MAX = 8192
_INT_MAX = 2**63
_NAME = "$"


class MalformedJsonError(Exception):
    """The JSON does not have the type of the port; the message names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLinks:
    """The card links for a remote station: terms by token hash under `key` (hex). `version` identifies this state."""

    version: str
    key: str
    links: Mapping[str, MemberTerms]


class StationPort(Protocol):
    """The requests of a station itself, beside those for its drivers."""

    async def links(self, since: str) -> CardLinks | None:
        """Return all links once their version differs from `since` (long poll); None where nothing changed in time."""

    async def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """See ports.gateway.LoadReportPort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """The types of one method's arguments and answer."""

    arguments: Mapping[str, Any]
    answer: Any


def _methods(port: type) -> dict[str, Method]:
    found = {}
    for name, function in inspect.getmembers(port, inspect.iscoroutinefunction):
        hints = get_type_hints(function)
        found[name] = Method(answer=hints.pop("return"), arguments=hints)
    return found


OFFICE = _methods(Representative)
STATION = _methods(StationPort)
METHODS: Mapping[str, Method] = OFFICE | STATION


def parse(text: bytes) -> object:
    """Parse JSON without fractions and repeated names; raises MalformedJsonError."""
    try:
        return json.loads(
            text, parse_float=_no_number, parse_constant=_no_number, object_pairs_hook=_no_name_twice
        )
    except (ValueError, RecursionError) as fault:
        raise MalformedJsonError("no JSON") from fault


def written(value: object) -> bytes:
    """Serialize the result of `encoded`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def encoded(value: object) -> object:
    """Convert a value of the port to JSON values."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        inner = {one.name: encoded(getattr(value, one.name)) for one in fields(value)}
        return {_NAME: type(value).__name__} | inner
    if isinstance(value, Mapping):
        return {str(name): encoded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(inner) for inner in value]
    return value


def arguments_of(method: Method, value: object) -> dict[str, Any]:
    """Return a call's arguments by name; raises MalformedJsonError."""
    return _members(method.arguments, value, "arguments")


def decoded(kind: Any, value: object, where: str = "answer") -> Any:
    """Return the value of type `kind`; raises MalformedJsonError, which names `where`."""
    origin = get_origin(kind)
    if origin in {Union, types.UnionType}:
        return _one_of(get_args(kind), value, where)
    if origin is Literal:
        _must(any(value == one and type(value) is type(one) for one in get_args(kind)), where)
        return value
    if origin in {Sequence, tuple}:
        _must(isinstance(value, list), where)
        assert isinstance(value, list)
        return tuple(decoded(get_args(kind)[0], inner, f"{where}[]") for inner in value)
    if origin in {Mapping, dict}:
        _must(isinstance(value, dict), where)
        assert isinstance(value, dict)
        return {name: decoded(get_args(kind)[1], inner, f"{where}.{name}") for name, inner in value.items()}
    return _plain(kind, value, where)


def _plain(kind: Any, value: object, where: str) -> Any:
    if is_dataclass(kind):
        assert isinstance(kind, type)
        _must(isinstance(value, dict) and value.get(_NAME) == kind.__name__, where)
        assert isinstance(value, dict)
        inner_values = {name: inner for name, inner in value.items() if name != _NAME}
        return kind(**_members(get_type_hints(kind), inner_values, where))
    if kind is object:  # an export is read by people only
        return value
    kind = type(None) if kind is None else kind
    _must(type(value) is kind, where)
    if isinstance(value, str):
        _must(len(value) <= TEXT_LENGTH_MAX and _is_text(value), where)
    if isinstance(value, int):
        _must(-_INT_MAX < value < _INT_MAX, where)
    return value


def _one_of(kinds: Sequence[Any], value: object, where: str) -> Any:
    for kind in kinds:
        try:
            return decoded(kind, value, where)
        except MalformedJsonError as fault:
            if isinstance(value, dict) and value.get(_NAME) == getattr(kind, "__name__", ""):
                raise fault from None  # it is this type, with a fault inside
    raise MalformedJsonError(f"{where}: is not of its type")


def _members(kinds: Mapping[str, Any], value: object, where: str) -> dict[str, Any]:
    _must(isinstance(value, dict), where)
    assert isinstance(value, dict)
    strange = sorted(set(kinds) ^ set(value))
    if strange:
        raise MalformedJsonError(f"{where}.{strange[0][:40]}: is missing or unknown")
    return {name: decoded(kind, value[name], f"{where}.{name}") for name, kind in kinds.items()}


def _must(holds: bool, where: str) -> None:  # noqa: FBT001 - it reads as a sentence
    if not holds:
        raise MalformedJsonError(f"{where}: is not of its type")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(_text: str) -> NoReturn:
    raise ValueError("no whole number")


def _no_name_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found
