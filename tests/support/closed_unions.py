"""Closed unions and the tables that cover them: what a table or a module leaves out, in words."""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any, get_args, get_type_hints


def table_faults(table: Mapping[Any, object], union: object) -> list[str]:
    """The members of a union without a row, and the rows for what is no member."""
    members = set(get_args(union))
    missing = [f"{name} has no row" for name in _names(members - set(table))]
    return missing + [f"{name} is not in the union" for name in _names(set(table) - members)]


def unlisted(module: ModuleType, *unions: object) -> list[str]:
    """The dataclasses of a module that are neither in one of its unions nor a part of a member."""
    members = [member for union in unions for member in get_args(union)]
    known = {part for member in members for part in _parts(member)}
    own = {
        item for item in vars(module).values() if is_dataclass(item) and item.__module__ == module.__name__
    }
    return [f"{name} is in no union" for name in _names(own - known)]


def _parts(hint: Any) -> Iterator[object]:
    """A type with the types of its fields, those of their fields and so on."""
    yield hint
    inner = get_type_hints(hint).values() if is_dataclass(hint) else get_args(hint)
    for item in inner:
        yield from _parts(item)


def _names(classes: set[Any]) -> list[str]:
    return sorted(item.__name__ for item in classes)
