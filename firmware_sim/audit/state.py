"""The ledger's keys and values as the blocks made them, with versions and key policies.

Decides whether what a transaction read still stood (MVCC, phantoms). Source: Fabric validation: a version is block and
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
    """All keys in order."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, Version]] = {}
        self._keys: list[str] = []
        self._written: set[str] = set()
        self.policies: dict[str, bytes] = {}

    def begin_block(self) -> None:
        """A new block: nothing was written in it yet."""
        self._written.clear()

    def record(self, key: str) -> dict[str, Any] | None:
        """The JSON object at a key; None where there is none. MalformedError where it is none."""
        entry = self._values.get(key)
        return None if entry is None else read_record(entry[0])

    def records(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """All records whose key begins so, ascending."""
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            yield key, read_record(self._values[key][0])

    def reads_stand(self, transaction: Transaction) -> bool:
        """Whether every key read has the version it had."""
        return all(
            key not in self._written and self._version(key) == version for key, version in transaction.reads
        )

    def ranges_stand(self, transaction: Transaction) -> bool:
        """Whether every range read has the keys and versions it had."""
        return all(self._found(seen) == seen.reads for seen in transaction.ranges)

    def apply(self, transaction: Transaction, version: Version) -> None:
        """Take over what a valid transaction wrote."""
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
    """A record: a JSON object without floats or repeated names; MalformedError."""
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
        raise ValueError("a name stands twice")
    return members


_STRICT = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=_no_repeats)
