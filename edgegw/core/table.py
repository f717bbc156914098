"""Copy-on-write tables, through which a step changes the frozen state and records the changed rows."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Table(Generic[T]):
    """A view of a mapping that records what a step puts and drops; the mapping itself never changes."""

    __slots__ = ("_base", "_merged", "changes")

    def __init__(self, base: Mapping[str, T]) -> None:
        self._base = base
        self._merged: dict[str, T] | None = None
        self.changes: dict[str, T | None] = {}

    def get(self, key: str) -> T | None:
        """Return the row after the changes of this step, or None."""
        return self.rows.get(key)

    def __getitem__(self, key: str) -> T:
        return self.rows[key]

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def values(self) -> list[T]:
        """Return all rows after the changes of this step."""
        return list(self.rows.values())

    def put(self, key: str, row: T) -> None:
        """Replace or add a row."""
        self._own()[key] = row
        self.changes[key] = row

    def drop(self, key: str) -> None:
        """Remove a row; do nothing where it is missing."""
        if self._own().pop(key, None) is not None:
            self.changes[key] = None

    def become(self, rows: Mapping[str, T]) -> None:
        """Replace all rows; equal ones count as unchanged."""
        for key in [key for key in self.rows if key not in rows]:
            self.drop(key)
        for key, row in rows.items():
            if self.get(key) != row:
                self.put(key, row)

    @property
    def rows(self) -> Mapping[str, T]:
        """The mapping after the changes of this step."""
        return self._base if self._merged is None else self._merged

    def _own(self) -> dict[str, T]:
        if self._merged is None:
            self._merged = dict(self._base)
        return self._merged
