"""Copy-on-write tables: how one step changes a frozen state, and how the journal learns which rows changed."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Table(Generic[T]):
    """A view on a frozen mapping that remembers what a step puts and drops; the base is never touched."""

    __slots__ = ("_base", "_merged", "changes")

    def __init__(self, base: Mapping[str, T]) -> None:
        self._base = base
        self._merged: dict[str, T] | None = None
        self.changes: dict[str, T | None] = {}

    def get(self, key: str) -> T | None:
        """The row as this step sees it."""
        return self.rows.get(key)

    def __getitem__(self, key: str) -> T:
        return self.rows[key]

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def values(self) -> list[T]:
        """All rows, as this step sees them."""
        return list(self.rows.values())

    def put(self, key: str, row: T) -> None:
        """Replace or add a row."""
        self._own()[key] = row
        self.changes[key] = row

    def drop(self, key: str) -> None:
        """Remove a row; a missing one is fine."""
        if self._own().pop(key, None) is not None:
            self.changes[key] = None

    def become(self, rows: Mapping[str, T]) -> None:
        """Hold these rows and no others; those that are the same already count as no change."""
        for key in [key for key in self.rows if key not in rows]:
            self.drop(key)
        for key, row in rows.items():
            if self.get(key) != row:
                self.put(key, row)

    @property
    def rows(self) -> Mapping[str, T]:
        """The mapping after this step so far."""
        return self._base if self._merged is None else self._merged

    def _own(self) -> dict[str, T]:
        if self._merged is None:
            self._merged = dict(self._base)
        return self._merged
