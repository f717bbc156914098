"""Find what a table or a module leaves out of a closed union."""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any, get_args, get_type_hints


def table_faults(table: Mapping[Any, object], union: object) -> list[str]:
    """Return a line for each member of the union without a row, and each row for another type."""
    members = set(get_args(union))
    missing = [f"{name} has no row" for name in _names(members - set(table))]
    return missing + [f"{name} is not in the union" for name in _names(set(table) - members)]


def unlisted(module: ModuleType, *unions: object) -> list[str]:
    """Return the dataclasses of a module that are neither in one of its unions nor part of a member."""
    members = [member for union in unions for member in get_args(union)]
    known = {part for member in members for part in _parts(member)}
    own = {
        item for item in vars(module).values() if is_dataclass(item) and item.__module__ == module.__name__
    }
    return [f"{name} is in no union" for name in _names(own - known)]


def _parts(hint: Any) -> Iterator[object]:
    """Yield a type and, recursively, the types of its fields."""
    yield hint
    inner = get_type_hints(hint).values() if is_dataclass(hint) else get_args(hint)
    for item in inner:
        yield from _parts(item)


def _names(classes: set[Any]) -> list[str]:
    return sorted(item.__name__ for item in classes)
