"""Keep the world state that the blocks build: values, versions and key policies.

Decides whether a transaction's reads are current (MVCC, phantoms). Source: Fabric validation: a version is block and
position; a key written earlier in the same block conflicts with any later read of it.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any

from firmware_sim.audit.blocks import RangeRead, Transaction, Version
from firmware_sim.audit.protobuf import MalformedError


class State:
    """The world state, with its keys in order."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, Version]] = {}
        self._keys: list[str] = []
        self._written: set[str] = set()
        self.policies: dict[str, bytes] = {}

    def begin_block(self) -> None:
        """Begin a new block: forget which keys the last one wrote."""
        self._written.clear()

    def record(self, key: str) -> dict[str, Any] | None:
        """Return the JSON object at a key; None if the key is absent. Raise MalformedError for another value."""
        entry = self._values.get(key)
        return None if entry is None else read_record(entry[0])

    def records(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the keys with a prefix and their records, in ascending order."""
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            yield key, read_record(self._values[key][0])

    def reads_current(self, transaction: Transaction) -> bool:
        """Return whether every key read still has the version that was read."""
        return all(
            key not in self._written and self._version(key) == version for key, version in transaction.reads
        )

    def ranges_current(self, transaction: Transaction) -> bool:
        """Return whether every range read still has the keys and versions that were read."""
        return all(self._found(seen) == seen.reads for seen in transaction.ranges)

    def apply(self, transaction: Transaction, version: Version) -> None:
        """Apply the writes of a valid transaction."""
        for key, value in transaction.writes.items():
            self._written.add(key)
            if value is not None:
                self._put(key, value, version)
            elif self._values.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
                self.policies.pop(key, None)
        for key, policy in transaction.policies.items():
            entry = self._values.get(key)
            if entry is not None:
                self._written.add(key)
                self._values[key] = (entry[0], version)
                self.policies[key] = policy

    def _put(self, key: str, value: bytes, version: Version) -> None:
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = (value, version)

    def _version(self, key: str) -> Version | None:
        entry = self._values.get(key)
        return None if entry is None else entry[1]

    def _found(self, seen: RangeRead) -> list[tuple[str, Version | None]]:
        first = bisect_left(self._keys, seen.start)
        end = seen.end if seen.exhausted else seen.end + "\0"
        last = bisect_left(self._keys, end) if end else len(self._keys)
        return [(key, self._version(key)) for key in self._keys[first:last]]


def read_record(raw: bytes) -> dict[str, Any]:
    """Return a record: a JSON object. Raise MalformedError for floats, repeated names or another value."""
    try:
        record = _STRICT.decode(raw.decode())
    except (ValueError, RecursionError) as fault:
        raise MalformedError(f"no record: {raw[:40]!r}") from fault
    if not isinstance(record, dict):
        raise MalformedError(f"no JSON object: {raw[:40]!r}")
    return record


def _refuse(text: str) -> None:
    raise ValueError(text)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


_STRICT = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_no_repeats)
