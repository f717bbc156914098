"""Hold the world state: the newest value of each key, with its version and its policy.

Decides whether a transaction's reads are still current (MVCC, phantoms), and applies valid writes. Kept in memory,
loaded from the store at start; never changed before the block is on disk.
Source: Fabric validation (version = block and position; a key written earlier in the block conflicts).
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.rwset import RangeRead, ReadWriteSet, Version


class World:
    """Keys in order, values, versions and key policies of one chaincode."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, Version]] = {}
        self._policies: dict[str, bytes] = {}
        self._keys: list[str] = []

    def get(self, key: str) -> tuple[bytes, Version] | None:
        """Return value and version of a key, or None if it does not exist."""
        return self._values.get(key)

    def policy(self, key: str) -> bytes | None:
        """Return the key's own endorsement policy, or None if the chaincode's applies."""
        return self._policies.get(key)

    def scan(self, start: str, end: str) -> Iterator[tuple[str, bytes, Version]]:
        """Yield keys in `[start, end)`, ascending; an empty `end` means no bound. Do not write while iterating."""
        for index in range(bisect_left(self._keys, start), len(self._keys)):
            key = self._keys[index]
            if end and key >= end:
                return
            value, version = self._values[key]
            yield key, value, version

    def put(self, key: str, value: bytes, version: Version) -> None:
        """Set the value and version of a key."""
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = (value, version)

    def delete(self, key: str) -> None:
        """Remove a key and its policy if it exists."""
        if self._values.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        self._policies.pop(key, None)

    def set_policy(self, key: str, policy: bytes) -> None:
        """Set the policy of a key that exists."""
        self._policies[key] = policy

    def contents(self) -> Iterator[tuple[str, bytes, Version, bytes | None]]:
        """Yield everything in the order of the keys, to compare two world states."""
        for key, value, version in self.scan("", ""):
            yield key, value, version, self._policies.get(key)

    def apply(self, block: int, accepted: Iterable[tuple[int, ReadWriteSet]]) -> set[str]:
        """Apply the valid transactions (position, read-write set) of a block; return the keys that changed."""
        changed: set[str] = set()
        for position, rwset in accepted:
            version = Version(block, position)
            for key, value in rwset.writes.items():
                if value is None:
                    self.delete(key)
                else:
                    self.put(key, value, version)
            changed.update(rwset.writes)
            for key, policy in rwset.policies.items():
                current = self._values.get(key)
                if current is not None:
                    self.put(key, current[0], version)
                    self.set_policy(key, policy)
                    changed.add(key)
        return changed


class PendingBlock:
    """The world state during the validation of a block, with the writes of the transactions accepted so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._written: dict[str, bool] = {}
        self._policies: dict[str, bytes | None] = {}

    def policy(self, key: str) -> bytes | None:
        """Return the policy of a key after the transactions accepted so far."""
        if key in self._policies:
            return self._policies[key]
        return self._world.policy(key)

    def conflict(self, rwset: ReadWriteSet) -> int:
        """Return VALID, MVCC_READ_CONFLICT or PHANTOM_READ_CONFLICT."""
        for key, version in rwset.reads.items():
            if key in self._written or _version(self._world.get(key)) != version:
                return peer_pb2.MVCC_READ_CONFLICT
        if any(self._range_changed(seen) for seen in rwset.ranges):
            return peer_pb2.PHANTOM_READ_CONFLICT
        return peer_pb2.VALID

    def accept(self, rwset: ReadWriteSet) -> None:
        """Make these writes visible to later transactions of the block."""
        for key, value in rwset.writes.items():
            self._written[key] = value is not None
            if value is None:
                self._policies[key] = None
        for key, policy in rwset.policies.items():
            if self._written.get(key, self._world.get(key) is not None):
                self._written[key] = True
                self._policies[key] = policy

    def _range_changed(self, seen: RangeRead) -> bool:
        # If the reader stopped early, `end` is the last key it read and belongs to the range.
        end = seen.end if seen.exhausted else seen.end + "\0"
        now = [(key, version) for key, _, version in self._world.scan(seen.start, end)]
        if now != seen.reads:
            return True
        return any(
            seen.start <= key and (not end or key < end)
            for key, exists in self._written.items()
            if exists or self._world.get(key) is not None
        )


def _version(entry: tuple[bytes, Version] | None) -> Version | None:
    return None if entry is None else entry[1]
