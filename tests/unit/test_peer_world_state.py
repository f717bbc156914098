"""World state: what is read, what conflicts, what a block changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.rwset import RangeRead, ReadWriteSet, Version
from edgegw.peer.world_state import PendingBlock, World

OLD = Version(0, 0)


def _world(*keys: str) -> World:
    world = World()
    for key in keys:
        world.put(key, b"v", OLD)
    return world


def _set(
    reads: dict[str, Version | None] | None = None,
    writes: dict[str, bytes | None] | None = None,
    *,
    ranges: tuple[RangeRead, ...] = (),
    policies: dict[str, bytes] | None = None,
) -> ReadWriteSet:
    return ReadWriteSet(reads=reads or {}, ranges=ranges, writes=writes or {}, policies=policies or {})


@given(st.dictionaries(st.text(max_size=3), st.binary(max_size=2)), st.text(max_size=3), st.text(max_size=3))
def test_a_scan_is_the_sorted_half_open_range(content: dict[str, bytes], start: str, end: str) -> None:
    """Keys come ascending with start <= key < end; an empty end has no bound."""
    world = World()
    for key, value in content.items():
        world.put(key, value, OLD)
    found = [(key, value) for key, value, _ in world.scan(start, end)]
    assert found == sorted((k, v) for k, v in content.items() if start <= k and (not end or k < end))


def test_a_write_gives_block_and_position_as_version() -> None:
    """The second transaction of block 7 writes at version (7, 1); a deletion leaves nothing."""
    world = _world("gone")
    changed = world.apply(7, [(1, _set(writes={"a": b"1", "gone": None}))])
    assert world.get("a") == (b"1", Version(7, 1))
    assert world.get("gone") is None
    assert changed == {"a", "gone"}
    assert [key for key, _, _ in world.scan("", "")] == ["a"]


def test_a_policy_moves_the_version_and_dies_with_its_key() -> None:
    """A policy on a key that exists is a change of the key; on one that does not, nothing."""
    world = _world("a")
    assert world.apply(1, [(0, _set(policies={"a": b"p", "absent": b"p"}))]) == {"a"}
    assert world.get("a") == (b"v", Version(1, 0))
    assert (world.policy("a"), world.policy("absent")) == (b"p", None)
    world.apply(2, [(0, _set(writes={"a": b"new"}))])
    assert world.policy("a") == b"p"
    world.apply(3, [(0, _set(writes={"a": None}))])
    assert world.policy("a") is None


@pytest.mark.parametrize(
    ("reads", "code"),
    [
        ({"a": OLD}, peer_pb2.VALID),
        ({"absent": None}, peer_pb2.VALID),
        ({"a": Version(0, 1)}, peer_pb2.MVCC_READ_CONFLICT),
        ({"a": None}, peer_pb2.MVCC_READ_CONFLICT),
        ({"absent": OLD}, peer_pb2.MVCC_READ_CONFLICT),
    ],
)
def test_a_read_holds_only_at_its_version(reads: dict[str, Version | None], code: int) -> None:
    """A read of another version, of a key that came or of one that went is a conflict."""
    assert PendingBlock(_world("a")).conflict(_set(reads)) == code


def test_a_write_earlier_in_the_block_conflicts_with_a_read_but_not_with_a_blind_write() -> None:
    """Two that read the same key cannot both be valid in one block; writers that did not look can."""
    pending = PendingBlock(_world("a"))
    pending.accept(_set({"a": OLD}, {"a": b"1"}))
    assert pending.conflict(_set({"a": OLD}, {"a": b"2"})) == peer_pb2.MVCC_READ_CONFLICT
    assert pending.conflict(_set(writes={"a": b"2"})) == peer_pb2.VALID


SEEN = [("b", OLD), ("c", OLD)]


@pytest.mark.parametrize(
    ("earlier", "code"),
    [
        ({"z": b"outside"}, peer_pb2.VALID),
        ({"a": b"before"}, peer_pb2.VALID),
        ({"bb": None}, peer_pb2.VALID),
        ({"bb": b"new"}, peer_pb2.PHANTOM_READ_CONFLICT),
        ({"b": b"changed"}, peer_pb2.PHANTOM_READ_CONFLICT),
        ({"c": None}, peer_pb2.PHANTOM_READ_CONFLICT),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_a_range_holds_only_while_nobody_changed_it(
    earlier: dict[str, bytes | None], code: int, committed: bool
) -> None:
    """An insert, change or removal inside the range is a phantom, in an earlier block or earlier in this one."""
    world = _world("b", "c", "d")
    reader = _set(ranges=(RangeRead("b", "d", SEEN, exhausted=True),))
    if committed:
        world.apply(1, [(0, _set(writes=earlier))])
        assert PendingBlock(world).conflict(reader) == code
    else:
        pending = PendingBlock(world)
        pending.accept(_set(writes=earlier))
        assert pending.conflict(reader) == code


def test_a_range_left_early_ends_with_the_last_key_seen() -> None:
    """A write behind the last key that a reader saw does not conflict with it; a write of that key does."""
    reader = _set(ranges=(RangeRead("b", "c", SEEN, exhausted=False),))
    world = _world("b", "c", "d")
    world.apply(1, [(0, _set(writes={"d": b"1", "cc": b"1"}))])
    assert PendingBlock(world).conflict(reader) == peer_pb2.VALID
    world.apply(2, [(0, _set(writes={"c": b"1"}))])
    assert PendingBlock(world).conflict(reader) == peer_pb2.PHANTOM_READ_CONFLICT


def test_a_policy_set_earlier_in_the_block_counts_for_the_next_transaction() -> None:
    """Key policies are judged in the block's order, and only on keys that exist by then."""
    pending = PendingBlock(_world("a", "b"))
    pending.accept(_set(writes={"n": b"1", "b": None}, policies={"a": b"p", "n": b"p", "absent": b"p"}))
    assert [pending.policy(key) for key in ("a", "n", "b", "absent")] == [b"p", b"p", None, None]
